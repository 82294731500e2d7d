// Python for the boxes of a page, away from the page: loaded by the first run, then kept.
"use strict";

let python = null;

class Unreachable extends Error {
  constructor(address) {
    super(address);
    this.address = address;
  }
}

async function get(address) {
  const response = await fetch(address).catch(() => null);
  if (!response || !response.ok) throw new Unreachable(address);
  return response;
}

async function start({ runtime, wheel, runner }) {
  try {
    importScripts(`${runtime}pyodide.js`);
    python = await loadPyodide({ indexURL: runtime, env: { MPLBACKEND: "agg", HOME: "/home/pyodide" } });
  } catch (error) {
    console.warn(error);
    throw new Unreachable(runtime);
  }
  python.unpackArchive(await (await get(wheel)).arrayBuffer(), "wheel");
  python.runPython(await (await get(runner)).text());
}

async function load({ runtime, packages }) {
  const wanted = packages.filter((name) => !(name in python.loadedPackages));
  if (!wanted.length) return;
  postMessage({ stage: "packages", names: wanted.join(", ") });
  await python.loadPackage(wanted, { messageCallback: () => {}, errorCallback: console.warn });
  if (wanted.some((name) => !(name in python.loadedPackages))) throw new Unreachable(runtime);
  postMessage({ stage: "preparing" }); // matplotlib lists its fonts once
  python.globals.get("prepare")();
}

onmessage = async ({ data }) => {
  try {
    if (!python) await start(data);
    await load(data);
    postMessage({ stage: "running" });
    const begin = performance.now();
    const result = python.globals.get("run_box")(data.code);
    postMessage({ stage: "done", result, seconds: (performance.now() - begin) / 1000 });
  } catch (error) {
    if (error instanceof Unreachable) postMessage({ stage: "unreachable", address: error.address });
    else postMessage({ stage: "broken", reason: String(error).trim().split("\n").pop() });
  }
};
