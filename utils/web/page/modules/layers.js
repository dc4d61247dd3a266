// Outlines and fills over a picture: one canvas, drawn anew whenever picture or defects move.

import { state } from "./state.js";

const CASING = 400; // up to so many defects, outlines get a dark edge that shows them on bright steel

export class Layer {
  constructor(viewer, holder) {
    this.viewer = viewer;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "layer";
    this.canvas.setAttribute("aria-hidden", "true");
    holder.append(this.canvas);
    this.size = { width: 1, height: 1 };
    this.shapes = [];
    this.under = []; // functions that draw below the defects
    this.extra = []; // functions that draw more: strokes, polygons, the brush
    this.asked = false;
    for (const event of ["update-viewport", "animation", "resize", "open", "tile-drawn"]) viewer.addHandler(event, () => this.ask());
    new ResizeObserver(() => this.ask()).observe(holder);
  }

  /** Take the defects of an image; colours by class id. */
  show(defects, size, colours) {
    this.size = size;
    this.shapes = defects.map((defect) => ({ defect, colour: colours.get(defect.class_id) || "#ffffff", path: outline(defect) }));
    this.ask();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  }

  /** Where the image lies in the pane: pixels of the screen = x + scale * pixels of the image. */
  frame() {
    const { viewport } = this.viewer;
    if (!viewport || !this.viewer.world.getItemCount()) return null;
    const origin = viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    const right = viewport.pixelFromPoint(new OpenSeadragon.Point(1, 0), true);
    return { x: origin.x, y: origin.y, scale: (right.x - origin.x) / this.size.width };
  }

  /** The pixel of the image under a pointer. */
  point(event) {
    const frame = this.frame();
    if (!frame) return null;
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left - frame.x) / frame.scale, (event.clientY - box.top - frame.y) / frame.scale];
  }

  /** The smallest defect at a pixel that can be seen. */
  at([x, y]) {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    const under = this.shapes.filter(({ defect, path }) => !state.hidden.has(defect.class_id) && context.isPointInPath(path, x, y, "evenodd"));
    under.sort((a, b) => a.defect.area_px - b.defect.area_px);
    return under[0]?.defect || null;
  }

  /** Whether one of some pixels lies in a defect. */
  touches(number, points) {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    const shape = this.shapes.find(({ defect }) => defect.number === number);
    return Boolean(shape) && points.some(([x, y]) => context.isPointInPath(shape.path, x, y, "evenodd"));
  }

  draw() {
    const { canvas } = this;
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * dots), Math.round(canvas.clientHeight * dots)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const frame = this.frame();
    if (!frame) return;
    context.setTransform(dots * frame.scale, 0, 0, dots * frame.scale, dots * frame.x, dots * frame.y);
    const thin = 1 / frame.scale;
    for (const draw of this.under) { context.save(); draw(context, thin); context.restore(); }
    if (state.overlay) this.defects(context, thin);
    for (const draw of this.extra) { context.save(); draw(context, thin); context.restore(); }
  }

  defects(context, thin) {
    const seen = this.shapes.filter(({ defect }) => !state.hidden.has(defect.class_id));
    const cased = seen.length <= CASING;
    context.lineJoin = "round";
    for (const { defect, path, colour } of seen) {
      const rejected = defect.review === "rejected";
      if (!rejected) {
        context.globalAlpha = state.opacity;
        context.fillStyle = colour;
        context.fill(path, "evenodd");
      }
      context.globalAlpha = rejected ? 0.75 : 1;
      context.setLineDash(rejected ? [4 * thin, 4 * thin] : []);
      if (cased) {
        context.strokeStyle = "rgb(0 0 0 / 65%)";
        context.lineWidth = 3.2 * thin;
        context.stroke(path);
      }
      context.strokeStyle = rejected ? "#d0d0d0" : colour;
      context.lineWidth = 1.6 * thin;
      context.stroke(path);
    }
    context.globalAlpha = 1;
    const picked = seen.find(({ defect }) => defect.number === state.picked);
    if (!picked || !picked.defect.box) return;
    const [x, y, width, height] = picked.defect.box;
    context.setLineDash([]);
    context.lineWidth = 4 * thin;
    context.strokeStyle = "rgb(0 0 0 / 70%)";
    context.strokeRect(x - 3 * thin, y - 3 * thin, width + 6 * thin, height + 6 * thin);
    context.setLineDash([6 * thin, 4 * thin]);
    context.lineWidth = 2 * thin;
    context.strokeStyle = "#ffffff";
    context.strokeRect(x - 3 * thin, y - 3 * thin, width + 6 * thin, height + 6 * thin);
  }
}

function outline(defect) {
  const path = new Path2D();
  for (const ring of defect.outline || []) {
    ring.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  return path;
}
