// Decisions: saved one by one, never over what somebody else said, and taken back in their order.
import { Refusal, post } from "./api.js";
import { counted, number, say } from "./dom.js";
import { nameOf } from "./format.js";
import { reviewer } from "./shell.js";

export const MOST_AT_ONCE = 500;
export const BLANK = "blank";
export const PERSON = "person";
const DONE = "trapsort-done";

// Photos that get the same label, number and note go together: all of them or none.
function groups(items, labelOf, edited) {
  const found = new Map();
  for (const item of items) {
    const label = labelOf(item);
    const seen = label === BLANK ? 0 : Math.max(1, item.count ?? 1);
    const count = edited?.count ?? seen;
    const note = edited?.note ?? item.note;
    const key = JSON.stringify([label, count, note]);
    if (!found.has(key)) found.set(key, { label, count, note, items: [] });
    found.get(key).items.push(item);
  }
  return [...found.values()];
}

// Save a label for every item; returns what is in force now. `labelOf(item)` null: cannot say.
export async function decide(items, labelOf, { edited = null, isNew = false, labels = [] } = {}) {
  if (items.length > MOST_AT_ONCE) {
    throw new Refusal(0, { error: say("too_many", { n: items.length, most: MOST_AT_ONCE }) });
  }
  const reviews = [];
  const changed = [];
  try {
    for (const group of groups(items, labelOf, edited)) {
      const made = await post("/reviews", {
        photos: group.items.map((item) => item.id),
        label: group.label,
        count: group.count,
        note: group.note,
        reviewer: reviewer(),
        seen: Object.fromEntries(group.items.map((item) => [item.id, item.review_id])),
        new_label: isNew,
      });
      const known = labels.find((each) => each.label === group.label);
      const ids = new Map(made.reviews.map((each) => [each.photo, each.review_id]));
      for (const item of group.items) {
        reviews.push(ids.get(item.id));
        changed.push({
          ...item,
          label: group.label,
          count: group.label === null ? null : group.count,
          note: group.note,
          species: known?.species ?? "",
          iucn: known?.iucn ?? null,
          probability: null,
          reason: null,
          reviewed: true,
          reviewer: reviewer() || item.reviewer,
          review_id: ids.get(item.id),
        });
      }
    }
  } finally {
    if (reviews.length) remember([...done(), reviews]);
  }
  return changed;
}

export function saved(changed) {
  const labels = new Set(changed.map((item) => item.label));
  if (labels.size > 1) return say("confirmed", { n: number(changed.length) });
  return counted("saved", changed.length, { what: nameOf(changed[0].label) });
}

// Take the last decision of this window back; returns the photos as they are now, null for none.
export async function undo() {
  const before = done();
  const last = before.pop();
  if (!last) return null;
  try {
    const { sightings } = await post("/reviews/undo", { reviews: last, reviewer: reviewer() });
    remember(before);
    return sightings;
  } catch (error) {
    // What cannot be taken back now never can; no answer is another matter.
    if (error.status >= 400 && error.status < 500 && error.status !== 403) remember(before);
    throw error;
  }
}

export function conflict(error) {
  const [first] = error.sightings;
  if (!first) return error;
  const text = first.reviewed
    ? say("conflict", { who: first.reviewer || say("somebody"), what: nameOf(first.label) })
    : say("conflict_undone");
  return { message: text, hint: say("conflict_hint") };
}

function done() {
  try {
    return JSON.parse(sessionStorage.getItem(DONE)) || [];
  } catch {
    return [];
  }
}

function remember(decisions) {
  try {
    sessionStorage.setItem(DONE, JSON.stringify(decisions.slice(-200)));
  } catch {
    // Without it only a reload forgets what can be taken back.
  }
}
