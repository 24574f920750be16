// One photo: the picture with zoom, brightness and heat map. `panel.js` says what is known of it.
import { Refusal, get, heatmap, picture } from "./api.js";
import { $, el, say } from "./dom.js";
import { answerOf, fileName, nameOf } from "./format.js";
import { drawPanel } from "./panel.js";
import { trouble } from "./shell.js";

const AHEAD = 40;
const STEP = 1.25;

const details = new Map();
const pictures = new Map();

function kept(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  const value = map.get(key);
  map.delete(key);
  map.set(key, value); // the newest stands last
  if (map.size > AHEAD) map.delete(map.keys().next().value);
  return value;
}

export function detail(id) {
  const asked = kept(details, id, () => get(`/photos/${id}`));
  asked.catch(() => details.delete(id));
  return asked;
}

export const forget = (id) => details.delete(id);

function large(id) {
  return kept(pictures, id, () => {
    const image = new Image();
    image.src = picture(id, 1280);
    const ready = image.decode();
    ready.catch(() => pictures.delete(id));
    return { image, ready };
  });
}

// Have what comes next here before it is asked for.
export function prefetch(ids) {
  for (const id of ids) {
    large(id);
    detail(id).catch(() => {});
  }
}

export class PhotoView {
  constructor({ ongo, onsave, ongive, selected }) {
    this.box = $("photo");
    this.image = null;
    this.heatImage = $("heat");
    this.item = null;
    this.brightness = 0;
    this.ongo = ongo;
    this.onsave = onsave;
    this.ongive = ongive;
    this.selected = selected;
    this.listen();
  }

  get isOpen() {
    return !this.box.hidden;
  }

  show(item, where) {
    const isOther = this.item?.id !== item.id;
    this.item = item;
    this.box.hidden = false;
    $("where").textContent = [where, fileName(item.path)].filter(Boolean).join(" · ");
    if (isOther) this.load(item);
    drawPanel(item, null, this);
    const asked = item.id;
    detail(item.id).then(
      (known) => asked === this.item?.id && drawPanel(this.item, known, this),
      (error) => asked === this.item?.id && trouble($("trouble"), error),
    );
  }

  hide() {
    this.box.hidden = true;
    this.item = null;
  }

  async load(item) {
    this.dropHeat();
    trouble($("trouble"), null);
    this.note("");
    const { image, ready } = large(item.id);
    image.alt = `${fileName(item.path)}: ${nameOf(answerOf(item))}`;
    // The small picture is there at once; the large one takes its place when it is decoded.
    const isHere = image.complete && image.naturalWidth > 0;
    this.put(isHere ? image : el("img", { alt: image.alt, src: picture(item.id, 256) }), isHere);
    try {
      await ready;
      if (this.item?.id === item.id) this.put(image, true);
    } catch {
      if (this.item?.id === item.id) this.note(say("no_picture"));
    }
  }

  put(image, isWhole) {
    if (this.image !== image) {
      this.image?.remove();
      $("canvas").prepend(image);
      this.image = image;
    }
    image.classList.toggle("waiting", !isWhole);
    this.zoomTo(1);
  }

  note(text) {
    $("stage-note").textContent = text;
    $("stage-note").hidden = !text;
  }

  dropHeat() {
    this.isHot = false;
    $("heat-button").setAttribute("aria-pressed", "false");
    this.heatImage.hidden = true;
    if (this.heatImage.src) URL.revokeObjectURL(this.heatImage.src);
    this.heatImage.removeAttribute("src");
  }

  async heat() {
    if (this.isHot) {
      this.dropHeat();
      this.note("");
      return;
    }
    const { id } = this.item;
    this.isHot = true;
    $("heat-button").setAttribute("aria-pressed", "true");
    this.note(say("loading_heat"));
    try {
      const response = await fetch(heatmap(id));
      if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
      const data = await response.blob();
      if (this.item?.id !== id || !this.isHot) return;
      this.heatImage.src = URL.createObjectURL(data);
      this.heatImage.hidden = false;
      const { top } = await detail(id);
      if (this.item?.id === id && this.isHot) this.note(say("heat_of", { what: nameOf(top[0]?.label) }));
    } catch (error) {
      if (this.item?.id !== id) return;
      this.dropHeat();
      this.note("");
      trouble($("trouble"), error);
    }
  }

  zoomTo(scale, event = null) {
    const before = this.scale || 1;
    this.scale = Math.min(8, Math.max(1, scale));
    if (this.scale === 1) {
      [this.x, this.y] = [0, 0];
    } else if (event) {
      // What is under the pointer stays there.
      const place = $("canvas").getBoundingClientRect();
      const grown = this.scale / before;
      const [x, y] = [event.clientX - place.left - place.width / 2, event.clientY - place.top - place.height / 2];
      [this.x, this.y] = [x - (x - this.x) * grown, y - (y - this.y) * grown];
    } else {
      [this.x, this.y] = [(this.x * this.scale) / before, (this.y * this.scale) / before];
    }
    this.paint();
  }

  zoom(steps) {
    this.zoomTo(this.scale * STEP ** steps);
  }

  brighten(steps) {
    this.brightness = Math.min(10, Math.max(-5, this.brightness + steps));
    this.paint();
  }

  reset() {
    this.brightness = 0;
    this.zoomTo(1);
  }

  paint() {
    const place = $("canvas").getBoundingClientRect();
    const most = (size) => (size * (this.scale - 1)) / 2;
    this.x = Math.min(most(place.width), Math.max(-most(place.width), this.x));
    this.y = Math.min(most(place.height), Math.max(-most(place.height), this.y));
    const move = this.scale === 1 ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.image.style.transform = move;
    this.heatImage.style.transform = move;
    this.image.style.filter = this.brightness ? `brightness(${1.2 ** this.brightness})` : "";
    $("canvas").classList.toggle("zoomed", this.scale > 1);
  }

  listen() {
    const canvas = $("canvas");
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(this.scale * STEP ** (event.deltaY < 0 ? 1 : -1), event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons || this.scale === 1) return;
      canvas.setPointerCapture(event.pointerId);
      this.x += event.movementX;
      this.y += event.movementY;
      this.paint();
    });
    const does = {
      zoom_in: () => this.zoom(1),
      zoom_out: () => this.zoom(-1),
      darker: () => this.brighten(-1),
      brighter: () => this.brighten(1),
      as_it_was: () => this.reset(),
      "heat-button": () => this.heat(),
    };
    for (const [id, act] of Object.entries(does)) $(id).addEventListener("click", act);
  }

  // Number and note as they stand in the panel, null where nobody wrote any.
  get edited() {
    const form = $("panel").querySelector("form");
    if (!this.isOpen || !form?.classList.contains("changed")) return null;
    const count = Number.parseInt(form.elements.count.value, 10);
    return { count: count >= 0 ? Math.min(count, 100000) : null, note: form.elements.note.value };
  }

  // What was written is saved; from here on the fields say what the record says.
  settle() {
    $("panel").querySelector("form")?.classList.remove("changed");
  }

  strip(frames, selected) {
    const box = $("strip");
    box.hidden = frames.length < 2;
    box.replaceChildren(
      ...frames.map((id) =>
        el(
          "button",
          {
            type: "button",
            class: selected.has(id) ? "selected" : null,
            "aria-current": id === this.item.id ? "true" : null,
            "aria-label": `${say("photo")} ${id}${id === this.item.id ? `, ${say("this_photo")}` : ""}`,
            onclick: () => this.ongo(id),
          },
          el("img", { alt: "", src: picture(id, 256), loading: "lazy" }),
        ),
      ),
    );
    box.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
