// What is known about the weights: their card, scores and version; and a warning when images are unlike those of the training.

import { make, part } from "./dom.js";
import { number, t } from "./phrases.js";
import { on, state, tell } from "./state.js";

export function start() {
  part("about").addEventListener("click", show);
  let warned = "";
  on("visit", () => {
    const { visit } = state;
    if (visit?.weights_here === false) tell("notice", { kind: "bad", text: t("weights_gone", { name: visit.weights }), id: "weights" });
    if (!visit?.unlike) return;
    const once = `${visit.id} ${visit.weights}`;
    if (warned === once) return;
    warned = once;
    tell("notice", { kind: "warn", text: typeof visit.unlike === "string" ? visit.unlike : t("unlike"), id: "unlike" });
  });
}

/** Write a score, or the numbers of one set of images in a row; the classes are in the card. */
function told(value) {
  if (typeof value === "number") return Number.isInteger(value) ? number(value) : number(value, 4);
  if (!value || typeof value !== "object") return String(value ?? "");
  const numbers = Object.entries(value).filter(([, one]) => typeof one === "number");
  return numbers.map(([name, one]) => `${name.replaceAll("_", " ")} ${told(one)}`).join(", ");
}

function show() {
  const { about, visit } = state;
  const current = visit?.weights ?? about?.weights?.[0]?.name;
  const found = (about?.weights || []).find((one) => one.name === current) || {};
  const facts = [[t("weights"), found.title ?? current ?? ""], [t("version"), about?.version ?? ""], ...Object.entries(found.scores || {}).map(([name, value]) => [name, told(value)])];
  const list = make("dl", { className: "facts" }, ...facts.filter(([, value]) => value !== "").flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  part("about-text").replaceChildren(list, ...(found.card ? [make("pre", { className: "card", textContent: found.card, tabIndex: 0 })] : []));
  part("about-dialog").showModal();
}
