// Ctrl-K: find things and verbs. Pages are in the list already, things are asked of the server.
import { el, icon, say } from "./page.js";

const dialog = document.getElementById("palette");
if (dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  const fixed = [...list.querySelectorAll("[data-static]")];
  let timer = null;
  let asked = 0;

  const shown = () => [...list.querySelectorAll("li[role=option]:not([hidden])")];
  const choose = (item) => {
    for (const other of list.querySelectorAll("[aria-selected]")) other.removeAttribute("aria-selected");
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
  };
  const current = () => list.querySelector("[aria-selected]");

  const open = () => {
    if (!dialog.open) dialog.showModal();
    input.value = "";
    search();
    input.focus();
  };

  async function things(text) {
    const ticket = ++asked;
    for (const old of list.querySelectorAll("[data-found], [data-none]")) old.remove();
    if (text.length > 0) {
      try {
        const response = await fetch(`/search?q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
        const found = response.ok ? (await response.json()).items : [];
        if (ticket !== asked) return;
        for (const thing of found) {
          const link = el("a", { href: thing.url, tabindex: "-1" }, icon(thing.icon), el("span", {}, thing.title), el("small", {}, thing.kind));
          list.append(el("li", { role: "option", "data-found": true }, link));
        }
      } catch {
        // Pages are still there.
      }
    }
    if (!shown().length) list.append(el("li", { class: "none", "data-none": true }, say("nothing")));
    choose(shown()[0]);
  }

  function search() {
    const text = input.value.trim().toLowerCase();
    for (const item of fixed) item.hidden = text !== "" && !item.textContent.toLowerCase().includes(text);
    choose(shown()[0]);
    clearTimeout(timer);
    timer = setTimeout(() => things(input.value.trim()), text ? 120 : 0);
  }

  input.addEventListener("input", search);
  dialog.addEventListener("keydown", (event) => {
    const items = shown();
    const here = items.indexOf(current());
    if (event.key === "Escape") {
      event.preventDefault();
      dialog.close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(items[(here + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      current()?.querySelector("a")?.click();
    }
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.target.closest?.("[data-vnc], [data-serial]")) {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("click", (event) => event.target.closest("[data-palette-open]") && open());
}
