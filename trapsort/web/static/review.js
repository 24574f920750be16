// Review: a list of sightings, one of them in focus, some perhaps selected; keys and buttons decide.
import { get } from "./api.js";
import { $, button, counted, number, say } from "./dom.js";
import { BLANK, MOST_AT_ONCE, PERSON, conflict, decide, saved, undo } from "./decide.js";
import { explainEmpty, showEmpty } from "./empty.js";
import * as filters from "./filters.js";
import { answerOf, nameOf } from "./format.js";
import { Grid } from "./grid.js";
import { Labels } from "./labels.js";
import { PhotoView, detail, forget, prefetch } from "./photo.js";
import { listen } from "./keys.js";
import { complain, reviewer, toast, trouble } from "./shell.js";
import { Sightings } from "./sightings.js";

const PHOTO = /^\/photo\/(\d+)$/;

const SETTLED_MS = 300;

const list = new Sightings(filters.query);

let at = -1;
let anchor = -1;
let selected = new Set();
let isSaving = false;
let soon = 0;

const grid = new Grid($("grid"), { onfocus: choose, onopen: () => open() });
const view = new PhotoView({ ongo: goTo, onsave: () => act(answerOf), ongive: (label) => give(label), selected: () => selected });
const labels = new Labels((label, isNew) => give(label, isNew));
const current = () => list.items[at];

// Loading ---------------------------------------------------------------------------------------

async function load() {
  selected = new Set();
  await list.load();
  grid.draw(list.items);
  $("empty").hidden = true;
  if (!list.items.length) await explainEmpty();
  at = -1;
  focus(0, { quietly: document.activeElement !== document.body && !$("main").contains(document.activeElement) });
  describe();
}

async function more() {
  try {
    if (!(await list.more())) return;
    grid.draw(list.items);
    describe();
  } catch (error) {
    if (error.name === "AbortError") return;
    list.next = null;
    complain(error);
  }
}

// Showing ---------------------------------------------------------------------------------------

function describe() {
  const { found, limit } = list;
  $("more").hidden = !list.next;
  if (found !== null) $("total").textContent = found >= limit ? say("at_least", { n: number(found) }) : counted("photos", found);
  $("selected").textContent = selected.size > 1 ? counted("selected", selected.size) : "";
  grid.select(selected);
  const item = current();
  const buttons = document.querySelectorAll(".actions button:not(#undo)");
  for (const each of buttons) each.disabled = !item;
  const title = item ? say("confirm_hint", { what: nameOf(answerOf(item)) }) : say("confirm");
  $("confirm").title = title;
}

function focus(index, { quietly = false, keep = false } = {}) {
  if (!list.items.length) {
    at = -1;
    if (view.isOpen) close();
    return;
  }
  at = Math.min(list.items.length - 1, Math.max(0, index));
  if (!keep) anchor = at;
  const item = current();
  grid.focus(item.id, { quietly: quietly || view.isOpen });
  clearTimeout(soon);
  if (!view.isOpen) soon = setTimeout(() => prefetch([item.id]), SETTLED_MS); // it may be opened next
  if (view.isOpen) show();
  if (at > list.items.length - 20) more();
}

function show() {
  const item = current();
  const all = Math.max(list.items.length, list.found ?? 0);
  const isAll = !list.next || all < list.limit;
  view.show(item, say(isAll ? "of" : "of_many", { n: number(at + 1), total: number(all) }));
  history.replaceState(null, "", `/photo/${item.id}${filters.address()}`);
  prefetch(list.items.slice(at + 1, at + 4).concat(list.items.slice(Math.max(0, at - 1), at)).map((each) => each.id));
}

function open() {
  if (!current()) return;
  document.body.classList.add("photo-open");
  document.querySelector(".with-side").inert = true;
  show();
  $("canvas").focus();
}

function close() {
  document.body.classList.remove("photo-open");
  document.querySelector(".with-side").inert = false;
  view.hide();
  history.replaceState(null, "", `/${filters.address()}`);
  if (current()) grid.focus(current().id);
}

