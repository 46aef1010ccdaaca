/* ---------- view ---------- */

const readout = byId("readout");
const picker = byId("micrograph");
const NOTHING = "Point at an atom or a ring.";

function limits() {
  const [left, top, width, height] = scene.field;
  view.fit = Math.min(view.width / width, view.height / height);
  view.scale = Math.min(Math.max(view.scale, view.fit * 0.7), Math.max(view.fit * 4, 90));
  view.x = Math.min(Math.max(view.x, left), left + width);
  view.y = Math.min(Math.max(view.y, top), top + height);
  /* at the whole field a finger scrolls the page, deeper in it moves the image */
  canvas.style.touchAction = choosing || view.scale > view.fit * 1.02 ? "none" : "pan-y";
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

/* ---------- reading out ---------- */

function nearest(kind, x, y, reach) {
  let best = null;
  let least = reach * reach;
  for (const { data } of scene.tilesWithin(x - reach, y - reach, x + reach, y + reach)) {
    if (!data) continue;
    const sites = data[kind];
    for (let i = 0; i < sites.n; i += 1) {
      const distance = (sites.x[i] - x) ** 2 + (sites.y[i] - y) ** 2;
      if (distance <= least) { least = distance; best = { data, kind, index: i }; }
    }
  }
  return best;
}

function ringAround(x, y) {
  for (const { data } of scene.tilesWithin(x, y, x, y)) {
    if (!data) continue;
    const { members, offsets, n } = data.rings;
    const { x: ax, y: ay } = data.atoms;
    for (let ring = 0; ring < n; ring += 1) {
      let inside = false;
      let previous = members[offsets[ring + 1] - 1];
      for (let k = offsets[ring]; k < offsets[ring + 1]; k += 1) {
        const atom = members[k];
        const crosses = (ay[atom] > y) !== (ay[previous] > y);
        if (crosses && x < (ax[previous] - ax[atom]) * (y - ay[atom]) / (ay[previous] - ay[atom]) + ax[atom]) inside = !inside;
        previous = atom;
      }
      if (inside) return { data, kind: "rings", index: ring };
    }
  }
  return null;
}

function defectNear(x, y, reach) {
  for (const { kind, places, complete } of scene.defects) {
    for (let i = 0; i < complete.length; i += 1) {
      if (Math.hypot(places[2 * i] - x, places[2 * i + 1] - y) <= reach) {
        return `Defect ${kind} · x ${number(places[2 * i], 1)}, y ${number(places[2 * i + 1], 1)} Å${complete[i] ? "" : " · cut, not counted"}`;
      }
    }
  }
  return "";
}

function probe(x, y, reach) {
  if (canvas.dataset.detail === "0") return null;
  return (layers.atoms && nearest("atoms", x, y, reach))
    || (layers.centres && nearest("centres", x, y, reach))
    || (layers.rings && ringAround(x, y)) || null;
}

const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–");

function numbersOf(colourings, values, index) {
  return colourings
    .map(({ label }, i) => [label, values[i][index]])
    .filter(([, value]) => Number.isFinite(value))
    .map(([label, value]) => {
      const [, words, unit] = label.match(/^(.*?)(?: \[(.*)\])?$/);
      return ` · ${words} ${number(value, Math.abs(value) < 1 ? 3 : 2)}${unit ? ` ${unit}` : ""}`;
    })
    .join("");
}

function describe({ data, kind, index }) {
  if (kind === "rings") {
    const { size, middle, flags, values } = data.rings;
    const place = `x ${number(middle.x[index], 1)}, y ${number(middle.y[index], 1)} Å`;
    const notes = [
      [!(flags[index] & COMPLETE), "cut, not counted"],
      [flags[index] & 2, "no ring centre found"],
      [flags[index] & 4, "the two criteria differ"],
    ].filter(([holds]) => holds).map(([, text]) => ` · ${text}`).join("");
    return `Ring of ${size[index]} · ${place}${numbersOf(scene.colourings.rings, values, index)}${notes}`;
  }
  const sites = data[kind];
  const name = kind === "atoms" ? "Atom" : "Ring centre";
  const place = `x ${number(sites.x[index], 2)}, y ${number(sites.y[index], 2)} Å`;
  const steps = sites.sigma[index];
  const sigma = steps === UNKNOWN ? "" : ` · σ ${number(steps * settings.sigma, 3)} Å`;
  const confidence = sites.confidence[index] === 255 ? "–" : number(sites.confidence[index] / 254, 2);
  const values = kind === "atoms" ? numbersOf(scene.colourings.atoms, data.atomValues, index) : "";
  const doubtful = sites.flags[index] & DOUBTFUL ? " · doubtful" : "";
  const note = sites.flags[index] & ANALYSABLE ? "" : " · not analysable";
  return `${name} ${sites.site[index]} · ${place}${sigma} · confidence ${confidence}${values}${doubtful}${note}`;
}

function inspect(screenX, screenY, pixels) {
  const [x, y] = toField(screenX, screenY);
  const defect = layers.defects ? defectNear(x, y, pixels / view.scale) : "";
  const found = defect ? null : probe(x, y, Math.max(0.3, pixels / view.scale));
  const text = defect || (found ? describe(found) : canvas.dataset.detail === "0" ? "Zoom in to see single atoms." : NOTHING);
  if (readout.textContent !== text) readout.textContent = text;
  if (found?.data === pointed?.data && found?.kind === pointed?.kind && found?.index === pointed?.index) return;
  pointed = found;
  request();
}

/* ---------- pointers and keys ---------- */

const pointers = new Map();
let travelled = 0;
let choosing = false; /* whether dragging selects a rectangle */
let corner = null;

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function between([x, y], [u, v]) {
  return { x0: Math.min(x, u), y0: Math.min(y, v), x1: Math.max(x, u), y1: Math.max(y, v) };
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, place(event));
  corner = pointers.size === 1 && (choosing || event.shiftKey) ? toField(...place(event)) : null;
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
    if (corner && travelled > 5) {
      selection = between(corner, toField(...now));
      request();
    } else if (travelled > 5) {
      canvas.classList.add("moving");
      if (event.pointerType === "mouse" || canvas.style.touchAction === "none") pan(now[0] - before[0], now[1] - before[1]);
    }
  }
  pointers.set(event.pointerId, now);
});

