// The screen of a machine by SPICE: a file of its own, since its client has another licence than the panel.
import { SpiceMainConn } from "@spice-project/spice-html5";
import { address, forget } from "./spice_socket.js";

export function spice(root, { say, ticket }) {
  const screen = root.querySelector("[data-screen]");
  const status = root.querySelector("[data-status]");
  const way = address(() => ticket(root));
  let client = null;
  let stopped = false;
  let pause = 1000;
  let timer = 0;

  const state = (name) => {
    status.textContent = say(name);
    root.dataset.state = name;
  };
  function end() {
    const old = client;
    client = null;
    try {
      old?.stop();
    } catch {
      // It was not connected yet.
    }
    screen.replaceChildren();
  }
  function again() {
    end();
    if (stopped) return;
    state("disconnected");
    clearTimeout(timer);
    timer = setTimeout(connect, (pause = Math.min(pause * 2, 15000)));
  }
  function connect() {
    clearTimeout(timer);
    if (stopped || !root.isConnected) return;
    state("connecting");
    const mine = new SpiceMainConn({
      uri: way, screen_id: screen.id, password: "",
      onerror: () => client === mine && again(),
      onsuccess: () => {
        pause = 1000;
        state("connected");
        setTimeout(() => screen.querySelector("canvas")?.focus(), 500);
      },
    });
    client = mine;
  }

  root.addEventListener("click", (event) => {
    const verb = event.target.closest("[data-spice-do]")?.dataset.spiceDo;
    if (verb === "cad") fetch(root.dataset.keys, { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } });
    if (verb === "full") document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen();
    if (verb === "reconnect") {
      end();
      connect();
    }
    if (verb === "cad") screen.querySelector("canvas")?.focus();
  });
  const watch = new MutationObserver(() => {
    if (root.isConnected) return;
    stopped = true;
    clearTimeout(timer);
    end();
    forget(way);
    watch.disconnect();
  });
  watch.observe(document.body, { childList: true, subtree: true });
  root.setAttribute("data-own", "");
  connect();
}