function put(sightings) {
  sightings.forEach((item) => forget(item.id));
  if (list.put(sightings, Math.max(0, at))) {
    $("empty").hidden = true;
    grid.draw(list.items);
  } else {
    sightings.forEach((item) => grid.update(item));
  }
}

// A frame of the burst, or a near-duplicate, may lie outside of what the filters find.
async function goTo(id) {
  try {
    if (list.indexOf(id) < 0) {
      const known = await detail(id);
      list.insert(at + 1, [known]);
      grid.draw(list.items);
    }
    focus(list.indexOf(id), { keep: selected.size > 0 });
  } catch (error) {
    complain(error);
  }
}

// Choosing --------------------------------------------------------------------------------------

function choose(id, { range, toggle }) {
  const index = list.indexOf(id);
  clearTrouble();
  if (range) {
    focus(index, { keep: true });
    selectRange();
  } else if (toggle) {
    if (!selected.size && current()) selected.add(current().id);
    if (selected.has(id)) selected.delete(id);
    else selected.add(id);
    focus(index);
  } else {
    selected = new Set();
    focus(index);
  }
  describe();
}

function selectRange() {
  const [from, to] = [Math.min(anchor, at), Math.max(anchor, at)];
  selected = new Set(list.items.slice(from, to + 1).map((item) => item.id));
}

function move(step, range) {
  if (!current()) return;
  clearTrouble();
  const wanted = at + step;
  if (wanted < 0 || wanted >= list.items.length) {
    if (view.isOpen) view.note(say(wanted < 0 ? "first_photo" : "last_photo"));
    if (Math.abs(step) > 1 && wanted >= list.items.length) focus(list.items.length - 1, { keep: range });
  } else {
    focus(wanted, { keep: range });
  }
  if (range) selectRange();
  else selected = new Set();
  describe();
  if (view.isOpen) show();
}

async function selectBurst() {
  const item = current();
  if (!item) return;
  if (item.sequence_id === null) {
    selected = new Set([item.id]);
  } else {
    const asked = new URLSearchParams({ sequence: item.sequence_id, limit: MOST_AT_ONCE });
    const { items: frames } = await get("/sightings", asked);
    list.insert(at + 1, frames);
    grid.draw(list.items);
    selected = new Set(frames.map((frame) => frame.id));
  }
  describe();
  if (view.isOpen) show();
}

// Deciding --------------------------------------------------------------------------------------

const targets = () =>
  selected.has(current()?.id) ? list.items.filter((item) => selected.has(item.id)) : [current()].filter(Boolean);

function clearTrouble() {
  trouble($("grid-trouble"), null);
  trouble($("trouble"), null);
}

function complainHere(error) {
  const box = view.isOpen ? $("trouble") : $("grid-trouble");
  trouble(box, error);
  if (!view.isOpen && current()) grid.trouble(current().id, box);
}

// One decision at a time: while it is being saved no key decides on a photo that is not yet shown.
async function alone(work) {
  if (isSaving) return;
  isSaving = true;
  document.body.classList.add("saving");
  clearTrouble();
  try {
    await work();
  } catch (error) {
    if (error.sightings?.length) {
      put(error.sightings);
      complainHere(conflict(error));
    } else {
      complainHere(error);
    }
    if (view.isOpen && current()) show();
  } finally {
    isSaving = false;
    document.body.classList.remove("saving");
    describe();
  }
}

const act = (labelOf, { isNew = false, chosen = targets() } = {}) =>
  alone(async () => {
    if (!chosen.length) return;
    const last = Math.max(...chosen.map((item) => list.indexOf(item.id)));
    const changed = await decide(chosen, labelOf, { edited: view.edited, isNew, labels: labels.all });
    view.settle();
    put(changed);
    selected = new Set();
    toast(saved(changed));
    const isLast = last + 1 >= list.items.length && !list.next;
    if (isLast) {
      focus(last);
      toast(`${saved(changed)} ${say("last_photo")}`);
    } else {
      if (last + 1 >= list.items.length) await more();
      focus(last + 1);
    }
    learn(isNew).catch(complain);
  });

