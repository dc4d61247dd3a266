// What the page has to say: refusals, warnings, that something was kept. Each can be closed.

import { make, part } from "./dom.js";
import { reason, t } from "./phrases.js";
import { on } from "./state.js";

const SHOWN = 8000; // milliseconds of good news
const refused = [];
let box = null; // of refusals

export function start() {
  on("notice", show);
  on("refused", (one) => { refused.push(one); drawRefused(); });
  on("opened-visit", () => { refused.length = 0; drawRefused(); });
  on("language", drawRefused);
  on("outbox", (left) => { if (!left) document.querySelector('#notices [data-id="not-saved"]')?.remove(); });
}

function show({ kind, text, link, download, id }) {
  const place = part(kind === "good" ? "toasts" : "notices");
  const same = [...place.children].find((one) => one.dataset.text === text || (id && one.dataset.id === id));
  same?.remove();
  const node = make("div", { className: `notice is-${kind}` }, make("span", { textContent: reason(text) }), link ? make("a", { href: link, download: download ?? "", textContent: t("download") }) : null, closing(() => node.remove()));
  node.dataset.text = text;
  if (id) node.dataset.id = id;
  place.append(node);
  if (kind === "good" && !link) setTimeout(() => node.remove(), SHOWN);
}

function closing(work) {
  const button = make("button", { type: "button", className: "quiet", textContent: "✕", onclick: work });
  button.setAttribute("aria-label", t("close"));
  return button;
}

function drawRefused() {
  box?.remove();
  box = null;
  if (!refused.length) return;
  const list = refused.map((one) => make("li", {}, make("strong", { textContent: one.name }), `: ${reason(one.reason)}`));
  box = make("div", { className: "notice is-bad refusals" },
    make("div", {}, make("strong", { textContent: t("refused_n", { n: refused.length }) }), make("ul", { tabIndex: 0 }, ...list)),
    closing(() => { refused.length = 0; drawRefused(); }));
  part("notices").prepend(box);
}
