/* ---------- data: text in the page that stays text until it is looked at ---------- */

const settings = JSON.parse(byId("settings").textContent);
const SMALLEST = settings.classes[0].size;
const LARGEST = settings.classes[settings.classes.length - 1].size;
const ARRAYS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };
const UNKNOWN = 65535;

const ANALYSABLE = 1;
const DOUBTFUL = 2;
const COMPLETE = 1;
const SUSPECT = 6; /* no centre found, or two criteria differ */

/* Text of a chunk, or null while the browser still reads the page up to it. */
function chunk(id) {
  const element = byId(id);
  if (!element || (document.readyState === "loading" && !element.nextElementSibling)) return null;
  return element.textContent;
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/* Columns of numbers; the counterpart of `pack` in encode.py. */
async function unpack(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(data.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  const columns = {};
  let start = 4 + length;
  for (const [name, size, n] of header.columns) {
    const values = new ARRAYS[size](n);
    for (let plane = 0; plane < size; plane += 1) {
      for (let i = 0; i < n; i += 1) values[i] |= data[start + plane * n + i] << (8 * plane);
    }
    columns[name] = values;
    start += n * size;
  }
  return { header, columns };
}

function scaled(steps, low, high) {
  const values = new Float32Array(steps.length);
  const width = (high - low) / 65534;
  for (let i = 0; i < steps.length; i += 1) values[i] = steps[i] === UNKNOWN ? NaN : low + steps[i] * width;
  return values;
}

function summed(steps) {
  const values = new Uint16Array(steps.length);
  let last = 0;
  for (let i = 0; i < steps.length; i += 1) { last = (last + steps[i]) & 65535; values[i] = last; }
  return values;
}

function sitesOf(columns, mark, [x0, y0, x1, y1]) {
  const top = 65534 * settings.sigma;
  return {
    n: columns[`${mark}flags`].length,
    x: scaled(columns[`${mark}x`], x0, x1),
    y: scaled(columns[`${mark}y`], y0, y1),
    sigma: columns[`${mark}sigma`],
    sigmaTop: top,
    confidence: columns[`${mark}confidence`],
    flags: columns[`${mark}flags`],
    site: columns[`${mark}site`],
  };
}

/* Everything in one tile, as arrays. */
function openTile({ header, columns }, colourings) {
  const atoms = sitesOf(columns, "a", header.box);
  const first = summed(columns.first);
  const second = new Uint16Array(first.length);
  for (let i = 0; i < first.length; i += 1) second[i] = (first[i] + columns.step[i]) & 65535;
  const { size } = columns;
  const members = summed(columns.members);
  const offsets = new Uint32Array(size.length + 1);
  const middle = { x: new Float32Array(size.length), y: new Float32Array(size.length) };
  for (let ring = 0; ring < size.length; ring += 1) {
    offsets[ring + 1] = offsets[ring] + size[ring];
    for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
      middle.x[ring] += atoms.x[members[k]] / size[ring];
      middle.y[ring] += atoms.y[members[k]] / size[ring];
    }
  }
  const angleStart = new Uint32Array(atoms.n + 1);
  for (let i = 0; i < atoms.n; i += 1) angleStart[i + 1] = angleStart[i] + columns.angles[i];
  return {
    atoms,
    centres: sitesOf(columns, "c", header.box),
    bonds: { n: first.length, first, second, length: scaled(columns.length, 0, header.longest), counted: columns.counted },
    angles: { start: angleStart, value: scaled(columns.angle, 0, 180) },
    rings: {
      n: size.length, size, members, offsets, middle, flags: columns.ring,
      values: colourings.rings.map(({ stored }, i) => scaled(columns[`rv${i}`], ...stored)),
    },
    atomValues: colourings.atoms.map(({ stored }, i) => scaled(columns[`av${i}`], ...stored)),
    paths: null,
    marked: null,
  };
}

/* One micrograph: what is known at once, and what is read when it is needed. */
class Scene {
  constructor(index, changed) {
    const head = JSON.parse(byId(`data-${index}`).textContent);
    Object.assign(this, head);
    this.index = index;
    this.changed = changed;
    this.reading = 0;
    this.tiles = head.tiles.map(([x0, y0, x1, y1, n, rings], number) => ({ number, x0, y0, x1, y1, n, rings, data: null, wanted: null }));
    this.n = head.tiles.reduce((sum, tile) => sum + tile[4], 0);
    this.images = new Map();
    this.overview = new Image();
    this.overview.onload = changed;
    this.overview.src = head.image.overview;
    this.pixel = [head.field[2] / head.image.columns, head.field[3] / head.image.rows];
    this.maskImage = null;
    if (head.mask) {
      this.maskImage = new Image();
      this.maskImage.onload = changed;
      this.maskImage.src = head.mask;
    }
    this.densityCells = null;
    if (head.density) {
      unpack(head.density.data).then(({ columns }) => { this.densityCells = columns; changed(); });
    }
  }

  tilesWithin(left, top, right, bottom) {
    return this.tiles.filter((tile) => tile.x1 >= left && tile.x0 <= right && tile.y1 >= top && tile.y0 <= bottom);
  }

  /* Promise of a tile's arrays; the text may not have arrived yet. */
  read(tile) {
    if (!tile.wanted) {
      this.reading += 1;
      tile.wanted = arrived(`m${this.index}-o${tile.number}`).then(unpack).then((raw) => {
        tile.data = openTile(raw, this.colourings);
        this.reading -= 1;
        this.changed();
        return tile.data;
      });
    }
    return tile.wanted;
  }

  /* A tile of the image if it is at hand; else it is asked for. The oldest ones are forgotten. */
  imageTile(name) {
    const known = this.images.get(name);
    if (known) {
      this.images.delete(name);
      this.images.set(name, known);
      return known.bitmap;
    }
    const entry = { bitmap: null };
    this.images.set(name, entry);
    this.reading += 1;
    arrived(`m${this.index}-i${name}`)
      .then((text) => createImageBitmap(new Blob([bytesOf(text)], { type: "image/jpeg" })))
      .then((bitmap) => { entry.bitmap = bitmap; this.reading -= 1; this.changed(); });
    for (const [old, { bitmap }] of this.images) {
      if (this.images.size <= 80) break;
      if (bitmap) bitmap.close();
      this.images.delete(old);
    }
    return null;
  }

  close() {
    for (const { bitmap } of this.images.values()) bitmap?.close();
    this.images.clear();
  }
}

/* Promise of a chunk's text. */
async function arrived(id) {
  for (;;) {
    const text = chunk(id);
    if (text !== null) return text;
    if (document.readyState !== "loading") throw new Error(`the page has no ${id}`);
    await new Promise((done) => { setTimeout(done, 40); });
  }
}