// What is right already is only passed by; a second person may say so, too.
function confirm() {
  const chosen = targets().filter((item) => !item.reviewed || item.reviewer !== reviewer() || view.edited);
  if (chosen.length) act(answerOf, { chosen });
  else move(1, false);
}

function give(label, isNew = false) {
  act(() => label, { isNew });
}

const takeBack = () =>
  alone(async () => {
    const before = await undo();
    if (!before) {
      complainHere({ message: say("nothing_to_undo") });
      return;
    }
    put(before);
    selected = new Set();
    focus(list.indexOf(before[0].id));
    toast(counted("undone", before.length));
    filters.countAgain();
  });

async function learn(isNew) {
  if (isNew) await labels.learn();
  filters.countAgain();
}

// Keys and buttons ------------------------------------------------------------------------------

const search = (typed) => current() && labels.search(typed);
const toggle = () => (view.isOpen ? close() : open());
const across = () => (view.isOpen ? 1 : grid.columns);

function countAndNote() {
  if (!view.isOpen) open();
  $("panel").querySelector("form")?.elements.count.select();
}

const COMMANDS = {
  Enter: confirm,
  " ": toggle,
  Escape: () => {
    if (selected.size) {
      selected = new Set();
      describe();
      if (view.isOpen) show();
    } else if (view.isOpen) close();
  },
  b: () => give(BLANK),
  u: () => give(null),
  p: () => give(PERSON),
  z: takeBack,
  s: () => selectBurst().catch(complainHere),
  h: () => {
    if (!view.isOpen) open();
    if (view.isOpen) view.heat();
  },
  "+": () => (view.isOpen ? view.zoom(1) : grid.resize(1)),
  "=": () => (view.isOpen ? view.zoom(1) : grid.resize(1)),
  "-": () => (view.isOpen ? view.zoom(-1) : grid.resize(-1)),
  "[": () => view.isOpen && view.brighten(-1),
  "]": () => view.isOpen && view.brighten(1),
  0: () => view.isOpen && view.reset(),
  ",": countAndNote,
  "/": () => search(""),
};
listen({
  commands: COMMANDS,
  arrows: { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -across(), ArrowDown: across },
  move,
  number: (key) => labels.number(key),
  letter: search,
  isBusy: () => isSaving,
});
$("panel").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.stopPropagation();
  $("canvas").focus();
});

// After a press with the mouse the keys are the photo's again.
function press(id, does) {
  $(id).addEventListener("click", (event) => {
    does();
    if (event.detail && current()) (view.isOpen ? $("canvas") : $("grid").querySelector("[tabindex='0']"))?.focus();
  });
}
press("confirm", confirm);
press("blank", () => give(BLANK));
press("unknown", () => give(null));
press("person", () => give(PERSON));
press("undo", takeBack);
$("find").addEventListener("click", () => search(""));
$("back").addEventListener("click", close);
$("previous").addEventListener("click", () => move(-1, false));
$("next").addEventListener("click", () => move(1, false));
document.addEventListener("scroll", () => !$("more").hidden && $("more").getBoundingClientRect().top < innerHeight + 1500 && more(), { capture: true, passive: true });

async function begin() {
  const named = PHOTO.exec(location.pathname);
  const first = load();
  const known = await filters.start(() => {
    if (view.isOpen) close();
    load().catch(complain);
  });
  labels.set(known);
  await first;
  if (named) {
    await goTo(Number(named[1]));
    if (current()?.id === Number(named[1])) open();
  }
  describe();
}

begin().catch((error) => {
  if (error.name === "AbortError") return; // a filter was changed meanwhile
  $("total").textContent = "";
  showEmpty(error.message, error.hint || "", button(say("retry"), () => location.reload()));
});
