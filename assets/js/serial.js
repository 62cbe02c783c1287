// The serial console of a machine: a terminal over a WebSocket; bytes both ways.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { say } from "./page.js";
import { address } from "./ticket.js";

export function serial(root) {
  const status = root.querySelector("[data-status]");
  const terminal = new Terminal({ cursorBlink: true, fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, monospace", fontSize: 14, scrollback: 5000, theme: { background: "#10141c" } });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(root.querySelector("[data-screen]"));
  fit.fit();
  let socket = null;
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
      socket = new WebSocket(await address(root), ["binary"]);
    } catch (error) {
      status.textContent = error.message;
      return setTimeout(connect, (pause = Math.min(pause * 2, 15000)));
    }
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      pause = 1000;
      terminal.reset();
      state("connected");
      terminal.focus();
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") state(JSON.parse(event.data).state);
      else terminal.write(new Uint8Array(event.data));
    };
    socket.onclose = () => {
      state("disconnected");
      if (!stopped) setTimeout(connect, (pause = Math.min(pause * 2, 15000)));
    };
  }
  const encoder = new TextEncoder();
  terminal.onData((data) => socket?.readyState === WebSocket.OPEN && socket.send(encoder.encode(data)));
  new ResizeObserver(() => root.isConnected && fit.fit()).observe(root);
  root.addEventListener("click", (event) => {
    const verb = event.target.closest("[data-serial-do]")?.dataset.serialDo;
    if (verb === "full") (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
    if (verb === "reconnect") socket?.close();
  });
  root.setAttribute("data-own", "");
  addEventListener("pagehide", () => {
    stopped = true;
    socket?.close();
  });
  connect();
}
