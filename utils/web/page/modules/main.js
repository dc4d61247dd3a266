// The desk: where it begins, and what connects its parts.

import { api } from "./api.js";
import * as address from "./address.js";
import * as defects from "./defects.js";
import { fill, menus, part } from "./dom.js";
import * as downloads from "./downloads.js";
import * as events from "./events.js";
import * as folder from "./folder.js";
import * as gallery from "./gallery.js";
import * as images from "./images.js";
import * as keys from "./keys.js";
import * as notices from "./notices.js";
import * as heat from "./heat.js";
import * as painting from "./painting.js";
import * as phrases from "./phrases.js";
import { t } from "./phrases.js";
import * as queues from "./queues.js";
import * as remarks from "./remarks.js";
import * as review from "./review.js";
import * as settings from "./settings.js";
import { namesOf, on, state, takeVisit, tell } from "./state.js";
import * as theme from "./theme.js";
import * as toolbar from "./toolbar.js";
import * as uploads from "./uploads.js";
import * as viewer from "./viewer.js";
import * as visits from "./visits.js";
import * as weights from "./weights.js";

// --- visits -----------------------------------------------------------------------------------------------------------

function show(view) {
  document.body.dataset.view = view;
  part("start").hidden = view !== "start";
  part("desk").hidden = view !== "desk";
}

async function openVisit(id, { key = null, position = null, step = true } = {}) {
  events.hang_up();
  gallery.clear();
  images.forget();
  images.close();
  try {
    state.visit = await api.visit(id);
  } catch (error) {
    if (error.status !== 404) {
      tell("connection", false);
      setTimeout(() => openVisit(id, { key, position, step }), 1000);
      return;
    }
    tell("notice", { kind: "bad", text: t("visit_gone") });
    begin(false);
    return;
  }
  tell("connection", true);
  tell("opened-visit");
  tell("visit");
  show("desk");
  events.listen(id, state.visit.version);
  if (key) state.key = key; // so that the list knows where it stands
  const rows = await gallery.refresh();
  const choice = key || (rows?.images.find((row) => row.status === "done") || {}).key;
  state.key = null;
  if (choice) await images.open(choice, { step: false, position });
  else address.write(step);
  gallery.reveal();
}

/** Go to the first page; the next images begin a visit of their own. */
function begin(step = true) {
  events.hang_up();
  uploads.cancel();
  state.visit = null;
  gallery.clear();
  images.close();
  address.write(step);
  show("start");
  tell("visit");
  visits.recent();
}

let making = null; // two drops at once make one visit

async function visit() {
  if (state.visit) return state.visit.id;
  making ||= api.begin().then((made) => openVisit(made.id)).finally(() => { making = null; });
  await making;
  return state.visit?.id;
}

async function into(work) {
  try {
    const id = await visit();
    if (id) await work(id);
  } catch (error) {
    tell("notice", { kind: "bad", text: error.message });
  }
}

const take = (files) => { if (files.length) into((id) => uploads.add(id, files)); };
const addFolder = (wanted) => into(async (id) => {
  for (const { name, reason } of (await api.addFolder(id, wanted)).refused) tell("refused", { name, reason });
});

/** Show strips drawn by the computer, by weights that know them. */
async function addSamples() {
  const fit = state.about?.samples ? null : knowsSamples();
  if (fit && state.visit?.weights !== fit) {
    try {
      await openVisit((await api.begin({ weights: fit })).id);
    } catch (error) {
      said(error);
      return;
    }
  }
  into((id) => api.samples(id));
}

const knowsSamples = () => state.about.weights.map((one) => one.name).find((name) => name.includes("synthetic"));

// --- what buttons and keys do -----------------------------------------------------------------------------------------

const working = (work) => () => (state.visit && document.body.dataset.view === "desk" ? work() : false);

const actions = {
  next: working(() => { gallery.step(1); }),
  previous: working(() => { gallery.step(-1); }),
  in: working(() => viewer.zoom(1.6)),
  out: working(() => viewer.zoom(1 / 1.6)),
  fit: working(() => viewer.fit()),
  overlay: working(toolbar.toggleOverlay),
  shape: working(viewer.otherShape),
  undo: working(() => { if (!painting.back(false)) review.undo(); }),
  done: working(() => { if (!painting.finish()) queues.markAndGo("done"); }),
  clean: working(() => queues.markAndGo("clean")),
  unsure: working(() => queues.markAndGo("unsure")),
  stop: () => { uploads.cancel(); if (state.visit) api.stop(state.visit.id).then(took).catch(said); },
  go: () => api.go(state.visit.id).then(took).catch(said),
};

const said = (error) => tell("notice", { kind: "bad", text: error.message });
const took = (answer) => { if (answer?.counts) takeVisit(answer); };

