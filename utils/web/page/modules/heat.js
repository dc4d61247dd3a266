// Heat map: how sure the network is at each pixel, in colours over the picture.

import { probabilityAddress } from "./api.js";
import { t } from "./phrases.js";
import { on, state, tell } from "./state.js";
import { first } from "./viewer.js";

const LARGEST = 4096; // pixels of a side of the coloured picture; larger images are coloured coarser
const SHOWN = 0.75; // opacity where the probability is 1
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // inferno, in equal steps

let drawn = null; // {of, picture} of the image in sight
let wanted = "";

export function start() {
  first.layer.under.push((context) => {
    if (!state.heat || drawn?.of !== wanted) return;
    context.drawImage(drawn.picture, 0, 0, first.layer.size.width, first.layer.size.height);
  });
  on("heat image visit", fetchHeat);
}

async function fetchHeat() {
  const { image, visit } = state;
  const id = visit?.classes[0]?.id;
  const there = state.heat && image?.status === "done" && id !== undefined;
  const of = there ? `${visit.id}/${image.key}` : "";
  if (of === wanted) { first.layer.ask(); return; }
  wanted = of;
  first.layer.ask();
  if (!of) return;
  try {
    const answers = await Promise.all(visit.classes.map((one) => fetch(probabilityAddress(visit.id, image.key, { class_id: one.id }))));
    if (answers.some((answer) => !answer.ok)) throw new Error("no probabilities");
    const scale = Math.min(1, LARGEST / Math.max(image.width, image.height));
    const size = { width: Math.max(1, Math.round(image.width * scale)), height: Math.max(1, Math.round(image.height * scale)) };
    const canvas = Object.assign(document.createElement("canvas"), size);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.globalCompositeOperation = "lighten"; // of several classes the likeliest
    for (const answer of answers) {
      const picture = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
      context.drawImage(picture, 0, 0, size.width, size.height);
    }
    const pixels = context.getImageData(0, 0, size.width, size.height);
    colour(pixels.data);
    context.putImageData(pixels, 0, 0);
    drawn = { of, picture: canvas };
    first.layer.ask();
  } catch {
    if (wanted !== of) return;
    wanted = "";
    tell("notice", { kind: "bad", text: t("no_probabilities") });
  }
}

/** Turn grey levels into colours that are the less clear the less sure the network is. */
function colour(data) {
  const table = Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (COLOURS.length - 1);
    const from = Math.min(COLOURS.length - 2, Math.floor(place));
    return COLOURS[from].map((value, channel) => value + (COLOURS[from + 1][channel] - value) * (place - from));
  });
  for (let index = 0; index < data.length; index += 4) {
    const level = data[index];
    [data[index], data[index + 1], data[index + 2]] = table[level];
    data[index + 3] = SHOWN * level;
  }
}
