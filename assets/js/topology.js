// The picture of the networks: larger and smaller, pulled along by the pointer, and what belongs together stands out.
import htmx from "./htmx.js";

const STEP = 1.25;
const LEAST = 0.3;
const MOST = 3;
const HOLD = 4;
let zoom = null; // null: as wide as there is room for, at most its own size

const frame = () => document.querySelector("[data-topology]");
const picture = () => frame()?.querySelector("svg");
const own = (svg) => svg.viewBox.baseVal.width;
const now = (svg) => svg.getBoundingClientRect().width / own(svg);

function size() {
  const svg = picture();
  if (!svg) return;
  svg.style.width = zoom === null ? "" : `${own(svg) * zoom}px`;
  svg.style.maxWidth = zoom === null ? "" : "none";
  svg.style.minWidth = zoom === null ? "" : "0";
}

// What is under the pointer stays there.
function set(wanted, x, y) {
  const box = frame();
  const svg = picture();
  if (!svg) return;
  const before = now(svg);
  const edge = box.getBoundingClientRect();
  const at = { x: (x ?? edge.left + edge.width / 2) - edge.left, y: (y ?? edge.top + edge.height / 2) - edge.top };
  zoom = Math.min(MOST, Math.max(LEAST, wanted));
  size();
  const grown = zoom / before;
  box.scrollLeft = (box.scrollLeft + at.x) * grown - at.x;
  box.scrollTop = (box.scrollTop + at.y) * grown - at.y;
}

const ways = {
  in: () => set(now(picture()) * STEP),
  out: () => set(now(picture()) / STEP),
  fit: () => {
    zoom = null;
    size();
    frame()?.scrollTo(0, 0);
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  if (button && picture()) ways[button.dataset.zoom]();
});
document.addEventListener("keydown", (event) => {
  if (event.target !== frame() || event.ctrlKey || event.metaKey || event.altKey) return;
  const way = { "+": "in", "=": "in", "-": "out", 0: "fit" }[event.key];
  if (way) ways[way]();
});
document.addEventListener("wheel", (event) => {
  if (!(event.ctrlKey || event.metaKey) || !event.target.closest?.("[data-topology]") || !picture()) return;
  event.preventDefault();
  set(now(picture()) * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
}, { passive: false });
// A picture that came anew is as large as the one before, and what is pointed at still stands out.
function renewed() {
  size();
  const pointed = document.querySelector("[data-topology] .node:is(:hover, :focus-within)");
  if (pointed) around(pointed);
}
document.addEventListener("yun:renewed", renewed);
document.addEventListener("htmx:afterSettle", renewed);

// What goes through the lines changes without any event: the picture is fetched anew while somebody looks at it.
setInterval(() => {
  if (!picture() || document.hidden || pull?.held || document.querySelector("#dialog[open]")) return;
  htmx.ajax("GET", location.pathname + location.search, { target: "#picture", select: "#picture", swap: "morph:outerHTML" });
}, 15_000);

// ── pulled along ──

let pull = null;
document.addEventListener("pointerdown", (event) => {
  const box = event.target.closest?.("[data-topology]");
  pull = box && event.button === 0 && event.pointerType === "mouse" ? { box, x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop, far: false, held: true } : null;
});
document.addEventListener("pointermove", (event) => {
  if (!pull || !(event.buttons & 1)) return;
  const [dx, dy] = [event.clientX - pull.x, event.clientY - pull.y];
  pull.far ||= Math.hypot(dx, dy) > HOLD;
  if (!pull.far) return;
  pull.box.classList.add("pulled");
  pull.box.scrollTo(pull.left - dx, pull.top - dy);
});
document.addEventListener("pointerup", () => {
  if (!pull) return;
  pull.held = false;
  pull.box.classList.remove("pulled");
});
document.addEventListener("dragstart", (event) => event.target.closest?.("[data-topology]") && event.preventDefault());

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-topology] a");
  if (!link) return;
  if (pull?.far) {
    pull = null;
    event.preventDefault();
    event.stopPropagation();
  } else if ("toggle" in link.dataset && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    const where = link.getAttribute("href");
    htmx.ajax("GET", where, { target: "#picture", select: "#picture", swap: "morph:outerHTML" }).then(() => history.replaceState(history.state, "", where));
  }
}, true);

// ── what belongs together ──

function ask(nodes, lines = []) {
  const svg = picture();
  if (!svg) return;
  for (const part of svg.querySelectorAll(".near")) part.classList.remove("near");
  svg.classList.toggle("asking", nodes.length > 0);
  for (const part of [...nodes, ...lines]) part.classList.add("near");
}

// What a thing is tied to, and from its networks the way up to the outside.
function around(node) {
  const all = [...picture().querySelectorAll(".line")].map((line) => ({ line, ends: line.dataset.ends.split(" ") }));
  const id = node.dataset.node;
  const lines = new Set(all.filter(({ ends }) => ends.includes(id)));
  const known = new Set([id, ...[...lines].flatMap(({ ends }) => ends)]);
  const up = [...lines].filter(({ line, ends }) => line.matches(".plug") && ends.includes(id) && !node.matches(".network")).flatMap(({ ends }) => ends);
  if (node.matches(".network")) up.push(id);
  for (const lower of up) {
    for (const entry of all.filter(({ line, ends }) => line.matches(".leg") && ends[1] === lower)) {
      lines.add(entry);
      known.add(entry.ends[0]);
      if (!up.includes(entry.ends[0])) up.push(entry.ends[0]);
    }
  }
  ask([...picture().querySelectorAll(".node")].filter((other) => known.has(other.dataset.node)), [...lines].map(({ line }) => line));
}

function members(group) {
  ask([...picture().querySelectorAll(".node")].filter((node) => node.dataset.groups.split(" ").includes(group)));
}

function look({ target }) {
  const svg = picture();
  if (!svg) return;
  const node = target.closest?.("[data-topology] .node");
  const group = target.closest?.(".topology-legend [data-group]");
  if (node) around(node);
  else if (group) members(group.dataset.group);
  else if (svg.classList.contains("asking")) ask([]);
}
document.addEventListener("pointerover", look);
document.addEventListener("focusin", look);
