// --- theme ---

const root = document.documentElement;
const themeButton = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
}

function showTheme() {
  themeButton.textContent = isDark() ? "Light" : "Dark";
  themeButton.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} theme`);
}

themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("thumbcycle-theme", root.dataset.theme); } catch { /* it holds for this page, then */ }
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();

// --- where in the page one is ---

const links = new Map([...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]));
const scrolled = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const id of links.keys()) scrolled.observe(document.getElementById(id));

// --- sorting: rows by a column; what is unfolded under a row stays with it ---

function keyOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.v ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", "").replace("\u2212", "-").replace(/%$/, ""));
  return text !== "" && Number.isFinite(number) ? number : text;
}

function compare(a, b) {
  const numbers = typeof a === "number", others = typeof b === "number";
  if (numbers && others) return a - b;
  if (numbers !== others) return numbers ? 1 : -1;
  return a.localeCompare(b, "en", { numeric: true });
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const items = [];
  for (const row of body.rows) {
    if (row.classList.contains("more")) items.at(-1).rows.push(row);
    else items.push({ key: keyOf(row, column), rows: [row] });
  }
  items.sort((a, b) => (descending ? compare(b.key, a.key) : compare(a.key, b.key)));
  body.append(...items.flatMap((item) => item.rows));
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", head.dataset.sorted ?? "none");
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const descending = was === "none" ? head.classList.contains("n") : was === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, column, descending);
    });
  });
}

// --- rows that unfold: without a script they lie open ---

for (const more of document.querySelectorAll("tr.more")) {
  const head = more.previousElementSibling.cells[0];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "unfold";
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", more.id);
  const text = document.createElement("span");
  text.append(...head.childNodes);
  button.append(text);
  head.append(button);
  more.hidden = true;
  button.addEventListener("click", () => {
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
  });
}

// --- a link into a fold opens it ---

function reveal() {
  let target = null;
  try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { /* no name of ours */ }
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target?.closest("details")) target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();

// --- printing opens what is short ---

const opened = [];
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details.plain:not(.long):not([open])")) { fold.open = true; opened.push(fold); }
});
addEventListener("afterprint", () => { for (const fold of opened.splice(0)) fold.open = false; });

// --- the listing: search, source ---

const search = document.getElementById("search");

if (search) {
  const functions = [...document.querySelectorAll("details.fn")];
  const found = document.getElementById("found");
  const openAtFirst = new Map(functions.map((fold) => [fold, fold.open]));
  let searching = false;

  const textOf = (row) => [...row.querySelectorAll(".a, .i, .y, .t, .s")].map((cell) => cell.textContent).join(" ").toLowerCase();

  const unmark = (fold) => {
    for (const mark of fold.querySelectorAll("mark")) mark.replaceWith(mark.textContent);
    fold.normalize();
  };
  const mark = (cell, wanted) => {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = node.data.toLowerCase().indexOf(wanted);
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      range.surroundContents(document.createElement("mark"));
      return;
    }
  };

  const run = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0, instructions = 0;
    if (wanted && !searching) functions.forEach((fold) => openAtFirst.set(fold, fold.open));
    for (const fold of functions) {
      unmark(fold);
      const named = fold.dataset.name.toLowerCase().includes(wanted);
      let hits = 0;
      for (const row of fold.querySelectorAll("tbody tr")) {
        const hit = wanted && row.id && textOf(row).includes(wanted);
        if (hit) {
          hits += 1;
          mark(row.querySelector(".i"), wanted);
        }
        row.hidden = Boolean(wanted) && !hit && !named;
      }
      fold.hidden = Boolean(wanted) && !named && !hits;
      fold.open = (wanted && hits > 0 && !named) || openAtFirst.get(fold);
      shown += Number(!fold.hidden);
      instructions += hits;
    }
    searching = Boolean(wanted);
    const of = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
    found.textContent = wanted ? `${of(shown, "function")}, ${of(instructions, "instruction")}` : "";
  };

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(run, 120); });
  search.addEventListener("keydown", (event) => { if (event.key === "Escape") { search.value = ""; run(); } });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea")) return;
    event.preventDefault();
    search.focus();
  });

  for (const button of document.querySelectorAll("button[data-source]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const shows = document.getElementById("listing").classList.toggle("sourced");
      document.querySelectorAll("button[data-source]").forEach((other) => other.setAttribute("aria-pressed", String(shows)));
    });
  }
  document.querySelector(".tools").hidden = false;
}
