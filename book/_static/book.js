/* What scrolls sideways can be reached, and scrolled, by keyboard; it is left out of the path where it fits. */
(() => {
  const wide = "div.math, .bd-article pre, .bd-article table, div.cell_output, .pst-scrollable-table-container, .ledger-scroll, .chapter-map, dl.py p";
  const reach = () => {
    for (const box of document.querySelectorAll(wide)) {
      const scrolls = box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls && !box.hasAttribute("tabindex")) {
        box.tabIndex = 0;
        box.dataset.reached = "";
      } else if (!scrolls && "reached" in box.dataset) {
        box.removeAttribute("tabindex");
        delete box.dataset.reached;
      }
    }
  };
  let waiting = 0;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(reach, 100);
  };
  window.addEventListener("load", async () => {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    reach();
    document.fonts.addEventListener("loadingdone", soon); // a letter that comes late makes a line wider
    const sizes = new ResizeObserver(soon); // the window turned, a fold opened, a formula set
    for (const box of document.querySelectorAll(wide)) {
      sizes.observe(box);
      for (const part of box.children) sizes.observe(part);
    }
  });
})();

// The empty corner of a table heads nothing.
window.addEventListener("DOMContentLoaded", () => {
  for (const corner of document.querySelectorAll(".bd-article th")) {
    if (!corner.textContent.trim()) corner.setAttribute("role", "cell");
  }
});

// What a fold of a solution is called: all of them have the same words on the page.
window.addEventListener("load", () => {
  let asked = "";
  for (const box of document.querySelectorAll("div.exercise.admonition, div.solution.admonition")) {
    if (box.matches(".exercise")) asked = box.querySelector(".caption-number")?.textContent.trim() ?? "";
    else box.querySelector("button.toggle-button")?.setAttribute("aria-label", `Solution of ${asked}`);
  }
});

// A link or the head of a column that is nothing but a formula is called by its letters: browsers leave mathematics out.
window.addEventListener("load", async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  for (const link of document.querySelectorAll(".bd-article a:not([aria-label]), .bd-article th")) {
    const letters = [...link.querySelectorAll("mjx-assistive-mml")].map((formula) => formula.textContent).join(" ").trim();
    if (!letters || letters !== link.textContent.trim()) continue;
    if (link.matches("a")) link.setAttribute("aria-label", letters);
    else { // a head has no name but its text
      for (const formula of link.querySelectorAll("mjx-container")) formula.setAttribute("aria-hidden", "true");
      link.append(Object.assign(document.createElement("span"), { className: "heard", textContent: letters }));
    }
  }
});

// A picture that is shown smaller than it was drawn grows at a tap, and shrinks at the next.
(() => {
  const shrunk = (picture) => picture.clientWidth > 0 && picture.clientWidth < Number(picture.getAttribute("width"));
  const look = () => document.querySelectorAll(".bd-article img.picture:not(.enlarged)").forEach((picture) => picture.classList.toggle("shrunk", shrunk(picture)));
  window.addEventListener("load", look);
  window.addEventListener("resize", look);
  document.addEventListener("click", (event) => {
    const picture = event.target.closest(".bd-article img.picture");
    if (picture && (picture.matches(".enlarged") || shrunk(picture))) picture.classList.toggle("enlarged");
  });
})();
