// The shell: parts as tabs, deep links, what is said and what failed, whose key is used.

import { ApiError, ask, changeKey, key, needsKey, server } from "./api.js";
import { h } from "./dom.js";

const told = document.getElementById("told");
const said = document.getElementById("said");
const main = document.querySelector("main");
const tabs = [...document.querySelectorAll("[role=tab]")].filter((tab) => tab.dataset.servers.split(" ").includes(server));
const name = document.title;
const parts = new Map();
let shown = null;

/** Tell what failed, and what to do, until it is closed or the next thing fails; `null` clears it. */
function fail(error) {
  if (error?.name === "AbortError") return;
  const message = typeof error === "string" ? error : error?.message;
  told.replaceChildren(...(message
    ? [h("p", {}, message), h("button", { type: "button", onclick: () => fail(null) }, "Close")]
    : []));
  if (error && !(error instanceof ApiError) && typeof error !== "string" && !error.isPlain) console.error(error);
}

/** Say something to who cannot see it happen. */
function say(text) {
  said.textContent = text;
}

const context = { server, fail, say };

async function open(tab) {
  if (shown?.tab === tab && !shown.hasFailed) return;
  shown?.part?.hide?.();
  const opening = { tab, part: null, hasFailed: false };
  shown = opening;
  for (const other of tabs) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  for (const section of main.children) section.hidden = true;
  fail(null);
  try {
    if (!parts.has(tab)) parts.set(tab, build(tab));
    const { part, section } = await parts.get(tab);
    if (shown !== opening) return;
    section.hidden = false;
    document.title = `${part.title} · ${name}`;
    shown.part = part;
    await part.show?.();
  } catch (error) {
    opening.hasFailed = true;
    if (shown === opening) fail(error);
  }
}

async function build(tab) {
  let section = null;
  try {
    const { part } = await import(`./${tab.dataset.part}.js`);
    section = h("section", { role: "tabpanel", id: `part-${part.id}`, "aria-labelledby": tab.id, hidden: true }, h("h2", {}, part.title));
    main.append(section);
    tab.setAttribute("aria-controls", section.id);
    await part.build(section, context);
    return { part, section };
  } catch (error) {
    section?.remove();
    parts.delete(tab);
    throw error;
  }
}

function move(event) {
  const at = tabs.indexOf(event.target.closest("[role=tab]"));
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  tab.focus();
  location.hash = tab.dataset.part;
}

function follow() {
  open(tabs.find((tab) => `#${tab.dataset.part}` === location.hash) ?? tabs[0]);
}

async function showKey() {
  const place = document.getElementById("key");
  place.hidden = !needsKey && !key.value;
  if (place.hidden) return;
  const change = h("button", { type: "button", onclick: () => changeKey().catch(fail) }, key.value ? "Change" : "Give a key");
  const facts = key.value ? await ask("/page/key.json", key.value, { isRoot: true }).then((answer) => answer.json(), () => ({})) : {};
  place.replaceChildren(facts.name ? `Key ${facts.name} (${facts.scopes.join(", ")}) ` : "", change);
}

for (const tab of tabs) {
  tab.id = `tab-${tab.dataset.part}`;
  tab.type = "button";
  tab.addEventListener("click", () => { location.hash = tab.dataset.part; });
}
document.querySelector("[role=tablist]").addEventListener("keydown", move);
window.addEventListener("hashchange", follow);
document.addEventListener("keychange", showKey);
follow();
showKey();
