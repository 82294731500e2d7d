/* What scrolls sideways can be reached, and scrolled, by keyboard; it is left out of the path where it fits. */
(() => {
  const wide = "div.math, .bd-article pre, .bd-article table, div.cell_output, .pst-scrollable-table-container, .ledger-scroll, .chapter-map, dl.py p";
  const reach = () => {
    for (const box of document.querySelectorAll(wide)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
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
    window.addEventListener("resize", soon);
    document.addEventListener("click", soon); // a fold that opens
  });
})();
