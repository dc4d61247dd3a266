// The table of defects: pick one, accept or reject it.

import { make, part, swatch } from "./dom.js";
import { nameOf, sizeOf } from "./images.js";
import { percent, t } from "./phrases.js";
import * as review from "./review.js";
import { classOf, defectsOf, on, state, tell } from "./state.js";

const MOST = 300; // rows; more are noise, and defects.csv has all

export function start() {
  const rows = part("rows");
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-number]");
    if (!row) return;
    const picked = Number(row.dataset.number);
    const button = event.target.closest("button[data-judge]");
    tell("pick", { number: picked, go: !button });
    if (button) review.judge(button.dataset.judge);
  });
  rows.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "TR") return;
    tell("pick", { number: Number(event.target.dataset.number), go: true });
    event.stopPropagation();
  });
  on("image language", draw);
  on("view", mark);
}

function draw() {
  const defects = defectsOf(state.image);
  const counted = defects.filter((one) => one.review !== "rejected").length;
  part("defects-title").textContent = state.image?.status === "done" ? t("defects_title", { n: counted }) : t("defects");
  const focused = document.activeElement?.closest?.("#rows tr")?.dataset.number;
  const judged = document.activeElement?.dataset?.judge;
  part("rows").replaceChildren(...defects.slice(0, MOST).map(row));
  if (defects.length > MOST) part("rows").append(make("tr", {}, Object.assign(make("td", { textContent: t("more_rows", { n: defects.length - MOST }), className: "note" }), { colSpan: 5 })));
  if (focused !== undefined) {
    const again = part("rows").querySelector(`tr[data-number="${focused}"]`);
    (judged ? again?.querySelector(`[data-judge="${judged}"]`) : again)?.focus({ preventScroll: true });
  }
  mark();
}

function row(defect) {
  const name = nameOf(defect), box = defect.box || [];
  const line = make("tr", { tabIndex: 0, className: defect.review ? `is-${defect.review}` : "", title: box.length ? t("box_at", { x: box[0], y: box[1], width: box[2], height: box[3] }) : "" },
    make("td", { textContent: defect.number }),
    make("td", { className: "kind" }, swatch(classOf(defect.class_id)?.colour || "#888"), name),
    make("td", { className: "number", textContent: sizeOf(defect) }),
    make("td", { className: "number", textContent: defect.mean_probability === null || defect.mean_probability === undefined ? t("painted") : percent(defect.mean_probability) }),
    make("td", { className: "judge" }, judge("accept", "✓", defect, name), judge("reject", "✗", defect, name)));
  line.dataset.number = defect.number;
  line.dataset.class = defect.class_id;
  return line;
}

function judge(kind, sign, defect, name) {
  const button = make("button", { type: "button", textContent: sign, title: t(kind), className: `judge-${kind}` });
  button.dataset.judge = kind;
  button.setAttribute("aria-label", `${t(kind)}: ${defect.number} ${name}`);
  button.setAttribute("aria-pressed", String(defect.review === kind + "ed"));
  return button;
}

function mark() {
  for (const line of part("rows").querySelectorAll("tr[data-number]")) {
    const picked = Number(line.dataset.number) === state.picked;
    line.classList.toggle("picked", picked);
    line.classList.toggle("off", state.hidden.has(Number(line.dataset.class)));
    if (picked) line.scrollIntoView({ block: "nearest" });
  }
}

/** Pick the next or previous defect and go close to it. */
export function pickNext(by) {
  const defects = defectsOf(state.image).filter((one) => !state.hidden.has(one.class_id));
  if (!defects.length) return;
  const here = defects.findIndex((one) => one.number === state.picked);
  const next = defects[here < 0 ? (by > 0 ? 0 : defects.length - 1) : (here + by + defects.length) % defects.length];
  tell("pick", { number: next.number, go: true });
}
