(() => {
"use strict";

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");

/* what a chart says, shown below it at once, also where a finger cannot hover */
for (const kind of ["pointerover", "click"]) {
  document.addEventListener(kind, (event) => {
    const figure = event.target.closest("figure");
    if (!figure) return;
    const output = figure.querySelector("output");
    const title = event.target.closest("svg rect")?.querySelector("title");
    if (output) output.textContent = title ? title.textContent : "";
  });
}

/* on paper everything is open */
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const item of closed) item.open = true;
});
window.addEventListener("afterprint", () => { for (const item of closed) item.open = false; });

if (!canvas) return;

const settings = JSON.parse(byId("settings").textContent);
const context = canvas.getContext("2d");
const readout = byId("readout");
const picker = byId("micrograph");
const SMALLEST = settings.classes[0].size;
const LARGEST = settings.classes[settings.classes.length - 1].size;
const TYPES = { f4: Float32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
const HEXAGON = 6;

/* ---------- data ---------- */

function decode({ type, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new TYPES[type](bytes.buffer);
}

function decodeAll(group) {
  const result = {};
  for (const [name, value] of Object.entries(group)) {
    result[name] = typeof value === "object" ? decode(value) : value;
  }
  return result;
}

/* Blocks of the field, each with its own paths: only those in sight are drawn. */
class Blocks {
  constructor(field, size) {
    [this.x, this.y] = field;
    this.size = size;
    this.columns = Math.max(1, Math.ceil(field[2] / size));
    this.rows = Math.max(1, Math.ceil(field[3] / size));
    this.cells = new Map();
  }
  column(x) { return Math.min(this.columns - 1, Math.max(0, Math.floor((x - this.x) / this.size))); }
  row(y) { return Math.min(this.rows - 1, Math.max(0, Math.floor((y - this.y) / this.size))); }
  at(x, y, make) {
    const key = this.row(y) * this.columns + this.column(x);
    let cell = this.cells.get(key);
    if (!cell && make) { cell = make(); this.cells.set(key, cell); }
    return cell;
  }
  *within(left, top, right, bottom) {
    for (let row = this.row(top); row <= this.row(bottom); row += 1) {
      for (let column = this.column(left); column <= this.column(right); column += 1) {
        const cell = this.cells.get(row * this.columns + column);
        if (cell) yield cell;
      }
    }
  }
}

function newCell() {
  return { atoms: [], centres: [], rings: [], bonds: null, whole: new Map(), cut: new Map() };
}

function ringPath(scene, ring, path) {
  const { members, offsets } = scene.rings;
  for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
    const atom = members[k];
    if (k === offsets[ring]) path.moveTo(scene.atoms.x[atom], scene.atoms.y[atom]);
    else path.lineTo(scene.atoms.x[atom], scene.atoms.y[atom]);
  }
  path.closePath();
}

function prepare(index) {
  const raw = JSON.parse(byId(`data-${index}`).textContent);
  const scene = { label: raw.label, field: raw.field };
  scene.atoms = decodeAll(raw.atoms);
  scene.centres = decodeAll(raw.centres);
  scene.rings = decodeAll(raw.rings);
  const pairs = decode(raw.bonds);
  const blocks = new Blocks(raw.field, Math.max(30, Math.max(raw.field[2], raw.field[3]) / 12));
  const { x, y } = scene.atoms;
  for (let i = 0; i < scene.atoms.n; i += 1) blocks.at(x[i], y[i], newCell).atoms.push(i);
  for (let i = 0; i < scene.centres.n; i += 1) {
    blocks.at(scene.centres.x[i], scene.centres.y[i], newCell).centres.push(i);
  }
  for (let k = 0; k < pairs.length; k += 2) {
    const cell = blocks.at(x[pairs[k]], y[pairs[k]], newCell);
    cell.bonds = cell.bonds || new Path2D();
    cell.bonds.moveTo(x[pairs[k]], y[pairs[k]]);
    cell.bonds.lineTo(x[pairs[k + 1]], y[pairs[k + 1]]);
  }
  const { offsets, members, size, complete } = scene.rings;
  scene.counts = new Map();
  scene.margin = 3;
  scene.middle = { x: new Float32Array(scene.rings.n), y: new Float32Array(scene.rings.n) };
  for (let ring = 0; ring < scene.rings.n; ring += 1) {
    const number = offsets[ring + 1] - offsets[ring];
    for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
      scene.middle.x[ring] += x[members[k]] / number;
      scene.middle.y[ring] += y[members[k]] / number;
    }
    for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
      const reach = Math.hypot(x[members[k]] - scene.middle.x[ring], y[members[k]] - scene.middle.y[ring]);
      if (reach > scene.margin) scene.margin = reach;
    }
    const cell = blocks.at(scene.middle.x[ring], scene.middle.y[ring], newCell);
    const kind = Math.min(LARGEST, Math.max(SMALLEST, size[ring]));
    const paths = complete[ring] ? cell.whole : cell.cut;
    if (!paths.has(kind)) paths.set(kind, new Path2D());
    ringPath(scene, ring, paths.get(kind));
    cell.rings.push(ring);
    if (complete[ring]) scene.counts.set(kind, (scene.counts.get(kind) || 0) + 1);
  }
  scene.blocks = blocks;
  scene.image = new Image();
  scene.image.onload = () => request();
  scene.image.src = raw.image;
  return scene;
}

