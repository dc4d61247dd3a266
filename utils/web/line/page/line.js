// The live page: asks the service once a second, and says so loudly when it does not answer.
import { language, t } from "./words.js";

const SECOND = 1000;
const SHOWN = 18;
/** Return a number without digits that nobody reads. */
const whole = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString(language));

const FIGURES = [
  [t("rate"), (s) => s.rate.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })],
  [t("frames"), (s) => s.frames],
  ["OK", (s) => s.ok],
  ["NG", (s) => s.ng],
  [t("no_verdict"), (s) => s.no_verdict],
  [t("shed"), (s) => s.shed],
  [t("lost"), (s) => s.lost + s.unrecorded],
  [t("waiting"), (s) => s.waiting],
  [t("median"), (s) => whole(s.p50_ms)],
  [t("most"), (s) => whole(s.p99_ms)],
  [t("spool"), (s) => s.depth],
  [t("last"), (s) => s.last_frame_s ?? "–"],
];

const find = (id) => document.getElementById(id);

function made(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function showCondition(name, reason) {
  const place = find("condition");
  const word = t(name);
  if (place.textContent !== word) place.textContent = word;
  place.className = `condition ${name}`;
  find("reason").textContent = reason ?? "";
}

function showFrames(list, frames) {
  find(`no-${list}`).hidden = frames.length > 0;
  const place = find(list);
  const known = new Map([...place.children].map((item) => [item.dataset.id, item]));
  place.replaceChildren(...frames.slice(0, SHOWN).map((frame) => known.get(frame.id) ?? card(frame)));
}

function card(frame) {
  const item = made("li", undefined, frame.verdict);
  item.dataset.id = frame.id;
  if (frame.has_picture) {
    const picture = made("img");
    picture.src = `api/v1/line/frames/${encodeURIComponent(frame.id)}.jpg`;
    picture.alt = "";
    item.append(picture);
  } else {
    item.append(made("div", undefined, "blank"));
  }
  const verdict = made("p");
  verdict.append(made("span", frame.verdict === "NO_VERDICT" ? t("no_verdict") : frame.verdict, `${frame.verdict}-word`));
  verdict.append(` ${frame.reason ?? (frame.defects ? t("defects", frame.defects) : "")}`);
  verdict.title = frame.reason ?? "";
  const where = frame.position_m === null ? "" : `, ${frame.position_m.toFixed(2)} m`;
  item.append(verdict, made("p", `${frame.frame}${where}`, "note"), made("p", `${moment(frame.time)}, ${whole(frame.ms)} ms`, "note"));
  return item;
}

/** Return the time of day of a frame, with seconds: events hold UTC, and a reader has a clock on the wall. */
const moment = (text) => new Date(text).toLocaleTimeString(language);

function showSinks(sinks) {
  find("no-sinks").hidden = sinks.length > 0;
  find("sinks-table").hidden = sinks.length === 0;
  find("sinks").replaceChildren(...sinks.map((sink) => {
    const row = made("tr");
    const wait = sink.retry_s === null ? "" : `, ${t("again", Math.ceil(sink.retry_s))}`;
    row.append(made("td", sink.name), made("td", sink.ok ? t("takes") : `${t("away")}${wait}`, sink.ok ? "is-clean" : "is-defective"));
    for (const value of [sink.depth, sink.sent, sink.dropped]) row.append(made("td", value, "number"));
    row.append(made("td", sink.error ?? ""));
    return row;
  }));
}

function show(found) {
  const state = found.state;
  document.title = `${found.line}: ${t(state.condition)}`;
  document.body.classList.remove("old");
  find("line").textContent = found.line;
  find("coil").textContent = state.coil_id === null ? "" : `${t("coil")} ${state.coil_id}`;
  showCondition(state.condition, state.reason);
  find("alarm").hidden = state.alarms.length === 0;
  find("alarms").replaceChildren(...state.alarms.map((text) => made("li", text)));
  find("figures").replaceChildren(...FIGURES.map(([name, value]) => {
    const box = made("div");
    box.append(made("dt", name), made("dd", value(state)));
    return box;
  }));
  showFrames("ng", found.ng);
  showFrames("last", found.frames);
  showSinks(state.sinks);
}

async function refresh() {
  try {
    const answer = await fetch("api/v1/line", { signal: AbortSignal.timeout(5 * SECOND) });
    if (!answer.ok) throw new Error(`the service answers ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    showCondition("gone", `${t("old")} (${error.message})`);
    document.title = `${find("line").textContent}: ${t("gone")}`;
    document.body.classList.add("old");
  }
  setTimeout(refresh, document.hidden ? 5 * SECOND : SECOND);
}

refresh();
