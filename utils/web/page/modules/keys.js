// Keys: one for everything an inspector does often. They rest while somebody writes.

import { make, part } from "./dom.js";
import { t } from "./phrases.js";

const SHOWN = [
  ["keys_images", [["→ N", "next"], ["← P", "previous"], ["O ␣", "overlay"], ["+ − 0", "zoom_keys"], ["W", "shape"], ["F", "search_keys"]]],
  ["keys_review", [["J K", "pick_keys"], ["A", "accept"], ["X", "reject"], ["1 … 9", "class_keys"], ["Enter", "done_next"], ["C", "mark_clean"], ["U", "mark_unsure"], ["M", "remark"], ["Z", "undo"]]],
  ["keys_paint", [["B", "tool_brush"], ["E", "tool_erase"], ["G", "tool_polygon"], ["T", "tool_box"], ["V Esc", "tool_move"], ["[ ]", "size_keys"], ["⇧", "shift_keys"]]],
];

const WRITES = new Set(["TEXTAREA", "SELECT"]);

/** Connect the keys: ``actions`` by key, each returns false when it has nothing to do. */
export function start(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const field = target.tagName === "INPUT" && !["checkbox", "range"].includes(target.type);
    if (WRITES.has(target.tagName) || field || target.isContentEditable) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const slides = target.tagName === "INPUT" && target.type === "range";
    if (slides && (event.key.startsWith("Arrow") || ["Home", "End", "PageUp", "PageDown"].includes(event.key))) return;
    const presses = target.closest("button, a, summary, [role=option]") || target.type === "checkbox";
    if (presses && (event.key === " " || event.key === "Enter") && !target.matches(".openseadragon-canvas")) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "z" || event.shiftKey) return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = /^[1-9]$/.test(key) ? () => actions.digit(Number(key)) : actions[key];
    if (!action || action() === false) return;
    event.preventDefault();
  });
  freeSelects();
  part("help").addEventListener("click", show);
}

/** A list that was chosen from with the pointer gives the keys back: the next letter is meant for the picture. */
function freeSelects() {
  let keys = false; // whether somebody is going through a list by keys
  document.addEventListener("pointerdown", () => { keys = false; }, true);
  document.addEventListener("keydown", ({ target }) => { keys = target.tagName === "SELECT"; }, true);
  document.addEventListener("change", ({ target }) => { if (target.tagName === "SELECT" && !keys && !target.closest("dialog")) target.blur(); });
}

export function show() {
  part("keys-list").replaceChildren(...SHOWN.map(([title, keys]) => make("section", {}, make("h3", { textContent: t(title) }),
    make("dl", {}, ...keys.flatMap(([names, does]) => [make("dt", {}, ...names.split(" ").map((name) => make("kbd", { textContent: name }))), make("dd", { textContent: t(does) })])))));
  part("keys-dialog").showModal();
}
