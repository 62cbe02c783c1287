// The way to a console: each connection has a ticket of its own, which holds for a few seconds.
export async function address(element) {
  const response = await fetch(element.dataset.ticket, {
    method: "POST", body: JSON.stringify({ kind: element.dataset.kind }),
    headers: { Accept: "application/json", "Content-Type": "application/json" },
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  const url = new URL(body.path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
