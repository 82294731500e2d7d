// Boxes of code that the reader can change and run. Nothing is loaded before the first click on Run: then a worker
// loads Python for all boxes of the page, and runs them away from it.
"use strict";

const WORKER = new URL("try_it_worker.js", document.currentScript.src);
const RUNNER = new URL("try_it.py", document.currentScript.src);

let worker = null; // of all boxes; null before the first click, and after Stop or a failure
let active = null; // the box that runs now

function host(address) {
  return new URL(address, document.baseURI).host;
}

class Box {
  constructor(section) {
    const find = (name) => section.querySelector(name);
    this.section = section;
    this.code = find("textarea");
    this.state = find(".try-it-state");
    this.text = find(".try-it-text");
    this.figures = find(".try-it-figures");
    this.buttons = { run: find(".try-it-run"), stop: find(".try-it-stop"), reset: find(".try-it-reset") };
    this.buttons.run.addEventListener("click", () => this.run());
    this.buttons.stop.addEventListener("click", () => this.end("Stopped. Run starts Python again."));
    this.buttons.reset.addEventListener("click", () => this.reset());
    this.code.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) {
        event.preventDefault();
        this.run();
      }
    });
    find(".try-it-buttons").hidden = false;
    this.say("Run loads Python into this page (about 45 MB, kept by your browser). Keys: Ctrl and Enter.");
  }

  say(text, kind = "") {
    this.state.textContent = text;
    this.section.dataset.state = kind;
  }

  // what goes on, with the seconds it has taken; the seconds are not announced to a screen reader
  count(text) {
    clearInterval(this.clock);
    const start = performance.now();
    const seconds = document.createElement("span");
    seconds.setAttribute("aria-hidden", "true");
    this.say(text, "busy");
    this.state.append(seconds);
    this.clock = setInterval(() => {
      seconds.textContent = ` ${Math.round((performance.now() - start) / 1000)} s`;
    }, 500);
  }

  run() {
    if (active) {
      if (active !== this) this.say("Another box of this page runs: wait, or stop it there.");
      return;
    }
    if (location.protocol === "file:") {
      this.say("A page opened from a file may load nothing. Serve the book: python -m http.server -d _build/html", "failed");
      return;
    }
    active = this;
    this.clear();
    this.buttons.run.disabled = true;
    this.buttons.stop.disabled = false;
    const absolute = (address) => new URL(address, document.baseURI).href;
    const { runtime, packages } = this.section.dataset;
    const wheel = document.querySelector('meta[name="gdln-wheel"]').content;
    if (!worker) {
      worker = new Worker(WORKER);
      worker.onmessage = ({ data }) => active && active.hear(data);
      worker.onerror = () => active && active.fail("Python could not be started in this browser.");
      this.count("Loading Python …");
    } else {
      this.count("Running …");
    }
    worker.postMessage({
      code: this.code.value,
      runtime: absolute(runtime),
      wheel: absolute(wheel),
      runner: RUNNER.href,
      packages: packages.split(" "),
    });
  }

  hear({ stage, names, address, reason, result, seconds }) {
    if (stage === "packages") this.count(`Loading ${names} …`);
    if (stage === "preparing") this.count("Preparing the first figure …");
    if (stage === "running") this.count("Running …");
    if (stage === "unreachable") this.fail(`Nothing came from ${host(address)}: is there a network? Run tries again.`);
    if (stage === "broken") this.fail(`Python could not be prepared: ${reason}`);
    if (stage === "done") this.show(JSON.parse(result), seconds);
  }

  show({ text, error, figures }, seconds) {
    this.idle();
    this.text.hidden = !(text || error);
    this.text.textContent = text + error;
    figures.forEach((data, k) => {
      const image = document.createElement("img");
      image.src = `data:image/png;base64,${data}`;
      const changed = this.code.value !== this.code.defaultValue;
      image.alt = changed ? "Figure that the changed code draws" : this.figures.dataset.alt;
      if (figures.length > 1) image.alt += ` (${k + 1} of ${figures.length})`;
      this.figures.append(image);
    });
    if (error) this.say("The code ended with an error, shown below.", "failed");
    else this.say(`Done in ${seconds.toFixed(1)} s.`, "done");
  }

  idle() {
    clearInterval(this.clock);
    active = null;
    this.buttons.run.disabled = false;
    this.buttons.stop.disabled = true;
  }

  end(words, kind = "") {
    worker.terminate();
    worker = null;
    this.idle();
    this.say(words, kind);
    this.buttons.run.focus(); // the button that was pressed cannot be focused any more
  }

  fail(words) {
    this.end(words, "failed");
  }

  clear() {
    this.text.hidden = true;
    this.text.textContent = "";
    this.figures.replaceChildren();
  }

  reset() {
    if (active === this) this.end("");
    this.code.value = this.code.defaultValue;
    this.clear();
    this.say("The code is as it was.");
  }
}

document.querySelectorAll(".try-it").forEach((section) => new Box(section));