const tool = (name) => working(() => toolbar.use(name));
keys.start({
  n: actions.next, ArrowRight: actions.next, p: actions.previous, ArrowLeft: actions.previous,
  o: actions.overlay, " ": actions.overlay, "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.fit,
  w: working(viewer.otherShape), f: working(() => part("words").focus()), m: working(() => part("comment").focus()),
  j: working(() => defects.pickNext(1)), k: working(() => defects.pickNext(-1)),
  a: working(() => review.judge("accept")), x: working(() => review.judge("reject")), Delete: working(() => review.judge("reject")),
  Enter: actions.done, c: actions.clean, u: actions.unsure, z: actions.undo,
  Backspace: working(() => painting.back(false)),
  b: tool("brush"), e: tool("erase"), g: tool("polygon"), t: tool("box"), v: tool("move"),
  Escape: working(() => { if (!painting.back(true)) { if (state.tool !== "move") toolbar.use("move"); else tell("pick", { number: null, go: false }); } }),
  "[": working(() => toolbar.resize(1 / 1.25)), "]": working(() => toolbar.resize(1.25)), "?": keys.show,
  digit: (number) => working(() => digit(number))(),
});

function digit(number) {
  const one = namesOf(state.visit)[number - 1];
  if (!one) return false;
  if (state.tool === "move" && state.picked !== null) review.changeClass(one.id);
  else { state.brushClass = one.id; part("brush-class").value = one.id; tell("view"); }
  return true;
}

// --- begin ------------------------------------------------------------------------------------------------------------

function connectButtons() {
  const files = () => part("file-input").click(), directory = () => part("directory-input").click();
  const click = (ids, work) => ids.forEach((id) => part(id).addEventListener("click", work));
  click(["add-files", "start-files"], files);
  click(["add-directory", "start-directory"], directory);
  click(["add-folder", "start-folder"], folder.open);
  click(["add-samples", "start-samples"], addSamples);
  click(["begin"], () => begin());
  click(["print"], () => window.print());
  part("who").value = localStorage.getItem("steel-who") || "";
  part("who").addEventListener("input", (event) => review.setWho(event.target.value.trim()));
  part("language").addEventListener("change", async (event) => { await phrases.speak(event.target.value); tell("language"); });
}

function drawConnection(there) {
  state.connected = there;
  part("connection").textContent = there ? "" : t("connection_lost");
  document.body.classList.toggle("lost", !there);
}

async function greet() {
  try {
    state.about = await api.about();
    tell("about");
  } catch (error) {
    if (error.status === 404) return;
    drawConnection(false);
    setTimeout(greet, 1000);
    return;
  }
  const { folder: has, coil, samples } = state.about;
  for (const id of ["add-folder", "start-folder"]) part(id).hidden = !has;
  for (const id of ["add-samples", "start-samples"]) part(id).hidden = !samples && !knowsSamples();
  part("coil").hidden = !coil;
  drawConnection(true);
}

async function main() {
  theme.start();
  await phrases.speak();
  fill(part("language"), Object.entries(phrases.LANGUAGES), phrases.language);
  menus();
  viewer.start();
  heat.start();
  for (const module of [notices, gallery, images, defects, settings, queues, downloads, visits, remarks, weights]) module.start();
  painting.begin();
  toolbar.start(actions);
  folder.start(addFolder);
  uploads.connect(take);
  connectButtons();
  on("connection", drawConnection);
  on("uploads visit language", uploads.drawProgress);
  on("begin", () => begin());
  on("open-visit", (id) => openVisit(id));
  on("news-visit", (visit) => { if (visit.id === state.visit?.id) takeVisit(visit); });
  on("news-gone", () => { tell("notice", { kind: "bad", text: t("visit_gone") }); begin(false); });
  on("back news-reload", async () => { // the server was away: what it said meanwhile is asked for
    if (!state.visit) return;
    try {
      takeVisit(await api.visit(state.visit.id));
    } catch (error) {
      if (error.status === 404) { tell("notice", { kind: "bad", text: t("visit_gone") }); begin(false); }
      return;
    }
    images.forget();
    gallery.refresh();
    if (state.key) images.open(state.key, { step: false });
  });
  window.addEventListener("popstate", () => follow(false));
  tell("language");
  await greet();
  await follow(false);
  review.pump();
}

/** Show what the address says. */
async function follow(step) {
  const wanted = address.read();
  const searches = JSON.stringify(wanted.search) !== JSON.stringify(state.search);
  state.search = wanted.search;
  if (!wanted.visit) { begin(false); return; }
  if (wanted.visit !== state.visit?.id) { await openVisit(wanted.visit, { key: wanted.image, position: wanted.position, step }); return; }
  if (searches) await gallery.search({});
  if (wanted.image && wanted.image !== state.key) await images.open(wanted.image, { step: false, position: wanted.position });
  gallery.reveal();
}

main();
