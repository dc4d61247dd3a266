// The bars around the picture: tools, brush, overlay, and buttons that do what keys do.

import { make, part } from "./dom.js";
import { TOOLS } from "./painting.js";
import { t } from "./phrases.js";
import { on, state, tell } from "./state.js";

export function start(actions) {
  part("tools").replaceChildren(...TOOLS.map(([name, key, sign]) => {
    const button = make("button", { type: "button", className: "tool" }, Object.assign(make("span", { textContent: sign }), { ariaHidden: "true" }));
    Object.assign(button.dataset, { tool: name, label: "tool_" + name, key });
    return button;
  }));
  part("tools").addEventListener("click", (event) => {
    const button = event.target.closest("[data-tool]");
    if (button) use(button.dataset.tool);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) actions[button.dataset.do]?.();
  });
  part("brush-class").addEventListener("change", (event) => { state.brushClass = Number(event.target.value); tell("view"); });
  part("size").addEventListener("input", (event) => { state.size = Number(event.target.value); tell("view"); });
  part("overlay").addEventListener("change", (event) => { state.overlay = event.target.checked; tell("view"); });
  part("heat").addEventListener("change", (event) => { state.heat = event.target.checked; tell("heat"); });
  part("opacity").addEventListener("input", (event) => { state.opacity = event.target.value / 100; tell("view"); });
  on("tool language", draw);
  draw();
}

export function use(name) {
  state.tool = state.tool === name && name !== "move" ? "move" : name;
  tell("tool");
}

export function resize(times) {
  const size = Math.round(state.size * times);
  state.size = Math.min(200, Math.max(1, size === state.size ? state.size + Math.sign(times - 1) : size));
  part("size").value = state.size;
  tell("view");
}

export function toggleOverlay() {
  state.overlay = part("overlay").checked = !state.overlay;
  tell("view");
}

function draw() {
  for (const button of part("tools").children) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === state.tool));
    button.setAttribute("aria-label", t(button.dataset.label));
    button.title = `${t(button.dataset.label)} (${button.dataset.key})`;
  }
  const paints = state.tool === "brush" || state.tool === "erase";
  part("size-field").hidden = !paints;
  part("brush-class").hidden = state.tool === "move" || state.tool === "erase";
}
