// Show what a word or a symbol means beside it, when it is pointed at or reached by keyboard. Escape closes.
// Without this script each of them is a link to the glossary or the notation.
(() => {
  const source = document.getElementById("definitions");
  if (!source) return;
  const definitions = JSON.parse(source.textContent);
  const box = Object.assign(document.createElement("div"), { id: "definition", hidden: true });
  box.setAttribute("role", "tooltip");
  document.body.append(box);
  let shown = null;
  let timer = 0;

  const element = (name, text, className) => Object.assign(document.createElement(name), { textContent: text, className: className ?? "" });
  const fill = (entries) => {
    window.MathJax?.typesetClear?.([box]);
    box.replaceChildren(...entries.map((parts) => {
      const line = document.createElement("p");
      line.append(...parts.map(([kind, text]) => {
        if (kind === "math") return element("span", `\\(${text}\\)`, "math notranslate nohighlight");
        return kind === "code" ? element("code", text) : text;
      }));
      return line;
    }));
    if (box.querySelector(".math")) window.MathJax?.typesetPromise?.([box]).then(place);
  };
  const place = () => {
    if (!shown) return;
    const at = shown.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    box.style.maxWidth = `${Math.min(360, wide - 16)}px`;
    box.style.left = `${Math.max(8, Math.min(at.left, wide - box.offsetWidth - 8)) + window.scrollX}px`;
    const above = at.bottom + box.offsetHeight + 8 > window.innerHeight && at.top > box.offsetHeight + 8;
    box.style.top = `${(above ? at.top - box.offsetHeight - 4 : at.bottom + 4) + window.scrollY}px`;
  };
  const show = (link) => {
    clearTimeout(timer);
    if (shown === link) return;
    hide();
    shown = link;
    fill(definitions[link.getAttribute("href")]);
    box.hidden = false;
    link.setAttribute("aria-describedby", box.id);
    place();
  };
  const hide = () => {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  };
  const soon = (action, after) => { clearTimeout(timer); timer = setTimeout(action, after); };

  document.querySelectorAll("a.defined").forEach((link) => {
    if (!definitions[link.getAttribute("href")]) return;
    link.addEventListener("mouseenter", () => soon(() => show(link), 120));
    link.addEventListener("mouseleave", () => soon(hide, 250));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
  });
  box.addEventListener("mouseenter", () => clearTimeout(timer));
  box.addEventListener("mouseleave", () => soon(hide, 250));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
