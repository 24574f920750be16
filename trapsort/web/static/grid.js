// The grid of sightings: a list box whose options are photos.
import { picture } from "./api.js";
import { $, el, icon, say } from "./dom.js";
import { answerOf, badge, isSureOf, nameOf, percent, reasonText, when } from "./format.js";

const SIZES = [128, 168, 212, 280, 380];
const SIZE = "trapsort-size";

export class Grid {
  constructor(box, { onfocus, onopen }) {
    this.box = box;
    this.tiles = new Map();
    box.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      const isTouch = event.pointerType === "touch";
      onfocus(Number(tile.dataset.id), { range: event.shiftKey, toggle: event.ctrlKey || event.metaKey });
      if (isTouch) onopen();
    });
    box.addEventListener("dblclick", (event) => event.target.closest(".tile") && onopen());
    this.resize(0);
  }

  get columns() {
    return getComputedStyle(this.box).gridTemplateColumns.split(" ").length;
  }

  resize(step) {
    let size = 2;
    try {
      size = Number.parseInt(localStorage.getItem(SIZE) ?? "2", 10);
      size = Math.min(SIZES.length - 1, Math.max(0, size + step));
      localStorage.setItem(SIZE, String(size));
    } catch {
      // The usual size, then.
    }
    this.box.style.setProperty("--tile", `${SIZES[size] ?? SIZES[2]}px`);
  }

  draw(items) {
    const known = this.tiles;
    this.tiles = new Map();
    for (const item of items) {
      const tile = known.get(item.id) ?? newTile(item);
      known.delete(item.id);
      this.tiles.set(item.id, tile);
      write(tile, item);
    }
    for (const tile of known.values()) tile.remove();
    // Only what is new, or stands elsewhere, is moved: pictures that are there stay there.
    let place = this.box.firstElementChild;
    for (const item of items) {
      const tile = this.tiles.get(item.id);
      if (tile === place) place = place.nextElementSibling;
      else this.box.insertBefore(tile, place);
    }
    this.join(items);
  }

  // Frames of one burst that stand side by side are joined by a line.
  join(items) {
    items.forEach((item, index) => {
      const same = (other) => item.sequence_id !== null && other?.sequence_id === item.sequence_id;
      const tile = this.tiles.get(item.id);
      tile.classList.toggle("burst-before", same(items[index - 1]));
      tile.classList.toggle("burst-after", same(items[index + 1]));
    });
  }

  update(item) {
    const tile = this.tiles.get(item.id);
    if (tile) write(tile, item);
  }

  select(ids) {
    for (const [id, tile] of this.tiles) tile.setAttribute("aria-selected", String(ids.has(id)));
  }

  focus(id, { quietly = false } = {}) {
    this.box.querySelectorAll(".tile[tabindex='0']").forEach((each) => each.setAttribute("tabindex", "-1"));
    const tile = this.tiles.get(id);
    if (!tile) return;
    tile.setAttribute("tabindex", "0");
    if (quietly) return;
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
  }

  // Trouble stands over the photo that it is about.
  trouble(id, box) {
    const place = this.tiles.get(id)?.getBoundingClientRect();
    if (!place) return;
    box.style.left = `${Math.max(8, Math.min(place.left, innerWidth - 328))}px`;
    box.style.top = `${Math.max(56, Math.min(place.top + 8, innerHeight - 200))}px`;
  }
}

function newTile(item) {
  const image = el("img", { alt: "", loading: "lazy", decoding: "async", width: 4, height: 3, src: picture(item.id, 256) });
  const frame = el("div", { class: "pic" }, image);
  image.addEventListener("error", () => {
    frame.classList.add("missing");
    image.replaceWith(el("p", {}, say("no_picture")));
  });
  return el(
    "div",
    { class: "tile", role: "option", tabindex: "-1", "aria-selected": "false", "data-id": item.id },
    frame,
    el("div", { class: "caption" }),
  );
}

function write(tile, item) {
  tile.classList.toggle("reviewed", item.reviewed);
  tile.classList.toggle("nameless", item.label === null);
  const sure = item.reviewed
    ? el("span", { class: "tick", title: say("reviewed_by", { who: item.reviewer || say("somebody") }) }, icon("check"), el("span", { class: "unseen" }, say("reviewed_word")))
    : el("span", { class: "sure" }, isSureOf(item) ? percent(item.probability) : "");
  tile.querySelector(".caption").replaceChildren(
    el("p", { class: "what" }, el("b", {}, nameOf(answerOf(item))), item.count > 1 && ` × ${item.count}`, sure),
    el(
      "p",
      { class: "where" },
      badge(item.iucn),
      answerOf(item) === null && item.reason
        ? el("span", { title: reasonText(item.reason) }, perhaps(item))
        : el("span", {}, [item.station, when(item.time)].filter(Boolean).join(" · ") || say("no_time")),
    ),
  );
}

// Nobody named it: what the model thought of first, if anything.
const perhaps = (item) =>
  item.likely ? `${say("perhaps_short", { what: nameOf(item.likely) })}, ${percent(item.probability)}` : reasonText(item.reason);
