// Ctrl-K: find things and verbs. Pages are in the list already, the open page's own buttons are read from it, and
// things are asked of the server.
import { el, icon, say } from "./page.js";

const dialog = document.getElementById("palette");
if (dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  const fixed = [...list.querySelectorAll("[data-static]")];
  let timer = null;
  let asked = 0;
  // The text that the found things answer, and whether Enter waits for the answer to a later one.
  let answered = "";
  let waiting = false;
  let moved = false;

  const shown = () => [...list.querySelectorAll("li[role=option]:not([hidden])")];
  const choose = (item) => {
    for (const other of list.querySelectorAll("[aria-selected]")) other.removeAttribute("aria-selected");
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
  };
  const current = () => list.querySelector("[aria-selected]");
  const written = () => input.value.trim();

  // The verbs of the open page are its buttons: what may not be pressed there is not offered here.
  const verbs = () => {
    for (const old of list.querySelectorAll("[data-verb]")) old.remove();
    const about = document.querySelector("#main h1")?.textContent.trim() ?? say("action");
    const there = new Set(fixed.map((item) => item.querySelector("a").getAttribute("href")));
    const controls = document.querySelectorAll("#main .page-actions :is(button, a[href]), #bulk-bar:not([hidden]) button:not([data-bulk-none])");
    const wanted = [...controls].filter((control) => {
      const does = control.getAttribute("href") ?? control.getAttribute("hx-get") ?? control.getAttribute("hx-post");
      const fresh = !control.disabled && !there.has(does);
      if (does) there.add(does);
      return fresh;
    });
    const items = wanted.map((control) => {
      const title = control.textContent.trim() || control.getAttribute("aria-label") || "";
      const picture = control.querySelector("svg use")?.getAttribute("href").split("#")[1] ?? "player-play";
      const link = el("a", { href: "#", tabindex: "-1" }, icon(picture), el("span", {}, title), el("small", {}, about));
      link.pressed = control;
      return el("li", { role: "option", "data-verb": true }, link);
    });
    list.prepend(...items);
    return items;
  };
  let own = [];

  const begin = () => {
    own = verbs();
    search();
    input.focus();
  };
  const open = () => {
    if (!dialog.open) dialog.showModal();
    input.value = "";
    begin();
  };

  async function things(text) {
    const ticket = ++asked;
    let found = [];
    if (text.length > 0) {
      try {
        const response = await fetch(`/search?q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
        found = response.ok ? (await response.json()).items : [];
      } catch {
        // Pages are still there.
      }
    }
    if (ticket !== asked) return;
    for (const old of list.querySelectorAll("[data-found], [data-none]")) old.remove();
    for (const thing of found) {
      const link = el("a", { href: thing.url, tabindex: "-1" }, icon(thing.icon), el("span", {}, thing.title), el("small", {}, thing.kind));
      list.append(el("li", { role: "option", "data-found": true }, link));
    }
    answered = text;
    if (!shown().length) list.append(el("li", { class: "none", "data-none": true }, say("nothing")));
    if (!moved || !current()) choose(shown()[0]);
    if (waiting) enter();
  }

  function search() {
    const text = written().toLowerCase();
    waiting = moved = false;
    asked += 1;
    for (const item of [...own, ...fixed]) item.hidden = text !== "" && !`${item.textContent} ${item.dataset.words ?? ""}`.toLowerCase().includes(text);
    // What was found for another text stays only while it fits this one, so that the list does not flicker.
    for (const old of list.querySelectorAll("[data-found]")) if (!text || !old.textContent.toLowerCase().includes(text)) old.remove();
    for (const none of list.querySelectorAll("[data-none]")) none.remove();
    choose(shown()[0]);
    clearTimeout(timer);
    timer = setTimeout(() => things(written()), text ? 120 : 0);
  }

  // Pages, commands and buttons are known at once; a thing is opened only by the answer to what stands in the box.
  function enter() {
    const item = current();
    waiting = answered !== written() && (!item || item.hasAttribute("data-found"));
    if (!waiting) item?.querySelector("a")?.click();
  }

  // What stands for a button presses it, once the palette is out of its way.
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const control = link?.pressed ?? (link?.dataset.press && document.querySelector(link.dataset.press));
    if (!control) return;
    event.preventDefault();
    dialog.close();
    control.click();
  });
  input.addEventListener("input", search);
  dialog.addEventListener("keydown", (event) => {
    // The keys of an input method choose its words, not ours.
    if (event.isComposing) return;
    const items = shown();
    const here = items.indexOf(current());
    if (event.key === "Escape") {
      event.preventDefault();
      dialog.close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      moved = true;
      choose(items[(here + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      enter();
    }
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.target.closest?.("[data-vnc], [data-serial]")) {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("click", (event) => event.target.closest("[data-palette-open]") && open());

  const early = globalThis.yunEarly;
  early?.stop();
  if (dialog.open) {
    begin();
    if (early?.enter) enter();
  }
}
