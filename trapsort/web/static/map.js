// Stations where they stand, without tiles: nothing is asked of the network.
import { counted, el, say, svg } from "./dom.js";

const [WIDTH, HEIGHT, MARGIN, FOOT] = [480, 360, 46, 40]; // the foot holds the scale
const KM_A_DEGREE = 111.32;

// The largest of 1, 2, 5, 10, ... km that is no longer than `most`.
function scale(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((each) => each * power).find((each) => each <= most) ?? power;
}

// `choose(name)` is called with the station that is chosen; '' takes the choice back.
export function map(stations, chosen, choose) {
  const placed = stations.filter((each) => each.latitude !== null && each.longitude !== null);
  const others = stations.filter((each) => !placed.includes(each));
  const rest = others.length
    ? el("p", { class: "quiet-text" }, `${say("without_place")}: ${others.map((each) => `${each.name} (${counted("photos", each.photos)})`).join(", ")}`)
    : null;
  if (!placed.length) return [el("p", { class: "quiet-text" }, say("no_places")), rest].filter(Boolean);

  const middle = placed.reduce((sum, each) => sum + each.latitude, 0) / placed.length;
  const narrow = Math.max(0.05, Math.cos((middle * Math.PI) / 180));
  const [xs, ys] = [placed.map((each) => each.longitude * narrow), placed.map((each) => -each.latitude)];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const least = 0.002; // a single station stands in a square of 200 m
  const unit = Math.min((WIDTH - 2 * MARGIN) / Math.max(x1 - x0, least), (HEIGHT - FOOT - 2 * MARGIN) / Math.max(y1 - y0, least));
  const x = (each) => WIDTH / 2 + (each.longitude * narrow - (x0 + x1) / 2) * unit;
  const y = (each) => (HEIGHT - FOOT) / 2 + (-each.latitude - (y0 + y1) / 2) * unit;
  const most = Math.max(1, ...placed.map((each) => each.photos));
  const radius = (photos) => 5 + 17 * Math.sqrt(photos / most);

  const kilometres = scale((0.3 * WIDTH * KM_A_DEGREE) / unit);
  const length = (kilometres / KM_A_DEGREE) * unit;
  const drawn = [...placed].sort((a, b) => b.photos - a.photos);
  const drawing = svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": say("map") },
    [1, 2, 3].map((line) => [
      svg("line", { class: "rule", x1: (WIDTH * line) / 4, x2: (WIDTH * line) / 4, y1: 0, y2: HEIGHT }),
      svg("line", { class: "rule", x1: 0, x2: WIDTH, y1: (HEIGHT * line) / 4, y2: (HEIGHT * line) / 4 }),
    ]),
    svg("rect", { class: "rule", x: 0.5, y: 0.5, width: WIDTH - 1, height: HEIGHT - 1, rx: 10 }),
    drawn.map((each) => {
      const isChosen = each.name === chosen;
      const pick = (event) => {
        event.preventDefault();
        choose(isChosen ? "" : each.name);
      };
      return svg(
        "a",
        { href: `?station=${encodeURIComponent(each.name)}`, class: isChosen ? "chosen" : null, "aria-label": `${each.name}, ${counted("photos", each.photos)}`, onclick: pick },
        svg("title", {}, `${each.name}, ${counted("photos", each.photos)}`),
        svg("circle", { class: "dot", cx: x(each), cy: y(each), r: radius(each.photos) }),
      );
    }),
    names(drawn, x, y, radius),
    svg("path", { class: "sign", d: `M18 ${HEIGHT - 22}v6h${length}v-6` }),
    svg("text", { x: 18 + length / 2, y: HEIGHT - 26, "text-anchor": "middle", class: "halo" }, kilometres >= 1 ? say("kilometres", { n: kilometres }) : say("metres", { n: Math.round(kilometres * 1000) })),
    svg("path", { class: "sign", d: `M${WIDTH - 24} 42v-20m-5 6l5 -7l5 7` }),
    svg("text", { x: WIDTH - 24, y: 56, "text-anchor": "middle", class: "strong" }, say("north")),
  );
  return [drawing, el("p", { class: "quiet-text" }, say("map_hint")), rest].filter(Boolean);
}

// A name is written where no other stands; the circle tells its name in any case.
function names(stations, x, y, radius) {
  const taken = [];
  const written = [];
  for (const each of stations) {
    const [left, top, width] = [x(each) - each.name.length * 3.2, y(each) + radius(each.photos) + 13, each.name.length * 6.4];
    if (taken.some((other) => Math.abs(other.top - top) < 13 && left < other.left + other.width && other.left < left + width)) continue;
    taken.push({ left, top, width });
    const at = Math.min(WIDTH - width / 2 - 4, Math.max(width / 2 + 4, x(each)));
    written.push(svg("text", { x: at, y: Math.min(HEIGHT - 6, top), "text-anchor": "middle", class: "halo strong", "aria-hidden": "true" }, each.name));
  }
  return written;
}
