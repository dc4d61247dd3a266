// The list of images: only what is in sight is made, so that ten thousand are as quick as ten.

import { api, imageAddress } from "./api.js";
import * as address from "./address.js";
import { fill, later, make, part, seldom } from "./dom.js";
import { number, percent, reason, t } from "./phrases.js";
import { classOf, namesOf, on, state, tell } from "./state.js";

const PAGE = 60; // rows that are fetched at once
const SIDE = { column: 98, line: 176, phone: 148 }; // pixels of an item in a column and in a line
const phone = matchMedia("(max-width: 820px)");

let rows = new Map(); // place -> row
let asked = new Set(); // pages that are fetched or under way
let generation = 0;
let here = -1; // place of the image in sight
const items = new Map(); // place -> element

export const rowAt = (place) => rows.get(place);
export const placeOf = (key) => [...rows].find(([, row]) => row.key === key)?.[0] ?? -1;

export function start() {
  const box = part("thumbs");
  box.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  box.addEventListener("click", (event) => {
    const item = event.target.closest("[data-place]");
    if (item) choose(Number(item.dataset.place));
  });
  new ResizeObserver(draw).observe(box);
  const anew = () => { items.clear(); box.replaceChildren(); draw(); reveal(); };
  phone.addEventListener("change", anew);
  on("shape", anew);
  part("filter").addEventListener("change", (event) => {
    const [what, ...value] = event.target.value.split(":");
    search({ class: "", verdict: "", review: "", ...(what === "all" ? {} : { [what]: value.join(":") }) });
  });
  part("sort").addEventListener("change", (event) => search({ sort: event.target.value }));
  part("words").addEventListener("input", later(250, () => search({ words: part("words").value.trim() })));
  on("news-image", news);
  on("news-review", ({ key }) => refreshSoon(key));
  on("news-removed", () => refresh());
  on("language visit", head);
  on("language", draw);
  on("opened", mark);
}

function head() {
  if (!state.visit) return;
  const { search: wanted } = state;
  const classes = namesOf(state.visit).map((one) => [`class:${one.name}`, t("with_class", { name: one.name })]);
  const choices = [["all", t("all_images")], ["verdict:defective", t("defective")], ["verdict:clean", t("clean")], ["verdict:refused", t("refused")],
    ["review:open", t("review_open")], ["review:done", t("review_done")], ["review:unsure", t("review_unsure")], ...classes];
  const value = ["class", "verdict", "review"].filter((name) => wanted[name] !== "").map((name) => `${name}:${wanted[name]}`)[0] || "all";
  fill(part("filter"), choices, value);
  fill(part("sort"), [["old", t("sort_arrival")], ["new", t("sort_new")], ["uncertain", t("sort_uncertain")], ["area", t("sort_area")], ["probability", t("sort_probability")], ["name", t("sort_name")]], wanted.sort);
  if (document.activeElement !== part("words")) part("words").value = wanted.words;
}

/** Search anew; the image in sight stays. */
export async function search(changes) {
  Object.assign(state.search, changes);
  address.write(false);
  part("thumbs").scrollTo(0, 0);
  head();
  await refresh();
}

/** Forget what was fetched and fetch what is in sight again. */
export async function refresh() {
  generation += 1;
  asked = new Set();
  const first = await fetchPage(0, state.key);
  if (first && first.place !== undefined) here = first.place ?? -1;
  for (const place of rows.keys()) if (place >= state.total) rows.delete(place);
  draw();
  return first;
}

const refreshSoon = seldom(400, refresh);

async function fetchPage(page, key) {
  if (!state.visit || asked.has(page)) return null;
  asked.add(page);
  const of = generation, visit = state.visit.id;
  try {
    const answer = await api.rows(visit, { ...state.search, offset: page * PAGE, limit: PAGE, key });
    if (of !== generation || visit !== state.visit?.id) return null;
    state.total = answer.total;
    if (page === 0 && !rows.size) rows = new Map();
    answer.images.forEach((row, index) => rows.set(page * PAGE + index, row));
    draw();
    tell("rows");
    return answer;
  } catch (error) {
    asked.delete(page);
    if (!error.passing) tell("notice", { kind: "bad", text: error.message });
    return null;
  }
}

