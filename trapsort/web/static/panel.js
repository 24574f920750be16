// What is known of one photo, beside its picture.
import { picture } from "./api.js";
import { $, button, el, icon, number, say } from "./dom.js";
import { answerOf, badge, bar, isSureOf, nameOf, percent, reasonText, when, whenUtc } from "./format.js";

const section = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);
const facts = (pairs) =>
  el(
    "dl",
    {},
    pairs.filter(([, value]) => value || value === 0).map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
  );

// With `give` a press on a name gives that label.
export const shares = (rows, give = null) =>
  el(
    "table",
    { class: "shares" },
    el(
      "tbody",
      {},
      rows.map(({ label, probability, who }) =>
        el(
          "tr",
          {},
          who && el("th", { scope: "row" }, who),
          el("td", { class: "name" }, give ? button(nameOf(label), () => give(label), { class: "link", title: say("top_hint", { what: nameOf(label) }) }) : nameOf(label)),
          !who && el("td", {}, bar(probability ?? 0)),
          el("td", { class: "sure" }, percent(probability)),
        ),
      ),
    ),
  );

// The answer, large: who says it, what, how sure, how threatened.
export function headline(item) {
  const { label, species, iucn, probability, reviewed, reviewer, reason, reason_text: text } = item;
  return el(
    "div",
    { class: "headline" },
    el(
      "p",
      { class: "quiet-text" },
      reviewed ? [icon("check"), say("people_say", { who: reviewer || say("somebody") })] : say("said"),
    ),
    el("h2", { class: label === null ? "nameless" : null }, nameOf(answerOf(item))),
    species && el("p", { class: "latin" }, species),
    badge(iucn, true),
    label === null && reason && el("p", {}, text || reasonText(reason)),
    !reviewed &&
      probability !== null &&
      isSureOf(item) &&
      el("div", { class: "certainty" }, bar(probability), el("b", {}, percent(probability)), el("span", { class: "quiet-text" }, say("probability"))),
    iucn?.citation && el("details", {}, el("summary", {}, say("citation")), el("p", { class: "quiet-text" }, iucn.citation)),
  );
}

export function lookAlike(found) {
  if (!found) return null;
  return section(
    say("look_alike"),
    el("p", { class: "line" }, el("b", {}, nameOf(found.label)), badge(found.iucn), el("span", { class: "sure" }, percent(found.probability))),
  );
}

function counting(item, view) {
  const changed = (event) => event.currentTarget.classList.add("changed");
  return el(
    "form",
    {
      class: "counting",
      oninput: changed,
      onsubmit: (event) => {
        event.preventDefault();
        view.onsave();
      },
    },
    el("label", {}, say("how_many"), el("input", { name: "count", type: "number", min: 0, max: 100000, value: item.count ?? 1 })),
    el("label", { class: "stretch" }, say("note"), el("input", { name: "note", maxlength: 2000, value: item.note ?? "", autocomplete: "off" })),
    el("button", {}, say("save_note")),
  );
}

function model(known, view) {
  const said = known.said;
  if (!said) return el("p", { class: "quiet-text" }, say("not_classified"));
  const others = known.top.filter((each) => each.label !== answerOf(said)).slice(0, 4);
  const first = known.reviewed
    ? section(
        say("said"),
        el("p", { class: "line" }, el("b", {}, answerOf(said) === null ? say("said_unknown") : nameOf(answerOf(said))), el("span", { class: "sure" }, percent(said.probability))),
        said.label === null && el("p", { class: "quiet-text" }, said.reason_text),
      )
    : null;
  return [
    first,
    lookAlike(known.look_alike),
    others.length && section(say("top"), shares(others, view.ongive)),
    known.members.length && section(say("members"), shares(known.members.map((each) => ({ ...each, who: each.member })))),
  ];
}