/* ---------- view ---------- */

const layers = {};
const hiddenSizes = new Set();
let scene = null;
let view = { x: 0, y: 0, scale: 1, fit: 1, width: 1, height: 1 };
let marked = null;
let cross = false;
let pending = false;

function request() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; draw(); });
}

function limits() {
  const [left, top, width, height] = scene.field;
  view.fit = Math.min(view.width / width, view.height / height);
  view.scale = Math.min(Math.max(view.scale, view.fit * 0.7), Math.max(view.fit * 4, 90));
  view.x = Math.min(Math.max(view.x, left), left + width);
  view.y = Math.min(Math.max(view.y, top), top + height);
  /* at the whole field a finger scrolls the page, deeper in it moves the image */
  canvas.style.touchAction = view.scale > view.fit * 1.02 ? "none" : "pan-y";
  canvas.dataset.scale = view.scale.toPrecision(6);
  canvas.dataset.x = view.x.toFixed(3);
  canvas.dataset.y = view.y.toFixed(3);
}

function fit() {
  const [left, top, width, height] = scene.field;
  view.x = left + width / 2;
  view.y = top + height / 2;
  view.scale = Math.min(view.width / width, view.height / height);
  limits();
  request();
}

function zoom(factor, screenX = view.width / 2, screenY = view.height / 2) {
  const [x, y] = toField(screenX, screenY);
  const before = view.scale;
  view.scale *= factor;
  limits();
  const kept = before / view.scale;
  view.x = x + (view.x - x) * kept;
  view.y = y + (view.y - y) * kept;
  limits();
  request();
}

function pan(dx, dy) {
  view.x -= dx / view.scale;
  view.y -= dy / view.scale;
  limits();
  request();
}

function toField(screenX, screenY) {
  return [view.x + (screenX - view.width / 2) / view.scale, view.y + (screenY - view.height / 2) / view.scale];
}

function resize() {
  const box = canvas.getBoundingClientRect();
  if (!box.width || !box.height) return;
  const whole = Math.abs(view.scale - view.fit) < 1e-6 * view.fit;
  const density = Math.min(window.devicePixelRatio || 1, 3);
  view.width = box.width;
  view.height = box.height;
  canvas.width = Math.round(box.width * density);
  canvas.height = Math.round(box.height * density);
  if (!scene) return;
  if (whole) fit(); else limits();
  draw();
}

/* ---------- drawing ---------- */

