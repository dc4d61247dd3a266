// The workbench: draws itself from one value that the server sends (description.py) and says what somebody does by three
// events. Names of files come from anybody, so text is only ever set as text, never as HTML.

const part = (name) => element.querySelector('[data-part="' + name + '"]');
const make = (tag, settings, ...children) => {
  const node = Object.assign(document.createElement(tag), settings || {});
  node.append(...children);
  return node;
};
const SVG = "http://www.w3.org/2000/svg";
const shortly = (value) => String(Math.round(1000 * value) / 1000);
const percent = (value) => (100 * value).toFixed(1) + " %";

let told = null; // the last value
let pictured = ""; // key of the image whose picture is in the sheet
let picked = -1; // number of the defect that is picked
const hidden = new Set(); // names of classes that are switched off
const view = { scale: 1, x: 0, y: 0 }; // how far in, and where: shares of the frame
let chosen = []; // threshold of each class, as the sliders stand
let touched = 0; // when one of them was moved
let waiting = null; // timer of what is to be sent

// --- what is told -----------------------------------------------------------------------------------------------------

function update() {
  const value = props.value;
  if (!value || !value.classes || (told && told.token === value.token && told.version >= value.version)) return;
  const before = told;
  told = value;
  drawRefused();
  part("empty").hidden = Boolean(told.images.length);
  part("work").hidden = !told.images.length;
  if (!told.images.length) { pictured = ""; return; }
  drawImage(!before || pictured !== pictureKey());
  drawClasses();
  drawTable();
  drawChoices();
  drawGallery();
  drawDownloads();
}

const pictureKey = () => (told.shown ? told.token + "/" + told.shown.key : "");
// Beside the page, wherever a proxy may have put it.
const address = (rest) => location.pathname.replace(/[^/]*$/, "") + "page/" + told.token + "/" + rest;

function drawRefused() {
  const box = part("refused");
  box.hidden = !told.refused.length;
  box.replaceChildren();
  if (box.hidden) return;
  const list = told.refused.map((one) => make("li", {}, make("strong", { textContent: one.name }), ": " + one.reason));
  const count = told.refused.length === 1 ? "1 file was not inspected" : told.refused.length + " files were not inspected";
  box.append(make("p", { textContent: count }), make("ul", {}, ...list));
}

function verdictOf(image) {
  const none = !told.classes.length && !told.labels.length;
  if (none) return "";
  if (image.doubt) return "? clean, but " + image.doubt;
  return image.verdict === "clean" ? "\u2713 clean" : "\u2717 defective: " + image.found.join(", ");
}

function drawImage(fresh) {
  const shown = told.shown;
  if (!shown) return;
  part("name").textContent = shown.name;
  part("name").title = shown.width + " x " + shown.height + " pixels, inspected in " + shown.milliseconds + " ms";
  const verdict = part("verdict");
  verdict.textContent = verdictOf(shown);
  verdict.className = "wb-verdict wb-" + shown.verdict;
  part("drawing").hidden = !told.classes.length;
  const wide = shown.width > 2 * shown.height;
  part("stage").classList.toggle("wb-beside", Boolean(shown.truth && shown.truth.layers.length) && !wide);
  part("stage").style.setProperty("--ratio", shown.width / shown.height);
  drawSheet(part("sheet"), shown.layers.map((layer, kind) => ({ layer, name: told.classes[kind].name })), fresh);
  drawBoxes();
  const truth = shown.truth;
  part("truthside").hidden = !truth;
  if (truth) {
    const caption = part("truthcaption");
    caption.replaceChildren(truth.note || "ground truth");
    truth.classes.forEach((one, kind) => {
      if (truth.layers[kind]) caption.append(swatch(one.colour), one.name);
    });
    part("truthside").classList.toggle("wb-noteonly", !truth.layers.length);
    drawSheet(part("truthsheet"), truth.layers.map((layer, kind) => ({ layer, name: truth.classes[kind].name })), fresh);
  }
  const empty = shown.gated ? "prediction: a gate turned this image away" : shown.defects.length ? "prediction" : "prediction: no defect";
  part("caption").textContent = told.classes.length ? empty : "these weights judge whole images and draw no masks";
  if (fresh) {
    pictured = pictureKey();
    picked = -1;
    fit();
  } else if (picked >= shown.defects.length) {
    picked = -1;
  }
  hideClasses();
}

