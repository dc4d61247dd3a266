// Pixels of a mask within a box: what a brush or a threshold marks, as run-length code. Pure functions.

/** Box of whole pixels around points, clipped to the image; null when nothing of it lies inside. */
export function around(points, margin, width, height) {
  const xs = points.map((point) => point[0]), ys = points.map((point) => point[1]);
  const left = Math.max(0, Math.floor(Math.min(...xs) - margin)), top = Math.max(0, Math.floor(Math.min(...ys) - margin));
  const right = Math.min(width, Math.ceil(Math.max(...xs) + margin)), bottom = Math.min(height, Math.ceil(Math.max(...ys) + margin));
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}

/** Mark the pixels whose centre lies within half a diameter of a line through points; at least the pixel under each point. */
export function brushed(points, diameter, width, height) {
  const radius = Math.max(diameter / 2, 0.5);
  const box = around(points, radius + 1, width, height);
  if (!box) return null;
  const mask = new Uint8Array(box.width * box.height);
  const set = (x, y) => {
    if (x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height) mask[(y - box.y) * box.width + x - box.x] = 1;
  };
  for (let index = 0; index < points.length; index += 1) {
    const [ax, ay] = points[Math.max(0, index - 1)], [bx, by] = points[index];
    set(Math.floor(bx), Math.floor(by));
    const part = around([[ax, ay], [bx, by]], radius, width, height);
    if (!part) continue;
    const dx = bx - ax, dy = by - ay, long = dx * dx + dy * dy || 1;
    for (let y = part.y; y < part.y + part.height; y += 1) {
      for (let x = part.x; x < part.x + part.width; x += 1) {
        const px = x + 0.5 - ax, py = y + 0.5 - ay;
        const share = Math.min(1, Math.max(0, (px * dx + py * dy) / long));
        const ex = px - share * dx, ey = py - share * dy;
        if (ex * ex + ey * ey <= radius * radius) set(x, y);
      }
    }
  }
  return { box, mask };
}

/** Run-length code of the whole image: pairs of start and length, from 1, down the columns and then to the right. */
export function encode({ box, mask }, height) {
  const pairs = [];
  let end = -1;
  for (let x = 0; x < box.width; x += 1) {
    for (let y = 0; y < box.height; y += 1) {
      if (!mask[y * box.width + x]) continue;
      const start = (box.x + x) * height + box.y + y + 1;
      if (start === end) pairs[pairs.length - 1] += 1;
      else pairs.push(start, 1);
      end = start + 1;
    }
  }
  return pairs.join(" ");
}

/** Pixels of a box from this probability on, and those below; probabilities are 0 to 255. */
export function split(levels, threshold) {
  const above = new Uint8Array(levels.length), below = new Uint8Array(levels.length);
  levels.forEach((level, index) => { (level >= 255 * threshold ? above : below)[index] = 1; });
  return { above, below };
}
