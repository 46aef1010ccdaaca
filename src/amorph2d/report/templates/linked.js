/* ---------- charts and map point at each other ---------- */

const status = byId("linked");
let turn = 0; /* counts changes, so that an older count stops */

function linkedCharts() {
  return [...document.querySelectorAll(`[data-chart="${scene.index}"] svg[data-link]`)];
}

const pause = () => new Promise((done) => { setTimeout(done, 0); });

/* Calls back with the tiles of the scene that a box meets, one after the other, without stopping the page. */
async function eachTile(box, found) {
  const mine = turn;
  const own = scene;
  const tiles = box ? own.tilesWithin(box.x0, box.y0, box.x1, box.y1) : own.tiles;
  let began = performance.now();
  for (const [i, tile] of tiles.entries()) {
    for (const next of tiles.slice(i, i + 8)) own.read(next);
    if (!tile.data) await own.read(tile);
    if (performance.now() - began > 30) { await pause(); began = performance.now(); }
    if (mine !== turn || own !== scene) return false;
    found(tile);
  }
  return true;
}

function clearLinks() {
  turn += 1;
  highlight = null;
  selection = null;
  delete canvas.dataset.highlighted;
  delete canvas.dataset.selected;
  for (const mark of document.querySelectorAll("svg .brush, svg .chosen")) mark.remove();
  for (const bar of document.querySelectorAll("svg [aria-pressed=true]")) bar.setAttribute("aria-pressed", "false");
  status.textContent = "";
  byId("clear").disabled = true;
  request();
}

/* ----- from a chart to the map ----- */

const UNITS = { length: ["bond", "bonds"], angle: ["angle", "angles"], size: ["ring", "rings"] };

async function point(what, words) {
  turn += 1;
  highlight = what;
  delete canvas.dataset.highlighted;
  byId("clear").disabled = !what && !selection;
  request();
  if (!what) { status.textContent = ""; return; }
  let n = 0;
  const complete = await eachTile(null, (tile) => { n += markedOf(tile).n; });
  if (!complete) return;
  canvas.dataset.highlighted = n;
  const [one, many] = UNITS[what.kind];
  status.textContent = `${words}: ${thousands(n)} ${n === 1 ? one : many} marked on the map.`;
  request();
}

function removeMarks(kind) {
  for (const mark of document.querySelectorAll(`svg .${kind}`)) mark.remove();
}

function unpress() {
  for (const bar of document.querySelectorAll("svg [aria-pressed=true]")) bar.setAttribute("aria-pressed", "false");
}

function rectangle(svg, name, x, y, width, height) {
  const mark = document.createElementNS(SVG, "rect");
  mark.setAttribute("class", name);
  for (const [key, value] of Object.entries({ x, y, width, height })) mark.setAttribute(key, value);
  svg.append(mark);
  return mark;
}

const extent = (bar) => ["x", "y", "width", "height"].map((key) => Number(bar.getAttribute(key)));

function linkHistogram(svg) {
  const bars = [...svg.querySelectorAll("rect.bar")];
  const edges = svg.dataset.edges.split(" ").map(Number);
  let range = null;
  let from = null;
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-roledescription", "histogram");
  svg.setAttribute("aria-describedby", "chart-keys");

  const barAt = (event) => {
    const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const after = bars.findIndex((bar) => Number(bar.getAttribute("x")) > x);
    return Math.max(0, (after < 0 ? bars.length : after) - 1);
  };

  const brush = (a, b) => {
    range = [Math.min(a, b), Math.max(a, b)];
    removeMarks("brush");
    unpress();
    const [x] = extent(bars[range[0]]);
    const [lastX, , width] = extent(bars[range[1]]);
    const mark = rectangle(svg, "brush", x, 12, lastX + width - x, 224);
    mark.setAttribute("aria-hidden", "true");
  };

  const finish = () => {
    const [first, last] = range;
    const [low, high] = [edges[first], edges[last + 1]];
    const text = [low, high].map((edge) => edge.toPrecision(4)).join(" – ");
    point({ kind: svg.dataset.link, low, high, last: last === bars.length - 1 }, `${text} ${svg.dataset.unit}`);
  };

  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = barAt(event);
    svg.setPointerCapture(event.pointerId);
    brush(from, from);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from !== null) brush(from, barAt(event));
  });
  svg.addEventListener("pointerup", () => {
    if (from === null) return;
    from = null;
    finish();
  });
  svg.addEventListener("pointercancel", () => { from = null; removeMarks("brush"); });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") { range = null; clearLinks(); return; }
    if (!step) return;
    event.preventDefault();
    const middle = Math.floor(bars.length / 2);
    const [a, b] = range || [middle - step, middle - step];
    const clamp = (i) => Math.min(bars.length - 1, Math.max(0, i));
    if (event.shiftKey && step > 0) brush(a, clamp(b + 1));
    else if (event.shiftKey) brush(clamp(a - 1), b);
    else { const next = clamp((step > 0 ? b : a) + step); brush(next, next); }
    finish();
  });
}