function drawSheet(sheet, drawn, fresh) {
  if (fresh || !sheet.firstChild) {
    const image = make("img", { className: "wb-picture", src: address("picture/" + told.shown.key + ".jpg"), alt: told.shown.name, draggable: false });
    sheet.replaceChildren(image);
  }
  const kept = [sheet.firstChild];
  for (const { layer, name } of drawn) {
    for (const kind of layer ? ["fill", "outline", "edge"] : []) {
      const image = make("img", { className: "wb-layer wb-" + kind, src: layer[kind], alt: "", draggable: false });
      image.dataset.kind = name;
      kept.push(image);
    }
  }
  sheet.replaceChildren(...kept);
}

// Boxes lie over the layers, so that a defect can be picked in the picture too; only the picked one is seen.
function drawBoxes() {
  const shown = told.shown;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 " + shown.width + " " + shown.height);
  svg.setAttribute("class", "wb-boxes");
  const byArea = shown.defects.map((defect, number) => ({ defect, number })).sort((a, b) => b.defect.area - a.defect.area);
  for (const { defect, number } of byArea) { // small ones on top, or they could not be picked
    const [x, y, width, height] = defect.box;
    const box = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x, y, width, height })) box.setAttribute(name, value);
    box.dataset.number = number;
    box.dataset.kind = told.classes[defect.kind].name;
    const title = document.createElementNS(SVG, "title");
    title.textContent = told.classes[defect.kind].name + ", " + defect.area + " px, " + percent(defect.probability);
    box.append(title);
    svg.append(box);
  }
  part("sheet").append(svg);
}

function swatch(colour) {
  const patch = make("i", { className: "wb-swatch" });
  patch.style.background = colour;
  return patch;
}

// --- classes and thresholds -------------------------------------------------------------------------------------------

function drawClasses() {
  const names = told.classes.map((one) => one.name).join("\n") + "\n\n" + told.labels.map((one) => one.name).join("\n");
  const box = part("classes");
  if (box.dataset.names !== names) {
    box.dataset.names = names;
    box.replaceChildren(...told.classes.map(classRow), ...told.labels.map(labelRow));
  }
  const count = told.classes.map(() => 0);
  const shown = told.shown ? told.shown.defects : [];
  for (const defect of shown) count[defect.kind] += 1;
  // Not under somebody's hand: what comes back is older than where the sliders are now.
  if (Date.now() - touched > 700 || chosen.length !== told.classes.length) chosen = told.classes.map((one) => one.threshold);
  told.classes.forEach((one, kind) => {
    const row = box.querySelector('[data-class="' + kind + '"]');
    row.querySelector("input[type=range]").value = chosen[kind];
    row.querySelector("output").textContent = shortly(chosen[kind]);
    row.querySelector(".wb-count").textContent = told.shown && told.shown.more ? "" : count[kind];
  });
  told.labels.forEach((one, number) => {
    const probability = told.shown && told.shown.labels[number];
    const row = box.querySelector('[data-label="' + number + '"]');
    row.querySelector("meter").value = probability || 0;
    row.querySelector("output").textContent = probability == null ? "" : percent(probability);
  });
  part("classestitle").textContent = told.classes.length ? "Classes: seen, probability from, found" : "Probability of the image";
  element.querySelector('[data-do="reset"]').hidden = !told.classes.length || told.classes.every((one) => one.threshold === one.own);
}

