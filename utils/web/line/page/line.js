// The live page: asks the service once a second, and says so loudly when it does not answer.
const SECOND = 1000;
const SHOWN = 18;
const FIGURES = [
  ["frames a second", (s) => s.rate.toFixed(1)],
  ["frames", (s) => s.frames],
  ["OK", (s) => s.ok],
  ["NG", (s) => s.ng],
  ["no verdict", (s) => s.no_verdict],
  ["shed", (s) => s.shed],
  ["lost", (s) => s.lost + s.unrecorded],
  ["waiting", (s) => s.waiting],
  ["median ms", (s) => s.p50_ms ?? "–"],
  ["99 % ms", (s) => s.p99_ms ?? "–"],
  ["in the spool", (s) => s.depth],
  ["last frame, s", (s) => s.last_frame_s ?? "–"],
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
  if (place.textContent !== name) place.textContent = name;
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
  verdict.append(made("span", frame.verdict.replace("_", " "), `${frame.verdict}-word`));
  verdict.append(` ${frame.reason ?? (frame.defects ? `${frame.defects} defects` : "")}`);
  verdict.title = frame.reason ?? "";
  const where = frame.position_m === null ? "" : `, ${frame.position_m.toFixed(2)} m`;
  item.append(verdict, made("p", `${frame.frame}${where}`, "note"), made("p", `${frame.time}, ${frame.ms ?? "–"} ms`, "note"));
  return item;
}

function showSinks(sinks) {
  find("sinks").replaceChildren(...sinks.map((sink) => {
    const row = made("tr");
    const wait = sink.retry_s === null ? "" : `, again in ${Math.ceil(sink.retry_s)} s`;
    row.append(made("td", sink.name), made("td", sink.ok ? "takes events" : `away${wait}`, sink.ok ? "is-clean" : "is-defective"));
    for (const value of [sink.depth, sink.sent, sink.dropped]) row.append(made("td", value, "number"));
    row.append(made("td", sink.error ?? ""));
    return row;
  }));
}

function show(found) {
  const state = found.state;
  document.title = `${found.line}: ${state.condition}`;
  find("line").textContent = found.line;
  find("coil").textContent = state.coil_id === null ? "" : `coil ${state.coil_id}`;
  showCondition(state.condition, state.reason);
  find("alarms").hidden = state.alarms.length === 0;
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
    showCondition("gone", `no answer: ${error.message}; what you see is old`);
  }
  setTimeout(refresh, document.hidden ? 5 * SECOND : SECOND);
}

refresh();
