// Tools on the picture: brush, eraser, polygon, and a threshold within a box. Mouse, pen and touch; two fingers move the picture.

import { probabilityAddress } from "./api.js";
import { part } from "./dom.js";
import { around, brushed, encode, split } from "./masks.js";
import { number, t } from "./phrases.js";
import * as review from "./review.js";
import { classOf, defectsOf, on, state, tell } from "./state.js";
import { first } from "./viewer.js";

export const TOOLS = [["move", "V", "✥"], ["brush", "B", "✎"], ["erase", "E", "⌫"], ["polygon", "G", "⬠"], ["box", "T", "▣"]];
const LARGEST_BOX = 4_000_000; // pixels of a box whose probabilities are asked for

let stroke = null; // points of the stroke in hand
let erases = false;
let corners = []; // of the polygon in hand
let hover = null; // pixel under the pointer
let box = null; // of the threshold: {x, y, width, height, levels, picture}
let start = null; // corner at which a box began
let sent = []; // strokes that the server has not answered yet: {ids, draw}
const pointers = new Map();
let pinch = null;

const canvas = () => first.layer.canvas;
const ask = () => first.layer.ask();
const colour = () => classOf(state.brushClass)?.colour || "#ffffff";
const ready = () => state.image?.status === "done" && state.visit.classes.length > 0;

export function begin() {
  first.layer.extra.push(drawSent, drawHand);
  const surface = canvas();
  surface.addEventListener("pointerdown", down);
  surface.addEventListener("pointermove", move);
  surface.addEventListener("pointerup", up);
  surface.addEventListener("pointercancel", () => { pointers.clear(); stroke = null; ask(); });
  surface.addEventListener("pointerleave", () => { hover = null; ask(); });
  surface.addEventListener("dblclick", (event) => { if (state.tool === "polygon") { event.preventDefault(); closePolygon(event.shiftKey); } });
  surface.addEventListener("wheel", wheel, { passive: false });
  on("tool", choose);
  on("opened", () => { corners = []; stroke = null; sent = []; dropBox(); });
  on("reviewed refused-action", ({ own }) => { sent = sent.filter((one) => !own.some((id) => one.ids.includes(id))); ask(); });
  part("box-threshold").addEventListener("input", preview);
  part("box-apply").addEventListener("click", applyBox);
}

function choose() {
  const painting = state.tool !== "move";
  canvas().classList.toggle("painting", painting);
  first.viewer.setMouseNavEnabled(!painting);
  if (state.tool !== "polygon") corners = [];
  if (state.tool !== "box") dropBox();
  stroke = null;
  ask();
}

// --- pointers ---------------------------------------------------------------------------------------------------------

function down(event) {
  if (state.tool === "move") return;
  event.preventDefault();
  event.stopPropagation();
  part("picture").focus({ preventScroll: true }); // else keys would go on to a field, and Enter press the last button
  canvas().setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  if (pointers.size === 2) { stroke = null; start = null; pinch = twoFingers(); return; }
  if (pointers.size > 2) return;
  if (event.button === 1 || event.button === 2) { pinch = null; return; } // dragging with these moves the picture
  if (!ready()) return;
  const point = first.layer.point(event);
  erases = state.tool === "erase" || event.shiftKey;
  if (state.tool === "brush" || state.tool === "erase") stroke = [point];
  if (state.tool === "box") { dropBox(); start = point; }
  if (state.tool === "polygon") {
    const near = corners.length > 2 && far(corners[0], point) < 10 / first.layer.frame().scale;
    if (near) closePolygon(event.shiftKey);
    else corners.push(point);
  }
  hover = point;
  ask();
}

function move(event) {
  if (state.tool === "move") return;
  event.stopPropagation();
  const before = pointers.get(event.pointerId);
  if (before) pointers.set(event.pointerId, event);
  if (pointers.size === 2) { movePicture(); return; }
  if (before && event.buttons & 6) { pan(event.clientX - before.clientX, event.clientY - before.clientY); return; }
  hover = first.layer.point(event);
  if (stroke) {
    const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const one of all.length ? all : [event]) stroke.push(first.layer.point(one));
  }
  ask();
}

function up(event) {
  const was = pointers.size;
  pointers.delete(event.pointerId);
  if (was > 1) { pinch = null; return; }
  if (stroke) finishStroke();
  if (start) finishBox(first.layer.point(event));
  if (event.pointerType === "touch") hover = null;
  ask();
}

