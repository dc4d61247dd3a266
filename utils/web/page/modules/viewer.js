// The picture: OpenSeadragon in one pane or two that move together, with the layer of defects over each.

import { imageAddress } from "./api.js";
import * as address from "./address.js";
import { part } from "./dom.js";
import { Layer } from "./layers.js";
import { number, t } from "./phrases.js";
import { on, state, tell } from "./state.js";

const LARGEST = 4096; // pixels of a side up to which an image comes as one picture

export const first = {};
export const second = {};
let together = false; // the second pane is open
let follows = false;
let opened = ""; // picture in sight
let wished = null; // position to open at
let whole = true; // the whole image is in sight
let placing = false; // a position is still to be taken

function make(holder, name) {
  const viewer = OpenSeadragon({
    element: holder, showNavigationControl: false, drawer: "canvas", animationTime: 0.25, springStiffness: 12, blendTime: 0,
    immediateRender: true, imageSmoothingEnabled: true, maxZoomPixelRatio: 24, minZoomImageRatio: 1, visibilityRatio: 1, constrainDuringPan: true,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, scrollToZoom: true }, gestureSettingsTouch: { dblClickToZoom: true, pinchToZoom: true, flickEnabled: true },
    zoomPerScroll: 1.25, showNavigator: false, tabIndex: 0, loadTilesWithAjax: false, crossOriginPolicy: false,
  });
  viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; }); // keys are the page's
  viewer.addHandler("open-failed", () => tell("notice", { kind: "bad", text: t("picture_failed") }));
  viewer.canvas.setAttribute("role", "img");
  return Object.assign(name, { viewer, layer: new Layer(viewer, viewer.canvas) });
}

export function start() {
  make(part("first"), first);
  make(part("second"), second);
  follow(first.viewer, second.viewer);
  follow(second.viewer, first.viewer);
  for (const { viewer, layer } of [first, second]) {
    viewer.addHandler("canvas-click", (event) => {
      if (!event.quick || state.tool !== "move") return;
      const hit = layer.at(layer.point({ clientX: event.originalEvent.clientX, clientY: event.originalEvent.clientY }));
      tell("pick", { number: layer === first.layer ? hit?.number ?? null : null, go: false });
    });
  }
  first.viewer.addHandler("update-viewport", said);
  first.viewer.addHandler("animation-finish", () => { said(); smooth(); });
  first.viewer.addHandler("resize", () => { if (whole) requestAnimationFrame(() => first.viewer.viewport?.goHome(true)); });
  on("image", draw);
  on("view", () => { first.layer.ask(); second.layer.ask(); });
}

function follow(from, to) {
  from.addHandler("viewport-change", () => {
    if (!together || follows || !to.world.getItemCount()) return;
    follows = true;
    to.viewport.zoomTo(from.viewport.getZoom(), null, true);
    to.viewport.panTo(from.viewport.getCenter(), true);
    follows = false;
  });
}

export function source(image) {
  const large = Math.max(image.width, image.height) > LARGEST;
  if (large) return imageAddress(state.visit.id, image.key, "image.dzi");
  return { type: "image", url: imageAddress(state.visit.id, image.key, "picture.jpg"), buildPyramid: false };
}

/** Fetch the picture of an image that will be asked for next. */
export function prefetch(image) {
  if (Math.max(image.width || 0, image.height || 0) > LARGEST) return;
  new Image().src = imageAddress(state.visit.id, image.key, "picture.jpg");
}

export function openAt(position) { wished = position; }

