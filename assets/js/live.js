// One stream of events for the whole page. Elements with data-live="kind" or "kind:id" are fetched again and morphed
// when something of that kind happens; events are gathered for a moment so that a storm costs one request.
import htmx from "./htmx.js";
import { el, say } from "./page.js";
import { toast } from "./toasts.js";

const GATHER = 250;
const PAUSE = 1000;
const AWAY = 5000;
const MINE = "yun-mine";
const mine = new Set(JSON.parse(sessionStorage.getItem(MINE) ?? "[]"));
// Failures that have been heard of and not been told yet: the page may be left meanwhile, and the next one tells them.
const untold = new Set();
const remember = () => sessionStorage.setItem(MINE, JSON.stringify([...untold, ...mine].slice(-600)));
let source = null;
let lost = null;
const open = new Set();

const matches = (element, kinds) =>
  element.dataset.live.split(/\s+/).some((wish) => {
    const [kind, id] = wish.split(":");
    return kinds.has(id ? `${kind}:${id}` : kind);
  });

const gathered = new Set();
let timer = null;
let busy = false;
let last = 0;
const postponed = new Set();

// The newest event that this page shows or has heard of: the stream goes on after it, so that what happens between
// the drawing of the page and the opening of the stream, or while the page lies in the browser's store, is not missed.
let seen = 0;
const drawn = () => document.getElementById("main")?.dataset.newest;

function stream() {
  const after = drawn();
  return after === undefined ? "/live" : `/live?after=${Math.max(seen, Number(after))}`;
}

function everything() {
  for (const element of document.querySelectorAll("[data-live]")) note(...element.dataset.live.split(/\s+/)[0].split(":"));
}

// What could not be shown now is shown later: nothing else would bring it.
function later(kinds, pause) {
  for (const kind of kinds) gathered.add(kind);
  timer ??= setTimeout(renew, pause);
}

function note(kind, id) {
  gathered.add(kind);
  if (id) gathered.add(`${kind}:${id}`);
  timer ??= setTimeout(renew, Math.max(GATHER, last + PAUSE - Date.now()));
}

async function renew() {
  timer = null;
  if (busy || document.hidden) {
    timer = setTimeout(renew, busy ? GATHER : 2000);
    return;
  }
  const kinds = new Set(gathered);
  gathered.clear();
  const elements = [...document.querySelectorAll("[data-live]")].filter((e) => matches(e, kinds));
  if (!elements.length) return;
  busy = true;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html", "HX-Request": "true" }, credentials: "same-origin" });
    if (response.status >= 500) later(kinds, AWAY);
    if (!response.ok || response.redirected || response.headers.has("HX-Redirect")) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const element of elements) {
      const fresh = element.id && page.getElementById(element.id);
      if (!fresh || !element.isConnected) continue;
      if (element.contains(htmx.find("#main .menu[open]"))) {
        for (const kind of kinds) postponed.add(kind);
      } else {
        htmx.swap(element, fresh.outerHTML, { swapStyle: "morph:outerHTML" }, { contextElement: element });
      }
    }
    document.dispatchEvent(new CustomEvent("yun:renewed"));
  } catch {
    // The stream itself tells when the cloud is away.
    later(kinds, AWAY);
  } finally {
    busy = false;
    last = Date.now();
  }
}

// A part whose menu is open stays as it is until the menu is closed.
document.addEventListener("toggle", ({ target }) => {
  if (!target.matches?.(".menu:not([open])") || !postponed.size) return;
  later(postponed, GATHER);
  postponed.clear();
}, true);

// A page that came in place of another one was perhaps drawn before something that the one before it has heard of.
htmx.onLoad((root) => {
  if (root.id === "main" && Number(drawn()) < seen) everything();
});

function count() {
  for (const badge of document.querySelectorAll("[data-open-operations]")) {
    badge.textContent = open.size;
    badge.hidden = open.size === 0;
  }
}

// Failures that come together are told together.
const failures = new Set();
let telling = null;
function failed(id) {
  failures.add(id);
  untold.add(id);
  telling ??= setTimeout(() => tell().catch(() => {}), 700);
}

