/* ---------- drawing ---------- */

const context = canvas.getContext("2d");
const HEXAGON = 6;
const MARK = "#ffd166";
const FOUND = "#00c389"; /* what a chart points out */
const WARNING = "#d0021b";
const SUBGRID = 16;

const layers = {};
const hiddenSizes = new Set();
const colouring = { rings: -1, atoms: -1 }; /* −1: by size, and plain */
let scene = null;
let view = { x: 0, y: 0, scale: 1, fit: 1, width: 1, height: 1 };
let pointed = null;
let cross = false;
let pending = false;
let highlight = null; /* { kind, low, high, last } or { kind: "size", sizes } */
let selection = null; /* x0, y0, x1, y1 [Å] */
let densityPicture = null;

function request() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; draw(); });
}

/* After something has been read: others will follow at once, and each drawing takes time. */
let awaited = false;
function requestSoon() {
  if (awaited) return;
  awaited = true;
  setTimeout(() => { awaited = false; request(); }, scene?.reading ? (highlight ? 400 : 80) : 0);
}

function toField(screenX, screenY) {
  return [view.x + (screenX - view.width / 2) / view.scale, view.y + (screenY - view.height / 2) / view.scale];
}

const classOf = (size) => Math.min(LARGEST, Math.max(SMALLEST, size));

function binOf(value, { coloured: [low, high], scale }) {
  const n = settings.scales[scale].length;
  if (!Number.isFinite(value)) return -1;
  const share = (value - low) / (high - low);
  const place = scale === "cyclic" ? share - Math.floor(share) : share;
  return Math.min(n - 1, Math.max(0, Math.floor(place * n)));
}

function ringPath(data, ring, path) {
  const { members, offsets } = data.rings;
  for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
    const atom = members[k];
    if (k === offsets[ring]) path.moveTo(data.atoms.x[atom], data.atoms.y[atom]);
    else path.lineTo(data.atoms.x[atom], data.atoms.y[atom]);
  }
  path.closePath();
}

function bondPath({ atoms, bonds }, bond, path) {
  path.moveTo(atoms.x[bonds.first[bond]], atoms.y[bonds.first[bond]]);
  path.lineTo(atoms.x[bonds.second[bond]], atoms.y[bonds.second[bond]]);
}

function group(map, key) {
  if (!map.has(key)) map.set(key, new Path2D());
  return map.get(key);
}

/* Paths of one tile by colour; made again when the colours change. */
function pathsOf(data) {
  if (data.paths) return data.paths;
  const paths = { whole: new Map(), cut: new Map(), bonds: new Map(), suspect: new Path2D() };
  const { rings, bonds } = data;
  const chosen = scene.colourings.rings[colouring.rings];
  for (let ring = 0; ring < rings.n; ring += 1) {
    const kind = classOf(rings.size[ring]);
    if (rings.flags[ring] & SUSPECT) ringPath(data, ring, paths.suspect);
    const key = chosen ? binOf(rings.values[colouring.rings][ring], chosen) : kind;
    if (hiddenSizes.has(kind) || key < 0) continue;
    ringPath(data, ring, group(rings.flags[ring] & COMPLETE ? paths.whole : paths.cut, key));
  }
  const shades = scene.colourings.atoms[colouring.atoms];
  const values = data.atomValues[colouring.atoms];
  for (let bond = 0; bond < bonds.n; bond += 1) {
    const key = shades ? binOf((values[bonds.first[bond]] + values[bonds.second[bond]]) / 2, shades) : -1;
    bondPath(data, bond, group(paths.bonds, key));
  }
  data.paths = paths;
  return paths;
}

function forgetPaths() {
  for (const tile of scene.tiles) if (tile.data) tile.data.paths = null;
  densityPicture = null;
}