function draw() {
  if (!scene) return;
  const density = canvas.width / view.width;
  const { scale } = view;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#e7ebee";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const across = (view.width / 2 - view.x * scale) * density;
  const down = (view.height / 2 - view.y * scale) * density;
  context.setTransform(scale * density, 0, 0, scale * density, across, down);
  const [left, top, width, height] = scene.field;
  if (layers.image && scene.image.complete && scene.image.naturalWidth) {
    context.imageSmoothingEnabled = scale * width / scene.image.naturalWidth < 6;
    context.imageSmoothingQuality = "high";
    context.drawImage(scene.image, left, top, width, height);
  } else if (!layers.image) {
    context.fillStyle = "#f7f7f5";
    context.fillRect(left, top, width, height);
  }
  const [minX, minY] = toField(0, 0);
  const [maxX, maxY] = toField(view.width, view.height);
  const m = scene.margin;
  const cells = [...scene.blocks.within(minX - m, minY - m, maxX + m, maxY + m)];
  if (layers.rings) drawRings(cells);
  /* far out, bonds and atoms would cover all colour */
  const strength = Math.min(1, Math.max(0.25, (scale - 1) / 4));
  if (layers.bonds) drawBonds(cells, strength);
  if (layers.atoms) drawSites(cells, "atoms", strength);
  if (layers.centres) drawSites(cells, "centres");
  if (marked) drawMark();
  context.setTransform(density, 0, 0, density, 0, 0);
  if (cross) drawCross();
  drawScaleBar();
  canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
}

function drawRings(cells) {
  const strength = Number(byId("opacity").value) / 100;
  for (const { size, colour } of settings.classes) {
    if (hiddenSizes.has(size)) continue;
    const shown = size === HEXAGON ? 0.45 * strength : strength;
    context.fillStyle = colour;
    for (const cell of cells) {
      context.globalAlpha = shown;
      if (cell.whole.has(size)) context.fill(cell.whole.get(size));
      context.globalAlpha = 0.4 * shown;
      if (cell.cut.has(size)) context.fill(cell.cut.get(size));
    }
  }
  context.globalAlpha = 1;
}

function drawBonds(cells, strength) {
  context.globalAlpha = strength;
  context.strokeStyle = settings.atom;
  context.lineWidth = Math.min(Math.max(0.13 * view.scale, 0.7), 3.5) / view.scale;
  context.lineCap = "round";
  for (const cell of cells) if (cell.bonds) context.stroke(cell.bonds);
  context.globalAlpha = 1;
}

function drawSites(cells, kind, strength = 1) {
  const { x, y, analysable } = scene[kind];
  const atoms = kind === "atoms";
  const size = Math.min(Math.max((atoms ? 0.27 : 0.24) * view.scale, atoms ? 0.9 : 1.4), 7) / view.scale;
  const solid = new Path2D();
  const faint = new Path2D();
  for (const cell of cells) {
    for (const i of cell[kind]) {
      const path = analysable[i] ? solid : faint;
      if (!atoms) {
        path.moveTo(x[i] - size, y[i]);
        path.lineTo(x[i] + size, y[i]);
        path.moveTo(x[i], y[i] - size);
        path.lineTo(x[i], y[i] + size);
      } else if (size * view.scale < 1.6) {
        path.rect(x[i] - size, y[i] - size, 2 * size, 2 * size);
      } else {
        path.moveTo(x[i] + size, y[i]);
        path.arc(x[i], y[i], size, 0, 2 * Math.PI);
      }
    }
  }
  context.lineWidth = (atoms ? Math.min(1.2, 0.1 * view.scale) : Math.min(2.2, 1 + 0.04 * view.scale)) / view.scale;
  if (atoms) {
    const halo = size * view.scale >= 1.6;
    context.strokeStyle = "#ffffff";
    context.fillStyle = settings.atom;
    if (halo) context.stroke(solid);
    context.globalAlpha = strength;
    context.fill(solid);
    context.globalAlpha = 0.35 * strength;
    context.fill(faint);
  } else {
    context.strokeStyle = settings.centre;
    context.stroke(solid);
    context.globalAlpha = 0.35;
    context.stroke(faint);
  }
  context.globalAlpha = 1;
}

function drawMark() {
  context.strokeStyle = "#ffd166";
  context.lineWidth = 2.5 / view.scale;
  context.beginPath();
  if (marked.kind === "rings") {
    const path = new Path2D();
    ringPath(scene, marked.index, path);
    context.stroke(path);
  } else {
    const sites = scene[marked.kind];
    context.arc(sites.x[marked.index], sites.y[marked.index], Math.max(0.42, 7 / view.scale), 0, 2 * Math.PI);
    context.stroke();
  }
}

