// Writes ../static/vendor/cornerstone.js and the licences of every package that is in it.

import { build } from "esbuild";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";

const VENDOR = "../static/vendor";
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

const made = await build({
  entryPoints: ["entry.js"],
  outfile: `${VENDOR}/cornerstone.js`,
  alias: { xmlbuilder2: "./no-xml.js" },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "eof",
  metafile: true,
});

const inputs = Object.entries(Object.values(made.metafile.outputs)[0].inputs);
const folders = inputs.filter(([, of]) => of.bytesInOutput).map(([file]) => packageOf(file));
// A package that comes built may contain those that it depends on.
const packages = withDependencies(new Set(folders.filter(Boolean)));
const parts = packages.map(licenceOf);
const inside = packages.map((folder) => `${described(folder).name} ${described(folder).version}`);
writeFileSync(
  `${VENDOR}/cornerstone-licences.txt`,
  `cornerstone.js is built from these packages, whose licences follow; not every one is in it:\n\n${inside.join("\n")}\n\n${parts.join("\n")}`,
);
console.log(`${packages.length} packages, ${Object.values(made.metafile.outputs)[0].bytes} bytes`);

function packageOf(file) {
  return file.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1];
}

function withDependencies(folders) {
  for (const folder of folders) {
    // A set goes on to visit what is added to it.
    for (const name of Object.keys(described(folder).dependencies ?? {})) {
      const inside = `${folder}/node_modules/${name}`;
      folders.add(existsSync(inside) ? inside : `node_modules/${name}`);
    }
  }
  return [...folders].sort();
}

function described(folder) {
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
}

function licenceOf(folder) {
  const { name, version, license, licenses } = described(folder);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8") : declared(folder);
  return `${"=".repeat(80)}\n${name} ${version} (${license ?? licenses[0].type})\n${"=".repeat(80)}\n\n${text.trim()}\n`;
}

// A package without a licence file declares its licence by name alone.
function declared(folder) {
  const { name, license, author, contributors } = described(folder);
  if (license !== "MIT") throw new Error(`${name}: no licence file, and its licence is ${license}, not MIT`);
  const people = [author, ...(contributors ?? [])].map((who) => who?.name ?? who).filter(Boolean);
  return `Copyright (c) ${people.join(", ") || `the authors of ${name}`}\n\n${MIT}`;
}