const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

function twoFingers() {
  const [a, b] = [...pointers.values()];
  return { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, gap: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) };
}

function pan(x, y) {
  const { viewport } = first.viewer;
  viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(-x, -y)), true);
  viewport.applyConstraints(true);
}

function movePicture() {
  const now = twoFingers();
  if (pinch) {
    pan(now.x - pinch.x, now.y - pinch.y);
    zoomAt(now.gap / Math.max(pinch.gap, 1), now.x, now.y);
  }
  pinch = now;
}

function zoomAt(times, x, y) {
  const area = canvas().getBoundingClientRect();
  const { viewport } = first.viewer;
  viewport.zoomBy(times, viewport.pointFromPixel(new OpenSeadragon.Point(x - area.left, y - area.top)), true);
  viewport.applyConstraints(true);
}

function wheel(event) {
  if (state.tool === "move") return;
  event.preventDefault();
  event.stopPropagation();
  zoomAt(event.deltaY < 0 ? 1.25 : 0.8, event.clientX, event.clientY);
}

// --- brush and polygon ------------------------------------------------------------------------------------------------

/** Send actions and show what they paint until the answer is there. */
function send(actions, draw) {
  const named = review.named(actions);
  const entry = { ids: named.map((action) => action.id), draw };
  sent.push(entry);
  review.act(...named).finally(() => { sent = sent.filter((one) => one !== entry); ask(); });
}

function finishStroke() {
  const points = stroke, kind = erases ? "erase" : "add", size = state.size, shade = colour();
  stroke = null;
  const { width, height } = state.image;
  const painted = brushed(points, size, width, height);
  if (!painted || !painted.mask.some(Boolean)) return;
  send([{ kind, ...aim(kind, points), rle: encode(painted, height) }], (context, thin) => drawStroke(context, thin, points, size, shade, kind === "erase"));
}

/** What paint goes to: the brush to the defect of its class that it touches, or to a new one; the eraser to the picked one, or all where it misses that. */
function aim(kind, points) {
  const defects = defectsOf(state.image).filter((one) => one.review !== "rejected");
  const picked = defects.find((one) => one.number === state.picked);
  if (kind === "erase") return picked && first.layer.touches(picked.number, points) ? { defect: picked.number } : {};
  const own = defects.filter((one) => one.class_id === state.brushClass);
  const touched = own.filter((one) => first.layer.touches(one.number, points));
  const to = touched.find((one) => one === picked) || touched[0];
  return to ? { class_id: state.brushClass, defect: to.number } : { class_id: state.brushClass };
}

export function closePolygon(erase = false) {
  const ring = corners.filter((corner, index) => !index || far(corner, corners[index - 1]) > 0.5);
  corners = [];
  ask();
  if (ring.length < 3 || !ready()) return;
  const kind = erase ? "erase" : "add", shade = colour();
  const { width, height } = state.image;
  const polygon = ring.map(([x, y]) => [clip(x, width), clip(y, height)]);
  send([{ kind, ...aim(kind, polygon), polygon }], (context, thin) => drawRing(context, thin, polygon, shade, true));
}

const clip = (value, most) => Math.round(10 * Math.min(Math.max(value, 0), most)) / 10;

/** Take back a corner, or give up what is in hand; returns whether there was something. */
export function back(all) {
  if (corners.length) { corners = all ? [] : corners.slice(0, -1); ask(); return true; }
  if (stroke || box || start) { stroke = null; start = null; dropBox(); return true; }
  return false;
}

export const finish = () => (corners.length ? (closePolygon(), true) : box?.levels ? (applyBox(), true) : false);

// --- threshold within a box -------------------------------------------------------------------------------------------

async function finishBox(end) {
  const { width, height } = state.image;
  const found = around([start, end], 0, width, height);
  start = null;
  if (!found || found.width < 2 || found.height < 2) return;
  if (found.width * found.height > LARGEST_BOX) { tell("notice", { kind: "bad", text: t("box_too_large") }); return; }
  box = found;
  try {
    const levels = await probabilities(box);
    if (box !== found) return;
    box.levels = levels;
    part("box-threshold").value = classOf(state.brushClass)?.threshold ?? 0.5;
    part("box-field").hidden = false;
    preview();
  } catch {
    if (box === found) dropBox();
    tell("notice", { kind: "bad", text: t("no_probabilities") });
  }
}

