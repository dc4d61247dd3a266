// The queue of files on their way to the server: any number, three at a time, more while it runs.

import { api } from "./api.js";
import { make, part } from "./dom.js";
import { number, t } from "./phrases.js";
import { state, tell } from "./state.js";

const AT_ONCE = 3;
const IMAGES = /\.(jpe?g|png|bmp|tiff?|webp|zip)$/i;

const waiting = []; // {file, path, visit}
const under_way = new Set(); // AbortControllers
const LAG = 2000; // milliseconds that the server's counts may be behind its answers

// Images that were there when the queue began, those that the server has taken in of it since, and when it ended.
const run = { visit: null, began: 0, taken: 0, ended: 0 };

export const left = () => waiting.length + under_way.size;

const megabytes = (bytes) => number(bytes / 1e6, 1);

/** Put files into the queue of a visit. */
export function add(visit, files) {
  if (!left()) {
    const behind = run.visit === visit && Date.now() - run.ended < LAG ? run.began + run.taken : 0;
    Object.assign(run, { visit, began: Math.max(state.visit?.counts.images ?? 0, behind), taken: 0 });
  }
  const most = state.about?.most_bytes || Infinity; // of a longer one the server would see the beginning alone
  for (const { file, path } of files) {
    if (file.size > most) tell("refused", { name: path || file.name, reason: t("too_large", { size: megabytes(file.size), most: megabytes(most) }) });
    else waiting.push({ file, path, visit });
  }
  tell("uploads");
  // The first goes alone: it is the first to arrive, and to be looked at.
  if (!under_way.size && waiting.length) send(waiting.shift());
}

async function send(one) {
  const control = new AbortController();
  under_way.add(control);
  try {
    const form = new FormData();
    if (one.path && one.path !== one.file.name) form.append("path", one.path);
    form.append("image", one.file, one.file.name);
    const answer = await api.send(one.visit, form, control.signal);
    run.taken += (answer.added || []).filter((one) => one.new).length;
    for (const { name, reason } of answer.refused || []) tell("refused", { name, reason });
  } catch (error) {
    if (error.name !== "AbortError") tell("refused", { name: one.path || one.file.name, reason: error.message });
  }
  under_way.delete(control);
  run.ended = Date.now();
  tell("uploads");
  while (under_way.size < AT_ONCE && waiting.length) send(waiting.shift());
}

/** Send no more of what waits. */
export function cancel() {
  waiting.length = 0;
  for (const control of under_way) control.abort();
  tell("uploads");
}

// --- where files come from --------------------------------------------------------------------------------------------

/** List the files of a drop, also those in folders, with their paths. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.kind === "file" && item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, found, entry.isFile);
  return found;
}

async function walk(entry, found, named) {
  if (entry.isFile) {
    if (!named && !IMAGES.test(entry.name)) return; // what else lies in a folder was not meant
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader gives 100 entries at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await walk(one, found, false);
  }
}

const listed = (input) => [...input.files].filter((file) => !file.webkitRelativePath || IMAGES.test(file.name)).map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Connect the fields of files, and dropping anywhere on the page. */
export function connect(take) {
  const veil = part("drop-veil");
  for (const id of ["file-input", "directory-input"]) {
    part(id).addEventListener("change", (event) => { take(listed(event.target)); event.target.value = ""; });
  }
  const carries = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  document.addEventListener("dragover", (event) => { if (carries(event)) { event.preventDefault(); veil.hidden = false; } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) veil.hidden = true; });
  document.addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    veil.hidden = true;
    take(await dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (files.length) take(files.map((file) => ({ file, path: file.name })));
  });
  window.addEventListener("beforeunload", (event) => { if (left()) event.preventDefault(); });
}

// --- what is seen of it -----------------------------------------------------------------------------------------------

/** Count the images of the visit with those that are still on their way.
 *
 * The server counts an image before its answer is here: what it has more than it has answered is no longer on its way.
 */
function expected(counts) {
  const answered = run.began + run.taken;
  if (!left()) return counts.images;
  const counted = Math.min(under_way.size, Math.max(0, counts.images - answered));
  return Math.max(counts.images, answered) + waiting.length + under_way.size - counted;
}

/** Say how far the work is: what still comes from here and what waits at the server. */
export function drawProgress() {
  const box = part("progress");
  const counts = state.visit?.counts;
  if (!counts) { box.replaceChildren(); return; }
  const total = expected(counts), done = counts.done + counts.refused;
  const busy = total > done, stopped = state.visit.state === "stopped";
  if (!busy) {
    box.replaceChildren(counts.images ? t("all_done", { n: counts.images, defective: counts.defective }) : "");
    return;
  }
  const rate = state.visit.rate || 0;
  const words = [t("progress", { done, total })];
  if (stopped) words.push(t("stopped"));
  else if (rate) words.push(t("rate", { rate: number(rate, 1) }), t("time_left", { time: span((total - done) / rate) }));
  const bar = make("progress", { max: total, value: done });
  bar.setAttribute("aria-label", words[0]);
  const button = make("button", { type: "button", textContent: t(stopped ? "go_on" : "stop") });
  button.dataset.do = stopped ? "go" : "stop";
  box.replaceChildren(bar, make("span", { textContent: words.join(" · ") }), button);
}

const span = (seconds) => (seconds < 90 ? t("seconds", { n: Math.ceil(seconds) }) : t("minutes", { n: Math.ceil(seconds / 60) }));