function linkRings(svg) {
  for (const bar of svg.querySelectorAll("rect.ring")) {
    bar.setAttribute("tabindex", "0");
    bar.setAttribute("role", "button");
    bar.setAttribute("aria-pressed", "false");
    bar.setAttribute("aria-label", `Mark rings of ${bar.dataset.size} on the map`);
    const toggle = () => {
      const pressed = bar.getAttribute("aria-pressed") !== "true";
      removeMarks("brush");
      if (highlight?.kind !== "size") unpress();
      bar.setAttribute("aria-pressed", String(pressed));
      const sizes = [...svg.querySelectorAll("[aria-pressed=true]")].map((item) => Number(item.dataset.size));
      point(sizes.length ? { kind: "size", sizes: new Set(sizes) } : null, `Rings of ${sizes.join(", ")}`);
    };
    bar.addEventListener("click", toggle);
    bar.addEventListener("keydown", (event) => {
      if (event.key === "Escape") clearLinks();
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }
  svg.removeAttribute("role");
}

/* ----- from the map to the charts ----- */

function inside(x, y) {
  return x >= selection.x0 && x <= selection.x1 && y >= selection.y0 && y <= selection.y1;
}

function binIn(edges, counts, value) {
  if (!(value >= edges[0] && value <= edges[edges.length - 1])) return;
  let low = 0;
  let high = counts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value >= edges[middle]) low = middle; else high = middle;
  }
  counts[low] += 1;
}

function count({ data }, total, bins) {
  const { atoms, bonds, angles, rings } = data;
  for (let i = 0; i < atoms.n; i += 1) {
    if (!(atoms.flags[i] & ANALYSABLE) || !inside(atoms.x[i], atoms.y[i])) continue;
    total.atoms += 1;
    total.angles += angles.start[i + 1] - angles.start[i];
    if (bins.angle) for (let k = angles.start[i]; k < angles.start[i + 1]; k += 1) binIn(bins.angle.edges, bins.angle.counts, angles.value[k]);
  }
  for (let bond = 0; bond < bonds.n; bond += 1) {
    const [a, b] = [bonds.first[bond], bonds.second[bond]];
    if (!bonds.counted[bond] || !inside((atoms.x[a] + atoms.x[b]) / 2, (atoms.y[a] + atoms.y[b]) / 2)) continue;
    total.bonds += 1;
    if (bins.length) binIn(bins.length.edges, bins.length.counts, bonds.length[bond]);
  }
  for (let ring = 0; ring < rings.n; ring += 1) {
    if (!(rings.flags[ring] & COMPLETE) || !inside(rings.middle.x[ring], rings.middle.y[ring])) continue;
    total.rings += 1;
    const kind = classOf(rings.size[ring]);
    total.sizes[kind] = (total.sizes[kind] || 0) + 1;
  }
}

async function select(box) {
  turn += 1;
  highlight = null;
  removeMarks("brush");
  unpress();
  selection = box;
  delete canvas.dataset.selected;
  byId("clear").disabled = false;
  request();
  const total = { atoms: 0, bonds: 0, angles: 0, rings: 0, sizes: {} };
  const bins = {};
  for (const svg of linkedCharts()) {
    if (!svg.dataset.edges) continue;
    const edges = svg.dataset.edges.split(" ").map(Number);
    bins[svg.dataset.link] = { edges, counts: new Uint32Array(edges.length - 1) };
  }
  const { x0, y0, x1, y1 } = box;
  const reach = 8; /* a bond or ring may lie in the box and belong to the tile beside it */
  if (!await eachTile({ x0: x0 - reach, y0: y0 - reach, x1: x1 + reach, y1: y1 + reach }, (tile) => count(tile, total, bins))) return;
  canvas.dataset.selected = JSON.stringify(total);
  for (const svg of linkedCharts()) drawChosen(svg, bins[svg.dataset.link]?.counts, total);
  const parts = ["atoms", "bonds", "angles", "rings"].map((name) => `${thousands(total[name])} ${name}`);
  status.textContent = `Selected: ${parts.join(", ")}. The charts show them in green; ring bars give their shares.`;
}

/* The selection in a chart: counts as parts of the bars, shares of rings as bars of their own. */
function drawChosen(svg, counts, total) {
  for (const old of svg.querySelectorAll(".chosen")) old.remove();
  const bars = [...svg.querySelectorAll(counts ? "rect.bar" : "rect.ring")];
  bars.forEach((bar, i) => {
    const [x, y, width, height] = extent(bar);
    if (counts) {
      const whole = Number(bar.querySelector("title").textContent.split(": ").pop().replace(/\D/g, ""));
      if (!counts[i] || !whole) return;
      const part = Math.min(1, counts[i] / whole) * height;
      rectangle(svg, "chosen", x, y + height - part, width, part);
      return;
    }
    const share = (total.sizes[bar.dataset.size] || 0) / Math.max(1, total.rings);
    const own = Number(bar.dataset.share);
    if (!share || !own) return;
    const part = Math.min(height * share / own, y + height - 12);
    rectangle(svg, "chosen", x + width / 2 - 4, y + height - part, 8, part);
  });
}

for (const svg of document.querySelectorAll("svg[data-link]")) {
  if (svg.dataset.link === "size") linkRings(svg); else linkHistogram(svg);
}
byId("clear").addEventListener("click", clearLinks);

resize();
show(0);
new ResizeObserver(resize).observe(canvas);
window.addEventListener("beforeprint", () => { pointed = null; cross = false; draw(); });
