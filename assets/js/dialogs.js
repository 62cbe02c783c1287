// Dialogs, the drawer, menus and the navigation on a phone.
import htmx from "./htmx.js";

const dialog = () => document.getElementById("dialog");
const drawer = () => document.getElementById("drawer");

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "dialog") return;
  dialog().touched = false;
  dialog().dataset.from = event.detail.requestConfig?.verb === "get" ? event.detail.pathInfo.finalRequestPath : "";
  if (event.detail.target.innerHTML.trim() && !dialog().open) dialog().showModal();
});
for (const kind of ["input", "change"]) {
  document.addEventListener(kind, (event) => {
    const changed = event.target.closest?.("dialog");
    if (changed) changed.touched = true;
  });
}
document.addEventListener("yun:done", () => dialog()?.open && dialog().close());

// What a closed dialog showed (a token's secret) does not stay in the page; what it still asks is answered first.
const empty = (closed) => {
  if (closed.open) return;
  if (closed.querySelector(".htmx-request")) setTimeout(empty, 300, closed);
  else closed.replaceChildren();
};
document.addEventListener("close", (event) => {
  if (event.target.id === "dialog") setTimeout(empty, 300, event.target);
}, true);

// Where a press began: text that is selected with the mouse often ends beside the sheet.
let pressed = null;
const beside = (event) => {
  const target = event.target;
  if (!(target instanceof HTMLDialogElement) || !target.open) return null;
  const box = target.getBoundingClientRect();
  const out = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
  return out ? target : null;
};
document.addEventListener("pointerdown", (event) => {
  pressed = beside(event);
}, true);

document.addEventListener("click", (event) => {
  const target = event.target;
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  if (target.closest("[data-drawer-open]")) {
    drawer().showModal();
    htmx.trigger("#drawer-body", "yun:drawer");
  }
  const toggle = target.closest("[data-nav-toggle]");
  if (toggle) {
    const shown = document.body.classList.toggle("nav-open");
    toggle.setAttribute("aria-expanded", String(shown));
  } else if (!target.closest("#sidenav")) document.body.classList.remove("nav-open");
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    const inside = menu.contains(target);
    if (!inside || target.closest(".dropdown-item")) menu.open = false;
  }
  // A click beside a dialog's sheet closes it, unless something was filled in.
  const left = beside(event);
  if (left && left === pressed && (left.id !== "dialog" || !left.touched)) left.close();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
  document.body.classList.remove("nav-open");
});

// The theme's button changes what is seen, also where "auto" decided it.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (form) form.action = `/theme/${document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark"}`;
}, true);
