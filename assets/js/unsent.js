// What was filled in when the session ended comes back after the log-in: all but passwords and files, in this tab only.
import htmx from "./htmx.js";
import { say } from "./page.js";
import { toast } from "./toasts.js";

const PLACE = "yun-unsent";
const LIFE = 3600_000;
const SECRET = /pass|secret|token|user_data/i;
const here = () => location.pathname + location.search;
const who = () => document.body.dataset.actor ?? "";

const keeps = (control) =>
  control.name && control.name !== "was" && !["password", "file", "hidden", "submit", "button"].includes(control.type) && !SECRET.test(control.name);

function changed(control) {
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (control.options) return [...control.options].some((option) => option.selected !== option.defaultSelected);
  return control.value !== control.defaultValue;
}

const named = (form, name) => [...form.elements].filter((control) => control.name === name);
const typed = (form) =>
  [...form.elements].filter((control) => keeps(control) && changed(control))
    .map((control) => ({ name: control.name, place: named(form, control.name).indexOf(control), value: control.value, checked: control.checked }));

function keep() {
  const forms = [...document.querySelectorAll("#main form[hx-post], #dialog[open] form[hx-post]")]
    .map((form) => ({ action: form.getAttribute("hx-post"), fields: typed(form), from: form.closest("#dialog")?.dataset.from ?? "" }))
    .filter((form) => form.fields.length);
  if (forms.length) sessionStorage.setItem(PLACE, JSON.stringify({ where: here(), who: who(), at: Date.now(), forms }));
}

document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.getResponseHeader("HX-Redirect")?.startsWith("/login")) keep();
});
document.addEventListener("click", (event) => event.target.closest("#lost a") && keep());

const formOf = (action) => document.querySelector(`form[hx-post="${CSS.escape(action)}"]`);

async function fill({ action, fields, from }) {
  if (!formOf(action) && from) await htmx.ajax("GET", from, { target: "#dialog", swap: "innerHTML" });
  const form = formOf(action);
  if (!form) return false;
  for (const { name, place, value, checked } of fields) {
    const control = named(form, name)[place];
    if (!control || !keeps(control)) continue;
    if (control.type === "checkbox" || control.type === "radio") control.checked = checked;
    else control.value = value;
    const folded = control.closest("details:not([open])");
    if (folded) folded.open = true;
    control.dispatchEvent(new Event("change", { bubbles: true }));
  }
  return true;
}

async function restore() {
  const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
  if (!kept || !who() || kept.where !== here()) return;
  sessionStorage.removeItem(PLACE);
  if (kept.who !== who() || Date.now() - kept.at > LIFE) return;
  let any = false;
  for (const form of kept.forms) any = (await fill(form)) || any;
  if (any) toast({ text: say("restored"), kind: "info" });
}
restore().catch(() => {});
