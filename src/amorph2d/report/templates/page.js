/* ---------- what needs no image ---------- */

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");
document.documentElement.classList.add("scripted");

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

/* a film moves only for those who do not mind */
if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
  for (const film of document.querySelectorAll("details.film")) film.open = true;
}

byId("copy-citation")?.addEventListener("click", async (event) => {
  const text = byId("bibtex");
  let done = false;
  try {
    await navigator.clipboard.writeText(text.textContent);
    done = true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(text);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    done = document.execCommand("copy");
  }
  event.target.textContent = done ? "Copied" : "Press Ctrl+C to copy";
  setTimeout(() => { event.target.textContent = "Copy BibTeX"; }, 3000);
});

byId("series-statistic")?.addEventListener("change", (event) => {
  for (const figure of document.querySelectorAll("[data-series]")) {
    figure.hidden = figure.dataset.series !== event.target.value;
  }
});

if (!canvas) return;