export function clear() {
  rows = new Map();
  asked = new Set();
  generation += 1;
  here = -1;
  state.total = 0;
  items.clear();
  part("thumbs").replaceChildren();
}

/** A row has changed: it is drawn where it stands; one that is not here yet changes the list. */
function news(row) {
  const place = placeOf(row.key);
  if (place >= 0) {
    rows.set(place, { ...rows.get(place), ...row });
    items.get(place)?.remove();
    items.delete(place);
    draw();
    if (state.search.sort === "old" && !state.search.verdict && state.search.class === "") return;
  }
  refreshSoon();
}

// --- drawing ----------------------------------------------------------------------------------------------------------

/** Whether the list runs across, and how much room an item takes. */
function layout() {
  const wide = phone.matches || document.body.dataset.shape === "wide";
  return { wide, side: phone.matches ? SIDE.phone : wide ? SIDE.line : SIDE.column };
}

function draw() {
  const box = part("thumbs");
  const { wide, side } = layout();
  let filler = box.querySelector(".filler");
  if (!filler) box.append((filler = make("div", { className: "filler" })));
  filler.style.width = wide ? `${state.total * side}px` : "1px";
  filler.style.height = wide ? "1px" : `${state.total * side}px`;
  const [from, room] = wide ? [box.scrollLeft, box.clientWidth] : [box.scrollTop, box.clientHeight];
  const begin = Math.max(0, Math.floor(from / side) - 2), end = Math.min(state.total, Math.ceil((from + room) / side) + 2);
  for (const [place, item] of items) if (place < begin || place >= end) { item.remove(); items.delete(place); }
  for (let place = begin; place < end; place += 1) {
    const row = rows.get(place);
    if (!asked.has(Math.floor(place / PAGE))) fetchPage(Math.floor(place / PAGE));
    if (!row) continue;
    const said = JSON.stringify([row, document.documentElement.lang]);
    let item = items.get(place);
    if (item?.dataset.said !== said) {
      item?.remove();
      item = thumb(row, place);
      item.dataset.said = said;
      items.set(place, item);
      box.append(item);
    }
    item.style[wide ? "left" : "top"] = `${place * side}px`;
  }
  mark();
  part("gallery-count").textContent = !state.visit ? "" : narrowed() ? t("count_of", { n: state.total, total: state.visit.counts.images }) : number(state.total);
}

const narrowed = () => ["class", "verdict", "review", "words"].some((name) => state.search[name] !== "");

/** The verdict of an image after its review, as results.csv has it; the network's where nobody has said anything. */
export function judged(row) {
  const { review } = row;
  if (row.status !== "done" || !review?.verdict) return row; // nobody can correct what has no masks
  let { verdict, found } = review;
  if (review.defects && review.state !== "clean") { // in sight: seen before the server has answered
    const left = new Set(review.defects.filter((one) => one.review !== "rejected").map((one) => classOf(one.class_id)?.name ?? one.name));
    [verdict, found] = [left.size ? "defective" : "clean", [...left]];
  }
  return { ...row, verdict, found, doubt: null };
}

export function verdictOf(row) {
  if (row.status === "waiting") return t("waiting");
  if (row.status === "refused") return t("refused");
  if (row.verdict === "clean") return row.doubt ? t("doubtful", { reason: reason(row.doubt) }) : t("clean");
  return `${t("defective")}: ${(row.found || []).map((one) => one.name ?? one).join(", ")}`;
}

export const markOf = (row) => (row.status === "refused" ? "refused" : row.status === "waiting" ? "waiting" : row.verdict);
const SIGNS = { clean: "✓", defective: "✗", refused: "!", waiting: "…" };
const REVIEWED = { done: "☑", clean: "☑", unsure: "?" };
export const signed = (row) => `${SIGNS[markOf(row)] || ""} ${verdictOf(row)}`;