function draw() {
  if (!scene) return;
  const density = canvas.width / view.width;
  const { scale } = view;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = getComputedStyle(canvas).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.setTransform(
    scale * density, 0, 0, scale * density,
    (view.width / 2 - view.x * scale) * density, (view.height / 2 - view.y * scale) * density,
  );
  const [left, top] = toField(0, 0);
  const [right, bottom] = toField(view.width, view.height);
  drawImage(left, top, right, bottom, scale * density);
  if (layers.masks && scene.maskImage?.complete) {
    context.imageSmoothingEnabled = false;
    context.drawImage(scene.maskImage, ...scene.field);
  }
  const seen = scene.tilesWithin(left, top, right, bottom);
  const n = seen.reduce((sum, tile) => sum + tile.n * shareSeen(tile, left, top, right, bottom), 0);
  const detail = n <= settings.detail;
  const tiles = [];
  if (detail) {
    for (const tile of seen) {
      if (tile.data) tiles.push(tile.data);
      else scene.read(tile);
    }
  }
  if (layers.rings) { if (detail) drawRings(tiles); else drawDensity(); }
  if (detail) {
    /* far out, bonds and atoms would cover all colour */
    const strength = Math.min(1, Math.max(0.25, (scale - 1) / 4));
    if (layers.bonds) drawBonds(tiles, strength);
    if (layers.atoms) drawAtoms(tiles, strength);
    if (layers.centres) drawCentres(tiles);
  }
  if (layers.warnings) drawWarnings(tiles, detail);
  if (highlight) drawHighlight(seen, detail);
  if (layers.defects) drawDefects();
  if (pointed) drawPointed();
  if (selection) drawSelection();
  context.setTransform(density, 0, 0, density, 0, 0);
  if (cross) drawCross();
  drawScaleBar();
  if (scene.tiles.length > 200) keepFew(seen);
  canvas.dataset.detail = Number(detail);
  canvas.dataset.reading = scene.reading;
  canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
}

/* Part of a tile that is in sight. */
function shareSeen(tile, left, top, right, bottom) {
  const width = Math.min(tile.x1, right) - Math.max(tile.x0, left);
  const height = Math.min(tile.y1, bottom) - Math.max(tile.y0, top);
  return Math.max(0, width * height) / Math.max(1e-9, (tile.x1 - tile.x0) * (tile.y1 - tile.y0));
}

/* Paths take most memory: only those in sight are kept where there are many. */
function keepFew(seen) {
  const kept = new Set(seen);
  for (const tile of scene.tiles) if (tile.data && !kept.has(tile)) tile.data.paths = null;
}

function drawImage(left, top, right, bottom, density) {
  const [x, y, width, height] = scene.field;
  if (!layers.image) {
    context.fillStyle = "#f7f7f5";
    context.fillRect(x, y, width, height);
    canvas.dataset.level = "";
    return;
  }
  const { levels, rows, columns, tile } = scene.image;
  const [px, py] = scene.pixel;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  const last = levels - 1;
  const wanted = Math.min(last, Math.max(0, Math.floor(-Math.log2(density * Math.max(px, py) / 1.3))));
  const { overview } = scene;
  if (overview.complete && overview.naturalWidth) {
    context.imageSmoothingEnabled = density * width / overview.naturalWidth < 6 || last > 0;
    context.imageSmoothingQuality = "high";
    context.drawImage(overview, x, y, overview.naturalWidth * px * 2 ** last, overview.naturalHeight * py * 2 ** last);
  }
  let drawn = 0;
  context.imageSmoothingEnabled = density * px < 6;
  for (let level = last - 1; level >= wanted; level -= 1) {
    const stepX = px * 2 ** level;
    const stepY = py * 2 ** level;
    const lastColumn = Math.ceil(Math.ceil(columns / 2 ** level) / tile) - 1;
    const lastRow = Math.ceil(Math.ceil(rows / 2 ** level) / tile) - 1;
    const from = Math.max(0, Math.floor((left - x) / stepX / tile));
    const to = Math.min(lastColumn, Math.floor((right - x) / stepX / tile));
    for (let row = Math.max(0, Math.floor((top - y) / stepY / tile)); row <= Math.min(lastRow, Math.floor((bottom - y) / stepY / tile)); row += 1) {
      for (let column = from; column <= to; column += 1) {
        const name = `${level}-${row}-${column}`;
        const bitmap = level === wanted || scene.images.has(name) ? scene.imageTile(name) : null;
        if (!bitmap) continue;
        context.drawImage(
          bitmap, x + column * tile * stepX, y + row * tile * stepY, bitmap.width * stepX, bitmap.height * stepY,
        );
        drawn += Number(level === wanted);
      }
    }
  }
  context.restore();
  canvas.dataset.level = wanted;
  canvas.dataset.imageTiles = drawn;
}

