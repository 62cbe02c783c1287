// Uploads in pieces that go on where they broke off (tus 1.0): create, then PATCH from the offset the server knows.
// The form: data-upload="/address" answers 201 with Location; fields go along as Upload-Metadata. Its button comes
// disabled: before this stands ready, the browser itself would send the form to an address that takes no files.
import { say } from "./page.js";
import { asOne } from "./tar.js";
import { toast } from "./toasts.js";

const PIECE = 16 * 1024 * 1024;
const VERSION = { "Tus-Resumable": "1.0.0" };
const encode = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

export function upload(form) {
  const bar = form.querySelector("progress");
  const status = form.querySelector("[data-status]");
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = new FormData(form);
    const files = fields.getAll("file").filter((one) => one instanceof File && one.size);
    if (!files.length) return;
    button.disabled = true;
    bar.hidden = false;
    try {
      const file = await asOne(files);
      await send(form.dataset.upload, file, fields, (part) => {
        bar.value = part;
        status.textContent = say("uploading", { percent: Math.floor(part * 100) });
      }, (done, operation) => {
        if (operation) form.dispatchEvent(new CustomEvent("yun:done", { bubbles: true, detail: { operation } }));
        if (form.dataset.done) location.assign(form.dataset.done.replace("{id}", done));
      });
    } catch (error) {
      toast({ text: error.message || say("failed"), kind: "danger" });
      status.textContent = say("upload_again");
    } finally {
      button.disabled = false;
    }
  });
  button.disabled = false;
}

async function send(url, file, fields, progress, finished) {
  const memory = `yun-upload:${url}:${file.name}:${file.size}:${file.lastModified}`;
  let place = localStorage.getItem(memory);
  let offset = 0;
  let operation = null;
  // What the complete file becomes is an operation; every answer after that names it.
  const stands = ({ headers }) => {
    operation = headers.get("Yun-Operation") ?? operation;
    return Number(headers.get("Upload-Offset"));
  };
  if (place) {
    const known = await fetch(place, { method: "HEAD", headers: VERSION });
    if (known.ok) offset = stands(known);
    else place = null;
  }
  if (!place) {
    const metadata = [["filename", file.name], ...fields].filter(([, value]) => typeof value === "string" && value !== "").map(([name, value]) => `${name} ${encode(value)}`);
    const made = await fetch(url, { method: "POST", headers: { ...VERSION, "Upload-Length": String(file.size), "Upload-Metadata": metadata.join(","), Accept: "application/json" } });
    if (!made.ok) throw new Error((await made.json().catch(() => ({}))).detail);
    place = made.headers.get("Location");
    localStorage.setItem(memory, place);
  }
  let failures = 0;
  while (offset < file.size) {
    try {
      const piece = file.slice(offset, offset + PIECE);
      const response = await fetch(place, { method: "PATCH", body: piece, headers: { ...VERSION, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" } });
      if (response.status === 409) {
        offset = stands(await fetch(place, { method: "HEAD", headers: VERSION }));
      } else if (!response.ok) {
        const body = await response.json().catch(() => ({}));
        if (response.status < 500) localStorage.removeItem(memory);
        throw Object.assign(new Error(body.detail), { final: response.status < 500 });
      } else offset = stands(response);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error.final || failures > 8) throw error;
      await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** failures, 15000)));
    }
    progress(offset / file.size);
  }
  localStorage.removeItem(memory);
  finished(place.split("/").filter(Boolean).pop(), operation);
}