function thumb(row, place) {
  const said = judged(row);
  const item = make("div", { className: `thumb is-${markOf(said)}`, id: `thumb-${row.key}`, title: row.reason ? `${row.name}: ${reason(row.reason)}` : row.name });
  item.setAttribute("role", "option");
  item.dataset.place = place;
  item.dataset.key = row.key;
  const picture = make("div", { className: "thumb-picture" });
  if (row.status === "done") {
    const image = make("img", { src: imageAddress(state.visit.id, row.key, "thumb.jpg", `${row.settings} ${row.review?.time ?? ""}`), alt: "", decoding: "async", draggable: false });
    picture.append(image);
  }
  const note = row.review ? row.review.who : row.area && said.verdict !== "clean" ? [`${number(row.area)} px`, row.probability ? percent(row.probability) : ""].filter(Boolean).join(" · ") : reason(row.reason) || "";
  const sign = REVIEWED[row.review?.state];
  item.append(picture,
    make("span", { className: "name", textContent: row.name }),
    make("span", { className: `verdict is-${markOf(said)}`, textContent: signed(said) }),
    make("span", { className: "note", textContent: row.sample ? t("sample") : note }));
  if (sign) {
    const badge = make("span", { className: `badge is-${row.review.state}`, textContent: sign });
    badge.setAttribute("role", "img");
    badge.setAttribute("aria-label", `${t("review_" + row.review.state)}${row.review.who ? ", " + row.review.who : ""}`);
    badge.title = badge.getAttribute("aria-label");
    item.append(badge);
  }
  return item;
}

function mark() {
  for (const [place, item] of items) {
    const shown = item.dataset.key === state.key;
    item.classList.toggle("shown", shown);
    item.setAttribute("aria-selected", String(shown));
    if (shown) here = place;
  }
  const known = state.key && document.getElementById(`thumb-${state.key}`);
  if (known) part("thumbs").setAttribute("aria-activedescendant", known.id);
  else part("thumbs").removeAttribute("aria-activedescendant");
  part("place").textContent = here >= 0 && state.total ? `${number(here + 1)} / ${number(state.total)}` : "";
}

/** Bring the image in sight into the list's view. */
export function reveal() {
  if (here < 0) return;
  const box = part("thumbs");
  const { wide, side } = layout();
  const [from, room] = wide ? [box.scrollLeft, box.clientWidth] : [box.scrollTop, box.clientHeight];
  const start = here * side;
  const to = start < from ? start - side / 2 : start + side > from + room ? start + 1.5 * side - room : null;
  if (to !== null) box.scrollTo(wide ? { left: to } : { top: to });
}

/** Bring the image in sight into view, be it far from the rows that were fetched: a queue goes to and fro. */
export async function find() {
  await refresh();
  reveal();
}

// --- going through ----------------------------------------------------------------------------------------------------

async function rowOf(place) {
  if (!rows.has(place)) {
    asked.delete(Math.floor(place / PAGE));
    await fetchPage(Math.floor(place / PAGE));
  }
  return rows.get(place);
}

export async function choose(place) {
  const row = await rowOf(place);
  if (!row) return;
  here = place;
  tell("choose", row.key);
  reveal();
}

/** Go on by so many images in the list's order, over those that nothing is known of. */
export async function step(by) {
  if (await walk(by)) return true;
  await refresh(); // since the list was fetched it may have grown, or an image that waited may be done
  return walk(by);
}

async function walk(by) {
  const found = placeOf(state.key);
  if (found >= 0) here = found;
  let place = here < 0 ? 0 : here + by;
  for (let row; place >= 0 && place < state.total; place += by) {
    row = await rowOf(place);
    if (row && row.status === "done") { await choose(place); return true; }
  }
  return false;
}

/** The rows that are likely to be asked for next. */
export const neighbours = () => [rows.get(here + 1), rows.get(here - 1)].filter((row) => row?.status === "done");
