// What stands where no photo does: why, and what to do about it.
import { get } from "./api.js";
import { $, button, el, say } from "./dom.js";
import * as filters from "./filters.js";

export function showEmpty(title, hint, ...more) {
  const box = $("empty");
  box.replaceChildren(el("h2", {}, title), el("p", {}, hint), ...more);
  box.hidden = false;
}

export async function explainEmpty() {
  const { items: any } = await get("/sightings", "limit=1");
  if (!any.length) {
    showEmpty(say("no_photos"), say("no_photos_hint"), el("pre", {}, "trapsort ingest /media/card"));
  } else if (filters.query().get("reviewed") === "false") {
    showEmpty(
      say("nothing_left"),
      say("nothing_left_hint"),
      button(say("show_all"), () => filters.set([...new URLSearchParams(location.search), ["reviewed", "any"]])),
      filters.clearButton(),
    );
  } else {
    showEmpty(say("nothing_found"), say("nothing_found_hint"), filters.clearButton());
  }
}