function drawCross() {
  const x = view.width / 2;
  const y = view.height / 2;
  context.strokeStyle = "#ffd166";
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

/* ---------- reading out ---------- */

function nearest(kind, x, y, reach) {
  const sites = scene[kind];
  let best = null;
  let least = reach * reach;
  for (const cell of scene.blocks.within(x - reach, y - reach, x + reach, y + reach)) {
    for (const i of cell[kind]) {
      const distance = (sites.x[i] - x) ** 2 + (sites.y[i] - y) ** 2;
      if (distance <= least) { least = distance; best = { kind, index: i }; }
    }
  }
  return best;
}

function ringAround(x, y) {
  const { members, offsets } = scene.rings;
  const { x: ax, y: ay } = scene.atoms;
  const m = scene.margin;
  for (const cell of scene.blocks.within(x - m, y - m, x + m, y + m)) {
    for (const ring of cell.rings) {
      let inside = false;
      let previous = members[offsets[ring + 1] - 1];
      for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
        const atom = members[k];
        const crosses = (ay[atom] > y) !== (ay[previous] > y);
        if (crosses && x < (ax[previous] - ax[atom]) * (y - ay[atom]) / (ay[previous] - ay[atom]) + ax[atom]) inside = !inside;
        previous = atom;
      }
      if (inside) return { kind: "rings", index: ring };
    }
  }
  return null;
}

function probe(x, y, reach) {
  return (layers.atoms && nearest("atoms", x, y, reach))
    || (layers.centres && nearest("centres", x, y, reach))
    || (layers.rings && ringAround(x, y)) || null;
}

const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–");

function describe(item) {
  if (item.kind === "rings") {
    const { size, area, complete } = scene.rings;
    const place = `x ${number(scene.middle.x[item.index], 1)}, y ${number(scene.middle.y[item.index], 1)} Å`;
    const note = complete[item.index] ? "" : " · cut, not counted";
    return `Ring of ${size[item.index]} · ${place} · area ${number(area[item.index], 2)} Å²${note}`;
  }
  const sites = scene[item.kind];
  const name = item.kind === "atoms" ? "Atom" : "Ring centre";
  const place = `x ${number(sites.x[item.index], 2)}, y ${number(sites.y[item.index], 2)} Å`;
  const sigma = Number.isFinite(sites.sigma[item.index]) ? ` · σ ${number(sites.sigma[item.index], 3)} Å` : "";
  const note = sites.analysable[item.index] ? "" : " · not analysable";
  return `${name} ${sites.site[item.index]} · ${place}${sigma} · confidence ${number(sites.confidence[item.index], 2)}${note}`;
}

function inspect(screenX, screenY, pixels) {
  const [x, y] = toField(screenX, screenY);
  const found = probe(x, y, Math.max(0.3, pixels / view.scale));
  if (found?.kind === marked?.kind && found?.index === marked?.index) return;
  marked = found;
  readout.textContent = found ? describe(found) : "Point at an atom or a ring.";
  request();
}

/* ---------- controls ---------- */

const pointers = new Map();
let travelled = 0;

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, place(event));
  cross = false;
});

canvas.addEventListener("pointermove", (event) => {
  const now = place(event);
  const before = pointers.get(event.pointerId);
  if (!before) {
    inspect(...now, 6);
    return;
  }
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const spread = Math.hypot(now[0] - other[0], now[1] - other[1]);
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
    pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    if (was > 0) zoom(spread / was, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    travelled = Infinity;
  } else {
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (travelled > 5) canvas.classList.add("moving");
    if (travelled > 5 && (event.pointerType === "mouse" || canvas.style.touchAction === "none")) {
      pan(now[0] - before[0], now[1] - before[1]);
    }
  }
  pointers.set(event.pointerId, now);
});

for (const kind of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(kind, (event) => {
    if (kind === "pointerup" && travelled <= 5) inspect(...place(event), event.pointerType === "mouse" ? 6 : 16);
    pointers.delete(event.pointerId);
    canvas.classList.remove("moving");
  });
}

