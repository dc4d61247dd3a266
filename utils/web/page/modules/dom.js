// Elements of the page. Names of files come from anybody, so text is only ever set as text, never as HTML.

export const part = (id) => document.getElementById(id);

export function make(tag, settings, ...children) {
  const node = Object.assign(document.createElement(tag), settings || {});
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function swatch(colour) {
  const patch = make("i", { className: "swatch" });
  patch.style.background = colour;
  return patch;
}

/** Put these options into a list and choose one; nothing is touched when they are there already. */
export function fill(select, options, value) {
  const said = JSON.stringify(options);
  if (select.dataset.said !== said) {
    select.dataset.said = said;
    select.replaceChildren(...options.map(([key, text]) => make("option", { value: key, textContent: text })));
  }
  if (document.activeElement !== select || select.value !== String(value)) select.value = String(value);
}

/** Run a function a while after the last call. */
export function later(milliseconds, work) {
  let timer = 0;
  const call = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds, ...values);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

/** Run a function at most once in a while, however often it is called. */
export function seldom(milliseconds, work) {
  let timer = 0;
  return () => { timer ||= setTimeout(() => { timer = 0; work(); }, milliseconds); };
}

/** Open and close the small lists under buttons: Escape and a click elsewhere close them. */
export function menus() {
  const all = [...document.querySelectorAll(".menu")];
  const close = (menu) => {
    menu.querySelector(".menu-list").hidden = true;
    menu.querySelector("button").setAttribute("aria-expanded", "false");
  };
  for (const menu of all) {
    const [button, list] = [menu.querySelector("button"), menu.querySelector(".menu-list")];
    button.addEventListener("click", () => {
      const opens = list.hidden;
      all.forEach(close);
      list.hidden = !opens;
      button.setAttribute("aria-expanded", String(opens));
      if (opens) list.querySelector("button:not([hidden]), a, select")?.focus();
    });
    list.addEventListener("click", (event) => { if (event.target.closest("button, a")) close(menu); });
    menu.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      if (event.key === "Escape") { close(menu); button.focus(); event.stopPropagation(); }
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by || event.target.tagName === "SELECT") return;
      const items = [...list.querySelectorAll("button, a, select, input")].filter((item) => item.offsetParent);
      items[(items.indexOf(document.activeElement) + by + items.length) % items.length]?.focus();
      event.preventDefault();
      event.stopPropagation();
    });
  }
  document.addEventListener("click", (event) => all.forEach((menu) => { if (!menu.contains(event.target)) close(menu); }));
}
