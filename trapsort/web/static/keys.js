// From a key to what it does, unless it is meant for a field, a button or a dialog.
import { isTyping } from "./shell.js";

// Held down these go on; a decision is one press.
const REPEATING = new Set(["+", "=", "-", "[", "]"]);

// `commands` by key; `move(key, isRange)` for arrows; `number(key)`, `letter(key)` for the rest.
export function listen({ commands, arrows, move, number, letter, isBusy }) {
  document.addEventListener("keydown", (event) => {
    if (isTyping(event) || event.key === "?" || isBusy()) return;
    // A button, a link or a choice that has the focus does what it says.
    const isPressed = event.target.closest?.("button, a, summary, input");
    if (isPressed && (event.key === "Enter" || event.key === " ")) return;
    if (event.target.closest?.("input") && event.key.startsWith("Arrow")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (Object.hasOwn(arrows, key)) move(arrows[key](), event.shiftKey);
    else if (Object.hasOwn(commands, key)) {
      if (event.repeat && !REPEATING.has(key)) return;
      commands[key]();
    } else if (/^[1-9]$/.test(key)) {
      if (!event.repeat) number(key);
    } else if (/^\p{L}$/u.test(key)) letter(event.key);
    else return;
    event.preventDefault();
  });
}