function drawRings(tiles) {
  const strength = Number(byId("opacity").value) / 100;
  const chosen = scene.colourings.rings[colouring.rings];
  const colours = chosen
    ? settings.scales[chosen.scale].map((colour, key) => ({ key, colour, part: 0.9 }))
    : settings.classes.map(({ size, colour }) => ({ key: size, colour, part: size === HEXAGON ? 0.45 : 1 }));
  for (const { key, colour, part } of colours) {
    context.fillStyle = colour;
    for (const data of tiles) {
      const { whole, cut } = pathsOf(data);
      context.globalAlpha = part * strength;
      if (whole.has(key)) context.fill(whole.get(key));
      context.globalAlpha = 0.4 * part * strength;
      if (cut.has(key)) context.fill(cut.get(key));
    }
  }
  context.globalAlpha = 1;
}

/* Many rings in a pixel: what each cell of a coarse grid is covered with, mixed. */
function drawDensity() {
  const cells = scene.densityCells;
  if (!cells) return;
  densityPicture = densityPicture || paintDensity(cells);
  const { rows, columns, side } = scene.density;
  context.globalAlpha = Number(byId("opacity").value) / 100;
  context.imageSmoothingEnabled = true;
  context.drawImage(densityPicture, scene.field[0], scene.field[1], columns * side, rows * side);
  context.globalAlpha = 1;
}

const rgb = (colour) => [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));

function paintDensity(cells) {
  const { rows, columns } = scene.density;
  const picture = document.createElement("canvas");
  picture.width = columns;
  picture.height = rows;
  const paint = picture.getContext("2d");
  const pixels = paint.createImageData(columns, rows);
  const chosen = scene.colourings.rings[colouring.rings];
  const shades = settings.classes.map(({ size, colour }) => ({
    colour: rgb(colour), part: hiddenSizes.has(size) ? 0 : size === HEXAGON && !chosen ? 0.45 : 1,
  }));
  const scale = chosen && settings.scales[chosen.scale].map(rgb);
  const values = chosen && scaled(cells[`v${colouring.rings}`], ...chosen.stored);
  for (let i = 0; i < rows * columns; i += 1) {
    let total = 0;
    const mixed = [0, 0, 0];
    shades.forEach(({ colour, part }, kind) => {
      const weight = cells[`k${kind}`][i] * part;
      total += weight;
      for (let c = 0; c < 3; c += 1) mixed[c] += weight * colour[c];
    });
    const bin = chosen ? binOf(values[i], chosen) : -1;
    for (let c = 0; c < 3; c += 1) pixels.data[4 * i + c] = bin >= 0 ? scale[bin][c] : mixed[c] / Math.max(total, 1);
    pixels.data[4 * i + 3] = chosen && bin < 0 ? 0 : Math.min(255, total);
  }
  paint.putImageData(pixels, 0, 0);
  return picture;
}

