// What the page knows, and who wants to be told when it changes.

export const state = {
  about: null, // the server: weights, kept, folder, coil, samples
  visit: null, // the visit as the server last told it
  search: { sort: "old", class: "", verdict: "", review: "", words: "" }, // of the gallery
  total: 0, // rows that match the search
  key: null, // of the image in sight
  image: null, // all that is known of it; null while it is fetched
  picked: null, // number of the defect that is picked
  hidden: new Set(), // class ids that are switched off
  overlay: true,
  heat: false, // how sure the network is at each pixel is drawn
  opacity: 0.25,
  tool: "move",
  brushClass: null, // class id that is painted
  size: 12, // of the brush: its diameter in pixels of the image
  queue: "gallery",
  connected: true,
};

const listeners = new Map();

/** Call a function whenever one of these topics is told. */
export function on(topics, work) {
  for (const topic of topics.split(" ")) {
    if (!listeners.has(topic)) listeners.set(topic, []);
    listeners.get(topic).push(work);
  }
}

export function tell(topic, value) {
  for (const work of listeners.get(topic) || []) work(value);
}

/** Take the visit as the server tells it, unless something newer is known: answers and news overtake each other. */
export function takeVisit(visit) {
  const known = state.visit;
  if (known && (visit.id !== known.id || visit.version < known.version)) return;
  state.visit = visit;
  tell("visit");
}

/** What people may call a defect, in the order of the digits: the classes of the weights, and those that the server was given. */
export const namesOf = (visit) => visit?.names || visit?.classes || [];

export const classOf = (id) => state.visit?.classes.find((one) => one.id === id) || namesOf(state.visit).find((one) => one.id === id);

/** Return the defects in sight as they were corrected: a review stands above what the network said. */
export function defectsOf(image) {
  if (!image) return [];
  return image.review?.defects || image.defects || [];
}