function classRow(one, kind) {
  const box = make("input", { type: "checkbox", checked: !hidden.has(one.name) });
  box.addEventListener("change", () => { hidden[box.checked ? "delete" : "add"](one.name); hideClasses(); });
  const slider = make("input", { type: "range", min: 0.01, max: 0.99, step: 0.01, value: one.threshold });
  slider.setAttribute("aria-label", "threshold of " + one.name);
  slider.title = "a pixel counts from this probability; the weights say " + shortly(one.own);
  slider.addEventListener("input", () => moved(kind, slider, false));
  slider.addEventListener("change", () => moved(kind, slider, true));
  const row = make("div", { className: "wb-class" },
    make("label", {}, box, swatch(one.colour), make("span", { textContent: one.name })), slider, make("output"), make("span", { className: "wb-count" }));
  row.dataset.class = kind;
  return row;
}

function labelRow(one, number) {
  const meter = make("meter", { min: 0, max: 1, high: one.threshold });
  meter.title = "the image has it from " + shortly(one.threshold);
  const row = make("div", { className: "wb-class" }, make("span", { textContent: one.name }), meter, make("output"));
  row.dataset.label = number;
  return row;
}

// While a slider moves, the image in sight is decided anew; when it rests, all images are.
function moved(kind, slider, rests) {
  chosen[kind] = Number(slider.value);
  touched = Date.now();
  slider.parentNode.querySelector("output").textContent = shortly(chosen[kind]);
  clearTimeout(waiting);
  waiting = setTimeout(() => trigger("decide", { thresholds: chosen, all: rests }), rests ? 0 : 40);
}

function hideClasses() {
  for (const node of element.querySelectorAll("[data-kind]")) node.classList.toggle("wb-off", hidden.has(node.dataset.kind));
  part("stage").classList.toggle("wb-plain", !part("overlay").checked);
  part("stage").style.setProperty("--opacity", part("opacity").value / 100);
}

// --- the table --------------------------------------------------------------------------------------------------------

function drawTable() {
  const shown = told.shown;
  element.querySelector(".wb-found").hidden = !told.classes.length;
  if (!shown) return;
  part("foundtitle").textContent = "Defects (" + (shown.defects.length + shown.more) + ")";
  part("rows").replaceChildren(...shown.defects.map((defect, number) => {
    const one = told.classes[defect.kind];
    const row = make("tr", { tabIndex: 0, title: "zoom to this defect" },
      make("td", { textContent: number + 1 }), make("td", {}, swatch(one.colour), one.name), make("td", { textContent: defect.area.toLocaleString("en") }),
      make("td", { textContent: defect.box.join(", ") }), make("td", { textContent: percent(defect.probability) }));
    row.dataset.number = number;
    row.dataset.kind = one.name;
    return row;
  }));
  part("foundnote").textContent = shown.more ? "The " + shown.defects.length + " largest; defects.csv has all." : "";
  markPicked();
  hideClasses();
}

function markPicked() {
  for (const node of element.querySelectorAll("tr[data-number], rect[data-number]"))
    node.classList.toggle("wb-picked", Number(node.dataset.number) === picked);
}

function pick(number) {
  picked = number;
  markPicked();
  const [x, y, width, height] = told.shown.defects[number].box;
  const share = Math.max(width / told.shown.width, height / told.shown.height);
  view.scale = Math.min(Math.max(0.5 / share, 1), 12);
  view.x = (x + width / 2) / told.shown.width;
  view.y = (y + height / 2) / told.shown.height;
  place();
}

// --- looking closer: the same part of prediction and truth ------------------------------------------------------------

function fit() {
  Object.assign(view, { scale: 1, x: 0.5, y: 0.5 });
  place();
}

function zoom(times, x, y) {
  const scale = Math.min(Math.max(view.scale * times, 1), 40);
  if (x !== undefined) { // the point under the pointer stays where it is
    view.x = x + (view.x - x) * view.scale / scale;
    view.y = y + (view.y - y) * view.scale / scale;
  }
  view.scale = scale;
  place();
}

