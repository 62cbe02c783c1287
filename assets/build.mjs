// Builds the panel's files into the folder named on the command line, with hashes of content in their names.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const out = path.resolve(process.argv[2] ?? "../src/yun/web/static/dist");
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const manifest = {};

const shared = { bundle: true, minify: true, sourcemap: false, target: ["chrome109", "firefox115", "safari16"], legalComments: "linked", logLevel: "warning", loader: { ".woff2": "file", ".svg": "file", ".png": "file" } };
const outputs = async (options) => {
  const result = await build({ ...shared, ...options, outdir: out, entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]", assetNames: "[name]-[hash]", metafile: true });
  for (const [file, meta] of Object.entries(result.metafile.outputs)) {
    if (!meta.entryPoint) continue;
    const extension = path.extname(file);
    manifest[path.basename(meta.entryPoint, path.extname(meta.entryPoint)) + extension] = path.basename(file);
    if (meta.cssBundle) manifest[path.basename(meta.entryPoint, ".js") + ".css"] ??= path.basename(meta.cssBundle);
  }
};
await outputs({ entryPoints: ["js/app.js"], format: "esm", splitting: true });
// The SPICE client stays a file of its own (its licence is the LGPL); its sockets fetch tickets.
await outputs({ entryPoints: ["js/spice.js"], format: "esm", inject: ["js/spice_socket.js"], banner: { js: "/*! Contains spice-html5, Copyright (C) 2012 Jeremy P. White and others, LGPL-3.0-or-later: https://gitlab.freedesktop.org/spice/spice-html5 */" } });
await outputs({ entryPoints: ["js/first.js"], format: "iife" });
await outputs({ entryPoints: ["css/app.css"] });

const keep = async (name, text) => {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8).toUpperCase();
  const hashed = name.replace(/(\.[^.]+)$/, `-${hash}$1`);
  await writeFile(path.join(out, hashed), text);
  manifest[name] = hashed;
};

const names = (await readFile("icons.txt", "utf8")).split("\n").filter(Boolean);
const symbols = await Promise.all(names.map(async (name) => {
  const svg = await readFile(`node_modules/@tabler/icons/icons/outline/${name}.svg`, "utf8");
  const inner = svg.replace(/<!--[\s\S]*?-->/g, "").replace(/<svg[\s\S]*?>/, "").replace("</svg>", "").replace(/\s+/g, " ").trim();
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
}));
await keep("icons.svg", `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`);
await keep("spice-licence.txt", await readFile("node_modules/@spice-project/spice-html5/COPYING.LESSER", "utf8"));
for (const file of await readdir("pictures")) await keep(file, await readFile(path.join("pictures", file), "utf8"));
await writeFile(path.join(out, "manifest.json"), JSON.stringify(manifest, null, 1));
