// One photo by chooser or drop: what it shows and where the model looked. Nothing is stored.
import { upload } from "./api.js";
import { $, button, el, icon, say } from "./dom.js";
import { answerOf, nameOf } from "./format.js";
import { headline, lookAlike, shares } from "./panel.js";
import { isTyping, trouble } from "./shell.js";

const MOST_BYTES = 64 * 2 ** 20;
const form = $("upload");
const result = $("result");

let shown = [];
let asked = 0;

function address(data, kind) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.codePointAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: kind }));
  shown.push(url);
  return url;
}

function forget() {
  shown.forEach((url) => URL.revokeObjectURL(url));
  shown = [];
}

async function classify(file) {
  if (!file) return;
  trouble($("trouble"), null);
  if (file.size > MOST_BYTES) {
    trouble($("trouble"), { message: say("too_large", { name: file.name }) });
    return;
  }
  const mine = ++asked;
  result.hidden = false;
  result.setAttribute("aria-busy", "true");
  result.replaceChildren(el("p", { class: "quiet-text" }, say("thinking", { name: file.name })));
  form.classList.add("small");
  try {
    const data = new FormData();
    data.append("photo", file);
    const answer = await upload("/classify", data);
    if (mine === asked) draw(answer);
  } catch (error) {
    if (mine !== asked) return;
    result.hidden = true;
    trouble($("trouble"), error);
  } finally {
    if (mine === asked) result.removeAttribute("aria-busy");
  }
}

function draw(answer) {
  forget();
  const pictures = { false: address(answer.preview, "image/jpeg"), true: address(answer.heatmap, "image/png") };
  const image = el("img", { src: pictures.false, alt: `${answer.name}: ${nameOf(answerOf(answer))}` });
  const legend = el("p", { class: "quiet-text" }, answer.name);
  const toggle = button([icon("heat"), say("heat"), el("kbd", {}, "H")], () => {
    const isHot = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(isHot));
    image.src = pictures[isHot];
    legend.textContent = isHot ? say("heat_of", { what: nameOf(answer.explained) }) : answer.name;
  }, { id: "heat-button", "aria-pressed": "false" });
  result.replaceChildren(
    el("figure", {}, image, el("div", { class: "row" }, toggle, legend)),
    el(
      "div",
      { class: "panel" },
      headline({ ...answer, reviewed: false, likely: answer.explained }),
      answerOf(answer) === null && el("p", {}, say("perhaps", { what: nameOf(answer.explained) })),
      lookAlike(answer.look_alike),
      el("section", {}, el("h3", {}, say("top")), shares(answer.top.slice(0, 6))),
      answer.members.length > 0 && el("section", {}, el("h3", {}, say("members")), shares(answer.members.map((each) => ({ ...each, who: each.member })))),
      el("p", { class: "quiet-text" }, `${say("pixels", answer)} · ${answer.model}`),
    ),
  );
}

$("file").addEventListener("change", (event) => {
  classify(event.target.files[0]);
  event.target.value = ""; // the same photo again is a choice, too
});
form.addEventListener("submit", (event) => event.preventDefault());

// A photo that misses the frame must not replace the page.
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  classify(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => classify(event.clipboardData.files[0]));
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "h" && !isTyping(event)) document.querySelector("#result #heat-button")?.click();
});