function place() {
  const half = 0.5 / view.scale;
  view.x = Math.min(Math.max(view.x, half), 1 - half);
  view.y = Math.min(Math.max(view.y, half), 1 - half);
  const move = "scale(" + view.scale + ") translate(" + 100 * (0.5 - view.x) + "%, " + 100 * (0.5 - view.y) + "%)";
  for (const sheet of element.querySelectorAll(".wb-sheet")) {
    sheet.style.transform = move;
    sheet.style.setProperty("--zoom", view.scale);
    sheet.classList.toggle("wb-close", told && told.shown && sheet.clientWidth * view.scale > 2 * told.shown.width);
  }
  part("scale").textContent = view.scale.toFixed(1) + "x";
}

// --- the gallery ------------------------------------------------------------------------------------------------------

function drawChoices() {
  const names = ["all images", "defective", "clean", ...told.classes.map((one) => "with " + one.name)];
  const filter = part("filter");
  if ([...filter.options].map((option) => option.text).join("\n") === names.join("\n")) return;
  filter.replaceChildren(...names.map((name, number) => make("option", { value: number - 3, text: name })));
}

function inOrder() {
  const filter = Number(part("filter").value), sort = part("sort").value;
  const images = told.images.filter((image) =>
    filter === -2 ? image.verdict !== "clean" : filter === -1 ? image.verdict === "clean" : filter < 0 || image.areas[filter] > 0);
  if (sort === "none") return images;
  const ofClasses = { area: "areas", probability: "probabilities" }[sort];
  const value = (image) => (filter >= 0 ? image[ofClasses][filter] : image[sort]);
  return images.sort((a, b) => value(b) - value(a));
}

function drawGallery() {
  const images = inOrder();
  const shown = told.shown && told.shown.key;
  part("thumbs").replaceChildren(...images.map((image) => {
    const what = image.defects ? image.defects + (image.defects === 1 ? " defect, " : " defects, ") + image.area.toLocaleString("en") + " px, " : "";
    const best = image.probability ? percent(image.probability) : "";
    const item = make("button", { type: "button", className: "wb-thumb" + (image.key === shown ? " wb-shown" : "") + (image.old ? " wb-old" : "") },
      make("img", { src: address("thumb/" + image.key + ".jpg"), alt: "", loading: "lazy" }),
      make("span", { className: "wb-name", textContent: image.name }),
      make("span", { className: "wb-verdict wb-" + image.verdict, textContent: verdictOf(image), title: verdictOf(image) }),
      make("span", { className: "wb-note", textContent: what + best }));
    item.dataset.key = image.key;
    item.setAttribute("role", "listitem");
    return item;
  }));
  const here = images.findIndex((image) => image.key === shown);
  part("count").textContent = images.length + " of " + told.images.length + (told.run ? " \u00b7 " + told.run : "");
  part("place").textContent = here < 0 ? "" : here + 1 + " / " + images.length;
}

function step(by) {
  const images = inOrder();
  if (!images.length) return;
  const here = images.findIndex((image) => told.shown && image.key === told.shown.key);
  const next = here < 0 ? images[0] : images[(here + by + images.length) % images.length];
  trigger("pick", { key: next.key });
}

function drawDownloads() {
  const masks = ["overlays.zip", "masks.zip", "submission.csv", "defects.csv"];
  const names = [...(told.classes.length ? masks : []), ...(told.labels.length ? ["labels.csv"] : [])];
  part("downloads").replaceChildren("download: ", ...names.map((name) => make("a", { href: address(name), download: name, textContent: name })));
}

// --- what somebody does -----------------------------------------------------------------------------------------------

