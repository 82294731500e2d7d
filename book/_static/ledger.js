// Find claims in the ledger: filter by words, part, paper, origin and status, and put those that only just hold first;
// fold the chapters until something is asked for. Without this script the page shows every table in the order of the book.
(() => {
  const place = document.querySelector(".ledger-tools");
  const tables = [...document.querySelectorAll("table.ledger")];
  if (!place || !tables.length) return;

  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  rows.forEach((row, order) => { row.dataset.order = order; });
  const used = (row) => {
    const bar = row.querySelector(".ledger-used");
    return bar ? parseFloat(bar.style.getPropertyValue("--used")) : -1;
  };

  const all = (name, options) => [["", name], ...options];
  const parts = tables.map((table) => [
    [...table.tBodies[0].rows[0].classList].find((name) => name.startsWith("part-")).slice(5),
    table.closest("section").querySelector("h2").firstChild.textContent,
  ]);
  const choices = {
    part: all("all parts", [...new Map(parts)]),
    paper: all("all papers", [...Object.entries(JSON.parse(place.dataset.papers)), ["other", "none of the five"]]),
    origin: all("every origin", ["paper", "derived", "experiment"].map((name) => [name, name])),
    status: all("every status", [["held", "held in this build"], ["missing", "not to be had here"]]),
    order: all("in the order of the book", [["used", "closest to their bound first"]]),
  };
  const filters = ["part", "paper", "origin", "status"];
  const field = (name, control) => {
    const label = document.createElement("label");
    control.name = name;
    label.append(`${name} `, control);
    place.append(label);
    return control;
  };
  const words = field("words", Object.assign(document.createElement("input"), { type: "search" }));
  const selects = Object.fromEntries(Object.entries(choices).map(([name, options]) => {
    const select = document.createElement("select");
    options.forEach(([value, text]) => select.append(new Option(text, value)));
    return [name, field(name, select)];
  }));
  const count = Object.assign(document.createElement("output"), { className: "ledger-count" });
  count.setAttribute("aria-live", "polite");
  place.append(count);

  const folds = tables.map((table) => table.closest("details"));
  const chosen = () => [words, ...Object.values(selects)].some((control) => control.value);
  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row) => {
      const text = `${row.id} ${row.textContent}`.toLowerCase();
      const fits = wanted.every((word) => text.includes(word)) &&
        filters.every((name) => !selects[name].value || row.classList.contains(`${name}-${selects[name].value}`));
      row.hidden = !fits;
      shown += fits;
    });
    const key = selects.order.value === "used" ? (row) => -used(row) : (row) => Number(row.dataset.order);
    tables.forEach((table, k) => {
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => key(a) - key(b)));
      const fitting = [...table.tBodies[0].rows].filter((row) => !row.hidden).length;
      folds[k].hidden = folds[k].previousElementSibling.hidden = !fitting;
      folds[k].open = chosen(); // a chapter's claims are folded until something is asked for
      folds[k].firstElementChild.textContent = `${fitting} claim${fitting === 1 ? "" : "s"}`;
    });
    new Set(folds.map((fold) => fold.closest("section"))).forEach((section) => {
      section.hidden = [...section.querySelectorAll("details")].every((fold) => fold.hidden);
    });
    count.textContent = `${shown} of ${rows.length} claims`;
  };
  const reveal = () => { // a link to a claim shows it, whatever was filtered
    const row = rows.find((r) => `#${r.id}` === decodeURIComponent(location.hash));
    if (row?.hidden) {
      words.value = "";
      filters.forEach((name) => { selects[name].value = ""; });
      show();
    }
    if (row) row.closest("details").open = true;
    row?.scrollIntoView();
  };
  place.addEventListener("input", () => {
    show();
    if (place.getBoundingClientRect().bottom > 0.7 * window.innerHeight) place.scrollIntoView(); // what was found lies below
  });
  window.addEventListener("pageshow", () => { // a reader who comes back finds the words, and what they find
    show();
    if (!chosen()) reveal();
  });
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", () => folds.forEach((fold) => { fold.open = true; }));
  show();
})();
