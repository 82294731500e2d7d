// Find claims in the ledger: filter by words, paper, origin and status, and put those that only just hold first.
// Without this script the page shows every table in the order of the book.
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

  const choices = {
    paper: [["", "all papers"], ["saxe", "Saxe et al. 2022"], ["li", "Li and Sompolinsky 2022"], ["littwin", "Littwin et al. 2021"],
      ["chen", "Chen et al. 2022"], ["boopathy", "Boopathy and Fiete 2022"], ["other", "none of the five"]],
    origin: [["", "every origin"], ["paper", "paper"], ["derived", "derived"], ["experiment", "experiment"]],
    status: [["", "every status"], ["held", "held in this build"], ["missing", "not to be had here"]],
    order: [["", "in the order of the book"], ["used", "closest to their bound first"]],
  };
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

  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row) => {
      const text = `${row.id} ${row.textContent}`.toLowerCase();
      const fits = wanted.every((word) => text.includes(word)) &&
        ["paper", "origin", "status"].every((name) => !selects[name].value || row.classList.contains(`${name}-${selects[name].value}`));
      row.hidden = !fits;
      shown += fits;
    });
    const key = selects.order.value === "used" ? (row) => -used(row) : (row) => Number(row.dataset.order);
    tables.forEach((table) => {
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => key(a) - key(b)));
      const empty = [...table.tBodies[0].rows].every((row) => row.hidden);
      const box = table.closest(".ledger-scroll");
      box.hidden = empty;
      if (box.previousElementSibling?.classList.contains("ledger-chapter")) box.previousElementSibling.hidden = empty;
    });
    count.textContent = `${shown} of ${rows.length} claims`;
  };
  const reveal = () => { // a link to a claim shows it, whatever was filtered
    const row = rows.find((r) => `#${r.id}` === decodeURIComponent(location.hash));
    if (row?.hidden) {
      words.value = "";
      ["paper", "origin", "status"].forEach((name) => { selects[name].value = ""; });
      show();
    }
    row?.scrollIntoView();
  };
  place.addEventListener("input", show);
  window.addEventListener("hashchange", reveal);
  show();
  reveal();
})();
