// Labels, probabilities, times and Red List categories as people read them.
import { REASONS } from "/texts.js";
import { el, say } from "./dom.js";

const OTHERS = { blank: "blank", person: "person", vehicle: "vehicle", other_animal: "other_animal", unknown: "unknown" };

export function nameOf(label) {
  if (label === null || label === undefined) return say("unknown");
  return Object.hasOwn(OTHERS, label) ? say(OTHERS[label]) : label.replaceAll("_", " ");
}

// What a photo is said to show: where no species is named, the reason may say it all the same.
export const answerOf = (item) => item.label ?? (!item.reviewed && Object.hasOwn(OTHERS, item.reason ?? "") ? item.reason : null);

// Whether the probability is that of the answer; else it is that of a label that was not given.
export const isSureOf = (item) => item.label !== null || (answerOf(item) !== null && answerOf(item) === item.likely);

// Never "100 %" for what is not certain, nor "0 %" for what is possible.
export function percent(probability) {
  if (probability === null || probability === undefined) return "";
  if (probability > 0.995 && probability < 1) return "> 99 %";
  if (probability < 0.005 && probability > 0) return "< 1 %";
  return `${Math.round(probability * 100)} %`;
}

export const when = (time) => (time ? time.replace("T", " ").replace("Z", " UTC").slice(0, time.endsWith("Z") ? 20 : 16) : "");

export const whenUtc = (time) => (time ? `${time.replace("T", " ").slice(0, 16)} UTC` : "");

export const fileName = (path) => (path ? path.split("/").pop() : "");

export const reasonText = (code) => REASONS[code] || code || "";

// A swatch for each end of a range; the text says it without the colour.
export function badge(iucn, long = false) {
  if (!iucn) return null;
  const ends = iucn.category.split("-");
  return el(
    "span",
    { class: "badge", title: `${say("category")}: ${iucn.text}` },
    ends.map((end) => el("i", { class: `swatch c-${end}` })),
    el("b", {}, ends.join("–")),
    long && el("span", {}, iucn.text),
  );
}

// A bar from 0 to 1; its number stands beside it.
export function bar(share) {
  const inner = el("i");
  inner.style.width = `${share && Math.max(1, share * 100)}%`;
  return el("span", { class: "meter", "aria-hidden": "true" }, inner);
}
