// Find a label by typing a part of its name, or of the species'.
import { $, el, say } from "./dom.js";
import { badge, nameOf } from "./format.js";

const dialog = $("finder");
const input = $("finder-input");
const list = $("finder-list");

let labels = [];
let found = [];
let active = 0;
let chosen = null;

const plain = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");

// Names that start with what was typed come first, then words that do, then the rest.
function rank(label, typed) {
  const texts = [plain(nameOf(label.label)), plain(label.species)];
  if (texts.some((text) => text.startsWith(typed))) return 0;
  if (texts.some((text) => text.split(/[\s;_-]+/).some((word) => word.startsWith(typed)))) return 1;
  return texts.some((text) => text.includes(typed)) ? 2 : 3;
}

function search() {
  const typed = plain(input.value.trim());
  found = labels
    .map((label) => ({ label, rank: typed ? rank(label, typed) : 0 }))
    .filter((each) => each.rank < 3)
    .sort((a, b) => a.rank - b.rank)
    .map(({ label }) => ({ label: label.label, name: nameOf(label.label), known: label }));
  const name = input.value.trim();
  const isKnown = labels.some((each) => plain(nameOf(each.label)) === typed || each.label === name);
  if (name.length > 1 && name.length <= 100 && !isKnown) found.push({ label: name, name, known: null });
  active = 0;
  draw();
}

function draw() {
  list.replaceChildren(
    ...found.map(({ name, known }, index) =>
      el(
        "li",
        { role: "option", id: `find-${index}`, "aria-selected": String(index === active), onclick: () => choose(index) },
        known?.key ? el("kbd", {}, known.key.toUpperCase()) : el("span", { class: "no-key" }),
        known ? el("b", {}, name) : el("span", {}, say("finder_new", { name })),
        known?.species && el("i", {}, known.species),
        known && badge(known.iucn),
      ),
    ),
  );
  input.setAttribute("aria-activedescendant", found.length ? `find-${active}` : "");
  list.children[active]?.scrollIntoView({ block: "nearest" });
  const isLong = input.value.trim().length > 100;
  const hasKnown = found.some((each) => each.known);
  $("finder-none").textContent = isLong ? say("finder_short") : hasKnown ? "" : say("finder_none");
}

function choose(index) {
  const taken = found[index];
  if (!taken) return;
  const use = chosen;
  dialog.close();
  use(taken.label, taken.known === null);
}

input.addEventListener("input", search);
input.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && found.length) {
    active = (active + step + found.length) % found.length;
    draw();
  } else if (event.key === "Enter") {
    choose(active);
  } else {
    return;
  }
  event.preventDefault();
});

// Ask for a label; `use(label, isNew)` is called with what was chosen.
export function find(known, typed, use) {
  labels = known;
  chosen = use;
  input.value = typed;
  dialog.showModal();
  input.focus();
  search();
}
