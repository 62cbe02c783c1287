// The screen of a machine.
import RFB from "@novnc/novnc";
import { say } from "./page.js";
import { address } from "./ticket.js";
import { toast } from "./toasts.js";

const KEYS = { enter: 0xff0d, tab: 0xff09 };

export function vnc(root) {
  const screen = root.querySelector("[data-screen]");
  const status = root.querySelector("[data-status]");
  let rfb = null;
  let stopped = false;
  let pause = 1000;

  const state = (name) => {
    status.textContent = say(name);
    root.dataset.state = name;
  };
  async function connect() {
    if (stopped || !root.isConnected) return;
    state("connecting");
    try {
      rfb = new RFB(screen, await address(root), { shared: true });
    } catch (error) {
      state("disconnected");
      status.textContent = error.message;
      return setTimeout(connect, (pause = Math.min(pause * 2, 15000)));
    }
    rfb.scaleViewport = root.querySelector("[data-scale]")?.checked ?? true;
    rfb.resizeSession = false;
    rfb.background = "#10141c";
    rfb.focusOnClick = true;
    rfb.addEventListener("connect", () => {
      pause = 1000;
      state("connected");
      rfb.focus();
    });
    rfb.addEventListener("disconnect", () => {
      state("disconnected");
      if (!stopped) setTimeout(connect, (pause = Math.min(pause * 2, 15000)));
    });
    rfb.addEventListener("clipboard", (event) => navigator.clipboard?.writeText(event.detail.text).catch(() => {}));
  }

  async function paste() {
    let text = "";
    try {
      text = await navigator.clipboard.readText();
    } catch {
      text = root.querySelector("[data-paste-text]")?.value ?? "";
    }
    if (!text) return root.querySelector("[data-paste-box]")?.toggleAttribute("hidden");
    // Typed key by key: that also works at a log-in prompt, where no guest agent helps.
    for (const char of text.replace(/\r\n/g, "\n")) {
      const code = char.codePointAt(0);
      const key = char === "\n" ? KEYS.enter : char === "\t" ? KEYS.tab : code < 0x100 ? code : 0x01000000 | code;
      rfb?.sendKey(key, null);
      await new Promise((done) => setTimeout(done, 12));
    }
    rfb?.focus();
  }

  root.addEventListener("click", (event) => {
    const verb = event.target.closest("[data-vnc-do]")?.dataset.vncDo;
    if (verb === "cad") rfb?.sendCtrlAltDel();
    if (verb === "paste") paste();
    if (verb === "full") (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
    if (verb === "reconnect") rfb ? rfb.disconnect() : connect();
    if (verb === "cad") rfb?.focus();
  });
  root.querySelector("[data-scale]")?.addEventListener("change", (event) => rfb && (rfb.scaleViewport = event.target.checked));
  const watch = new MutationObserver(() => {
    if (root.isConnected) return;
    stopped = true;
    rfb?.disconnect();
    watch.disconnect();
  });
  watch.observe(document.body, { childList: true, subtree: true });
  root.setAttribute("data-own", "");
  connect().catch((error) => toast({ text: error.message, kind: "danger" }));
}