async function tell() {
  const ids = [...failures];
  failures.clear();
  telling = null;
  const known = await Promise.all(ids.slice(0, 5).map(async (id) => {
    const response = await fetch(`/api/v1/operations/${id}`, { headers: { Accept: "application/json" } });
    return response.ok ? response.json() : null;
  }));
  const said = known.filter(Boolean).map(({ title, error }) => ({ text: say("failed_operation", { title, reason: error?.message ?? "" }), hint: error?.hint ?? "" }));
  for (const id of ids) untold.delete(id);
  remember();
  if (!said.length) return;
  if (ids.length === 1) return toast({ ...said[0], kind: "danger" });
  const hint = said.map(({ text }) => text).join(" ") + (ids.length > said.length ? " …" : "");
  toast({ text: say("failed_operations", { count: ids.length }), hint, kind: "danger", link: { url: "/operations?state=failed", text: say("history") } });
}

const OPENED = new Set(["queued", "started", "running", "undoing", "retried", "cancelling"]);
const ENDED = new Set(["succeeded", "failed", "cancelled", "undone", "abandoned"]);

function operation(what, id) {
  if (OPENED.has(what)) open.add(id);
  if (ENDED.has(what)) {
    open.delete(id);
    if (mine.delete(id)) {
      if (what === "failed") failed(id);
      remember();
    }
  }
  count();
  const drawer = document.getElementById("drawer");
  if (drawer?.open) htmx.trigger("#drawer-body", "yun:operation");
}

// Whoever pressed the button hears of a failure, wherever in the panel he is by then.
document.addEventListener("yun:done", (event) => {
  const { operation: one, operations: many } = event.detail;
  for (const id of many ?? [one]) if (id) mine.add(id);
  remember();
});

function heard(event) {
  seen = Math.max(seen, Number(event.lastEventId) || 0);
  let data = {};
  try {
    data = JSON.parse(event.data);
  } catch {
    return;
  }
  const [noun, what] = (data.kind ?? "").split(".");
  const subject = data.subject ?? {};
  if (noun === "operation" && data.operation_id) operation(what, data.operation_id);
  note(noun, subject.id);
  if (subject.kind && subject.kind !== noun) note(subject.kind, subject.id);
  const about = data.data?.subject;
  if (about?.kind) note(about.kind, about.id);
}

async function begin() {
  const response = await fetch("/operations/open", { headers: { Accept: "application/json" } });
  if (!response.ok) return;
  for (const id of (await response.json()).ids) open.add(id);
  count();
  await missed();
}

// What ended before this page was drawn, of which the stream no longer speaks.
async function missed() {
  for (const id of [...mine].filter((one) => !open.has(one)).slice(-20)) {
    const answer = await fetch(`/api/v1/operations/${id}`, { headers: { Accept: "application/json" } });
    if (answer.ok) operation((await answer.json()).state, id);
    else if (answer.status === 404) mine.delete(id);
  }
  remember();
}

// A stream that is refused and not merely away: the session has ended, and asking on would change nothing.
async function refused() {
  const stop = new AbortController();
  try {
    const { status } = await fetch("/live", { signal: stop.signal, headers: { Accept: "text/event-stream" } });
    return status === 401 || status === 403;
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

function ended() {
  const sign = document.getElementById("lost");
  if (!sign) return;
  clearTimeout(lost);
  const back = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  sign.querySelector("span").replaceChildren(say("ended"), " ", el("a", { href: back }, say("login")));
  sign.hidden = false;
}

async function again() {
  if (await refused()) return ended();
  setTimeout(connect, 3000);
}

function connect() {
  if (!document.getElementById("lost")) return;
  source = new EventSource(stream());
  source.onopen = () => {
    if (lost) clearTimeout(lost);
    lost = null;
    const sign = document.getElementById("lost");
    if (sign && !sign.hidden) {
      sign.hidden = true;
      everything();
    }
  };
  source.onerror = () => {
    lost ??= setTimeout(() => {
      const sign = document.getElementById("lost");
      if (sign) sign.hidden = false;
    }, 3000);
    if (source.readyState === EventSource.CLOSED) again();
  };
  source.onmessage = heard;
}
if (document.getElementById("lost")) begin().catch(() => {});
connect();
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && connect());
