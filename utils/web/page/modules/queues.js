// Which image comes next: the list's order, or the server's queue of what is not yet reviewed.

import { api } from "./api.js";
import { fill, part } from "./dom.js";
import * as gallery from "./gallery.js";
import { t } from "./phrases.js";
import * as review from "./review.js";
import { on, state, tell } from "./state.js";

const QUEUES = ["gallery", "uncertain", "new", "random", "ng"];

export function start() {
  part("queue").addEventListener("change", (event) => {
    state.queue = event.target.value;
    part("left").textContent = "";
    if (state.queue !== "gallery") next(null);
  });
  on("language visit", () => {
    fill(part("queue"), QUEUES.map((name) => [name, t("queue_" + name)]), state.queue);
    const counts = state.visit?.counts;
    part("reviewed").textContent = counts?.reviewed ? t("reviewed_of", { n: counts.reviewed, total: counts.done }) : "";
  });
  on("image language", drawState);
}

function drawState() {
  const found = state.image?.review;
  const words = found && found.state !== "open" ? [t("review_" + found.state), found.history?.at(-1)?.who] : [];
  part("review-state").textContent = words.filter(Boolean).join(" · ");
  for (const name of ["clean", "unsure", "done"]) {
    document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(found?.state === name));
  }
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
    const { key, left } = await api.next(state.visit.id, { queue: state.queue, after });
    part("left").textContent = t("left_n", { n: left });
    if (key) tell("choose", key);
    else tell("notice", { kind: "good", text: t("queue_empty") });
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
