// Remarks on the image in sight, who did what, and what is known of the strip.

import { later, make, part } from "./dom.js";
import { moment, t } from "./phrases.js";
import * as review from "./review.js";
import { on, state } from "./state.js";

const STEPS = 6; // of the history that are shown
let written = null; // what stands in the field and is not sent: {key, text}

export function start() {
  const field = part("comment");
  field.addEventListener("input", () => { written = { key: state.key, text: field.value }; sendSoon(); });
  field.addEventListener("blur", send);
  on("opened", () => { send(); field.value = ""; });
  on("image language", draw);
}

const sendSoon = later(1200, () => send());

function send() {
  sendSoon.cancel();
  if (!written || written.key !== state.image?.key) return;
  const text = written.text.trim();
  written = null;
  if (text !== (state.image.review?.comment || "")) review.act({ kind: "comment", text });
}

function draw() {
  const { image } = state;
  const field = part("comment");
  field.disabled = image?.status !== "done";
  if (!written && document.activeElement !== field) field.value = image?.review?.comment || "";
  const steps = (image?.review?.history || []).slice(-STEPS).reverse();
  part("history").replaceChildren(...steps.map((one) => make("li", { textContent: `${moment(one.time)} · ${one.who} · ${t("did_" + one.kind)}` })));
  const meta = Object.entries({ ...(state.visit?.meta || {}), ...(image?.meta || {}) }).filter(([, value]) => value !== null && value !== "");
  part("meta").replaceChildren(...meta.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: String(value) })]));
}
