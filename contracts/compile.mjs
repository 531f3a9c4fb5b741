// Compiles the contracts beside this file with npm's solc and writes one artifact for each into a folder:
//   node contracts/compile.mjs <folder with node_modules> <folder for artifacts>
// The same source and compiler give the same bytes, whatever the folders are called.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [packages, out] = process.argv.slice(2).map((path) => resolve(path));
const solc = createRequire(join(packages, "package.json"))("solc");
const here = dirname(fileURLToPath(import.meta.url));

// File and contract; what else a file declares is not shipped.
const CONTRACTS = [
  ["Arbitrageur.sol", "Arbitrageur"],
  ["Lenders.sol", "Lender"],
  ["Lenders.sol", "PoolLender"],
  ["Token.sol", "Token"],
];

const settings = {
  evmVersion: "cancun", // transient storage
  viaIR: true,
  optimizer: { enabled: true, runs: 1_000_000 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};
const files = [...new Set(CONTRACTS.map(([file]) => file))];
const sources = Object.fromEntries(files.map((file) => [file, { content: readFileSync(join(here, file), "utf8") }]));
const answer = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
const complaints = (answer.errors ?? []).map((error) => error.formattedMessage);
if (complaints.length > 0) {
  console.error(complaints.join("\n"));
  process.exit(1);
}

mkdirSync(out, { recursive: true });
for (const [file, name] of CONTRACTS) {
  const { abi, evm } = answer.contracts[file][name];
  const artifact = {
    name,
    compiler: solc.version(),
    abi,
    creation: "0x" + evm.bytecode.object,
    runtime: "0x" + evm.deployedBytecode.object,
  };
  writeFileSync(join(out, `${name}.json`), JSON.stringify(artifact, null, 1) + "\n");
}
