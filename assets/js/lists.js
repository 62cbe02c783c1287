// Lists: choosing many, "/" to search, links of the list that renew it in place.
import { onLoad, say } from "./page.js";

const boxes = (list) => [...list.querySelectorAll("input[data-keep][name=id]")];

function show(list) {
  const all = boxes(list);
  const chosen = all.filter((b) => b.checked);
  const bar = list.querySelector("[data-bulk]");
  if (bar) {
    bar.hidden = chosen.length === 0;
    const count = bar.querySelector("[data-bulk-count]");
    const everything = bar.querySelector("[data-everything]");
    if (everything) {
      const whole = chosen.length > 0 && chosen.length === all.length;
      if (!whole) everything.disabled = true;
      bar.querySelector("[data-bulk-all]").hidden = !whole || !everything.disabled;
    }
    if (count) count.textContent = everything && !everything.disabled ? say("all_selected", { count: everything.dataset.count }) : say("selected", { count: chosen.length });
  }
  const every = list.querySelector("[data-all]");
  if (every) {
    every.checked = chosen.length > 0 && chosen.length === all.length;
    every.indeterminate = chosen.length > 0 && chosen.length < all.length;
  }
  for (const box of all) box.closest("tr")?.classList.toggle("chosen", box.checked);
}

let last = null;
document.addEventListener("click", (event) => {
  const list = event.target.closest("#list");
  if (!list) return;
  if (event.target.closest("[data-bulk-all]")) {
    list.querySelector("[data-everything]").disabled = false;
    show(list);
    return;
  }
  if (event.target.closest("[data-bulk-none]")) {
    for (const box of boxes(list)) box.checked = false;
    show(list);
    return;
  }
  const box = event.target.closest("input[data-keep][name=id]");
  if (!box) return;
  const all = boxes(list);
  if (event.shiftKey && last && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    for (const between of all.slice(from, to + 1)) between.checked = box.checked;
  }
  last = box;
  show(list);
});
document.addEventListener("change", (event) => {
  const list = event.target.closest("#list");
  if (list && event.target.matches("[data-all]")) {
    for (const box of boxes(list)) box.checked = event.target.checked;
    show(list);
  }
});
document.addEventListener("yun:done", () => {
  const list = document.getElementById("list");
  if (list) for (const box of boxes(list)) box.checked = false;
  if (list) show(list);
});
onLoad("#list", show);
document.addEventListener("yun:renewed", () => document.getElementById("list") && show(document.getElementById("list")));
document.addEventListener("htmx:afterSettle", () => document.getElementById("list") && show(document.getElementById("list")));

// The links of a list carry their address in href, so that they also open in a new tab.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.path === "" && event.detail.elt.href) event.detail.path = event.detail.elt.href;
});

// A list that its buttons sort; the form sends its boxes in their order.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  const item = button?.closest("[data-sortable] > *");
  const up = button?.dataset.move === "up";
  const other = up ? item?.previousElementSibling : item?.nextElementSibling;
  if (!item || !other) return;
  if (up) other.before(item);
  else other.after(item);
  button.focus();
  item.querySelector("input")?.dispatchEvent(new Event("change", { bubbles: true }));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable], .xterm, canvas")) return;
  const search = document.querySelector("[data-search]");
  if (search) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// A machine that gives no picture right now leaves its place empty.
document.addEventListener("error", (event) => event.target.matches?.("[data-thumb]") && event.target.classList.add("no-picture"), true);
document.addEventListener("load", (event) => event.target.matches?.("[data-thumb]") && event.target.classList.remove("no-picture"), true);