function drawBonds(tiles, strength) {
  const shades = scene.colourings.atoms[colouring.atoms];
  context.globalAlpha = shades ? 1 : strength;
  context.lineWidth = Math.min(Math.max((shades ? 0.3 : 0.13) * view.scale, 0.7), shades ? 8 : 3.5) / view.scale;
  context.lineCap = "round";
  for (const data of tiles) {
    for (const [key, path] of pathsOf(data).bonds) {
      context.strokeStyle = key < 0 ? settings.atom : settings.scales[shades.scale][key];
      context.stroke(path);
    }
  }
  context.globalAlpha = 1;
}

function drawAtoms(tiles, strength) {
  const size = Math.min(Math.max(0.27 * view.scale, 0.9), 7) / view.scale;
  const small = size * view.scale < 1.6;
  const shades = scene.colourings.atoms[colouring.atoms];
  const solid = new Map();
  const faint = new Map();
  for (const { atoms, atomValues } of tiles) {
    const { x, y, flags, n } = atoms;
    for (let i = 0; i < n; i += 1) {
      const key = shades ? binOf(atomValues[colouring.atoms][i], shades) : -1;
      const path = group(flags[i] & ANALYSABLE ? solid : faint, key);
      if (small) {
        path.rect(x[i] - size, y[i] - size, 2 * size, 2 * size);
      } else {
        path.moveTo(x[i] + size, y[i]);
        path.arc(x[i], y[i], size, 0, 2 * Math.PI);
      }
    }
  }
  context.lineWidth = Math.min(1.2, 0.1 * view.scale) / view.scale;
  context.strokeStyle = shades ? settings.atom : "#ffffff";
  for (const [paths, alpha] of [[solid, strength], [faint, 0.35 * strength]]) {
    for (const [key, path] of paths) {
      context.globalAlpha = 1;
      if (!small && paths === solid) context.stroke(path);
      context.globalAlpha = alpha;
      context.fillStyle = key < 0 ? settings.atom : settings.scales[shades.scale][key];
      context.fill(path);
    }
  }
  context.globalAlpha = 1;
}

function drawCentres(tiles) {
  const size = Math.min(Math.max(0.24 * view.scale, 1.4), 7) / view.scale;
  const solid = new Path2D();
  const faint = new Path2D();
  for (const { centres: { x, y, flags, n } } of tiles) {
    for (let i = 0; i < n; i += 1) {
      const path = flags[i] & ANALYSABLE ? solid : faint;
      path.moveTo(x[i] - size, y[i]);
      path.lineTo(x[i] + size, y[i]);
      path.moveTo(x[i], y[i] - size);
      path.lineTo(x[i], y[i] + size);
    }
  }
  context.lineWidth = Math.min(2.2, 1 + 0.04 * view.scale) / view.scale;
  context.strokeStyle = settings.centre;
  context.stroke(solid);
  context.globalAlpha = 0.35;
  context.stroke(faint);
  context.globalAlpha = 1;
}

function drawWarnings(tiles, detail) {
  context.strokeStyle = WARNING;
  context.fillStyle = WARNING;
  if (!detail) {
    const cells = scene.densityCells;
    if (!cells) return;
    const { columns, side } = scene.density;
    const size = Math.max(side, 3 / view.scale);
    context.globalAlpha = 0.7;
    cells.warnings.forEach((count, i) => {
      if (!count) return;
      const x = scene.field[0] + ((i % columns) + 0.5) * side;
      const y = scene.field[1] + (Math.floor(i / columns) + 0.5) * side;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    });
    context.globalAlpha = 1;
    return;
  }
  context.lineWidth = Math.min(Math.max(0.12 * view.scale, 1.4), 3) / view.scale;
  const size = Math.max(0.42, 5 / view.scale);
  context.lineJoin = "round";
  for (const data of tiles) {
    context.setLineDash([5 / view.scale, 3 / view.scale]);
    context.stroke(pathsOf(data).suspect);
    context.setLineDash([]);
    const { x, y, flags, n } = data.atoms;
    const doubtful = new Path2D();
    for (let i = 0; i < n; i += 1) {
      if (!(flags[i] & DOUBTFUL)) continue;
      doubtful.moveTo(x[i] + size, y[i]);
      doubtful.arc(x[i], y[i], size, 0, 2 * Math.PI);
    }
    context.stroke(doubtful);
  }
}

