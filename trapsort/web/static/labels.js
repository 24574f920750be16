// The labels that a reviewer may give: by number, by button, by name.
import { get } from "./api.js";
import { $, el } from "./dom.js";
import { find } from "./finder.js";
import { nameOf } from "./format.js";

export class Labels {
  // `give(label, isNew)` is called with what was chosen.
  constructor(give) {
    this.give = give;
    this.all = [];
  }

  set(labels) {
    this.all = labels;
    this.draw();
  }

  async learn() {
    this.set(await get("/labels"));
  }

  draw() {
    const keyed = this.all.filter((each) => /^[1-9]$/.test(each.key)).sort((a, b) => a.key.localeCompare(b.key));
    $("labels").replaceChildren(
      ...keyed.map((each) =>
        el(
          "button",
          { type: "button", title: nameOf(each.label), onclick: () => this.give(each.label) },
          el("kbd", {}, each.key),
          el("span", {}, nameOf(each.label)),
        ),
      ),
    );
  }

  number(key) {
    const label = this.all.find((each) => each.key === key);
    if (label) this.give(label.label);
  }

  search(typed) {
    find(this.all, typed, this.give);
  }
}