for (const kind of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(kind, (event) => {
    if (kind === "pointerup" && travelled <= 5) inspect(...place(event), event.pointerType === "mouse" ? 6 : 16);
    if (corner && travelled > 5 && kind === "pointerup") select(selection);
    corner = null;
    pointers.delete(event.pointerId);
    canvas.classList.remove("moving");
  });
}

canvas.addEventListener("pointerleave", () => {
  if (pointers.size || !pointed) return;
  pointed = null;
  readout.textContent = NOTHING;
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
  else if (event.key === "s") select(between(toField(0, 0), toField(view.width, view.height)));
  else if (event.key === "Escape") clearLinks();
  else return;
  event.preventDefault();
  cross = true;
  inspect(view.width / 2, view.height / 2, 12);
});
canvas.addEventListener("blur", () => { cross = false; request(); });

/* ---------- controls ---------- */

byId("zoom-in").addEventListener("click", () => zoom(1.5));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
byId("zoom-fit").addEventListener("click", fit);
byId("opacity").addEventListener("input", request);

for (const box of document.querySelectorAll("input[id^='layer-']")) {
  layers[box.value] = box.checked;
  box.addEventListener("change", () => { layers[box.value] = box.checked; request(); });
}

byId("choose").addEventListener("click", (event) => {
  choosing = !choosing;
  event.currentTarget.setAttribute("aria-pressed", String(choosing));
  limits();
});

function thousands(count) {
  return count.toLocaleString("en").replaceAll(",", "\u202f");
}

function legend() {
  const list = byId("sizes");
  list.replaceChildren();
  for (const { size, label, colour } of settings.classes) {
    const count = scene.counts[size] || 0;
    if (!count) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "size";
    button.dataset.size = size;
    button.setAttribute("aria-pressed", String(!hiddenSizes.has(size)));
    button.innerHTML = "<i></i><b></b><span></span>";
    button.children[0].style.background = colour;
    button.children[1].textContent = label;
    button.children[2].textContent = thousands(count);
    button.title = `Show or hide rings of ${label}`;
    button.addEventListener("click", () => {
      if (!hiddenSizes.delete(size)) hiddenSizes.add(size);
      button.setAttribute("aria-pressed", String(!hiddenSizes.has(size)));
      forgetPaths();
      request();
    });
    list.append(button);
  }
}

