// Builds and updates elements. Text always goes in as text, never as markup: some of it comes from a topic that
// strangers may write to.

import { korean } from "./lang.js";

export const $ = (id) => document.getElementById(id);

// h makes an element. Props that are functions become listeners, "class" the classes, everything else an attribute.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const svgNamespace = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// icon shows a symbol of symbols.html. It only repeats what the text beside it says.
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

// text and set change an element only when there is something to change, so that a selection, a screen reader and the
// layout are left in peace by an update that says the same.
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

// say shows words in the page's language and, behind them, what there is in English only.
export function say(element, words, english = "") {
  if (english === "") return text(element, words);
  if (element.textContent === `${words} ${english}`) return;
  element.replaceChildren(words, " ", h("span", { class: "note", lang: "en" }, english));
}

// inEnglish shows what there may be in English only: without instead, which is in the page's language.
export function inEnglish(element, words, instead = null) {
  text(element, instead ?? words);
  set(element, "lang", korean && instead === null && words !== "" ? "en" : null);
}

export function set(element, attribute, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(attribute);
  else if (element.getAttribute(attribute) !== String(value)) element.setAttribute(attribute, String(value));
}

export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

const kept = new WeakMap();

// keyed makes the children of parent follow a list. An item keeps its element as long as its key is in the list, and
// what is gone goes first, so that elements that stay are not moved and keep the focus.
export function keyed(parent, items, keyOf, make, update) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map(items.map((item) => [keyOf(item), item]));
  for (const [key, element] of before) if (!after.has(key)) element.remove();
  let place = parent.firstElementChild;
  for (const [key, item] of after) {
    const element = before.get(key) ?? make(item);
    after.set(key, element);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  kept.set(parent, after);
}
