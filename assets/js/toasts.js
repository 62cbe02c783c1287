// Toasts: what just happened, with Undo while it makes sense.
import htmx from "./htmx.js";
import { el, icon, say } from "./page.js";

const ICONS = { success: "circle-check", info: "info-circle", warning: "alert-triangle", danger: "alert-triangle" };

export function toast({ text, kind = "success", operation = null, undo = false, undo_all: many = [], hint = "", link = null }) {
  const box = document.getElementById("toasts");
  if (!box) return;
  const close = el("button", { class: "btn-close", type: "button", "aria-label": say("close") });
  const body = el("div", { class: "toast-text" }, el("div", {}, text));
  if (hint) body.append(el("div", { class: "text-secondary" }, hint));
  const shown = el("div", { class: `toast-box toast-${kind}` }, icon(ICONS[kind] ?? "info-circle"), body);
  if (kind === "danger") shown.setAttribute("role", "alert");
  if (link) body.append(el("div", {}, el("a", { href: link.url }, link.text)));
  const back = many.length > 1 ? { "hx-post": "/bulk/undo", "hx-vals": JSON.stringify({ id: many }) } : { "hx-post": `/operations/${many[0] ?? operation}/undo` };
  let asking = false;
  const leave = () => asking || shown.remove();
  if (many.length || (undo && operation)) {
    const button = el("button", { class: "btn btn-sm", type: "button", "hx-swap": "none", ...back }, say(many.length > 1 ? "undo_all" : "undo"));
    // Out of sight at once, and out of the page when the answer is there: it is told where it was asked.
    button.addEventListener("htmx:beforeRequest", () => {
      asking = shown.hidden = true;
    });
    button.addEventListener("htmx:afterRequest", () => setTimeout(() => shown.remove()));
    shown.append(button);
  }
  shown.append(close);
  box.append(shown);
  // Shown anew each time, so that it lies above a dialog that was opened since.
  if (box.matches(":popover-open")) box.hidePopover();
  box.showPopover();
  htmx.process(shown);
  const seen = box.querySelectorAll(":scope > :not([hidden])");
  for (const old of [...seen].slice(0, -4)) old.remove();
  const life = kind === "danger" ? 15000 : undo || many.length ? 10000 : hint ? 8000 : 5000;
  let timer = setTimeout(leave, life);
  const hold = () => clearTimeout(timer);
  const release = () => (timer = setTimeout(leave, 3000));
  shown.addEventListener("pointerenter", hold);
  shown.addEventListener("focusin", hold);
  shown.addEventListener("pointerleave", release);
  shown.addEventListener("focusout", release);
  close.addEventListener("click", () => shown.remove());
}

document.addEventListener("yun:toast", (event) => toast(event.detail));
document.addEventListener("htmx:sendError", (event) => {
  if (!event.detail.elt?.closest("[data-quiet]")) toast({ text: say("unreachable"), kind: "danger" });
});
document.addEventListener("htmx:responseError", (event) => {
  const told = event.detail.xhr.getResponseHeader("HX-Trigger");
  if (!told?.includes("yun:problem") && !event.detail.elt?.closest("[data-quiet]")) toast({ text: say("failed"), kind: "danger" });
});
