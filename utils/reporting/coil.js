"use strict";
// Draws the map, the list and the chosen defect from the data in the page. Words of others get in as text only, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const units = data.units, N = data.count, L = Math.max(data.length, 1e-9);
  const [LEFT, RIGHT] = data.edges, W = Math.max(RIGHT - LEFT, 1e-9);
  const by = (id) => document.getElementById(id);

  // Columns of numbers, gravest defect first; see pack() in coil_page.py.
  const KINDS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const column = (name) => {
    const packed = data.columns[name];
    const values = new Float64Array(N);
    if ("same" in packed) return values.fill(packed.same);
    const bytes = bytesOf(packed.data), Kind = KINDS[packed.kind];
    const raw = new Kind(bytes.buffer);
    for (let k = 0; k < N; k++) values[k] = raw[k] * packed.step + packed.begin;
    return values;
  };
  const col = {};
  for (const name of Object.keys(data.columns)) col[name] = column(name);
  const word = (name, k) => data.columns[name].words[col[name][k]];
  const along1 = col.along0.map((value, k) => value + col.along_size[k]);
  const across1 = col.across0.map((value, k) => value + col.across_size[k]);
  const rowOf = new Map();
  for (let k = 0; k < N; k++) rowOf.set(col.defect[k], k);

  const state = { mode: "rows", cx: L / 2, cy: (LEFT + RIGHT) / 2, scale: 1, off: new Set(), marks: false, fresh: false, only: null, chosen: -1, sort: "", down: false, page: 0, words: "" };
  const visible = new Uint8Array(N), FEW = 400;
  let shown = N;

  // Numbers in words.
  const plain = (value, digits) => (value || 0).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const place = (value) => `${plain(value / units.per, units.digits)} ${units.along}`;
  const brief = (value) => plain(value, Math.abs(value) >= 100 || Math.round(value) === value ? 0 : 1);
  const size = (value) => `${brief(value)} ${units.across}`;
  const square = (value) => `${brief(value)} ${units.area}`;
  const classOf = (k) => data.classes[col.class[k]];
  const zonesOf = (k) => data.zones.filter((_, bit) => col.zones[k] & (1 << bit)).join(", ");
  const make = (tag, text, more) => Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text }, more);
  const swatch = (k) => { const one = make("i"); one.style.background = classOf(k).colour; return one; };

  // Which defects are shown.
  const rules = data.rules.map((rule) => ({ name: rule.name, bits: bytesOf(rule.bits) }));
  const passes = (only, k) => only.kind === "rule" ? (rules[only.number].bits[k >> 3] >> (k & 7)) & 1 : col[only.kind][k] === only.number;
  const refilter = () => {
    shown = 0;
    for (let k = 0; k < N; k++) {
      const asked = !state.only || passes(state.only, k);
      const dirt = col.artefact[k] && !state.marks && !(state.only && state.only.kind === "artefact");
      visible[k] = asked && !dirt && !(state.fresh && col.earlier[k]) && !state.off.has(col.class[k]) ? 1 : 0;
      shown += visible[k];
    }
    stale = true;
    state.page = 0;
    fill();
    draw();
  };

  // Colours of the page, light or dark.
  let tint = {};
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "line", "page", "steel", "edge", "mark", "link"]) tint[name] = style.getPropertyValue(`--${name}`).trim();
  };

  const canvas = by("canvas"), overview = by("overview");
  const FONT = "12px system-ui, sans-serif", PAD = { left: 74, right: 10, top: 6 }, BETWEEN = 12, LOWEST = 14, TALLEST = 4000;
  let width = 0, height = 0, grid = null, stale = true, cache = null;

  // Room for the largest number at the left.
  const measure = () => {
    const pen = canvas.getContext("2d");
    pen.font = FONT;
    PAD.left = Math.ceil(Math.max(40, pen.measureText(`${plain(L / units.per, 0)} ${units.along}`).width, pen.measureText(`${plain(W, W < 100 ? 1 : 0)} ${units.across}`).width)) + 14;
  };
  // The strip in rows: the largest true scale at which all rows are on the screen, see row_scale() in coil_map.py.
  const layRows = () => {
    const room = Math.max(60, width - PAD.left - PAD.right), wanted = Math.max(260, Math.min(470, innerHeight * 0.6));
    let scale;
    if (room * W / L + BETWEEN > wanted) scale = (wanted - BETWEEN) / W;
    else {
      let rows = 1;
      while ((rows + 1) * ((rows + 1) * room * W / L + BETWEEN) <= wanted) rows++;
      scale = Math.max(rows * room / L, LOWEST / W);
    }
    scale = Math.min(scale, Math.sqrt(TALLEST * room / (L * W)));
    let perRow = room / scale;
    if (perRow < L) {
      // Rows of 70 m, not of 66.67.
      const round = step(perRow / units.per, 10) * units.per;
      perRow = Math.ceil(perRow / round - 1e-9) * round;
      scale = room / perRow;
    }
    const rows = Math.max(1, Math.ceil(L / perRow - 1e-9)), rowHeight = W * scale;
    grid = { scale, perRow, rows, rowHeight, height: Math.max(80, Math.ceil(PAD.top + rows * (rowHeight + BETWEEN))) };
  };
  const fit = (element, w, h) => {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    if (element.width !== Math.round(w * ratio) || element.height !== Math.round(h * ratio)) {
      element.width = Math.round(w * ratio);
      element.height = Math.round(h * ratio);
    }
    element.style.height = `${h}px`;
    const pen = element.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    pen.font = FONT;
    return pen;
  };
  const hatch = (pen, x, y, w, h) => {
    pen.save();
    pen.beginPath();
    pen.rect(x, y, w, h);
    pen.clip();
    pen.fillStyle = tint.page;
    pen.fillRect(x, y, w, h);
    pen.strokeStyle = tint.edge;
    pen.lineWidth = 1;
    pen.beginPath();
    const from = Math.max(x - h, -h), to = Math.min(x + w, width);
    for (let at = Math.floor(from / 6) * 6; at < to; at += 6) { pen.moveTo(at, y + h); pen.lineTo(at + h, y); }
    pen.stroke();
    pen.strokeRect(x + 0.5, y + 0.5, Math.max(0, w - 1), Math.max(0, h - 1));
    pen.restore();
  };
  const step = (span, parts) => {
    const wanted = Math.max(span, 1e-9) / parts, power = 10 ** Math.floor(Math.log10(wanted));
    return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= wanted * (1 - 1e-9));
  };

  const drawRows = () => {
    layRows();
    height = grid.height;
    const pen = fit(canvas, width, height);
    const { scale, perRow, rows, rowHeight } = grid;
    const top = (row) => PAD.top + row * (rowHeight + BETWEEN);
    // A stretch of the strip in each row that it lies in.
    const boxes = (a0, a1, c0, c1, least, each) => {
      const first = Math.max(0, Math.min(rows - 1, Math.floor(a0 / perRow))), last = Math.min(rows - 1, Math.max(first, Math.ceil(a1 / perRow - 1e-9) - 1));
      for (let row = first; row <= last; row++) {
        let x = Math.max(0, a0 - row * perRow) * scale, w = Math.min(perRow, a1 - row * perRow) * scale - x;
        let y = (c0 - LEFT) * scale, h = (c1 - c0) * scale;
        if (w < least) { x -= (least - w) / 2; w = least; }
        if (h < least) { y -= (least - h) / 2; h = least; }
        each(PAD.left + x, top(row) + y, w, h);
      }
    };
    pen.fillStyle = tint.steel;
    boxes(0, L, LEFT, RIGHT, 0, (x, y, w, h) => pen.fillRect(x, y, w, h));
    for (const [a0, a1, c0, c1] of data.gaps) boxes(a0, a1, c0, c1, 1.5, (x, y, w, h) => hatch(pen, x, y, w, h));
    pen.fillStyle = tint.soft;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const digits = Math.max(0, Math.ceil(-Math.log10(perRow / units.per) + 0.9));
    for (let row = 0; row < rows; row++) pen.fillText(`${plain(row * perRow / units.per, rows > 1 ? digits : 0)} ${units.along}`, PAD.left - 8, top(row) + rowHeight / 2);
    const few = shown <= FEW, least = few ? 5 : 2.5;
    pen.strokeStyle = "#1b1f24";
    pen.lineWidth = 1;
    for (let k = N - 1; k >= 0; k--) {
      if (!visible[k]) continue;
      pen.fillStyle = classOf(k).colour;
      boxes(col.along0[k], along1[k], col.across0[k], across1[k], least, (x, y, w, h) => { pen.fillRect(x, y, w, h); if (few) pen.strokeRect(x, y, w, h); });
    }
    if (state.chosen >= 0) boxes(col.along0[state.chosen], along1[state.chosen], col.across0[state.chosen], across1[state.chosen], 3, (x, y, w, h) => ring(pen, x, y, w, h));
  };
  const ring = (pen, x, y, w, h) => {
    const grow = 4;
    pen.strokeStyle = tint.page;
    pen.lineWidth = 4;
    pen.strokeRect(x - grow, y - grow, w + 2 * grow, h + 2 * grow);
    pen.strokeStyle = tint.mark;
    pen.lineWidth = 2;
    pen.strokeRect(x - grow, y - grow, w + 2 * grow, h + 2 * grow);
  };

  // A piece of the strip that can be moved and zoomed.
  const toX = (a) => PAD.left + (a - state.cx) * state.scale + (width - PAD.left) / 2;
  const toY = (c) => 24 + (c - state.cy) * state.scale + (height - 24) / 2;
  const toAlong = (x) => state.cx + (x - PAD.left - (width - PAD.left) / 2) / state.scale;
  const toAcross = (y) => state.cy + (y - 24 - (height - 24) / 2) / state.scale;
  const limits = () => {
    const smallest = Math.max(8 / W, Math.min((width - PAD.left) / L, (height - 24) / W));
    return [smallest, Math.max(40 / (units.per > 1 ? 1 : 4), smallest * 4)];
  };
  const keep = () => {
    const [low, high] = limits();
    state.scale = Math.min(high, Math.max(low, state.scale));
    // A strip that fits is in the middle; one that does not fills the view, but for a margin.
    const within = (at, begin, end, room) => { const half = Math.max(0, room / 2 - 40) / state.scale; return end - begin <= 2 * half ? (begin + end) / 2 : Math.min(end - half, Math.max(begin + half, at)); };
    state.cx = within(state.cx, 0, L, width - PAD.left);
    state.cy = within(state.cy, LEFT, RIGHT, height - 24);
  };
  const drawStrip = () => {
    height = Math.round(Math.max(260, Math.min(470, innerHeight * 0.6)));
    keep();
    const pen = fit(canvas, width, height), scale = state.scale;
    pen.save();
    pen.beginPath();
    pen.rect(PAD.left, 24, width - PAD.left, height - 24);
    pen.clip();
    pen.fillStyle = tint.steel;
    pen.fillRect(toX(0), toY(LEFT), L * scale, W * scale);
    for (const [a0, a1, c0, c1] of data.gaps) if (toX(a1) > 0 && toX(a0) < width) hatch(pen, Math.max(-50, toX(a0)), toY(c0), Math.min(width + 50, toX(a1)) - Math.max(-50, toX(a0)), (c1 - c0) * scale);
    if (data.edge) {
      pen.strokeStyle = tint.edge;
      pen.setLineDash([6, 5]);
      pen.lineWidth = 1;
      pen.beginPath();
      for (const c of [LEFT + data.edge, RIGHT - data.edge]) { pen.moveTo(Math.max(0, toX(0)), toY(c)); pen.lineTo(Math.min(width, toX(L)), toY(c)); }
      pen.stroke();
      pen.setLineDash([]);
    }
    const from = toAlong(PAD.left), to = toAlong(width), low = toAcross(24), high = toAcross(height);
    for (let k = N - 1; k >= 0; k--) {
      if (!visible[k] || along1[k] < from || col.along0[k] > to || across1[k] < low || col.across0[k] > high) continue;
      const colour = classOf(k).colour;
      let x = toX(col.along0[k]), y = toY(col.across0[k]), w = col.along_size[k] * scale, h = col.across_size[k] * scale;
      if (w < 3) { x -= (3 - w) / 2; w = 3; }
      if (h < 3) { y -= (3 - h) / 2; h = 3; }
      pen.fillStyle = colour;
      if (w > 8 && h > 8) { pen.globalAlpha = 0.45; pen.fillRect(x, y, w, h); pen.globalAlpha = 1; pen.strokeStyle = colour; pen.lineWidth = 1.5; pen.strokeRect(x, y, w, h); } else pen.fillRect(x, y, w, h);
    }
    if (state.only && state.only.kind === "repeat") {
      // Where the series' marks are expected: short lines above the lane.
      const series = data.series.find((one) => one[0] === state.only.number);
      if (series && series[4] > 0) {
        const [, across, onset, end, period] = series;
        pen.strokeStyle = tint.mark;
        pen.lineWidth = 1;
        pen.beginPath();
        const start = onset + Math.max(0, Math.ceil((from - onset) / period)) * period;
        if (period * scale > 3) for (let a = start; a <= Math.min(end + period / 2, to); a += period) { pen.moveTo(toX(a), toY(across) - 16); pen.lineTo(toX(a), toY(across) - 9); }
        pen.stroke();
      }
    }
    if (state.only && state.only.kind === "group") {
      const group = data.groups.find((one) => one[0] === state.only.number);
      if (group) { pen.strokeStyle = tint.mark; pen.lineWidth = 1; pen.setLineDash([4, 4]); pen.strokeRect(toX(group[1]) - 5, toY(group[3]) - 5, (group[2] - group[1]) * scale + 10, (group[4] - group[3]) * scale + 10); pen.setLineDash([]); }
    }
    if (state.chosen >= 0) {
      const k = state.chosen, w = Math.max(3, col.along_size[k] * scale), h = Math.max(3, col.across_size[k] * scale);
      ring(pen, toX(col.along0[k]), toY(col.across0[k]), w, h);
    }
    pen.restore();
    pen.fillStyle = tint.soft;
    pen.strokeStyle = tint.edge;
    pen.lineWidth = 1;
    const ticks = step((width - PAD.left) / scale / units.per, Math.max(2, width / 130)), digits = Math.max(0, Math.ceil(-Math.log10(ticks) - 1e-9));
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.beginPath();
    for (let n = Math.ceil(Math.max(0, from) / units.per / ticks - 1e-9); n * ticks * units.per <= Math.min(L, to); n++) {
      const x = toX(n * ticks * units.per);
      if (x < PAD.left + 24 || x > width - 24) continue;
      pen.fillText(`${plain(n * ticks, digits)} ${units.along}`, x, 3);
      pen.moveTo(x + 0.5, 18);
      pen.lineTo(x + 0.5, 24);
    }
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const rungs = step((height - 24) / scale, 7), fine = Math.max(0, Math.ceil(-Math.log10(rungs) - 1e-9));
    for (let n = Math.ceil(Math.max(0, low - LEFT) / rungs - 1e-9); n * rungs <= Math.min(W, high - LEFT) + 1e-9; n++) {
      const y = toY(LEFT + n * rungs);
      if (y < 30 || y > height - 6) continue;
      pen.fillText(`${plain(n * rungs, fine)} ${units.across}`, PAD.left - 9, y);
      pen.moveTo(PAD.left - 5, y + 0.5);
      pen.lineTo(PAD.left, y + 0.5);
    }
    pen.stroke();
  };

  // The whole strip in one band, stretched across so that it can be seen.
  const drawOverview = () => {
    const w = overview.clientWidth, h = 64;
    if (!w) return;
    const pen = fit(overview, w, h), sx = w / L, sy = h / W;
    if (stale || !cache || cache.width !== overview.width) {
      cache = document.createElement("canvas");
      cache.width = overview.width;
      cache.height = overview.height;
      const ink = cache.getContext("2d"), ratio = overview.width / w;
      ink.setTransform(ratio, 0, 0, ratio, 0, 0);
      ink.fillStyle = tint.steel;
      ink.fillRect(0, 0, w, h);
      for (const [a0, a1, c0, c1] of data.gaps) hatch(ink, a0 * sx, (c0 - LEFT) * sy, Math.max(1.5, (a1 - a0) * sx), (c1 - c0) * sy);
      const least = shown <= FEW ? 4 : 2;
      for (let k = N - 1; k >= 0; k--) {
        if (!visible[k]) continue;
        ink.fillStyle = classOf(k).colour;
        const w = Math.max(least, col.along_size[k] * sx), h = Math.max(least, col.across_size[k] * sy);
        ink.fillRect((col.along0[k] + along1[k]) / 2 * sx - w / 2, ((col.across0[k] + across1[k]) / 2 - LEFT) * sy - h / 2, w, h);
      }
      stale = false;
    }
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(cache, 0, 0);
    pen.restore();
    if (state.mode === "strip") {
      const x0 = Math.max(0, toAlong(PAD.left)) * sx, x1 = Math.min(L, toAlong(width)) * sx;
      pen.strokeStyle = tint.mark;
      pen.lineWidth = 2;
      pen.strokeRect(Math.max(1, x0), 1, Math.max(4, x1 - x0 - 1), h - 2);
    } else if (state.chosen >= 0) {
      const x = (col.along0[state.chosen] + along1[state.chosen]) / 2 * sx;
      pen.strokeStyle = tint.mark;
      pen.lineWidth = 1.5;
      pen.strokeRect(x - 3, 1, 6, h - 2);
    }
    const times = sy / sx;
    by("stretched").textContent = `The whole coil from head to tail${times > 1.2 ? `, stretched ${plain(times, times < 10 ? 1 : 0)} times across` : ""}. Click to go there.`;
  };
  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      width = canvas.clientWidth;
      if (!width) return;
      if (state.mode === "rows") drawRows(); else drawStrip();
      drawOverview();
      canvas.classList.toggle("moves", state.mode === "strip");
      by("rows").setAttribute("aria-pressed", state.mode === "rows");
      by("strip").setAttribute("aria-pressed", state.mode === "strip");
      for (const id of ["before", "after", "out"]) by(id).disabled = state.mode === "rows";
    });
  };

  // What lies under a point of the canvas: the smallest box that holds it, else the nearest within some pixels.
  const pointAt = (x, y) => {
    if (state.mode === "strip") return [toAlong(x), toAcross(y), state.scale];
    const row = Math.max(0, Math.min(grid.rows - 1, Math.floor((y - PAD.top) / (grid.rowHeight + BETWEEN))));
    const across = LEFT + (y - PAD.top - row * (grid.rowHeight + BETWEEN)) / grid.scale;
    return [row * grid.perRow + Math.min(grid.perRow, Math.max(0, (x - PAD.left) / grid.scale)), across, grid.scale];
  };
  const hit = (x, y) => {
    const [a, c, scale] = pointAt(x, y);
    let best = -1, least = 9 / scale, smallest = Infinity;
    for (let k = 0; k < N; k++) {
      if (!visible[k]) continue;
      const da = Math.max(col.along0[k] - a, a - along1[k], 0), dc = Math.max(col.across0[k] - c, c - across1[k], 0);
      const far = Math.hypot(da, dc), area = col.along_size[k] * col.across_size[k];
      if (far < least || (far === 0 && least === 0 && area < smallest)) { best = k; least = far; smallest = area; }
    }
    return best;
  };

  const goTo = (along, across, scale) => {
    state.mode = "strip";
    state.cx = along;
    state.cy = across;
    if (scale) state.scale = scale;
    draw();
  };
  const zoom = (factor, x, y) => {
    if (state.mode === "rows") {
      if (factor < 1) return;
      const [a, c] = x === undefined ? (state.chosen >= 0 ? [col.along0[state.chosen], (LEFT + RIGHT) / 2] : [0, (LEFT + RIGHT) / 2]) : pointAt(x, y);
      const room = height;
      goTo(a, Math.min(RIGHT, Math.max(LEFT, c)), Math.max(grid.scale * 1.5, Math.min(room * 0.85 / W, grid.scale * 4)));
      return;
    }
    const [low] = limits();
    if (factor < 1 && state.scale <= low * 1.001) { state.mode = "rows"; draw(); return; }
    const a = x === undefined ? state.cx : toAlong(x), c = y === undefined ? state.cy : toAcross(y), before = state.scale;
    state.scale *= factor;
    keep();
    state.cx = a + (state.cx - a) * before / state.scale;
    state.cy = c + (state.cy - c) * before / state.scale;
    draw();
  };
  const choose = (k, move) => {
    state.chosen = k;
    if (k >= 0 && move) {
      const extent = Math.max(col.along_size[k], col.across_size[k], 1e-9), room = Math.min(width || 600, 420);
      const [low, high] = limits();
      state.scale = Math.min(high, Math.max(low, Math.min(room / (extent * 6), Math.max(6 * low, 420 / W))));
      goTo((col.along0[k] + along1[k]) / 2, (col.across0[k] + across1[k]) / 2);
    } else draw();
    tell();
    mark();
    try { history.replaceState(null, "", k >= 0 ? `#defect=${col.defect[k]}` : location.pathname + location.search); } catch (error) { /* not where the page is shown inside another */ }
  };

  // The chosen defect.
  const picture = (source, box, alt) => {
    const frame = make("div", undefined, { className: "picture" });
    frame.append(make("img", undefined, { src: `data:image/jpeg;base64,${source}`, alt }));
    const outline = make("b");
    for (const [name, share] of Object.entries(box)) outline.style[name] = `${100 * share}%`;
    frame.append(outline);
    return frame;
  };
  const tell = () => {
    const panel = by("one"), k = state.chosen;
    panel.replaceChildren();
    if (k < 0) { panel.append(make("p", "No defect is chosen.", { className: "soft" })); return; }
    const title = make("h3");
    title.append(swatch(k), make("span", `${classOf(k).name}, defect ${col.defect[k]}`));
    panel.append(title);
    const crop = data.pictures.crops[col.defect[k]], image = word("image", k), thumb = data.pictures.thumbs[image];
    if (crop) {
      const [jpeg, x, y, w, h, whole] = crop;
      panel.append(picture(jpeg, { left: x, top: y, width: w, height: h }, "the defect"));
      if (!whole) panel.append(make("p", "The middle of it; it is longer.", { className: "soft" }));
      if (thumb) panel.append(picture(thumb[0], { left: col.x[k] / thumb[1], top: col.y[k] / thumb[2], width: col.width[k] / thumb[1], height: col.height[k] / thumb[2] }, "the whole image with the defect"));
    } else {
      const many = Object.keys(data.pictures.crops).length;
      panel.append(make("p", `No picture kept${many ? `: this page has those of the ${plain(many, 0)} gravest defects` : ""}.`, { className: "soft" }));
    }
    const facts = make("dl");
    const fact = (label, text) => { if (text !== "") facts.append(make("dt", label), make("dd", text)); };
    fact("from head", place(col.along0[k]));
    fact("from tail", place(Math.max(0, L - along1[k])));
    fact("from left edge", size(col.across0[k] - LEFT));
    fact("from right edge", size(RIGHT - across1[k]));
    fact("length, width", `${size(col.along_size[k])}, ${size(col.across_size[k])}`);
    fact("area", square(col.area[k]));
    fact("probability", col.probability[k] ? plain(col.probability[k], 2) : "");
    fact("zones", zonesOf(k));
    fact("side", word("side", k));
    fact("parts joined", col.sightings[k] > 1 ? plain(col.sightings[k], 0) : "");
    fact("image", image);
    fact("camera", word("camera", k));
    fact("in the image", `x ${brief(col.x[k])}, y ${brief(col.y[k])}, ${brief(col.width[k])} by ${brief(col.height[k])} pixels`);
    fact("counted by", rules.filter((rule) => (rule.bits[k >> 3] >> (k & 7)) & 1).map((rule) => rule.name).join(", "));
    fact("repeats", col.repeat[k] ? `series ${col.repeat[k]}` : "");
    fact("group", col.group[k] ? plain(col.group[k], 0) : "");
    fact("earlier stage", col.earlier[k] ? `there already, defect ${col.earlier[k]}` : "");
    fact("static mark", col.artefact[k] ? `${col.artefact[k]}: lens or light, not the strip` : "");
    panel.append(facts);
    const steps = make("div", undefined, { className: "steps" });
    for (const [text, way] of [["previous", -1], ["next", 1]]) { const button = make("button", text, { type: "button" }); button.onclick = () => walk(way); steps.append(button); }
    if (state.mode === "rows") { const button = make("button", "zoom to it", { type: "button" }); button.onclick = () => choose(k, true); steps.append(button); }
    const back = make("button", "in the list", { type: "button" });
    back.onclick = () => { const row = document.querySelector("#list tr.chosen"); (row || by("defects")).scrollIntoView({ block: "center" }); if (row) row.querySelector("button").focus({ preventScroll: true }); };
    steps.append(back);
    panel.append(steps);
  };

  // The list.
  const PER_PAGE = 50;
  const COLUMNS = [
    ["", "No", (k) => col.defect[k], null], ["class", "Class", (k) => classOf(k).name, (k) => classOf(k).name],
    ["along", "From head", (k) => col.along0[k], (k) => place(col.along0[k])], ["across", "From left", (k) => col.across0[k], (k) => size(col.across0[k] - LEFT)],
    ["length", "Length", (k) => col.along_size[k], (k) => size(col.along_size[k])], ["width", "Width", (k) => col.across_size[k], (k) => size(col.across_size[k])],
    ["area", "Area", (k) => col.area[k], (k) => square(col.area[k])], ["probability", "Prob.", (k) => col.probability[k], (k) => col.probability[k] ? plain(col.probability[k], 2) : ""],
    ["zones", "Zones", zonesOf, zonesOf], ["repeat", "Series", (k) => col.repeat[k], (k) => col.repeat[k] || ""], ["group", "Group", (k) => col.group[k], (k) => col.group[k] || ""],
    ["earlier", "Earlier", (k) => col.earlier[k], (k) => col.earlier[k] || ""], ["image", "Image", (k) => word("image", k), (k) => word("image", k)], ["picture", "Picture", (k) => data.pictures.crops[col.defect[k]] ? 0 : 1, (k) => data.pictures.crops[col.defect[k]] ? "yes" : ""],
  ].filter(([name]) => name !== "picture" || Object.keys(data.pictures.crops).length).filter(([name]) => !["repeat", "group", "earlier", "zones"].includes(name) || !("same" in data.columns[name]) || data.columns[name].same);
  const LEFTS = new Set(["class", "zones", "image"]);
  let listed = [];
  const relist = () => {
    const words = state.words.trim().toLowerCase(), kept = [];
    const named = words ? data.classes.map((one) => one.name.toLowerCase().includes(words)) : [];
    const images = words ? data.columns.image.words.map((one) => one.toLowerCase().includes(words)) : [];
    for (let k = 0; k < N; k++) if (visible[k] && (!words || named[col.class[k]] || images[col.image[k]] || String(col.defect[k]) === words)) kept.push(k);
    const chosen = COLUMNS.find(([name]) => name === state.sort), way = state.down ? -1 : 1;
    if (chosen && (state.sort || state.numbered)) {
      const value = chosen[2], keys = new Map(kept.map((k) => [k, value(k)]));
      kept.sort((a, b) => { const one = keys.get(a), two = keys.get(b); return way * (typeof one === "string" ? one.localeCompare(two, "en", { numeric: true }) : one - two) || a - b; });
    }
    listed = kept;
  };
  const fill = () => {
    relist();
    if (!by("list")) return;
    const pages = Math.max(1, Math.ceil(listed.length / PER_PAGE));
    state.page = Math.min(pages - 1, Math.max(0, state.page));
    const part = listed.slice(state.page * PER_PAGE, (state.page + 1) * PER_PAGE);
    const body = by("list").tBodies[0];
    body.replaceChildren(...part.map((k) => {
      const row = make("tr");
      row.dataset.row = k;
      for (const [name, , , text] of COLUMNS) {
        const cell = make("td");
        cell.className = LEFTS.has(name) ? `left ${name}` : name;
        if (!text) { const button = make("button", String(col.defect[k]), { type: "button" }); button.setAttribute("aria-label", `show defect ${col.defect[k]}`); cell.append(button); }
        else if (name === "class") cell.append(swatch(k), text(k));
        else cell.textContent = text(k);
        row.append(cell);
      }
      return row;
    }));
    by("listed").textContent = listed.length ? `${plain(state.page * PER_PAGE + 1, 0)} to ${plain(state.page * PER_PAGE + part.length, 0)} of ${plain(listed.length, 0)}${state.sort || state.numbered ? "" : ", gravest first"}` : "none";
    by("back").disabled = state.page === 0;
    by("next").disabled = state.page >= pages - 1;
    mark();
  };
  const mark = () => { for (const row of document.querySelectorAll("#list tbody tr")) row.classList.toggle("chosen", Number(row.dataset.row) === state.chosen); };
  const head = () => {
    if (!by("list")) return;
    by("list").tHead.rows[0].replaceChildren(...COLUMNS.map(([name, title]) => {
      const cell = make("th", undefined, { scope: "col" }), active = name ? state.sort === name : state.numbered && !state.sort;
      cell.className = LEFTS.has(name) ? `left ${name}` : name;
      const button = make("button", title, { type: "button" });
      button.append(make("span", active ? (state.down ? " ▼" : " ▲") : ""));
      cell.setAttribute("aria-sort", active ? (state.down ? "descending" : "ascending") : "none");
      button.onclick = () => {
        // Largest first where that is what is looked for, then the other way, then the gravest first again.
        const first = ["length", "width", "area", "probability", "repeat", "group", "earlier"].includes(name);
        if (!active) { state.sort = name; state.numbered = !name; state.down = first; } else if (state.down === first) state.down = !first; else { state.sort = ""; state.numbered = false; state.down = false; }
        state.page = 0;
        head();
        fill();
        [...by("list").tHead.querySelectorAll("button")][COLUMNS.findIndex((one) => one[0] === name)].focus();
      };
      cell.append(button);
      return cell;
    }));
  };
  const walk = (way) => {
    if (!listed.length) return;
    const at = listed.indexOf(state.chosen), next = at < 0 ? 0 : Math.min(listed.length - 1, Math.max(0, at + way));
    state.page = Math.floor(next / PER_PAGE);
    choose(listed[next], state.mode === "strip");
    fill();
  };

  // Only some.
  const NAMES = { rule: (n) => `counted by ${rules[n].name}`, repeat: (n) => `series ${n}`, group: (n) => `group ${n}`, artefact: (n) => `static mark ${n}` };
  const showOnly = (only) => {
    state.only = only;
    by("only").hidden = !only;
    if (only) {
      let count = 0, a0 = Infinity, a1 = -Infinity;
      for (let k = 0; k < N; k++) if (passes(only, k)) { count++; a0 = Math.min(a0, col.along0[k]); a1 = Math.max(a1, along1[k]); }
      by("only").firstElementChild.textContent = `Only what is ${NAMES[only.kind](only.number)}: ${plain(count, 0)}${count ? `, ${place(a0)} to ${place(a1)}` : " on this page"}`.replace("what is series", "series").replace("what is group", "group").replace("what is static", "static");
      state.off.clear();
      for (const box of document.querySelectorAll("[data-class]")) box.checked = true;
      state.mode = "rows";
    }
    refilter();
  };

  const toMap = () => { by("map").scrollIntoView({ block: "start" }); canvas.focus({ preventScroll: true }); };

  // Events.
  const pointers = new Map();
  let dragged = false, pinch = 0;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.onpointerdown = (event) => { pointers.set(event.pointerId, at(event)); dragged = false; pinch = 0; };
  canvas.onpointermove = (event) => {
    const [x, y] = at(event), before = pointers.get(event.pointerId);
    if (!before) {
      if (grid || state.mode === "strip") { const k = hit(x, y), [a, c] = pointAt(x, y); by("pointer").textContent = a < 0 || a > L || c < LEFT || c > RIGHT ? "\u00a0" : `${place(a)}, ${size(Math.max(0, c - LEFT))} from the left edge${k >= 0 ? `: ${classOf(k).name}, defect ${col.defect[k]}, ${square(col.area[k])}` : ""}`; }
      return;
    }
    pointers.set(event.pointerId, [x, y]);
    if (pointers.size === 2) {
      const [one, two] = [...pointers.values()], apart = Math.hypot(one[0] - two[0], one[1] - two[1]);
      if (pinch) zoom(apart / pinch, (one[0] + two[0]) / 2, (one[1] + two[1]) / 2);
      pinch = apart;
      dragged = true;
      return;
    }
    if (!dragged && Math.hypot(x - before[0], y - before[1]) < 4) { pointers.set(event.pointerId, before); return; }
    if (!dragged) canvas.setPointerCapture(event.pointerId);
    dragged = true;
    if (state.mode !== "strip") return;
    canvas.classList.add("moving");
    state.cx -= (x - before[0]) / state.scale;
    state.cy -= (y - before[1]) / state.scale;
    draw();
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    const was = pointers.delete(event.pointerId);
    canvas.classList.remove("moving");
    if (was && !dragged && event.type === "pointerup") {
      const k = hit(...at(event));
      choose(k, false);
      if (k >= 0) { state.page = Math.max(0, Math.floor(listed.indexOf(k) / PER_PAGE)); fill(); }
    }
  };
  canvas.ondblclick = (event) => zoom(3, ...at(event));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    if (state.mode === "rows" && event.deltaY > 0) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...at(event));
  }, { passive: false });
  const pan = (dx, dy) => { if (state.mode !== "strip") return; state.cx += dx * width / state.scale; state.cy += dy * height / state.scale; draw(); };
  canvas.onkeydown = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const keys = { ArrowLeft: () => pan(-0.2, 0), ArrowRight: () => pan(0.2, 0), ArrowUp: () => pan(0, -0.2), ArrowDown: () => pan(0, 0.2), PageUp: () => pan(-0.9, 0), PageDown: () => pan(0.9, 0), Home: () => goTo(0, state.cy), End: () => goTo(L, state.cy), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => { state.mode = "rows"; draw(); }, n: () => walk(1), p: () => walk(-1), Enter: () => { if (state.chosen >= 0) choose(state.chosen, true); }, Escape: () => choose(-1, false) };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const moves = event.key.startsWith("Arrow") || event.key.startsWith("Page");
    if (!act || (moves && state.mode === "rows")) return;  // then they scroll the page
    event.preventDefault();
    act();
  };
  const toPlace = (event) => { const box = overview.getBoundingClientRect(); if (state.mode === "rows") state.scale = Math.min(380 / W, grid.scale * 4); goTo((event.clientX - box.left) / box.width * L, (LEFT + RIGHT) / 2); };
  overview.onpointerdown = (event) => { overview.setPointerCapture(event.pointerId); toPlace(event); };
  overview.onpointermove = (event) => { if (event.buttons) toPlace(event); };
  by("rows").onclick = () => { state.mode = "rows"; draw(); tell(); };
  by("strip").onclick = () => { if (state.mode === "rows") { if (state.chosen >= 0) choose(state.chosen, true); else zoom(2); } };
  by("in").onclick = () => zoom(1.6);
  by("out").onclick = () => zoom(1 / 1.6);
  by("before").onclick = () => pan(-0.7, 0);
  by("after").onclick = () => pan(0.7, 0);
  for (const box of document.querySelectorAll("[data-class]")) box.onchange = () => { const index = Number(box.dataset.class); if (box.checked) state.off.delete(index); else state.off.add(index); refilter(); };
  const setAll = (on) => { for (const box of document.querySelectorAll("[data-class]")) { box.checked = on; if (on) state.off.delete(Number(box.dataset.class)); else state.off.add(Number(box.dataset.class)); } refilter(); };
  if (by("all")) { by("all").onclick = () => setAll(true); by("none").onclick = () => setAll(false); }
  if (by("fresh")) by("fresh").onchange = (event) => { state.fresh = event.target.checked; refilter(); };
  if (by("marks")) by("marks").onchange = (event) => { state.marks = event.target.checked; refilter(); };
  for (const button of document.querySelectorAll("[data-only]")) button.onclick = () => {
    const [kind, number] = button.dataset.only.split(":");
    showOnly({ kind, number: Number(number) });
    toMap();
  };
  by("only").querySelector("button").onclick = () => showOnly(null);
  if (by("list")) {
    by("list").tBodies[0].onclick = (event) => { const row = event.target.closest("tr"); if (row) { choose(Number(row.dataset.row), true); toMap(); } };
    by("find").oninput = () => { state.words = by("find").value; state.page = 0; fill(); };
    by("back").onclick = () => { state.page--; fill(); };
    by("next").onclick = () => { state.page++; fill(); };
  }
  addEventListener("resize", () => { stale = true; draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); stale = true; draw(); });
  const fromAddress = () => { const found = /^#defect=(\d+)$/.exec(location.hash); if (found && rowOf.has(Number(found[1]))) choose(rowOf.get(Number(found[1])), true); };
  addEventListener("hashchange", fromAddress);

  document.documentElement.classList.add("js");
  for (const part of document.querySelectorAll(".screen")) part.hidden = false;
  readColours();
  measure();
  head();
  if (N && !col.artefact[0]) state.chosen = 0;  // the gravest
  refilter();
  tell();
  requestAnimationFrame(fromAddress);
})();
