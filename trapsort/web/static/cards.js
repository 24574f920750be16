// Cards with their accounts, problems with what to do, and what is being taken in right now.
import { ADVICE } from "/texts.js";
import { get } from "./api.js";
import { $, counted, el, number, say } from "./dom.js";
import { bar, whenUtc } from "./format.js";
import { complain } from "./shell.js";

const EVERY_MS = 2000;

let wasRunning = false;
let nextProblem = null;

const fact = (name, value) => (value ? [el("dt", {}, name), el("dd", {}, value)] : null);
const nameOf = (root) => root.split(/[\\/]/).filter(Boolean).pop() || root;
const numbers = (counts) => Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, typeof n === "number" ? number(n) : n]));

function card(each) {
  const reviewed = each.photos ? each.reviewed / each.photos : 0;
  return el(
    "article",
    { class: "card" },
    el("h2", {}, el("a", { href: `/?reviewed=any&card=${each.id}` }, each.station || nameOf(each.root))),
    each.photos > 0 && [
      el("p", {}, counted("photos", each.photos)),
      bar(reviewed),
      el("p", { class: "quiet-text" }, say("reviewed_of", { n: number(each.reviewed), total: number(each.photos) })),
    ],
    each.account && el("p", {}, say("account_line", numbers(each.account))),
    each.account && !each.account.finished && el("p", { class: "warn" }, say("unfinished")),
    each.open_problems > 0 && el("p", { class: "warn" }, counted("problems", each.open_problems)),
    el(
      "details",
      {},
      el("summary", { class: "quiet-text" }, say("details")),
      el("dl", { class: "facts" }, fact(say("folder"), each.root), fact(say("volume"), each.volume), fact(say("first_seen"), whenUtc(each.first_seen)), fact(say("last_seen"), whenUtc(each.last_seen))),
    ),
  );
}

const none = (key) => el("p", { class: "quiet-text" }, say(key));

async function cards(running) {
  const isRunning = new Set(running.map((each) => each.card));
  const found = await get("/cards");
  const shown = found.map((each) => card(isRunning.has(each.root) ? { ...each, account: null } : each));
  $("cards").replaceChildren(...(shown.length ? shown : [none("no_cards")]));
}

async function problems(after = null) {
  const { items, next } = await get("/problems", after ? `after=${after}` : "");
  nextProblem = next;
  $("more-problems").hidden = !next;
  const rows = items.map((each) =>
    el(
      "tr",
      {},
      el("td", {}, el("code", {}, each.path), el("p", { class: "quiet-text" }, each.card)),
      el("td", {}, el("b", {}, each.reason), el("p", { class: "quiet-text" }, each.detail)),
      el("td", {}, ADVICE[each.reason] ?? ""),
      el("td", {}, whenUtc(each.first_seen)),
    ),
  );
  const body = $("problems").querySelector("tbody");
  if (after && body) body.append(...rows);
  else if (!rows.length) $("problems").replaceChildren(none("no_problems"));
  else {
    const heads = ["file", "reason_word", "advice", "found"].map((key) => el("th", { scope: "col" }, say(key)));
    $("problems").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
  }
}

function drawRunning(running) {
  $("running").hidden = !running.length;
  $("running").replaceChildren(
    el("h2", {}, el("span", { class: "pulse", "aria-hidden": "true" }), say("running")),
    ...running.map((each) =>
      el(
        "p",
        {},
        el("b", {}, each.station || each.card),
        ` ${say("running_line", numbers(each))} `,
        el("span", { class: "quiet-text" }, say("running_since", { when: whenUtc(each.since) })),
      ),
    ),
  );
}

async function look() {
  const running = await get("/progress");
  drawRunning(running);
  if (running.length || wasRunning) await Promise.all([cards(running), problems()]);
  wasRunning = running.length > 0;
  return running;
}

async function watch() {
  let wait = EVERY_MS;
  try {
    if (!document.hidden) await look();
  } catch (error) {
    wait = 15000;
    complain(error);
  }
  setTimeout(watch, wait);
}

$("more-problems").addEventListener("click", () => problems(nextProblem).catch(complain));

look()
  .then((running) => Promise.all([cards(running), problems()]))
  .catch(complain)
  .finally(() => setTimeout(watch, EVERY_MS));
