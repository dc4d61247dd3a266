// The address of the page says what is seen: visit, image, search and position. Reload, back and another tab find it again.

import { state } from "./state.js";
import { later } from "./dom.js";

const SEARCH = ["sort", "class", "verdict", "review", "words"];
let position = ""; // of the viewer: x,y,width as shares of the image's width
let pushed = 0; // when the last step of the history was made

export function read() {
  const query = new URLSearchParams(location.search);
  const search = Object.fromEntries(SEARCH.map((name) => [name, query.get(name) || (name === "sort" ? "old" : "")]));
  position = new URLSearchParams(location.hash.slice(1)).get("at") || "";
  return { visit: query.get("visit"), image: query.get("image"), search, position: parsed() };
}

function written() {
  const query = new URLSearchParams();
  if (state.visit) query.set("visit", state.visit.id);
  if (state.key) query.set("image", state.key);
  for (const name of SEARCH) if (state.search[name] && !(name === "sort" && state.search.sort === "old")) query.set(name, state.search[name]);
  const said = query.toString();
  return location.pathname + (said ? "?" + said : "") + (position ? "#at=" + position : "");
}

/** Write what is seen into the address; a step of the history unless somebody leafs through quickly. */
export function write(step = true) {
  const address = written();
  if (address === location.pathname + location.search + location.hash) return;
  const quick = Date.now() - pushed < 800;
  if (step) pushed = Date.now();
  history[step && !quick ? "pushState" : "replaceState"](null, "", address);
}

const settle = later(250, () => write(false));

export function place(view) {
  const said = view ? view.map((value) => Number(value.toFixed(4))).join(",") : "";
  if (said === position) return;
  position = said;
  settle();
}

function parsed() {
  const values = position.split(",").map(Number);
  return values.length === 3 && values.every(Number.isFinite) && values[2] > 0 ? values : null;
}
