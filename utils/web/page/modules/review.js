// What a reviewer does: every action is sent at once, in order, and again until the server has it.

import { api } from "./api.js";
import { reason, t } from "./phrases.js";
import { defectsOf, on, state, tell } from "./state.js";

const OUTBOX = "steel-outbox";
const WHO = "steel-who";
const outbox = JSON.parse(sessionStorage.getItem(OUTBOX) || "[]");
const steps = new Map(); // of each image: how many actions each step took, for undo
let sending = null;

export const who = () => (localStorage.getItem(WHO) || "").trim() || t("somebody");
export const setWho = (name) => localStorage.setItem(WHO, name);

/** A random id; crypto.randomUUID exists on secure pages only. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const keep = () => sessionStorage.setItem(OUTBOX, JSON.stringify(outbox));

/** Give actions the ids by which the server knows them again. */
export const named = (actions) => actions.map((action) => ({ id: uuid(), ...action }));

/** Do actions on the image in sight as one step; resolves when the server has them. */
export function act(...actions) {
  const { image, visit } = state;
  if (!image || image.status !== "done") return Promise.resolve();
  if (!actions.some((action) => action.kind === "undo")) {
    if (!steps.has(image.key)) steps.set(image.key, []);
    steps.get(image.key).push(actions.length);
  }
  outbox.push({ visit: visit.id, key: image.key, who: who(), actions: actions.every((action) => action.id) ? actions : named(actions) });
  keep();
  tell("outbox", outbox.length);
  return pump();
}

/** Send what waits; one request after the other. */
export function pump() {
  sending ||= send().finally(() => { sending = null; if (outbox.length) pump(); });
  return sending;
}

async function send() {
  while (outbox.length) {
    const { visit, key, who: by, actions } = outbox[0];
    try {
      const review = await api.review(visit, key, by, actions);
      tell("reviewed", { visit, key, review, own: actions.map((action) => action.id) });
    } catch (error) {
      if (error.passing) {
        tell("notice", { kind: "bad", text: t("not_saved"), id: "not-saved" });
        await new Promise((go) => setTimeout(go, 2000));
        continue;
      }
      tell("refused-action", { key, own: actions.map((action) => action.id) });
      tell("notice", { kind: "bad", text: t("action_refused", { reason: reason(error.message) }) });
    }
    outbox.shift();
    keep();
    tell("outbox", outbox.length);
  }
}

/** Whether actions on an image are still on their way: what the server told before them is old. */
export const unsent = (key) => outbox.some((one) => one.key === key);

const open = () => defectsOf(state.image).filter((defect) => !defect.review && !state.hidden.has(defect.class_id));

/** Accept or reject the picked defect, or the first that is open, and pick the next one. */
export function judge(kind) {
  const defects = defectsOf(state.image);
  const defect = defects.find((one) => one.number === state.picked) || open()[0];
  if (!defect) return;
  defect.review = kind === "accept" ? "accepted" : "rejected"; // seen at once; the answer tells the same
  act({ kind, defect: defect.number });
  const left = open();
  const next = left.find((one) => defects.indexOf(one) > defects.indexOf(defect)) || left[0];
  tell("image");
  tell("pick", { number: next ? next.number : defect.number, go: false });
}

export function changeClass(classId) {
  const defect = defectsOf(state.image).find((one) => one.number === state.picked);
  if (!defect || defect.class_id === classId) return;
  defect.class_id = classId;
  act({ kind: "class", defect: defect.number, class_id: classId });
  tell("image");
}

export function undo() {
  const count = steps.get(state.key)?.pop() ?? 1;
  return act(...Array.from({ length: count }, () => ({ kind: "undo" })));
}

on("reviewed", ({ visit, key, review }) => {
  if (visit !== state.visit?.id || key !== state.image?.key) return;
  // An answer to an earlier action must not undo what was done since.
  if (outbox.filter((one) => one.key === key).length > 1) return;
  state.image.review = review;
  tell("image");
});
