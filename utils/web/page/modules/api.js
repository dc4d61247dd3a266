// What the page asks the server. Addresses are relative, so that the page may lie at any path behind a proxy.

const ROOT = "desk/v1/";

/** What the server refused, with its reason and remedy; status 0: the server was not reached. */
export class Refusal extends Error {
  constructor(status, code, message, wait = 1) {
    super(message);
    this.status = status;
    this.code = code;
    this.wait = wait;
  }

  /** Whether the same request may succeed a little later. */
  get passing() {
    return this.status === 0 || this.status === 429 || (this.status >= 502 && this.status <= 504);
  }
}

export async function call(method, path, body, signal) {
  const form = body instanceof FormData;
  const settings = { method, signal, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (body !== undefined) {
    settings.body = form ? body : JSON.stringify(body);
    if (!form) settings.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(ROOT + path, settings);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreached", "The server cannot be reached.");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new Refusal(answer.ok ? 502 : answer.status, "unreadable", `${answer.status} ${answer.statusText}`);
  }
  if (answer.ok) return value;
  const { code = "error", message = `${answer.status} ${answer.statusText}` } = value?.error || {};
  throw new Refusal(answer.status, code, message, Number(answer.headers.get("Retry-After")) || 1);
}

/** Do a request again while the server restarts or is full. */
export async function insist(method, path, body, signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(method, path, body, signal);
    } catch (error) {
      if (!error.passing || attempt >= 60 || signal?.aborted) throw error;
      // A server that breaks this connection and answers others will not take it the next time.
      if (error.status === 0 && attempt >= 2 && (await there())) throw error;
      await new Promise((go) => setTimeout(go, 1000 * Math.min(error.wait, 5)));
    }
  }
}

const there = () => call("GET", "about").then(() => true, () => false);

const query = (values) => {
  const pairs = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return pairs.length ? "?" + new URLSearchParams(pairs) : "";
};

const visitPath = (visit) => `visits/${encodeURIComponent(visit)}`;
const imagePath = (visit, key) => `${visitPath(visit)}/images/${encodeURIComponent(key)}`;

// Boxes come as {x, y, width, height}; the page counts on [x, y, width, height].
const plainDefect = (defect) => ({ ...defect, box: Array.isArray(defect.box) ? defect.box : [defect.box.x, defect.box.y, defect.box.width, defect.box.height] });
export const plainReview = (review) => review && { ...review, defects: review.defects?.map(plainDefect) };
const plain = (image) => ({ ...image, defects: (image.defects || []).map(plainDefect), review: plainReview(image.review) });

export const api = {
  about: () => call("GET", "about"),
  visits: (search) => call("GET", "visits" + query(search)),
  begin: (settings = {}) => insist("POST", "visits", settings),
  visit: (visit) => call("GET", visitPath(visit)),
  change: (visit, changes, signal) => call("PATCH", visitPath(visit), changes, signal),
  forget: (visit) => call("DELETE", visitPath(visit)),
  send: (visit, form, signal) => insist("POST", `${visitPath(visit)}/images`, form, signal),
  addFolder: (visit, wanted) => call("POST", `${visitPath(visit)}/folder`, wanted),
  folder: (search, signal) => call("GET", "folder" + query(search), undefined, signal),
  samples: (visit) => call("POST", `${visitPath(visit)}/samples`, {}),
  stop: (visit) => call("POST", `${visitPath(visit)}/stop`, {}),
  go: (visit) => call("POST", `${visitPath(visit)}/go`, {}),
  rows: (visit, search, signal) => call("GET", `${visitPath(visit)}/images` + query(search), undefined, signal),
  image: async (visit, key, signal) => plain(await call("GET", imagePath(visit, key), undefined, signal)),
  compared: async (visit, key) => plain(await call("GET", imagePath(visit, key) + "?compare=1")),
  remove: (visit, key) => call("DELETE", imagePath(visit, key)),
  review: async (visit, key, who, actions) => plainReview(await insist("POST", `${imagePath(visit, key)}/review`, { who, actions })),
  next: (visit, search) => insist("GET", `${visitPath(visit)}/next` + query(search)),
  hold: (visit, key, page) => call("POST", `${imagePath(visit, key)}/hold`, { page }),
  keepSettings: (visit, name) => call("POST", `${visitPath(visit)}/keep_settings`, name ? { name } : {}),
};

export const eventsAddress = (visit, after) => `${ROOT}${visitPath(visit)}/events` + query({ after });
export const downloadAddress = (visit, name) => `${ROOT}${visitPath(visit)}/download/${name}`;
export const imageAddress = (visit, key, rest, version) => `${ROOT}${imagePath(visit, key)}/${rest}${version === undefined ? "" : query({ version })}`;
export const probabilityAddress = (visit, key, box) => `${ROOT}${imagePath(visit, key)}/probability${query(box)}`;
