// Charts as SVG, each with the same numbers as a table.
import { counted, el, number, say, svg } from "./dom.js";

// On a phone a drawing is as wide as it shows, so that its numbers can be read.
const isNarrow = () => matchMedia("(max-width: 760px)").matches;

function table(headings, rows) {
  return el(
    "details",
    {},
    el("summary", {}, say("as_table")),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": say("as_table") },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, headings.map((each) => el("th", { scope: "col" }, each)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))))),
      ),
    ),
  );
}

const none = () => el("p", { class: "quiet-text" }, say("no_data"));
const plot = (label, box, ...children) => svg("svg", { class: "plot", viewBox: box, role: "img", "aria-label": label }, ...children);

// Rows of a name, something beside it, a bar and a number; the numbers are there to be read.
export function bars(rows) {
  if (!rows.length) return none();
  const most = Math.max(...rows.map((row) => row.photos));
  return el(
    "table",
    { class: "bars" },
    el(
      "tbody",
      {},
      rows.map(({ name, beside, photos, href }) => {
        const inner = el("i");
        inner.style.width = `${Math.max(0.5, (100 * photos) / most)}%`;
        return el(
          "tr",
          {},
          el("td", {}, href ? el("a", { href }, name) : name),
          el("td", {}, beside ?? ""),
          el("td", {}, el("span", { class: "meter", "aria-hidden": "true" }, inner)),
          el("td", {}, number(photos)),
        );
      }),
    ),
  );
}

// 24 wedges, midnight on top; the area of a wedge is its number of photos.
export function clock(hours) {
  const counts = Array.from({ length: 24 }, () => 0);
  for (const { value, photos } of hours) {
    if (value !== "") counts[Number.parseInt(value, 10)] += photos;
  }
  const most = Math.max(...counts);
  if (!most) return [none()];
  const inner = 34;
  const outer = 128;
  const point = (turn, radius) => {
    const angle = 2 * Math.PI * turn - Math.PI / 2;
    return `${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`;
  };
  const wedge = (from, to, small, large) =>
    `M${point(from, small)}L${point(from, large)}A${large} ${large} 0 ${to - from > 0.5 ? 1 : 0} 1 ${point(to, large)}L${point(to, small)}A${small} ${small} 0 ${to - from > 0.5 ? 1 : 0} 0 ${point(from, small)}Z`;
  const radius = (share) => Math.sqrt(inner ** 2 + share * (outer ** 2 - inner ** 2));
  const title = (hour) => `${String(hour).padStart(2, "0")}:00 – ${String(hour + 1).padStart(2, "0")}:00, ${counted("photos", counts[hour])}`;
  const drawing = plot(
    say("by_hour"),
    "-160 -152 320 304",
    svg("path", { class: "night", d: wedge(-0.25, 0.25, inner, outer) }),
    [0.25, 0.5, 1].map((share) => svg("circle", { class: "rule", r: radius(share) })),
    counts.map((count, hour) =>
      count
        ? svg("path", { class: "fill", d: wedge((hour + 0.06) / 24, (hour + 0.94) / 24, inner, radius(count / most)) }, svg("title", {}, title(hour)))
        : null,
    ),
    [0, 3, 6, 9, 12, 15, 18, 21].map((hour) => {
      const [x, y] = point(hour / 24, outer + 14).split(" ");
      return svg("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central", class: hour % 6 ? null : "strong" }, `${hour}:00`);
    }),
  );
  drawing.classList.add("clock");
  return [drawing, el("p", { class: "quiet-text" }, say("by_hour_hint")), table([say("hour"), say("photos_word")], counts.map((count, hour) => [title(hour).split(",")[0], number(count)]))];
}

const DAY = 86_400_000;
const iso = (time) => new Date(time).toISOString().slice(0, 10);

// Days, weeks or months, whichever leaves bars that can be told apart.
function binned(days) {
  const known = days.filter((each) => /^\d{4}-\d{2}-\d{2}$/.test(each.value)).map((each) => ({ ...each, time: Date.parse(each.value) }));
  if (!known.length) return null;
  const [first, last] = [Math.min(...known.map((each) => each.time)), Math.max(...known.map((each) => each.time))];
  const span = (last - first) / DAY + 1;
  const step = span <= 120 ? "day" : span <= 800 ? "week" : "month";
  const start = (time) => {
    if (step === "day") return time;
    if (step === "week") return time - (((new Date(time).getUTCDay() + 6) % 7) * DAY);
    return Date.parse(`${iso(time).slice(0, 7)}-01`);
  };
  const after = (time) => {
    if (step !== "month") return time + (step === "day" ? DAY : 7 * DAY);
    const day = new Date(time);
    return Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1, 1);
  };
  const bins = new Map();
  // A camera whose clock was never set may lie decades off: then only what there is.
  for (let time = start(first); time <= last && bins.size < 600; time = after(time)) bins.set(time, 0);
  for (const each of known) bins.set(start(each.time), (bins.get(start(each.time)) ?? 0) + each.photos);
  const rows = [...bins].sort((a, b) => a[0] - b[0]);
  return { step, rows: rows.length > 600 ? rows.filter(([, photos]) => photos) : rows };
}

function round(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= most);
}

export function timeline(days) {
  const found = binned(days);
  if (!found) return [none()];
  const { step, rows } = found;
  const most = round(Math.max(...rows.map(([, photos]) => photos)));
  const [left, top, height] = [44, 12, 150];
  const across = isNarrow() ? 420 : 1000;
  const width = (across - left - 8) / rows.length;
  const y = (photos) => top + height - (height * photos) / most;
  const name = (time) => (step === "month" ? iso(time).slice(0, 7) : iso(time));
  const marks = Math.min(rows.length, isNarrow() ? 3 : 6);
  const every = Array.from({ length: marks }, (_, index) => Math.floor((index * (rows.length - 1)) / Math.max(1, marks - 1)));
  const drawing = plot(
    say(`per_${step}`),
    `0 0 ${across} ${height + top + 24}`,
    [0, 0.5, 1].map((share) => [
      svg("line", { class: "rule", x1: left, x2: across - 8, y1: y(share * most), y2: y(share * most) }),
      most * share === Math.round(most * share) && svg("text", { x: left - 8, y: y(share * most), "text-anchor": "end", "dominant-baseline": "central" }, number(most * share)),
    ]),
    rows.map(([time, photos], index) =>
      photos
        ? svg(
            "rect",
            { class: "fill", x: left + index * width + Math.min(3, width * 0.1), y: y(photos), width: Math.max(0.8, Math.min(60, width * 0.8)), height: Math.max(1, top + height - y(photos)), rx: Math.min(3, width * 0.2) },
            svg("title", {}, `${name(time)}, ${counted("photos", photos)}`),
          )
        : null,
    ),
    [...new Set(every)].map((index) =>
      svg("text", { x: Math.min(across - 30, left + (index + 0.5) * width), y: height + top + 18, "text-anchor": index === 0 ? "start" : "middle" }, name(rows[index][0])),
    ),
  );
  return [
    el("p", { class: "quiet-text" }, say(`per_${step}`)),
    drawing,
    table([say({ day: "day", week: "week_of", month: "month" }[step]), say("photos_word")], rows.filter(([, photos]) => photos).map(([time, photos]) => [name(time), number(photos)])),
  ];
}
