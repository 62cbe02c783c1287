// The panel's own scripts. Everything is declared in the page by data attributes; nothing is written inline.
import "./htmx.js";
import "./live.js";
import "./toasts.js";
import "./dialogs.js";
import "./forms.js";
import "./lists.js";
import "./palette.js";
import "./topology.js";
import "./unsent.js";
import { onLoad, say } from "./page.js";

// Heavy parts are fetched by the pages that use them.
onLoad("[data-chart]", async (element) => (await import("./charts.js")).chart(element));
onLoad("[data-vnc]", async (element) => (await import("./vnc.js")).vnc(element));
onLoad("[data-spice]", async (element) => {
  const [{ spice }, { address }] = await Promise.all([import(element.dataset.spice), import("./ticket.js")]);
  spice(element, { say, ticket: address });
});
onLoad("[data-serial]", async (element) => (await import("./serial.js")).serial(element));
onLoad("[data-upload]", async (element) => (await import("./upload.js")).upload(element));
