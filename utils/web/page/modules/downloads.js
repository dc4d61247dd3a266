// Results to take away: pictures, masks, tables, the report of the session, the settings as weights.

import { api, downloadAddress } from "./api.js";
import { make, part } from "./dom.js";
import { t } from "./phrases.js";
import { on, state, tell } from "./state.js";

const MASKS = ["overlays.zip", "masks.zip", "submission.csv"];

export function start() { on("visit language", draw); }

function draw() {
  const { visit } = state;
  const box = part("results");
  const names = visit ? [...(visit.classes.length ? MASKS : []), "defects.csv", ...(visit.labels?.length ? ["labels.csv"] : [])] : [];
  const said = JSON.stringify([visit?.id, names, document.documentElement.lang]);
  if (box.dataset.said === said) return;
  box.dataset.said = said;
  const link = (name, text, settings) => make("a", { className: "button", href: downloadAddress(visit.id, name), textContent: text, ...settings });
  box.replaceChildren(
    ...names.map((name) => link(name, name, { download: name, title: t("download_hint") })),
    ...(visit ? [
      make("hr"),
      link("results.csv", t("results_csv"), { download: "results.csv", title: t("results_csv_hint") }),
      link("report.html", t("report_html"), { download: "report.html" }),
      link("report.pdf", t("report_pdf"), { download: "report.pdf" }),
      make("hr"),
      make("button", { type: "button", textContent: t("keep_settings"), title: t("keep_settings_hint"), onclick: keep }),
    ] : [make("span", { className: "note", textContent: t("nothing_yet") })]));
}

/** Write the thresholds in force into a weights file, and take it. */
async function keep() {
  try {
    const { file } = await api.keepSettings(state.visit.id);
    tell("notice", { kind: "good", text: t("settings_kept", { name: file }), link: downloadAddress(state.visit.id, encodeURIComponent(file)), download: file });
  } catch (error) {
    tell("notice", { kind: "bad", text: error.message });
  }
}
