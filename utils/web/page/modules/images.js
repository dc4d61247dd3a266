// The image in sight: what is known of it is fetched, kept for leafing back, and fetched again when it changes.

import { api, plainReview } from "./api.js";
import * as address from "./address.js";
import { part, seldom, swatch } from "./dom.js";
import * as gallery from "./gallery.js";
import { number, percent, reason, t } from "./phrases.js";
import { unsent } from "./review.js";
import { classOf, defectsOf, namesOf, on, state, tell } from "./state.js";
import * as viewer from "./viewer.js";

const KEPT = 12; // images whose defects stay known
const known = new Map(); // key -> image
const newest = new Map(); // key -> the review of the highest revision that was told: an image may be fetched before it and come after
let fetching = null;

export function start() {
  on("choose", (key) => open(key));
  on("news-image", (row) => {
    known.delete(row.key);
    if (row.key === state.key) renew();
    else if (!state.key && row.status === "done") open(row.key, { step: false });
  });
  on("news-review", ({ key, review }) => {
    known.delete(key);
    const told = plainReview(review);
    remember(key, told);
    if (key !== state.key || !state.image || unsent(key) || revisionOf(told) <= revisionOf(state.image.review)) return;
    state.image.review = told;
    tell("image");
  });
  on("reviewed", ({ visit, key, review }) => { if (visit === state.visit?.id) remember(key, review); });
  on("news-removed", ({ key }) => { newest.delete(key); if (key === state.key) close(); });
  on("decided", () => { known.clear(); compared = null; renew.now(); });
  on("pick", ({ number: picked, go }) => {
    state.picked = picked;
    const defect = defectsOf(state.image).find((one) => one.number === picked);
    if (go && defect?.box) viewer.close(defect.box);
    tell("view");
  });
  on("image language", draw);
  on("language visit", drawBesides);
  window.addEventListener("resize", () => viewer.arrange());
  part("beside").addEventListener("change", (event) => tell("beside", event.target.value));
}

/** Show an image; the address follows. */
export async function open(key, { step = true, position = null } = {}) {
  if (!state.visit) return;
  const other = key !== state.key;
  state.key = key;
  if (other) {
    state.picked = null;
    address.place(position);
    tell("opened", key);
  }
  address.write(step);
  viewer.openAt(position);
  const image = known.get(key) || (await fetch(key));
  if (!image || state.key !== key) return;
  state.image = image;
  tell("image");
  for (const row of gallery.neighbours()) {
    viewer.prefetch(row);
    if (!known.has(row.key)) fetch(row.key, true);
  }
}

async function fetch(key, ahead = false) {
  if (!ahead) { fetching?.abort(); fetching = new AbortController(); }
  const visit = state.visit.id;
  try {
    const image = { ...(await api.image(visit, key, ahead ? undefined : fetching.signal)), key };
    if (visit !== state.visit?.id) return null;
    keepReview(image);
    if (image.status === "done") known.set(key, image);
    while (known.size > KEPT) known.delete(known.keys().next().value);
    return image;
  } catch (error) {
    if (error.name === "AbortError" || ahead) return null;
    if (error.status === 404) close();
    else tell("notice", { kind: "bad", text: error.message });
    return null;
  }
}

const revisionOf = (review) => review?.revision ?? -1;

function remember(key, review) {
  if (revisionOf(review) > revisionOf(newest.get(key))) newest.set(key, review);
}

/** An image that was fetched before somebody reviewed it must not take that review back. */
function keepReview(image) {
  const { key } = image;
  if (unsent(key) && state.key === key && state.image) {
    image.review = { ...state.image.review, defects: defectsOf(state.image) }; // what is on its way is seen already
    return;
  }
  if (revisionOf(newest.get(key)) > revisionOf(image.review)) image.review = newest.get(key);
}

const renew = seldom(60, () => renew.now());
renew.now = async () => {
  const { key } = state;
  if (!key) return;
  const image = await fetch(key);
  if (!image || state.key !== key) return;
  state.image = image;
  tell("image");
};

export function close() {
  delete document.body.dataset.shape; // the next visit may have other images
  state.key = state.image = state.picked = null;
  address.write(false);
  tell("opened", null);
  tell("image");
}

export function forget() { known.clear(); newest.clear(); }

// --- what is seen of it -----------------------------------------------------------------------------------------------

const colours = () => new Map(namesOf(state.visit).map((one) => [one.id, one.colour]));

