// What the modules share: texts in the person's language, and work on elements when they come into the page.
import htmx from "./htmx.js";

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

export const say = (name, values = {}) =>
  (texts[name] ?? name).replace(/\{(\w+)\}/g, (_all, key) => values[key] ?? "");

export const locale = document.documentElement.lang;

export function onLoad(selector, start) {
  htmx.onLoad((root) => {
    const found = [...(root.matches?.(selector) ? [root] : []), ...(root.querySelectorAll?.(selector) ?? [])];
    for (const element of found) {
      element.startedParts ??= new Set();
      if (element.startedParts.has(selector)) continue;
      element.startedParts.add(selector);
      start(element);
    }
  });
}

export const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
};

// The sprite's address is known from any icon of the page.
export const icon = (name) => {
  const sprite = document.querySelector("svg.icon use")?.getAttribute("href")?.split("#")[0] ?? "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
};

const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];

// In the server's words, so that a page does not change its way of speaking once it is loaded.
export function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  for (const [unit, length] of UNITS) {
    const count = Math.floor(Math.abs(seconds) / length);
    if (count) return say(seconds > 0 ? `${unit}_ago` : `in_${unit}`, { count });
  }
  return say(seconds >= -5 ? "just_now" : "in_a_moment");
}

function freshen(root) {
  for (const element of root.querySelectorAll("time[data-when]")) {
    const date = new Date(element.dateTime);
    const text = ago(date);
    if (element.textContent !== text) element.textContent = text;
    element.title = date.toLocaleString(locale);
  }
}
htmx.onLoad(freshen);
setInterval(() => freshen(document), 20_000);

// On a narrow screen the open tab may lie beyond the edge.
onLoad(".tabs", (bar) => {
  const open = bar.querySelector("[aria-current]");
  if (open) bar.scrollLeft = open.offsetLeft - bar.offsetLeft - (bar.clientWidth - open.offsetWidth) / 2;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS beyond loopback there is no clipboard API.
    const area = el("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("copied");
  button.title = say("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
});

// A page that came in place of another one names its entry in the navigation.
document.addEventListener("htmx:afterSettle", () => {
  const name = document.getElementById("main")?.dataset.page;
  for (const link of document.querySelectorAll("#sidenav a[data-nav]")) {
    if (link.dataset.nav === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
});
