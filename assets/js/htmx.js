// htmx with morphing. Selections and opened parts are the person's own: a morph leaves them alone.
import { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";
import htmx from "htmx.org/dist/htmx.esm.js";

globalThis.htmx = htmx;

const kept = (name, node) =>
  (name === "checked" && node.hasAttribute("data-keep")) ||
  (name === "open" && (node.tagName === "DETAILS" || node.tagName === "DIALOG")) ||
  (name === "hidden" && (node.hasAttribute("data-bulk") || node.hasAttribute("data-bulk-all"))) ||
  (name === "disabled" && node.hasAttribute("data-everything"));

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !kept(name, node);
Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old instanceof Element && old.hasAttribute("data-own"));
// What is being typed stays; the words on a focused button do not, or it would say one thing and do another.
const typing = () => Boolean(document.activeElement?.matches("input, textarea, select, [contenteditable]"));
const config = (morphStyle) => ({ morphStyle, ignoreActiveValue: typing() });

htmx.defineExtension("morph", {
  isInlineSwap: (style) => style === "morph" || style === "morph:outerHTML",
  handleSwap(style, target, fragment) {
    if (style === "morph" || style === "morph:outerHTML") return Idiomorph.morph(target, fragment.children, config("outerHTML"));
    if (style === "morph:innerHTML") return Idiomorph.morph(target, [...fragment.childNodes], config("innerHTML"));
    return false;
  },
});

// What was asked by something that has left the page meanwhile (a closed dialog, a row that moved on) is answered to
// the page itself: htmx would tell it to the lost element, and nobody would hear.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { xhr, elt, requestConfig } = event.detail;
  if (requestConfig.verb === "get") return;
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  xhr.addEventListener("error", () => elt.isConnected || tell("htmx:sendError", { xhr, elt }));
  xhr.addEventListener("readystatechange", () => {
    if (xhr.readyState !== XMLHttpRequest.DONE || !xhr.status || elt.isConnected) return;
    const told = xhr.getResponseHeader("HX-Trigger");
    if (told?.startsWith("{")) for (const [name, detail] of Object.entries(JSON.parse(told))) tell(name, detail);
    if (xhr.status >= 400) tell("htmx:responseError", { xhr, elt });
  });
});

export default htmx;
