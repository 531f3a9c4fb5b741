// Compiles the contracts of this folder: `npm install solc@0.8.37 && node build.mjs`, with the version of README.md.
// Writes the code that runs once deployed, as hex, beside each source.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import solc from "solc";

for (const file of readdirSync(".").filter((name) => name.endsWith(".sol"))) {
  const input = {
    language: "Solidity",
    sources: { [file]: { content: readFileSync(file, "utf8") } },
    settings: {
      evmVersion: "cancun",
      metadata: { appendCBOR: false, bytecodeHash: "none" },
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const errors = (output.errors ?? []).filter((error) => error.severity === "error");
  if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  const name = file.replace(".sol", "");
  writeFileSync(`${name.toLowerCase()}.hex`, `${output.contracts[file][name].evm.deployedBytecode.object}\n`);
  console.log(`${name}: compiled by ${solc.version()}`);
}
