// The files of an OVF as the one tar that an OVA is: the browser reads them where they lie, nothing is copied.
import { say } from "./page.js";

const BLOCK = 512;
const bytes = (text) => new TextEncoder().encode(text);
const ovf = (file) => file.name.toLowerCase().endsWith(".ovf");

export async function asOne(files) {
  if (files.length === 1 && !ovf(files[0])) return files[0];
  const described = files.filter(ovf);
  if (described.length !== 1) throw new Error(say("no_description"));
  const missing = named(await described[0].text()).filter((name) => !files.some((file) => file.name === name));
  if (missing.length) throw new Error(say("missing_files", { names: missing.join(", ") }));
  const order = [...described, ...files.filter((file) => !ovf(file)).sort((a, b) => a.name.localeCompare(b.name))];
  const stem = described[0].name.replace(/\.[^.]*$/, "");
  const parts = [...order.flatMap(member), new Uint8Array(2 * BLOCK)];
  return new File(parts, `${stem}.ova`, { lastModified: Math.max(...files.map((file) => file.lastModified)) });
}

function named(text) {
  const found = new DOMParser().parseFromString(text, "application/xml").getElementsByTagNameNS("*", "File");
  const hrefs = [...found].map((file) => [...file.attributes].find((one) => one.localName === "href")?.value);
  return hrefs.filter(Boolean).map((name) => name.replace(/^\.\//, ""));
}

function member(file) {
  const name = bytes(file.name);
  const long = name.length > 100 ? [header(bytes("././@LongLink"), name.length + 1, "L"), name, new Uint8Array(1), filling(name.length + 1)] : [];
  return [...long, header(name, file.size, "0"), file, filling(file.size)];
}

const filling = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

function header(name, size, kind) {
  const block = new Uint8Array(BLOCK);
  const put = (at, text) => block.set(bytes(text), at);
  block.set(name.slice(0, 100), 0);
  put(100, "0000644\0");
  put(108, "0000000\0");
  put(116, "0000000\0");
  if (size < 8 * 2 ** 30) put(124, `${size.toString(8).padStart(11, "0")}\0`);
  else {
    block[124] = 0x80;
    new DataView(block.buffer).setBigUint64(128, BigInt(size));
  }
  put(136, "00000000000\0");
  put(148, "        ");
  put(156, kind);
  put(257, "ustar\x0000");
  const sum = block.reduce((all, one) => all + one, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