async function probabilities({ x, y, width, height }) {
  const { classes } = state.visit;
  const own = classes.find((one) => one.id === state.brushClass) || (classes.length === 1 ? classes[0] : null); // alarms serve every class
  if (!own) throw new Error("the weights do not know this class");
  const answer = await fetch(probabilityAddress(state.visit.id, state.image.key, { class_id: own.id, x, y, width, height }));
  if (!answer.ok) throw new Error(String(answer.status));
  const picture = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
  const scratch = Object.assign(document.createElement("canvas"), { width, height });
  const context = scratch.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, index) => data[4 * index]);
}

function preview() {
  if (!box?.levels) return;
  const threshold = Number(part("box-threshold").value);
  part("box-value").textContent = number(threshold, 2, 2);
  const { above } = split(box.levels, threshold);
  const scratch = Object.assign(document.createElement("canvas"), { width: box.width, height: box.height });
  const context = scratch.getContext("2d");
  context.fillStyle = colour();
  context.fillRect(0, 0, box.width, box.height);
  const pixels = context.getImageData(0, 0, box.width, box.height);
  above.forEach((inside, index) => { pixels.data[4 * index + 3] = inside ? 190 : 0; });
  context.putImageData(pixels, 0, 0);
  box.picture = scratch;
  ask();
}

/** Make the mask within the box what lies above the threshold. */
function applyBox() {
  if (!box?.levels) return;
  const { height } = state.image;
  const { above, below } = split(box.levels, Number(part("box-threshold").value));
  const actions = [];
  if (below.some(Boolean)) actions.push({ kind: "erase", class_id: state.brushClass, rle: encode({ box, mask: below }, height) });
  if (above.some(Boolean)) actions.push({ kind: "add", class_id: state.brushClass, rle: encode({ box, mask: above }, height) });
  const { x, y, picture } = box;
  dropBox();
  send(actions, (context) => { context.imageSmoothingEnabled = false; context.drawImage(picture, x, y); });
}

function dropBox() {
  box = null;
  start = null;
  part("box-field").hidden = true;
  ask();
}

// --- drawing ----------------------------------------------------------------------------------------------------------

function drawSent(context, thin) {
  for (const { draw } of sent) { context.save(); draw(context, thin); context.restore(); }
}

function drawStroke(context, thin, points, size, shade, erase) {
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = Math.max(size, 1);
  context.globalAlpha = 0.55;
  context.strokeStyle = erase ? "#808080" : shade;
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);
  if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
  context.stroke();
}

function drawRing(context, thin, ring, shade, closed) {
  context.beginPath();
  ring.forEach((point, index) => (index ? context.lineTo(...point) : context.moveTo(...point)));
  if (closed) { context.closePath(); context.globalAlpha = 0.5; context.fillStyle = shade; context.fill(); context.globalAlpha = 1; }
  for (const [width, line] of [[4, "rgb(0 0 0 / 65%)"], [2, shade]]) {
    context.lineWidth = width * thin;
    context.strokeStyle = line;
    context.stroke();
  }
}

function drawHand(context, thin) {
  if (stroke) drawStroke(context, thin, stroke, state.size, colour(), erases);
  if (corners.length) {
    drawRing(context, thin, hover ? [...corners, hover] : corners, colour(), false);
    context.fillStyle = "#ffffff";
    for (const [x, y] of corners) context.fillRect(x - 3 * thin, y - 3 * thin, 6 * thin, 6 * thin);
  }
  const frame = box || (start && hover && around([start, hover], 0, state.image.width, state.image.height));
  if (frame) {
    if (box?.picture) { context.imageSmoothingEnabled = false; context.drawImage(box.picture, box.x, box.y); }
    for (const [width, line, dash] of [[3, "rgb(0 0 0 / 65%)", []], [1.5, "#ffffff", [5 * thin, 4 * thin]]]) {
      context.setLineDash(dash);
      context.lineWidth = width * thin;
      context.strokeStyle = line;
      context.strokeRect(frame.x, frame.y, frame.width, frame.height);
    }
    context.setLineDash([]);
  }
  if (hover && (state.tool === "brush" || state.tool === "erase")) {
    for (const [width, line] of [[3, "rgb(0 0 0 / 60%)"], [1.5, "#ffffff"]]) {
      context.lineWidth = width * thin;
      context.strokeStyle = line;
      context.beginPath();
      context.arc(hover[0], hover[1], Math.max(state.size / 2, 0.5), 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
