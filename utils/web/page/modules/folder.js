// Images of the folder that the server was started with: search, open one, inspect all that match.

import { api } from "./api.js";
import { later, make, part } from "./dom.js";
import { t } from "./phrases.js";
import { tell } from "./state.js";

const SHOWN = 200;
let asking = null;

/** Connect the dialog; ``add`` gets what is wanted: {names} or {words}. */
export function start(add) {
  part("folder-words").addEventListener("input", later(150, search));
  part("folder-all").addEventListener("click", () => { part("folder-dialog").close(); add({ words: part("folder-words").value.trim() }); });
  part("folder-list").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-name]");
    if (!button) return;
    add({ names: [button.dataset.name] });
    button.classList.add("taken");
  });
}

export function open() {
  part("folder-dialog").showModal();
  search();
}

async function search() {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await api.folder({ words: part("folder-words").value.trim(), limit: SHOWN, offset: 0 }, asking.signal);
    const names = answer.names ?? [];
    const total = answer.total ?? names.length;
    part("folder-count").textContent = t("matches_n", { n: total });
    part("folder-all").textContent = t("inspect_all", { n: total });
    part("folder-all").disabled = !total;
    part("folder-list").replaceChildren(...names.map((name) => {
      const button = make("button", { type: "button", className: "quiet", textContent: name });
      button.dataset.name = name;
      return button;
    }), total > names.length ? make("p", { className: "note", textContent: t("more_rows", { n: total - names.length }) }) : "");
  } catch (error) {
    if (error.name !== "AbortError") tell("notice", { kind: "bad", text: error.message });
  }
}
