// The sightings that the filters find, a page at a time, in their order.
import { get } from "./api.js";

const PAGE = 60;

export class Sightings {
  constructor(query) {
    this.query = query;
    this.items = [];
    this.next = null;
    this.found = null; // how many there are, counted up to `limit`
    this.limit = Infinity;
    this.loading = null;
  }

  indexOf(id) {
    return this.items.findIndex((item) => item.id === id);
  }

  // Ask for a page; a page that is asked for later puts an end to this one.
  async page(after) {
    const abort = new AbortController();
    this.loading?.abort();
    this.loading = abort;
    try {
      const asked = this.query();
      asked.set("limit", PAGE);
      if (after) asked.set("after", after);
      return await get("/sightings", asked, { signal: abort.signal });
    } finally {
      if (this.loading === abort) this.loading = null;
    }
  }

  async load() {
    const page = await this.page(null);
    [this.items, this.next, this.found, this.limit] = [page.items, page.next, page.total_hint, page.total_limit];
  }

  // Say whether there were more.
  async more() {
    if (!this.next || this.loading) return false;
    const page = await this.page(this.next);
    this.next = page.next;
    this.insert(this.items.length, page.items);
    return true;
  }

  insert(index, items) {
    this.items.splice(index, 0, ...items.filter((item) => this.indexOf(item.id) < 0));
  }

  // Put what is known now in the place of what was; say whether any was not in the list.
  put(items, at) {
    const others = items.filter((item) => this.indexOf(item.id) < 0);
    for (const item of items) {
      const index = this.indexOf(item.id);
      if (index >= 0) this.items[index] = item;
    }
    this.insert(at, others);
    return others.length > 0;
  }
}
