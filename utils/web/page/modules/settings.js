// Classes: seen or not, and the thresholds on probability and area, for all images of the visit.

import { api } from "./api.js";
import { fill, later, make, part, swatch } from "./dom.js";
import { number, t } from "./phrases.js";
import { defectsOf, namesOf, on, state, takeVisit, tell } from "./state.js";

const NAMES = ["threshold", "high_threshold", "min_area", "max_area"];
const LARGEST_AREA = 2_000_000; // pixels at the end of a slider
const STEPS = 200;
let chosen = null; // decisions as the sliders stand; null: as the visit says
let asking = null;
const unfolded = new Set();

export function start() {
  on("visit language", draw);
  on("image view", count);
  part("reset").addEventListener("click", () => {
    chosen = state.visit.classes.map((one) => Object.fromEntries(NAMES.map((name) => [name, one.own?.[name] ?? one[name]])));
    send();
  });
  part("weights").addEventListener("change", (event) => change({ weights: event.target.value }));
  on("beside", (value) => {
    const compare = value.startsWith("weights:") ? value.slice(8) : null;
    if (compare !== (state.visit.compare ?? null)) change({ compare });
    else tell("image");
  });
}

/** Change the visit; what it answers is the visit from then on. */
export async function change(changes) {
  asking?.abort();
  const control = (asking = new AbortController());
  try {
    const visit = await api.change(state.visit.id, changes, control.signal);
    if (control === asking && (changes.decision || changes.weights)) chosen = null;
    takeVisit(visit);
    if (control !== asking) return;
    tell("decided");
  } catch (error) {
    if (error.name === "AbortError") return;
    chosen = null;
    tell("visit");
    tell("notice", { kind: "bad", text: error.message });
  }
}

const send = () => change({ decision: chosen });
const sendSoon = later(60, send);

const decisions = () => chosen || state.visit.classes.map((one) => Object.fromEntries(NAMES.map((name) => [name, one[name] ?? null])));

function draw() {
  const { visit } = state;
  if (!visit) return;
  fill(part("weights"), [...new Set([...visit.weights_choices, visit.weights])].map((name) => [name, name]), visit.weights);
  const box = part("classes");
  const further = namesOf(visit).filter((name) => !visit.classes.some((one) => one.id === name.id));
  const said = JSON.stringify([visit.classes.map((one) => [one.id, one.name, one.colour, one.own]), further, visit.labels, document.documentElement.lang]);
  if (box.dataset.said !== said) {
    box.dataset.said = said;
    box.replaceChildren(...visit.classes.map(row), ...further.map((one) => line(one)));
  }
  if (document.activeElement?.closest?.("#classes") === null || !chosen) place();
  const own = (one) => NAMES.every((name) => one.own?.[name] === undefined || (one.own[name] ?? null) === (one[name] ?? null));
  part("reset").hidden = visit.classes.every(own);
  drawBrush();
  count();
}

/** Put the sliders where the thresholds are. */
function place() {
  decisions().forEach((decision, index) => {
    for (const name of NAMES) {
      const slider = part("classes").querySelector(`[data-index="${index}"] input[data-name="${name}"]`);
      if (!slider) continue;
      slider.value = toSlider(name, decision[name], decision);
      slider.parentNode.querySelector("output").textContent = shown(name, decision[name]);
    }
  });
}

const isArea = (name) => name.endsWith("_area");
const toArea = (value) => Math.round(Math.expm1((value / STEPS) * Math.log1p(LARGEST_AREA)));
const round = (value) => Number(value.toPrecision(2));

function toSlider(name, value, decision) {
  if (!isArea(name)) return Math.max(value ?? 0, decision.threshold);
  if (name === "max_area" && !value) return STEPS;
  return Math.round((STEPS * Math.log1p(value || 0)) / Math.log1p(LARGEST_AREA));
}

function fromSlider(name, value, decision) {
  if (!isArea(name)) return name === "high_threshold" && value <= decision.threshold ? 0 : value;
  if (name === "max_area" && value >= STEPS) return null;
  return round(toArea(value));
}

function shown(name, value) {
  if (isArea(name)) return value ? number(value) : name === "max_area" ? "∞" : "0";
  return !value ? "–" : number(value, 2, 2);
}

/** A class, which can be hidden; those that only people name have no thresholds. */
function line(one, ...more) {
  const seen = make("input", { type: "checkbox", checked: !state.hidden.has(one.id) });
  seen.addEventListener("change", () => { state.hidden[seen.checked ? "delete" : "add"](one.id); tell("view"); });
  const count = make("span", { className: "count", title: t("found_in_image") });
  count.dataset.id = one.id;
  return make("div", { className: "class" },
    make("label", { className: "class-name", title: one.name }, seen, swatch(one.colour), make("span", { textContent: one.name })), count, ...more);
}

function row(one, index) {
  const unfold = make("button", { type: "button", className: "quiet unfold", textContent: "⋯", title: t("more_limits") });
  const more = make("div", { className: "more-limits", hidden: !unfolded.has(one.id) });
  unfold.setAttribute("aria-label", `${t("more_limits")}: ${one.name}`);
  unfold.setAttribute("aria-expanded", String(!more.hidden));
  unfold.addEventListener("click", () => {
    more.hidden = !more.hidden;
    unfolded[more.hidden ? "delete" : "add"](one.id);
    unfold.setAttribute("aria-expanded", String(!more.hidden));
  });
  more.append(...NAMES.slice(1).map((name) => make("label", { className: "limit" }, make("span", { textContent: t(name), title: t(name + "_hint") }), slider(one, index, name), make("output"))));
  const made = line(one, make("span", { className: "limit" }, slider(one, index, "threshold"), make("output")), unfold, more);
  made.dataset.index = index;
  return made;
}

function slider(one, index, name) {
  const area = isArea(name);
  const input = make("input", { type: "range", min: area ? 0 : 0.01, max: area ? STEPS : 0.99, step: area ? 1 : 0.01 });
  input.dataset.name = name;
  input.setAttribute("aria-label", `${t(name)}: ${one.name}`);
  input.title = t(name + "_hint");
  input.addEventListener("input", () => moved(index, name, input));
  input.addEventListener("change", () => { sendSoon.cancel(); send(); });
  return input;
}

function moved(index, name, input) {
  chosen = decisions();
  const decision = chosen[index];
  decision[name] = fromSlider(name, Number(input.value), decision);
  if (name === "threshold" && decision.high_threshold <= decision.threshold) decision.high_threshold = 0;
  input.parentNode.querySelector("output").textContent = shown(name, decision[name]);
  input.setAttribute("aria-valuetext", shown(name, decision[name]));
  sendSoon();
}

function count() {
  const counts = new Map();
  for (const defect of defectsOf(state.image)) if (defect.review !== "rejected") counts.set(defect.class_id, (counts.get(defect.class_id) || 0) + 1);
  namesOf(state.visit).forEach((one) => {
    const cell = part("classes").querySelector(`.count[data-id="${one.id}"]`);
    if (cell) cell.textContent = state.image?.status === "done" ? number(counts.get(one.id) || 0) : "";
  });
}

function drawBrush() {
  const { classes } = state.visit, names = namesOf(state.visit);
  if (!names.some((one) => one.id === state.brushClass)) state.brushClass = names[0]?.id ?? null;
  fill(part("brush-class"), names.map((one, index) => [one.id, index < 9 ? `${index + 1} ${one.name}` : one.name]), state.brushClass ?? "");
  document.querySelector(".tool-bar").classList.toggle("no-masks", !classes.length);
}
