// Stands in for WebSocket in the SPICE client, which opens one connection per channel: each fetches a ticket first.
const ways = new Map();
let last = 0;

// An address for the client that stands for "whatever `find` answers, asked anew for each connection".
export const address = (find) => {
  const name = `ticket:${(last += 1)}`;
  ways.set(name, find);
  return name;
};
export const forget = (name) => ways.delete(name);

class TicketSocket extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
    this.binaryType = "arraybuffer";
    this.open().catch(() => {
      this.readyState = 3;
      this.dispatchEvent(new Event("error"));
      this.dispatchEvent(new Event("close"));
    });
  }

  async open() {
    const url = await (ways.get(this.url) ?? (() => Promise.reject(new Error("closed"))))();
    if (this.readyState !== 0) return;
    const inner = (this.inner = new globalThis.WebSocket(url, "binary"));
    inner.binaryType = "arraybuffer";
    for (const name of ["open", "message", "error", "close"]) {
      inner.addEventListener(name, (event) => {
        this.readyState = inner.readyState;
        this.dispatchEvent(name === "message" ? new MessageEvent(name, { data: event.data }) : new Event(name));
      });
    }
  }

  send(data) {
    this.inner.send(data);
  }

  close() {
    this.readyState = 3;
    this.inner?.close();
  }
}

export { TicketSocket as WebSocket };
