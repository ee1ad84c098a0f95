// What the servers do: asked every two seconds while somebody looks.

import { call, server } from "./api.js";
import { Chart } from "./chart.js";
import { clock, h, size } from "./dom.js";

const EVERY_MS = 2000;
const MIB = 1 << 20;
const NAMES = { asr: "Speech to text", tts: "Text to speech", chat: "Voice server" };
const PATHS = server === "chat" ? { asr: "/status/asr", tts: "/status/tts", chat: "/status" } : { [server]: "/status" };

const seconds = (value) => (value === null ? "not known" : value ? clock(value) : "none");
const times = (value) => (value === null ? "not known" : `${value < 10 ? value.toFixed(1) : Math.round(value)}× real time`);

/** One server: its state, its figures, its engines. */
class Card {
  #state = h("p", { class: "state" });
  #facts = h("dl", { class: "facts" });
  #engines = h("ul", { class: "engines" });
  #charts = h("dl", { class: "charts" });
  #queue = new Chart("Wait of a new job", seconds);
  #jobs = new Chart("Jobs", (value) => String(value ?? 0));
  #speed = new Chart("Speed", times);

  constructor(name) {
    this.name = name;
    if (name !== "chat") this.#charts.append(this.#queue.element, this.#jobs.element, this.#speed.element);
    this.element = h("article", { class: "card", "aria-label": NAMES[name] },
      h("h3", {}, NAMES[name]), this.#state, name !== "chat" && this.#charts, this.#facts, this.#engines);
  }

  show(status) {
    if (!status.queue || !status.memory) throw new Error("It is a server of somebody else: what it does is not told.");
    const { jobs_running: running, jobs_waiting: waiting } = status.queue;
    this.#tell(status.ready ? "good" : "bad", status.ready ? "Ready" : `Not ready: ${status.reason}`);
    this.#queue.add(status.queue.seconds);
    this.#jobs.add(running + waiting);
    const speeds = status.engines.map((engine) => engine.speed).filter(Boolean);
    this.#speed.add(speeds.length ? 1 / Math.min(...speeds) : null);
    const facts = {
      "Model": status.model,
      "Memory": size((status.memory.server_mb + status.memory.models_mb) * MIB),
      "Running for": clock(status.uptime_s),
      "Connections": status.connections,
    };
    const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
    this.#facts.replaceChildren(...known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
    this.#engines.replaceChildren(...status.engines.map(engineLine));
  }

  fail(error) {
    this.#tell("bad", error.message);
    this.#facts.replaceChildren();
    this.#engines.replaceChildren();
  }

  #tell(kind, text) {
    this.#state.className = `state ${kind}`;
    if (this.#state.textContent !== text) this.#state.textContent = text;
  }
}

function engineLine(engine) {
  const { jobs_running: running, jobs_waiting: waiting } = engine;
  const told = [engine.state, running && `${running} running`, waiting && `${waiting} waiting`, engine.speed && times(1 / engine.speed), engine.memory_mb && size(engine.memory_mb * MIB), engine.error];
  return h("li", {}, h("strong", {}, engine.engine), ` ${told.filter(Boolean).join(", ")}`);
}

const cards = Object.keys(PATHS).map((name) => new Card(name));
let timer = null;
let isShown = false;

async function look(isBackground) {
  clearTimeout(timer);
  await Promise.all(cards.map(async (card) => {
    try {
      card.show(await (await call(PATHS[card.name], { isRoot: true, isBackground })).json());
    } catch (error) {
      card.fail(error);
    }
  }));
  clearTimeout(timer);
  if (isShown && !document.hidden) timer = setTimeout(look, EVERY_MS, true);
}

export const part = {
  id: "status",
  title: "What the servers do",
  servers: ["asr", "tts", "chat"],
  build(section) {
    section.append(h("div", { class: "cards" }, cards.map((card) => card.element)));
    document.addEventListener("visibilitychange", () => {
      clearTimeout(timer);
      if (isShown && !document.hidden) look(true);
    });
  },
  show() {
    isShown = true;
    look(false);
  },
  hide() {
    isShown = false;
    clearTimeout(timer);
  },
};