const history = (reviews) =>
  section(
    say("history"),
    reviews.length
      ? el(
          "ol",
          { class: "history" },
          reviews.map((each) =>
            el(
              "li",
              { class: each.retracted ? "retracted" : null },
              el("b", {}, each.retracts === null ? nameOf(each.label) : say("took_back")),
              each.count > 1 && ` × ${each.count}`,
              each.retracted && ` (${say("taken_back")})`,
              el("span", { class: "quiet-text" }, ` ${each.reviewer || say("somebody")}, ${whenUtc(each.time)}`),
              each.note && el("p", {}, each.note),
            ),
          ),
        )
      : el("p", { class: "quiet-text" }, say("no_history")),
  );

function around(known, view) {
  if (!known.near_duplicates.length) return null;
  return section(
    say("near"),
    el(
      "div",
      { class: "near" },
      known.near_duplicates.slice(0, 12).map((id) =>
        el(
          "button",
          { type: "button", "aria-label": `${say("photo")} ${id}`, onclick: () => view.ongo(id) },
          el("img", { alt: "", src: picture(id, 256), loading: "lazy" }),
        ),
      ),
    ),
  );
}

function times(item) {
  const isPutRight = item.camera_time && item.time && item.camera_time !== item.time;
  const camera = when(item.camera_time);
  return isPutRight ? `${camera}, ${say("put_right", { when: when(item.time) })}` : camera || when(item.time);
}

// What the camera wrote, and what its file is.
function written({ exif, flags }) {
  const joined = (...parts) => parts.filter((each) => each !== null && each !== undefined).join(" ");
  const hasPlace = exif.latitude !== null && exif.longitude !== null;
  return [
    [say("camera"), joined(exif.make, exif.model)],
    [say("serial"), exif.serial],
    [say("camera_time"), joined(when(exif.camera_time), exif.utc_offset)],
    [say("temperature"), exif.temperature_c === null ? null : say("celsius", { n: exif.temperature_c })],
    [say("moon"), exif.moon],
    [say("trigger"), exif.trigger],
    [say("frame"), exif.sequence_index === null ? null : say("of", { n: exif.sequence_index, total: exif.sequence_length ?? "?" })],
    [say("event"), exif.event_number],
    [say("position"), hasPlace ? `${exif.latitude}, ${exif.longitude}` : null],
    [say("file"), joined(exif.format, say("kilobytes", { n: number(Math.ceil(exif.size / 1000)) }))],
    [say("flags"), flags.join(", ")],
  ];
}

const place = ({ card, path, gone }) =>
  el("li", {}, el("code", {}, path), el("span", { class: "quiet-text" }, ` ${card}${gone ? `, ${say("gone", { when: whenUtc(gone) })}` : ""}`));

// Draw at once what the grid knows, and the rest when it has come.
export function drawPanel(item, known, view) {
  const panel = $("panel");
  const typed = view.edited;
  const isSame = panel.dataset.photo === String(item.id);
  const focused = isSame && panel.contains(document.activeElement) ? document.activeElement.name : null;
  panel.dataset.photo = item.id;
  panel.replaceChildren(
    headline({ ...item, reason_text: known?.said?.reason_text }),
    counting(item, view),
    ...(known ? [model(known, view), around(known, view)] : []).flat().filter(Boolean),
    facts([
      [say("station"), item.station],
      [say("deployment"), item.deployment],
      [say("camera_time"), times(item)],
      [say("size"), say("pixels", item)],
      [say("model"), item.model ?? known?.said?.model],
    ]),
    ...(known
      ? [
          history(known.reviews),
          section(say("places"), el("ul", { class: "places" }, known.places.map(place))),
          el(
            "details",
            {},
            el("summary", {}, say("exif")),
            facts(written(known)),
          ),
        ]
      : []),
  );
  const form = panel.querySelector("form");
  if (isSame && typed) {
    form.classList.add("changed");
    if (typed.count !== null) form.elements.count.value = typed.count;
    form.elements.note.value = typed.note;
  }
  if (focused) form.elements[focused]?.focus();
  if (!isSame) panel.scrollTop = 0;
  view.strip(known?.sequence ?? [], view.selected());
}
