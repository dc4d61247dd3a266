// News of a visit as the server sends it. A stream that breaks is opened again, also after a restart of the server.

import { eventsAddress } from "./api.js";
import { tell } from "./state.js";

const SILENCE = 25_000; // the server says something every 10 s
const AGAIN = 1000;

let source = null;
let visit = null;
let last = 0; // version of the visit that is known: what changed after it is told
let timer = 0;
let broken = false;

export function listen(id, version) {
  visit = id;
  last = version;
  open();
}

export function hang_up() {
  visit = null;
  clearTimeout(timer);
  source?.close();
  source = null;
}

function open() {
  clearTimeout(timer);
  source?.close();
  if (!visit) return;
  source = new EventSource(eventsAddress(visit, last));
  source.onopen = () => {
    alive();
    if (broken) tell("back");
    broken = false;
    tell("connection", true);
  };
  source.onerror = () => {
    if (!broken) tell("connection", false);
    broken = true;
    // A refusal, such as a proxy's 502 while the server restarts, ends a stream for good.
    if (source.readyState === EventSource.CLOSED) again();
  };
  for (const name of ["visit", "image", "review", "heartbeat", "removed", "reload", "gone"]) {
    source.addEventListener(name, (event) => {
      alive();
      if (event.lastEventId) last = event.lastEventId;
      let value = null;
      try { value = JSON.parse(event.data); } catch { return; }
      tell("news-" + name, value);
    });
  }
  alive();
}

function alive() {
  clearTimeout(timer);
  timer = setTimeout(() => { broken = true; tell("connection", false); open(); }, SILENCE);
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(open, AGAIN);
}
