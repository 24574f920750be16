// Look around: what the filters find, counted in several ways, and as a file.
import { get } from "./api.js";
import { bars, clock, timeline } from "./charts.js";
import { $, counted, el } from "./dom.js";
import * as filters from "./filters.js";
import { badge, nameOf } from "./format.js";
import { map } from "./map.js";
import { complain } from "./shell.js";

const WAYS = ["species", "iucn", "day", "hour", "station"];

let labels = [];
let running = null;

function chooseStation(name) {
  const wanted = new URLSearchParams(location.search);
  if (name) wanted.set("station", name);
  else wanted.delete("station");
  filters.set([...wanted]);
}

function withLink(name, value) {
  const wanted = new URLSearchParams(location.search);
  wanted.set(name, value);
  if (!wanted.has("reviewed")) wanted.set("reviewed", "any");
  return `/?${wanted}`;
}

const meaning = (category) => labels.find((each) => each.iucn?.category === category)?.iucn.text ?? category;

async function draw() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const asked = filters.query();
  asked.delete("order");
  $("download").href = `/api/v1/sightings.csv?${asked}`;
  const review = new URLSearchParams(location.search);
  if (!review.has("reviewed")) review.set("reviewed", "any");
  $("review-these").href = `/?${review}`;
  const counts = (by) => {
    const query = new URLSearchParams(asked);
    query.set("by", by);
    return get("/counts", query, { signal }).then((answer) => answer.counts);
  };
  const stations = get("/stations", "", { signal });
  const show = {
    species: showSpecies,
    iucn: showCategories,
    day: (found) => $("over-time").replaceChildren(...timeline(found)),
    hour: (found) => $("by-hour").replaceChildren(...clock(found)),
    station: async (found) => showStations(await stations, found),
  };
  await Promise.all(WAYS.map(async (way) => show[way](await counts(way)))); // each as it comes
}

function showSpecies(found) {
  $("total").textContent = counted("photos", found.reduce((sum, each) => sum + each.photos, 0));
  const iucn = new Map(labels.map((each) => [each.label, each.iucn]));
  $("by-species").replaceChildren(
    bars(found.map(({ value, photos }) => ({ name: nameOf(value), beside: badge(iucn.get(value)), photos, href: withLink("species", value) }))),
  );
}

function showCategories(found) {
  const known = found.filter((each) => each.value);
  $("by-iucn").replaceChildren(
    bars(known.map(({ value, photos }) => ({ name: badge({ category: value, text: meaning(value) }), beside: el("span", { class: "quiet-text" }, meaning(value)), photos }))),
  );
}

function showStations(stations, found) {
  const photos = new Map(found.map((each) => [each.value, each.photos]));
  const chosen = new URLSearchParams(location.search).get("station");
  $("map").replaceChildren(...map(stations.map((each) => ({ ...each, photos: photos.get(each.name) ?? 0 })), chosen, chooseStation));
}

filters
  .start(() => draw().catch(complain))
  .then((known) => {
    labels = known;
    return draw();
  })
  .catch(complain);
