// Requests to /api/v1. Every failure is a Refusal that says what to do.
import { say } from "./dom.js";

const token = document.querySelector("meta[name=trapsort-token]").content;

export class Refusal extends Error {
  constructor(status, { error, hint, sightings }) {
    super(error || say("failed", { status }));
    this.status = status;
    this.hint = hint || "";
    this.sightings = sightings || [];
  }
}

async function ask(method, path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { method, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { error: say("no_answer"), hint: say("no_answer_hint") });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer);
  return answer;
}

export const get = (path, query = "", options = {}) =>
  ask("GET", `${path}${String(query) ? `?${query}` : ""}`, options);

export const post = (path, data = {}) =>
  ask("POST", path, {
    headers: { "Content-Type": "application/json", "X-Trapsort-Token": token },
    body: JSON.stringify(data),
  });

export const upload = (path, form) =>
  ask("POST", path, { headers: { "X-Trapsort-Token": token }, body: form });

export const picture = (id, size) => `/api/v1/photos/${id}/image?size=${size}`;
export const heatmap = (id) => `/api/v1/photos/${id}/heatmap`;
