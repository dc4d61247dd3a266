// Which image comes next: the list's order, or the server's queue of what is not yet reviewed.

import { api } from "./api.js";
import { fill, part } from "./dom.js";
import * as gallery from "./gallery.js";
import { t } from "./phrases.js";
import * as review from "./review.js";
import { on, state, tell } from "./state.js";

// A word for this page, by which the server gives two people two images.
const page = (sessionStorage["steel-page"] ||= Math.random().toString(36).slice(2));
const QUEUES = ["gallery", "uncertain", "new", "random", "ng"];

export function start() {
  if (QUEUES.includes(sessionStorage.getItem("steel-queue"))) state.queue = sessionStorage.getItem("steel-queue");
  part("queue").addEventListener("change", (event) => {
    state.queue = event.target.value;
    sessionStorage.setItem("steel-queue", state.queue);
    part("left").textContent = "";
    if (state.queue !== "gallery") next(null);
  });
  on("language visit", () => {
    fill(part("queue"), QUEUES.map((name) => [name, t("queue_" + name)]), state.queue);
    const counts = state.visit?.counts;
    part("reviewed").textContent = counts?.reviewed ? t("reviewed_of", { n: counts.reviewed, total: counts.done }) : "";
  });
  on("image language", drawState);
  on("opened back", hold);
}

function drawState() {
  const found = state.image?.review;
  const words = found && found.state !== "open" ? [t("review_" + found.state), found.history?.at(-1)?.who] : [];
  part("review-state").textContent = words.filter(Boolean).join(" · ");
  for (const name of ["clean", "unsure", "done"]) {
    document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(found?.state === name));
  }
}

/** Tell the server which image is in sight, so that nobody else is given it; a server that was started anew has forgotten. */
function hold() {
  if (state.queue !== "gallery" && state.visit && state.key) api.hold(state.visit.id, state.key, page).catch(() => {}); // only a wish
}

/** Go to the next image of the queue.
 *
 * @param after key of the image that is not wanted again; null: the first one of the queue is, be it in sight or not.
 */
export async function next(after = state.key) {
  if (state.queue === "gallery") {
    if (!(await gallery.step(1))) tell("notice", { kind: "good", text: t("last_image") });
    return;
  }
  await review.pump(); // the server counts what it has
  try {
    const { key, left } = await api.next(state.visit.id, { queue: state.queue, after, page });
    part("left").textContent = t("left_n", { n: left });
    if (key) {
      tell("choose", key);
      gallery.find();
    } else {
      tell("notice", { kind: "good", text: left ? t("queue_held", { n: left }) : t("queue_empty") });
    }
  } catch (error) {
    tell("notice", { kind: "bad", text: error.message });
  }
}

/** Mark the image and go on. */
export function markAndGo(kind) {
  if (state.image?.status !== "done") return;
  review.act({ kind });
  next();
}