function draw() {
  const { image } = state;
  if (!image || image.status !== "done") {
    opened = "";
    first.viewer.close();
    second.viewer.close();
    for (const { layer } of [first, second]) layer.show([], { width: 1, height: 1 }, new Map());
    return;
  }
  const key = `${state.visit.id}/${image.key}`;
  if (key !== opened) {
    opened = key;
    if (!document.body.dataset.shape) shape();
    first.viewer.canvas.setAttribute("aria-label", image.name);
    first.viewer.open(source(image));
    const position = wished;
    wished = null;
    whole = !position;
    placing = Boolean(position);
    // The layout of this image's shape is seen by the viewer a frame later.
    if (position) first.viewer.addOnceHandler("open", () => requestAnimationFrame(() => requestAnimationFrame(() => at(position))));
    else first.viewer.addOnceHandler("open", () => first.viewer.viewport.goHome(true));
    if (together) second.viewer.open(source(image));
  }
}

const WIDE = 3; // times as wide as high: a strip

/** Let the picture have the whole width where images are strips, or as somebody chose. */
export function shape(wanted) {
  const { width = 1, height = 1 } = state.image || {};
  const kept = sessionStorage.getItem("steel-shape");
  if (wanted) sessionStorage.setItem("steel-shape", wanted);
  const found = wanted || kept || (width >= WIDE * height ? "wide" : "tall");
  if (document.body.dataset.shape === found) return;
  document.body.dataset.shape = found;
  tell("shape");
}

export const otherShape = () => shape(document.body.dataset.shape === "wide" ? "tall" : "wide");

/** Open or close the second pane. */
export function beside(shown) {
  if (shown === together && (!shown || second.viewer.world.getItemCount())) return;
  together = shown;
  part("second-pane").hidden = !shown;
  arrange();
  if (shown && state.image?.status === "done") {
    second.viewer.canvas.setAttribute("aria-label", state.image.name);
    second.viewer.open(source(state.image));
    second.viewer.addOnceHandler("open", () => first.viewer.raiseEvent("viewport-change"));
  } else {
    second.viewer.close();
  }
}

/** Put two panes beside each other or one above the other, whichever shows more of the image. */
export function arrange() {
  const panes = part("panes");
  const { width = 2, height = 1 } = state.image || {};
  const [wide, high] = [panes.clientWidth, panes.clientHeight];
  const row = Math.min(wide / 2 / width, high / height), column = Math.min(wide / width, high / 2 / height);
  panes.classList.toggle("above", together && column > row);
}

function at([x, y, width]) {
  if (!first.viewer.viewport) return;
  placing = false;
  first.viewer.viewport.fitBounds(new OpenSeadragon.Rect(x, y, width, width / first.viewer.viewport.getAspectRatio()), true);
}

function said() {
  const { viewport, world } = first.viewer;
  if (!viewport || !world.getItemCount() || !state.image || placing) return;
  const share = viewport.getZoom(true) / viewport.getHomeZoom();
  part("scale").textContent = `${share < 9.95 ? number(share, 1, 1) : number(share)}×`;
  whole = share < 1.01;
  const bounds = viewport.getBounds();
  address.place(share > 1.01 ? [bounds.x, bounds.y, bounds.width] : null);
}

/** Show single pixels when they are large. */
function smooth() {
  for (const { viewer, layer } of [first, second]) viewer.drawer?.setImageSmoothingEnabled((layer.frame()?.scale || 0) < 3);
}

export function zoom(times) {
  first.viewer.viewport.zoomBy(times);
  first.viewer.viewport.applyConstraints();
}

export const fit = () => first.viewer.viewport.goHome();

const AROUND = 1.8; // times the size of a defect that is seen when it is picked
const LEAST = 48; // pixels across at least

/** Go close to a box of pixels. */
export function close([x, y, width, height]) {
  const { width: whole } = first.layer.size;
  const middle = new OpenSeadragon.Point((x + width / 2) / whole, (y + height / 2) / whole);
  const ratio = first.viewer.viewport.getAspectRatio();
  const span = (AROUND * Math.max(width, height * ratio, LEAST)) / whole;
  first.viewer.viewport.fitBoundsWithConstraints(new OpenSeadragon.Rect(middle.x - span / 2, middle.y - span / ratio / 2, span, span / ratio));
}
