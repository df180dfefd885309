"use strict";
// Data blocks of the page, and small helpers that all its scripts share.

/** Return the text of a compressed block, given its base64. */
async function inflated(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at); // Uint8Array.from takes ten times as long
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/** Return the text of the block with an id, which is needed once. */
async function block(id) {
  const element = document.getElementById(id);
  const text = await inflated(element.textContent);
  element.remove();
  return text;
}

/** Make an element. Children that are strings become text, never markup. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Make a button that does something. */
function button(text, act, properties = {}) {
  const element = make("button", { type: "button", ...properties }, text);
  element.addEventListener("click", act);
  return element;
}

/** Make a select with a name; options are [value, text]. */
function choice(name, options, act) {
  const items = options.map(([value, text]) => make("option", { value }, text));
  const select = make("select", { "aria-label": name }, ...items);
  select.addEventListener("change", act);
  return select;
}

/** Say something to users of screen readers. */
function say(text) {
  document.getElementById("said").textContent = text;
}

/** Return a stored number: JSON knows neither NaN (null here) nor infinity ("inf"). */
function number(value) {
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  return typeof value === "number" ? value : NaN;
}

/** The methods that are switched off, and a way to hear of changes. */
const methods = {
  hidden: new Set(),
  listeners: [],
  shows(label) {
    return !this.hidden.has(label);
  },
  toggle(label) {
    if (!this.hidden.delete(label)) this.hidden.add(label);
    this.changed();
  },
  hideAllBut(labels, all) {
    for (const label of all) this.hidden[labels.includes(label) ? "delete" : "add"](label);
    this.changed();
  },
  changed() {
    for (const listener of this.listeners) listener();
  },
};
