// Words of the page in the reader's language: languages/*.json. English stands in where a phrase is missing.


export const LANGUAGES = { en: "English", de: "Deutsch", ru: "Русский", zh: "中文" };
const KEPT = "steel-language";

let words = {};
let english = {};
let reasons = []; // what the server says: [key, pattern]
let plural = new Intl.PluralRules("en");
export let language = "en";

function wanted() {
  const kept = localStorage.getItem(KEPT);
  if (kept in LANGUAGES) return kept;
  return navigator.languages.map((one) => one.slice(0, 2).toLowerCase()).find((one) => one in LANGUAGES) || "en";
}

const read = async (name) => (await fetch(new URL(`../languages/${name}.json`, import.meta.url))).json();

export async function speak(name) {
  if (name) localStorage.setItem(KEPT, name);
  language = name || wanted();
  [english, words] = await Promise.all([read("en"), read(language)]);
  reasons = Object.keys(english).filter((key) => key.startsWith("reason_")).map((key) => [key, pattern(english[key])]);
  plural = new Intl.PluralRules(language);
  document.documentElement.lang = language;
  translate(document);
}

/** Return a phrase; {name} stands for a value, and {n} chooses the form for a count. */
export function t(key, values = {}) {
  let phrase = words[key] ?? english[key] ?? key;
  if (typeof phrase === "object") phrase = phrase[plural.select(values.n ?? 0)] ?? phrase.other;
  return phrase.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** Make of a phrase what matches it with any values. */
function pattern(phrase) {
  const plain = phrase.split(/\{\w+\}/).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const names = [...phrase.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  return new RegExp("^" + plain.map((text, index) => text + (names[index] ? `(?<${names[index]}>.+?)` : "")).join("") + "$", "s");
}

/** Say what the server said in the reader's language: it speaks English, and its sentences are the phrases "reason_...".
 *
 * One that no phrase matches stays as it is.
 */
export function reason(text) {
  if (language === "en" || typeof text !== "string") return text;
  for (const [key, wanted] of reasons) {
    const found = text.match(wanted);
    if (!found) continue;
    const values = Object.entries(found.groups || {}).map(([name, value]) => [name, /^\d+(\.\d+)?$/.test(value) && name !== "number" ? number(Number(value), 2) : value]);
    return t(key, Object.fromEntries(values));
  }
  return text;
}

/** Set the phrases of all elements that name one. */
export function translate(root) {
  const each = (name, set) => root.querySelectorAll(`[data-${name}]`).forEach((node) => set(node, t(node.dataset[name])));
  each("t", (node, text) => { node.textContent = text; });
  each("placeholder", (node, text) => { node.placeholder = text; });
  each("hint", (node, text) => { node.title = text; });
  each("label", (node, text) => {
    node.setAttribute("aria-label", text);
    if (!node.matches("aside, [role=toolbar]")) node.title = node.dataset.key ? `${text} (${node.dataset.key})` : text;
  });
  root.querySelectorAll("[data-t][data-key], [data-key]:not([data-label])").forEach((node) => {
    node.title = node.dataset.key;
    node.setAttribute("aria-keyshortcuts", node.dataset.key);
  });
}

export const number = (value, digits = 0, least = 0) => value.toLocaleString(language, { minimumFractionDigits: least, maximumFractionDigits: digits });
export const percent = (value) => (value === null || value === undefined ? "" : value.toLocaleString(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }));
export const moment = (seconds) => new Date(typeof seconds === "number" ? 1000 * seconds : seconds).toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
