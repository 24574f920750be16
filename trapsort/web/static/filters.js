// The form of filters, the address of the page and the query of the API say the same.
import { get } from "./api.js";
import { $, button, el, number, say } from "./dom.js";
import { badge, nameOf } from "./format.js";
import { complain } from "./shell.js";

const form = $("filters");
const PLAIN = ["station", "card", "since", "until", "iucn", "reason", "sequence"];
const PERCENT = ["min_probability", "max_probability"];
const radios = (name) => [...form.querySelectorAll(`input[name=${name}]`)];
const usual = (name) => radios(name).find((each) => each.defaultChecked)?.value;

let current = new URLSearchParams(location.search);
let badges = new Map();

// What the API is to be asked: the address of the page with the defaults that it leaves out.
export function query() {
  const asked = new URLSearchParams();
  for (const [name, value] of current) {
    if (name === "species" || PLAIN.includes(name) || PERCENT.includes(name)) asked.append(name, value);
  }
  const reviewed = current.get("reviewed") || usual("reviewed");
  if (reviewed !== "any") asked.set("reviewed", reviewed);
  const order = current.get("order") || usual("order");
  if (order && order !== "newest") asked.set("order", order);
  return asked;
}

export const address = () => (String(current) ? `?${current}` : "");

function read() {
  const found = new URLSearchParams();
  for (const box of form.querySelectorAll("input[name=species]:checked")) found.append("species", box.value);
  for (const name of ["reviewed", "order"]) {
    const chosen = radios(name).find((each) => each.checked)?.value;
    if (chosen && chosen !== usual(name)) found.set(name, chosen);
  }
  for (const name of PLAIN) {
    const field = form.elements[name];
    if (name === "sequence" ? field.checked : field.value) found.set(name, field.value);
  }
  for (const name of PERCENT) {
    const value = Number.parseFloat(form.elements[name].value);
    if (value >= 0 && value <= 100) found.set(name, String(value / 100));
  }
  return found;
}

// A menu holds its choice also where the record does not know it, or not yet.
function hold(field, value) {
  field.value = value;
  if (field.value !== value) field.append(el("option", { value, selected: true }, value));
}

function write() {
  for (const name of ["reviewed", "order"]) {
    const wanted = current.get(name) || usual(name);
    for (const each of radios(name)) each.checked = each.value === wanted;
  }
  for (const name of PLAIN.slice(0, -1)) {
    hold(form.elements[name], current.get(name) || "");
  }
  const burst = form.elements.sequence;
  burst.value = current.get("sequence") || "";
  burst.checked = current.has("sequence");
  burst.closest("label").hidden = !burst.checked;
  for (const name of PERCENT) {
    form.elements[name].value = current.has(name) ? Math.round(current.get(name) * 100) : "";
  }
  form.querySelector("button[type=reset]").hidden = !String(current);
  const more = form.querySelector("details.more");
  if ([...PLAIN, ...PERCENT].some((name) => current.has(name))) more.open = true;
}

// Counts of species under the other filters, so that a choice shows what it would find.
async function species() {
  const asked = query();
  asked.delete("species");
  asked.delete("order");
  asked.set("by", "species");
  const { counts } = await get("/counts", asked);
  const chosen = current.getAll("species");
  for (const label of chosen) {
    if (!counts.some((each) => each.value === label)) counts.push({ value: label, photos: 0 });
  }
  const rows = counts.map(({ value, photos }) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "checkbox", name: "species", value, checked: chosen.includes(value) }),
      el("span", { class: "name" }, nameOf(value)),
      badge(badges.get(value)),
      el("span", { class: "count" }, number(photos)),
    ),
  );
  const focused = document.activeElement?.name === "species" ? document.activeElement.value : null;
  $("species-list").replaceChildren(...(rows.length ? rows : [el("p", { class: "quiet-text" }, say("nothing_counted"))]));
  if (focused !== null) form.querySelector(`input[name=species][value="${CSS.escape(focused)}"]`)?.focus();
}

// Counting reads all of the record: not before the first photos show, nor after every decision.
let soon = 0;

export function countAgain(milliseconds = 1500) {
  clearTimeout(soon);
  soon = setTimeout(() => species().catch(complain), milliseconds);
}

async function menus() {
  const [stations, cards] = await Promise.all([get("/stations"), get("/cards")]);
  const fields = form.elements;
  fill(fields.station, stations.map((each) => [each.name, each.name]));
  fill(fields.card, cards.map((each) => [String(each.id), each.root]));
}

function fill(field, options) {
  const value = field.value;
  while (field.options.length > 1) field.lastElementChild.remove();
  field.append(...options.map(([key, text]) => el("option", { value: key }, text)));
  hold(field, value);
}

// Ask for the labels once, then call `changed` whenever a filter changes.
export async function start(changed) {
  const use = () => {
    history.replaceState(null, "", location.pathname + address());
    write();
    countAgain(200);
    changed();
  };
  const apply = () => {
    current = read();
    use();
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    set({});
  });
  set = (values) => {
    current = new URLSearchParams(values);
    use();
  };
  write();
  const side = document.querySelector("details.side");
  if (matchMedia("(max-width: 760px)").matches) side.open = false;
  const labels = await get("/labels");
  badges = new Map(labels.map((each) => [each.label ?? "unknown", each.iucn]));
  countAgain(200);
  const more = form.querySelector("details.more");
  const fetchMenus = () => menus().catch(complain);
  if (more.open) fetchMenus();
  else more.addEventListener("toggle", fetchMenus, { once: true });
  return labels;
}

// Replace all filters; `start` makes it work.
export let set = () => {};

export const clearButton = () => button(say("reset"), () => set({}));
