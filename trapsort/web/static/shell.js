// What every page has: messages, the reviewer's name, the list of keys, Quit.
import { post } from "./api.js";
import { $, button, el, icon, say } from "./dom.js";

const REVIEWER = "trapsort-reviewer";
const reviewerField = $("reviewer");

export const reviewer = () => reviewerField.value.trim();

export function toast(text, { hint = "", bad = false, action = null } = {}) {
  const close = button("×", () => box.remove(), { class: "quiet", "aria-label": say("dismiss") });
  const box = el(
    "div",
    { class: bad ? "toast bad" : "toast" },
    icon(bad ? "alert" : "check"),
    el("div", {}, el("p", {}, text), hint && el("p", { class: "quiet-text" }, hint)),
    action,
    close,
  );
  const shown = $("toasts");
  if (!bad) shown.querySelectorAll(".toast:not(.bad)").forEach((old) => old.remove());
  shown.append(box);
  while (shown.children.length > 3) shown.firstChild.remove();
  setTimeout(() => box.remove(), bad ? 15000 : 3500);
}

export const complain = (error) => {
  if (error.name !== "AbortError") toast(error.message, { hint: error.hint, bad: true });
};

export function trouble(box, error) {
  box.replaceChildren(...(error ? [el("b", {}, error.message), ` ${error.hint || ""}`] : []));
  box.hidden = !error;
}

// Whether a key is meant for a field, a menu or a dialog rather than for the page.
export function isTyping(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return true;
  if (document.querySelector("dialog[open]")) return true;
  return Boolean(event.target.closest?.("input:not([type=radio],[type=checkbox]), textarea, select"));
}

function remembered() {
  try {
    return localStorage.getItem(REVIEWER);
  } catch {
    return null;
  }
}

reviewerField.value = remembered() ?? document.querySelector("meta[name=trapsort-reviewer]").content;
reviewerField.addEventListener("input", () => {
  try {
    localStorage.setItem(REVIEWER, reviewer());
  } catch {
    // A browser that keeps nothing asks again the next time.
  }
});
reviewerField.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === "Escape") reviewerField.blur();
});

export const showHelp = () => $("help").showModal();

$("help-button").addEventListener("click", showHelp);
document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !isTyping(event)) showHelp();
});

$("quit-button").addEventListener("click", () => $("quit").showModal());
$("quit").addEventListener("close", async () => {
  if ($("quit").returnValue !== "yes") return;
  try {
    await post("/quit");
    document.body.replaceChildren(el("main", { class: "empty", id: "stopped" }, el("h1", {}, say("stopped"))));
  } catch (error) {
    complain(error);
  }
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close("");
  });
}