canvas.addEventListener("pointerleave", () => {
  if (pointers.size || !marked) return;
  marked = null;
  readout.textContent = "Point at an atom or a ring.";
  request();
});

/* a scroll that began outside the image goes on moving the page */
let scrolled = -Infinity;
window.addEventListener("wheel", (event) => {
  if (event.target !== canvas) scrolled = event.timeStamp;
}, { passive: true });
canvas.addEventListener("wheel", (event) => {
  if (event.timeStamp - scrolled < 250 && !event.ctrlKey) { scrolled = event.timeStamp; return; }
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
  zoom(Math.exp(-Math.min(Math.max(event.deltaY * lines, -240), 240) * (event.ctrlKey ? 0.01 : 0.0022)), ...place(event));
}, { passive: false });
canvas.addEventListener("dblclick", (event) => zoom(2, ...place(event)));

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = Math.min(view.width, view.height) / 10;
  const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (moves[event.key]) pan(...moves[event.key]);
  else if (event.key === "+" || event.key === "=") zoom(1.5);
  else if (event.key === "-" || event.key === "_" || event.key === "−") zoom(1 / 1.5);
  else if (event.key === "0" || event.key === "Home") fit();
  else return;
  event.preventDefault();
  cross = true;
  inspect(view.width / 2, view.height / 2, 12);
});
canvas.addEventListener("blur", () => { cross = false; request(); });

byId("zoom-in").addEventListener("click", () => zoom(1.5));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
byId("zoom-fit").addEventListener("click", fit);
byId("opacity").addEventListener("input", request);

for (const name of ["image", "rings", "bonds", "atoms", "centres"]) {
  const box = byId(`layer-${name}`);
  layers[name] = box.checked;
  box.addEventListener("change", () => { layers[name] = box.checked; request(); });
}

function legend() {
  const list = byId("sizes");
  list.replaceChildren();
  for (const { size, label, colour } of settings.classes) {
    const count = scene.counts.get(size) || 0;
    if (!count) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "size";
    button.dataset.size = size;
    button.setAttribute("aria-pressed", String(!hiddenSizes.has(size)));
    button.innerHTML = "<i></i><b></b><span></span>";
    button.children[0].style.background = colour;
    button.children[1].textContent = label;
    button.children[2].textContent = count.toLocaleString("en").replaceAll(",", "\u202f");
    button.title = `Show or hide rings of ${label}`;
    button.addEventListener("click", () => {
      if (!hiddenSizes.delete(size)) hiddenSizes.add(size);
      button.setAttribute("aria-pressed", String(!hiddenSizes.has(size)));
      request();
    });
    list.append(button);
  }
}

byId("save").addEventListener("click", () => {
  draw();
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${scene.label.replace(/[^\w.-]+/g, "_")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
});

/* ---------- which micrograph ---------- */

function refreshCharts() {
  const pooled = document.querySelector("input[name=scope]:checked")?.value === "pooled";
  for (const block of document.querySelectorAll("[data-chart]")) {
    block.hidden = block.dataset.chart !== (pooled ? "pooled" : picker.value);
  }
}

function show(index) {
  const last = picker.options.length - 1;
  picker.value = String(Math.min(Math.max(index, 0), last));
  const chosen = Number(picker.value);
  byId("previous").disabled = chosen === 0;
  byId("next").disabled = chosen === last;
  for (const block of document.querySelectorAll("[data-micrograph]")) {
    block.hidden = block.dataset.micrograph !== picker.value;
  }
  refreshCharts();
  scene = prepare(chosen);
  marked = null;
  readout.textContent = "Point at an atom or a ring.";
  canvas.dataset.micrograph = scene.label;
  legend();
  fit();
}

picker.addEventListener("change", () => show(Number(picker.value)));
byId("previous").addEventListener("click", () => show(Number(picker.value) - 1));
byId("next").addEventListener("click", () => show(Number(picker.value) + 1));
for (const radio of document.querySelectorAll("input[name=scope]")) radio.addEventListener("change", refreshCharts);

resize();
show(0);
new ResizeObserver(resize).observe(canvas);
})();
