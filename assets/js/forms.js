// Forms keep what was typed; a refusal marks the fields at fault and says what would be right.
import { toast } from "./toasts.js";
import { onLoad } from "./page.js";

const fieldOf = (form, name) => {
  const found = form?.querySelector(`[data-field="${CSS.escape(name)}"]`) ?? form?.querySelector(`[data-field="${CSS.escape(name.split(".")[0])}"]`);
  const closed = found?.closest("details:not([open])");
  if (closed) closed.open = true;
  return found?.closest("[hidden]") ? null : found;
};

function clear(form) {
  for (const field of form?.querySelectorAll(".is-wrong") ?? []) {
    field.classList.remove("is-wrong");
    for (const control of field.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  }
}

function mark(form, fields, { focus = true, touched = false } = {}) {
  clear(form);
  let first = null;
  for (const [name, expected] of Object.entries(fields)) {
    const field = fieldOf(form, name);
    if (!field || (touched && !field.dataset.touched)) continue;
    field.classList.add("is-wrong");
    const place = field.querySelector("[data-wrong]");
    if (place) place.textContent = expected;
    const control = field.querySelector("input, select, textarea");
    control?.setAttribute("aria-invalid", "true");
    first ??= control;
  }
  if (focus) first?.focus();
  return first;
}

document.addEventListener("yun:problem", (event) => {
  const { detail, hint, fields, details } = event.detail;
  const form = event.target.closest?.("form");
  const marked = form && fields && mark(form, fields);
  // What a colleague changed meanwhile has been told: saving once more means it.
  const was = form?.elements.namedItem("was");
  if (was?.value && details?.was) was.value = JSON.stringify({ ...JSON.parse(was.value), ...details.was });
  const rest = Object.entries(fields ?? {}).filter(([name]) => !fieldOf(form, name)).map(([name, text]) => `${name}: ${text}`);
  toast({ text: detail, hint: [hint, ...rest].filter(Boolean).join(" "), kind: marked ? "warning" : "danger" });
});

// The live preview marks only what the person has touched already.
document.addEventListener("yun:marks", (event) => {
  const form = document.querySelector(event.target.dataset?.marks ?? "#form");
  mark(form, event.detail.fields ?? {}, { focus: false, touched: true });
});
document.addEventListener("htmx:afterRequest", (event) => {
  const source = event.detail.elt;
  if (source?.dataset?.marks && event.detail.successful && !event.detail.xhr.getResponseHeader("HX-Trigger")) clear(document.querySelector(source.dataset.marks));
});
document.addEventListener("change", (event) => {
  const field = event.target.closest?.("[data-field]");
  if (field) field.dataset.touched = "1";
});

// A preview names the fields that are still wrong as the form does.
// After every swap: a morph keeps the line and takes only its words.
document.addEventListener("htmx:afterSwap", (event) => {
  for (const code of event.target.querySelectorAll?.("[data-field-name] > code:first-child") ?? []) {
    const name = CSS.escape(code.parentElement.dataset.fieldName);
    const title = document.querySelector(`#form [data-field="${name}"] :is(label, legend, .form-label)`)?.textContent.trim();
    if (title) code.replaceWith(Object.assign(document.createElement("b"), { textContent: title }));
  }
});

// A choice shows the parts of the form that belong to it: data-show-when="name=value|value".
onLoad("[data-show-when]", (element) => {
  const form = element.closest("form");
  const [name, wanted] = element.dataset.showWhen.split("=");
  const apply = () => {
    const value = new FormData(form).get(name) ?? "";
    element.hidden = !wanted.split("|").includes(String(value));
  };
  form.addEventListener("change", apply);
  apply();
});

// A size that is too small for the chosen image is dimmed, and left where it was chosen.
onLoad("[data-fit]", (form) => {
  const apply = () => {
    const image = form.querySelector("[name=image]:checked");
    if (!image) return;
    const sizes = [...form.querySelectorAll("[name=flavor][data-memory]")];
    const fits = (size) => Number(size.dataset.memory) >= Number(image.dataset.needsMemory);
    for (const size of sizes) size.closest(".choice-card").classList.toggle("too-small", !fits(size));
    const chosen = form.querySelector("[name=flavor]:checked");
    if (chosen?.dataset.memory && !fits(chosen)) (sizes.find(fits) ?? form.querySelector("[name=flavor][value=own]")).checked = true;
  };
  form.addEventListener("change", (event) => event.target.name === "image" && apply());
  apply();
});