/* ---------- what a chart points out ---------- */

const within = (value, { low, high, last }) => value >= low && (value < high || (last && value <= high));

/* Calls back with the place of everything in a tile that the highlight means; returns how many. */
function eachMarked(data, found) {
  let n = 0;
  if (highlight.kind === "length") {
    const { bonds, atoms } = data;
    for (let bond = 0; bond < bonds.n; bond += 1) {
      if (!bonds.counted[bond] || !within(bonds.length[bond], highlight)) continue;
      n += 1;
      found(bond, atoms.x[bonds.first[bond]], atoms.y[bonds.first[bond]]);
    }
  } else if (highlight.kind === "angle") {
    const { atoms, angles } = data;
    for (let atom = 0; atom < atoms.n; atom += 1) {
      if (!(atoms.flags[atom] & ANALYSABLE)) continue;
      let own = 0;
      for (let k = angles.start[atom]; k < angles.start[atom + 1]; k += 1) own += within(angles.value[k], highlight);
      if (own) found(atom, atoms.x[atom], atoms.y[atom]);
      n += own;
    }
  } else {
    const { rings } = data;
    for (let ring = 0; ring < rings.n; ring += 1) {
      if (!(rings.flags[ring] & COMPLETE) || !highlight.sizes.has(classOf(rings.size[ring]))) continue;
      n += 1;
      found(ring, rings.middle.x[ring], rings.middle.y[ring]);
    }
  }
  return n;
}

/* What is marked in a tile: how many, and a picture of 16 × 16 cells that stands for it far out. */
function markedOf(tile) {
  const { data } = tile;
  if (data.marked?.by === highlight) return data.marked;
  const cells = new Uint16Array(SUBGRID * SUBGRID);
  const width = Math.max(1e-9, tile.x1 - tile.x0);
  const height = Math.max(1e-9, tile.y1 - tile.y0);
  const n = eachMarked(data, (index, x, y) => {
    const column = Math.min(SUBGRID - 1, Math.max(0, Math.floor((x - tile.x0) / width * SUBGRID)));
    const row = Math.min(SUBGRID - 1, Math.max(0, Math.floor((y - tile.y0) / height * SUBGRID)));
    cells[row * SUBGRID + column] += 1;
  });
  data.marked = { by: highlight, n, cells, picture: null, path: null };
  return data.marked;
}

function pictureOf(tile) {
  const marked = markedOf(tile);
  if (marked.picture) return marked.picture;
  const picture = document.createElement("canvas");
  picture.width = SUBGRID;
  picture.height = SUBGRID;
  const paint = picture.getContext("2d");
  const pixels = paint.createImageData(SUBGRID, SUBGRID);
  const colour = rgb(FOUND);
  const full = 2 * tile.n / marked.cells.length;
  marked.cells.forEach((count, i) => {
    for (let c = 0; c < 3; c += 1) pixels.data[4 * i + c] = colour[c];
    pixels.data[4 * i + 3] = count ? 255 * Math.min(0.85, 0.15 + count / full) : 0;
  });
  paint.putImageData(pixels, 0, 0);
  marked.picture = picture;
  return picture;
}

function markedPath(tile) {
  const marked = markedOf(tile);
  if (marked.path) return marked.path;
  const path = new Path2D();
  eachMarked(tile.data, (index, x, y) => {
    if (highlight.kind === "length") bondPath(tile.data, index, path);
    else if (highlight.kind === "size") ringPath(tile.data, index, path);
    else { path.moveTo(x + 0.4, y); path.arc(x, y, 0.4, 0, 2 * Math.PI); }
  });
  marked.path = path;
  return path;
}