const SVG = Object.assign(document.createElement("div"), { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;
const SHAPES = ["M8 2 14 13H2Z", "M3 3h10v10H3Z", "M8 1 15 8 8 15 1 8Z", "M8 2a6 6 0 1 0 .01 0Z"];

function defectLegend() {
  const list = byId("defect-kinds");
  list.replaceChildren();
  for (const { kind, colour, shape, complete } of scene.defects) {
    const line = document.createElement("li");
    const icon = document.createElementNS(SVG, "svg");
    icon.setAttribute("viewBox", "0 0 16 16");
    icon.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", SHAPES[shape]);
    path.setAttribute("fill", colour);
    icon.append(path);
    const count = document.createElement("span");
    count.textContent = thousands(complete.length);
    line.append(icon, kind, count);
    list.append(line);
  }
}

function fillSelect(kind, plain) {
  const select = byId(`colour-${kind}`);
  const options = scene.colourings[kind].map(({ label }, i) => new Option(label, String(i)));
  select.replaceChildren(new Option(plain, "-1"), ...options);
  select.closest("label").hidden = !options.length;
  colouring[kind] = -1;
}

function colourScales() {
  const list = byId("scales");
  list.replaceChildren();
  for (const kind of ["rings", "atoms"]) {
    const chosen = scene.colourings[kind][colouring[kind]];
    if (!chosen) continue;
    const line = document.createElement("div");
    line.className = "scale";
    const colours = settings.scales[chosen.scale];
    const stops = colours.map((colour, i) => `${colour} ${100 * i / colours.length}% ${100 * (i + 1) / colours.length}%`);
    const digits = Math.max(0, 2 - Math.floor(Math.log10(chosen.coloured[1] - chosen.coloured[0])));
    const ends = chosen.coloured.map((end) => number(end, Math.min(4, digits)));
    line.innerHTML = "<b></b><i></i><span></span><span></span>";
    line.children[0].textContent = chosen.label;
    line.children[1].style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    line.children[2].textContent = ends[0];
    line.children[3].textContent = ends[1];
    list.append(line);
  }
}

for (const kind of ["rings", "atoms"]) {
  byId(`colour-${kind}`).addEventListener("change", (event) => {
    colouring[kind] = Number(event.target.value);
    colourScales();
    forgetPaths();
    request();
  });
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

async function show(index) {
  const last = picker.options.length - 1;
  picker.value = String(Math.min(Math.max(index, 0), last));
  const chosen = Number(picker.value);
  byId("previous").disabled = chosen === 0;
  byId("next").disabled = chosen === last;
  for (const block of document.querySelectorAll("[data-micrograph]")) {
    block.hidden = block.dataset.micrograph !== picker.value;
  }
  refreshCharts();
  await arrived(`data-${chosen}`);
  if (Number(picker.value) !== chosen) return;
  scene?.close();
  scene = new Scene(chosen, requestSoon);
  pointed = null;
  densityPicture = null;
  readout.textContent = NOTHING;
  canvas.dataset.micrograph = scene.label;
  for (const [name, holds] of [["masks", scene.mask], ["warnings", scene.warnings], ["defects", scene.defects.length]]) {
    byId(`layer-${name}`).closest("label").hidden = !holds;
  }
  fillSelect("rings", "size");
  fillSelect("atoms", "plain");
  colourScales();
  legend();
  defectLegend();
  clearLinks();
  fit();
}

picker.addEventListener("change", () => show(Number(picker.value)));
byId("previous").addEventListener("click", () => show(Number(picker.value) - 1));
byId("next").addEventListener("click", () => show(Number(picker.value) + 1));
for (const radio of document.querySelectorAll("input[name=scope]")) radio.addEventListener("change", refreshCharts);