const ACTIONS = {
  previous: () => step(-1),
  next: () => step(1),
  in: () => zoom(1.5),
  out: () => zoom(1 / 1.5),
  fit,
  reset: () => {
    touched = 0;
    trigger("decide", { thresholds: null, all: true });
  },
  clear: () => trigger("forget", {}),
};
const KEYS = {
  ArrowLeft: "previous", p: "previous", ArrowRight: "next", n: "next", "+": "in", "-": "out", 0: "fit",
};

element.addEventListener("click", (event) => {
  const target = event.target;
  const action = target.closest("[data-do]"), row = target.closest("[data-number]"), thumb = target.closest("[data-key]");
  if (action) ACTIONS[action.dataset.do]();
  else if (thumb) trigger("pick", { key: thumb.dataset.key });
  else if (row && told.shown && !(dragged && target.closest(".wb-frame"))) pick(Number(row.dataset.number));
});
part("overlay").addEventListener("change", hideClasses);
part("opacity").addEventListener("input", hideClasses);
part("filter").addEventListener("change", drawGallery);
part("sort").addEventListener("change", drawGallery);

function onKey(event) {
  if (!element.isConnected) { document.removeEventListener("keydown", onKey); return; }
  if (!told || !told.images.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, tag = target.tagName;
  if (target.isContentEditable || tag === "TEXTAREA" || tag === "SELECT" || (tag === "INPUT" && !["checkbox", "range"].includes(target.type))) return;
  if (tag === "INPUT" && target.type === "range" && event.key.startsWith("Arrow")) return;
  const row = target.closest && target.closest("tr[data-number]");
  if (event.key === "Enter" && row) { pick(Number(row.dataset.number)); return; }
  // Space presses the button or the box that has the focus.
  const toggles = event.key === "o" || (event.key === " " && !["INPUT", "BUTTON", "A"].includes(tag));
  if (toggles) { part("overlay").checked = !part("overlay").checked; hideClasses(); }
  else if (KEYS[event.key]) ACTIONS[KEYS[event.key]]();
  else return;
  event.preventDefault();
}
document.addEventListener("keydown", onKey);

// Drag to move, double click or Ctrl and the wheel to zoom.
let held = null, dragged = false;
for (const frame of element.querySelectorAll(".wb-frame")) {
  const at = (event) => {
    const box = frame.getBoundingClientRect();
    return [view.x + ((event.clientX - box.left) / box.width - 0.5) / view.scale, view.y + ((event.clientY - box.top) / box.height - 0.5) / view.scale];
  };
  frame.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY }; dragged = false; });
  frame.addEventListener("pointermove", (event) => {
    if (!held || event.buttons !== 1) { held = null; return; }
    const dx = event.clientX - held.x, dy = event.clientY - held.y;
    if (!dragged && Math.abs(dx) + Math.abs(dy) < 4) return;
    dragged = true;
    view.x -= dx / frame.clientWidth / view.scale;
    view.y -= dy / frame.clientHeight / view.scale;
    held = { x: event.clientX, y: event.clientY };
    place();
  });
  frame.addEventListener("dblclick", (event) => zoom(2, ...at(event)));
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, ...at(event));
  }, { passive: false });
}

// An upload that the server would not take whole is stopped here: it would only see the connection break.
function checkUpload(event) {
  if (!element.isConnected) { window.removeEventListener(event.type, checkUpload, true); return; }
  if (!event.target.closest || !event.target.closest("#files")) return;
  const files = [...((event.dataTransfer || event.target).files || [])];
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (size <= props.most_bytes) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const box = part("refused");
  box.hidden = false;
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1) + " MB";
  box.replaceChildren(make("p", {
    textContent: "These files have " + megabytes(size) + " together, and at most " + megabytes(props.most_bytes) + " are taken at once; send them in parts.",
  }));
  if (event.type === "change") event.target.value = "";
}
window.addEventListener("change", checkUpload, true);
window.addEventListener("drop", checkUpload, true);

watch("value", update);
update();
