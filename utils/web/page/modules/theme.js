// Light or dark: as the system says, unless somebody chose.

import { fill, part } from "./dom.js";
import { t } from "./phrases.js";
import { on } from "./state.js";

const KEPT = "steel-theme";
const THEMES = ["system", "light", "dark"];

function apply(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

export function start() {
  const kept = localStorage.getItem(KEPT) || "system";
  apply(kept);
  part("theme").addEventListener("change", (event) => { localStorage.setItem(KEPT, event.target.value); apply(event.target.value); });
  on("language", () => fill(part("theme"), THEMES.map((name) => [name, t("theme_" + name)]), localStorage.getItem(KEPT) || "system"));
}
