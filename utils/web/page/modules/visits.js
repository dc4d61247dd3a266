// Visits: the list that can be searched, what is known of the strip, and beginning anew.

import { api } from "./api.js";
import { fill, later, make, part } from "./dom.js";
import { moment, reason, t } from "./phrases.js";
import { change } from "./settings.js";
import { on, state, tell } from "./state.js";

const META = ["coil_id", "camera", "side", "position_m", "shift"];
const SHOWN = 50;

export function start() {
  part("visits").addEventListener("click", () => { part("visits-dialog").showModal(); list(); });
  for (const id of ["visit-words", "visit-day", "visit-coil", "visit-class", "visit-verdict"]) part(id).addEventListener("input", later(200, list));
  on("language", () => {
    fill(part("visit-verdict"), [["", t("any_verdict")], ["defective", t("defective")], ["clean", t("clean")]], part("visit-verdict").value);
    if (document.body.dataset.view === "start") recent();
    drawKept();
  });
  on("visit about", drawKept);
  part("meta-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    const title = values.title.trim();
    delete values.title;
    const meta = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    if (meta.position_m !== undefined) meta.position_m = Number(meta.position_m.replace(",", "."));
    change({ title, meta });
    part("meta-dialog").close();
  });
}

function drawKept() {
  const kept = state.visit ? state.visit.kept : state.about?.kept;
  if (kept === undefined || kept === null) return;
  part("kept").textContent = t(kept ? "kept_short" : "not_kept_short");
  part("kept").title = t(kept ? "kept_long" : "not_kept_long");
  part("kept-note").textContent = t(kept ? "kept_long" : "not_kept_long");
  part("visits-kept").textContent = t(kept ? "kept_long" : "not_kept_long");
  if (state.visit) part("visit-title").textContent = state.visit.title || t("visit_of", { time: moment(state.visit.created) });
  else part("visit-title").textContent = t("visits");
}

async function list() {
  const search = { words: part("visit-words").value, day: part("visit-day").value, coil: part("visit-coil").value, class: part("visit-class").value, verdict: part("visit-verdict").value, limit: SHOWN };
  try {
    const { visits, total } = await api.visits(search);
    const bar = make("p", { className: "buttons" }, make("button", { type: "button", textContent: t("begin"), onclick: () => { part("visits-dialog").close(); tell("begin"); } }));
    if (state.visit) bar.append(make("button", { type: "button", textContent: t("visit_meta"), onclick: edit }));
    part("visit-list").replaceChildren(bar, table(visits, true), total > visits.length ? make("p", { className: "note", textContent: t("more_rows", { n: total - visits.length }) }) : "");
  } catch (error) {
    part("visit-list").replaceChildren(make("p", { className: "note", textContent: reason(error.message) }));
  }
}

/** List the last visits on the first page. */
export async function recent() {
  try {
    const { visits } = await api.visits({ limit: 8 });
    part("recent").hidden = !visits.length;
    part("recent-list").replaceChildren(table(visits, false));
  } catch { part("recent").hidden = true; }
}

function table(visits, removes) {
  if (!visits.length) return make("p", { className: "note", textContent: t("no_visits") });
  const head = ["visit", "time", "coil_id", "images", "defective", "reviewed"].map((name) => make("th", { scope: "col", textContent: t(name) }));
  const rows = visits.map((visit) => {
    const link = make("a", { href: "?visit=" + encodeURIComponent(visit.id), textContent: visit.title || t("visit_of", { time: moment(visit.created) }) });
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      part("visits-dialog").close();
      tell("open-visit", visit.id);
    });
    const counts = visit.counts || visit;
    const cells = [make("td", {}, link), make("td", { textContent: moment(visit.created) }), make("td", { textContent: visit.meta?.coil_id ?? "" }),
      ...["images", "defective", "reviewed"].map((name) => make("td", { className: "number", textContent: counts[name] ?? "" }))];
    if (removes) cells.push(make("td", {}, remover(visit)));
    return make("tr", { className: visit.id === state.visit?.id ? "picked" : "" }, ...cells);
  });
  if (removes) head.push(make("th", {}, make("span", { className: "unseen", textContent: t("remove") })));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

function remover(visit) {
  const button = make("button", { type: "button", className: "quiet", textContent: t("remove") });
  button.addEventListener("click", async () => {
    if (!button.dataset.sure) { button.dataset.sure = "yes"; button.textContent = t("remove_sure"); return; }
    try { await api.forget(visit.id); } catch (error) { tell("notice", { kind: "bad", text: error.message }); }
    if (visit.id === state.visit?.id) { part("visits-dialog").close(); tell("begin"); } else list();
  });
  return button;
}

/** Ask for the title of the visit and what is known of the strip. */
function edit() {
  part("visits-dialog").close();
  const { title, meta = {} } = state.visit;
  const names = [...new Set([...META, ...Object.keys(meta || {})])];
  part("meta-form").replaceChildren(
    field("title", t("title"), title ?? ""),
    ...names.map((name) => field(name, META.includes(name) ? t(name) : name, meta?.[name] ?? "")),
    make("p", { className: "buttons" }, make("button", { className: "primary", textContent: t("save") })));
  part("meta-dialog").showModal();
}

const field = (name, label, value) => make("label", { className: "field" }, make("span", { textContent: label }), make("input", { name, value, maxLength: 200 }));