function drawHighlight(seen, detail) {
  context.strokeStyle = FOUND;
  context.lineCap = "round";
  const wide = highlight.kind === "length" ? 0.42 : 0.22;
  context.lineWidth = Math.min(Math.max(wide * view.scale, 2), 9) / view.scale;
  context.globalAlpha = detail ? 0.9 : 1;
  context.imageSmoothingEnabled = false;
  for (const tile of seen) {
    if (!tile.data) continue;
    if (detail) context.stroke(markedPath(tile));
    else context.drawImage(pictureOf(tile), tile.x0, tile.y0, tile.x1 - tile.x0, tile.y1 - tile.y0);
  }
  context.globalAlpha = 1;
}

/* ---------- marks ---------- */

function drawDefects() {
  const size = Math.min(9, Math.max(4, 0.8 * view.scale)) / view.scale;
  context.lineWidth = 1.6 / view.scale;
  context.strokeStyle = "#ffffff";
  for (const { places, complete, colour, shape } of scene.defects) {
    const whole = new Path2D();
    const cut = new Path2D();
    for (let i = 0; i < complete.length; i += 1) marker(complete[i] ? whole : cut, places[2 * i], places[2 * i + 1], size, shape);
    context.fillStyle = colour;
    context.fill(whole);
    context.globalAlpha = 0.45;
    context.fill(cut);
    context.globalAlpha = 1;
    context.stroke(whole);
    context.stroke(cut);
  }
}

function marker(path, x, y, size, shape) {
  if (shape === 1) { path.rect(x - 0.8 * size, y - 0.8 * size, 1.6 * size, 1.6 * size); return; }
  if (shape === 3) { path.moveTo(x + 0.9 * size, y); path.arc(x, y, 0.9 * size, 0, 2 * Math.PI); return; }
  const corners = shape === 0
    ? [[0, -1.1], [1, 0.75], [-1, 0.75]]
    : [[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]];
  corners.forEach(([dx, dy], i) => { if (i) path.lineTo(x + dx * size, y + dy * size); else path.moveTo(x + dx * size, y + dy * size); });
  path.closePath();
}

function drawPointed() {
  context.strokeStyle = MARK;
  context.lineWidth = 2.5 / view.scale;
  const path = new Path2D();
  const { data, kind, index } = pointed;
  if (kind === "rings") {
    ringPath(data, index, path);
  } else {
    const reach = Math.max(0.42, 7 / view.scale);
    path.arc(data[kind].x[index], data[kind].y[index], reach, 0, 2 * Math.PI);
  }
  context.stroke(path);
}

function drawSelection() {
  const { x0, y0, x1, y1 } = selection;
  context.fillStyle = "rgba(0, 195, 137, 0.1)";
  context.fillRect(x0, y0, x1 - x0, y1 - y0);
  for (const [colour, offset] of [["#1c2530", 0], ["#ffffff", 5]]) {
    context.strokeStyle = colour;
    context.lineWidth = 1.6 / view.scale;
    context.setLineDash([5 / view.scale, 5 / view.scale]);
    context.lineDashOffset = offset / view.scale;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  context.setLineDash([]);
  context.lineDashOffset = 0;
}

function drawCross() {
  const x = view.width / 2;
  const y = view.height / 2;
  context.strokeStyle = MARK;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 14 * dx, y + 14 * dy);
  }
  context.stroke();
}

function drawScaleBar() {
  const room = Math.min(view.width / 4, 180) / view.scale;
  const power = 10 ** Math.floor(Math.log10(room));
  const length = Math.max(...[1, 2, 5].map((f) => f * power).filter((l) => l <= room));
  const text = length >= 10 ? `${length / 10} nm` : `${length} Å`;
  const width = length * view.scale;
  context.fillStyle = "rgba(255, 255, 255, 0.93)";
  context.beginPath();
  context.roundRect(11, 11, width + 20, 34, 4);
  context.fill();
  context.fillStyle = "#1c2530";
  context.fillRect(21, 34, width, 4);
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(text, 21 + width / 2, 29);
}