function draw() {
  const { image } = state;
  const name = part("image-name"), verdict = part("verdict");
  name.textContent = image?.name || "";
  name.title = image ? `${image.name}${image.width ? ` · ${image.width} × ${image.height} px` : ""}` : "";
  document.title = image ? `${image.name} · ${t("brand")}` : t("brand");
  document.body.dataset.image = image?.status || "none";
  const judged = image && gallery.judged(image);
  verdict.className = `verdict is-${judged ? gallery.markOf(judged) : "none"}`;
  verdict.textContent = judged ? gallery.signed(judged) : "";
  verdict.title = verdict.textContent;
  part("first-caption").replaceChildren(...caption(image));
  if (!image) return;
  const size = { width: image.width || 1, height: image.height || 1 };
  viewer.first.layer.show(defectsOf(image), size, colours());
  drawSecond(image, size);
  viewer.arrange();
}

function caption(image) {
  if (!image) return [t("choose_image")];
  if (image.status === "refused") return [`${image.name}: ${reason(image.reason)}`];
  if (image.status === "waiting") return [t("waiting")];
  if (part("beside").value === "truth" && !image.truth) return [t("no_labels")];
  if (image.unlike) return [`⚠ ${typeof image.unlike === "string" ? reason(image.unlike) : t("unlike")}`];
  const labels = Object.entries(image.labels || {}).map(([name, probability]) => `${name} ${percent(probability)}`);
  if (!state.visit.classes.length) return [labels.join(" · ") || t("whole_images")];
  return image.sample ? [t("sample_note")] : [];
}

function drawSecond(image, size) {
  const { truth } = image;
  const shows = state.visit.compare ? "compare" : part("beside").value === "truth" && truth ? "truth" : "";
  viewer.beside(Boolean(shows) && image.status === "done");
  const box = part("second-caption");
  if (shows === "compare") {
    const seen = compared?.of === `${image.key} ${state.visit.compare}` ? compared.image : null;
    if (!seen) compare(image);
    const defects = seen?.defects || [];
    viewer.second.layer.show(defects, size, colours());
    const found = [...new Map(defects.map((one) => [one.class_id, { name: one.name, colour: classOf(one.class_id)?.colour }])).values()];
    box.replaceChildren(`${state.visit.compare}: `, seen ? (defects.length ? t("defects_n", { n: defects.length }) : t("clean")) : t("waiting"), ...legend(found));
  } else if (shows === "truth") {
    const classes = (truth.classes || []).map((one, index) => ({ ...one, id: one.id ?? -1 - index, rings: truth.outlines?.[index] || [] })).filter((one) => one.rings.length);
    const shapes = classes.map((one) => ({ number: null, class_id: one.id, outline: one.rings, area_px: 0, review: "truth" }));
    viewer.second.layer.show(shapes, size, new Map(classes.map((one) => [one.id, one.colour])));
    box.replaceChildren(truth.note || t("truth"), ...legend(classes));
  }
}

let compared = null; // what the second weights found in the image in sight: {of, image}

async function compare(image) {
  const of = `${image.key} ${state.visit.compare}`;
  if (compared?.of === of) return;
  compared = { of, image: null };
  try {
    const seen = await api.compared(state.visit.id, image.key);
    if (compared?.of !== of) return;
    compared.image = seen;
    if (state.key === image.key) tell("image");
  } catch (error) {
    if (compared?.of === of) tell("notice", { kind: "bad", text: error.message });
  }
}

const legend = (classes) => classes.flatMap((one) => [" ", swatch(one.colour), one.name]);

function drawBesides() {
  if (!state.visit) return;
  const select = part("beside");
  const chosen = state.visit.compare ? "weights:" + state.visit.compare : select.value === "truth" ? "truth" : "";
  const weights = (state.visit.weights_choices || []).filter((one) => one !== state.visit.weights);
  const options = [["", t("beside_nothing")], ["truth", t("beside_truth")], ...weights.map((one) => ["weights:" + one, t("beside_weights", { name: one })])];
  if (select.dataset.said !== JSON.stringify(options)) {
    select.dataset.said = JSON.stringify(options);
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  }
  select.value = chosen;
}

export const sizeOf = (defect) => number(defect.area_px);
export const nameOf = (defect) => classOf(defect.class_id)?.name ?? defect.name ?? String(defect.class_id);
