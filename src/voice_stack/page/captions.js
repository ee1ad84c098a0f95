// Speak and read: live captions of what the microphone hears, kept as text or subtitles.

import { call, tellAbout } from "./api.js";
import { readCues, timecode, writeCues } from "./cues.js";
import { field, h } from "./dom.js";
import { languageChoice } from "./languages.js";
import { Listening } from "./listening.js";
import { copy, save } from "./saving.js";

const KEY = "Alt+L";
const ALMOST_END_PX = 40;
const SAME_S = 0.05;

const partsOf = (turn) => (turn.parts.length ? turn.parts : [turn]);
const named = (speaker) => (speaker ? `${speaker}: ` : "");
const asText = ({ speaker, text }) => named(speaker) + text;

class Captions {
  #context;
  #listening = null;
  #turns = [];
  #rows = new Map();
  #sessions = [];
  #heardS = 0;
  #button = h("button", { type: "button", class: "main", "aria-keyshortcuts": KEY, onclick: () => this.toggle() }, "Start captions");
  #language;
  #speakers = h("select", {}, h("option", { value: "" }, "Not told"), h("option", { value: "any" }, "Told, a moment later"));
  #state = h("p", { role: "status", class: "quiet" }, `The button starts and stops; so does ${KEY}.`);
  #finals = h("div", { role: "log", "aria-label": "Captions", tabindex: "0", class: "captions" });
  #drafts = h("div", { class: "drafts", "aria-hidden": "true" });
  #keeping = h("div", { class: "row keep", hidden: true });

  constructor(section, context, features) {
    this.#context = context;
    this.#language = languageChoice("Found by itself", features.languages);
    const keep = (name, act) => h("button", { type: "button", onclick: () => act().catch(context.fail) }, name);
    this.#keeping.append(
      keep("Copy", async () => this.#say(await copy(this.#text()))),
      keep("Save as text", async () => save("captions.txt", `${this.#text()}\n`)),
      keep("Save as srt", async () => save("captions.srt", await this.#subtitles("srt"))),
      keep("Save as vtt", async () => save("captions.vtt", await this.#subtitles("vtt"))),
      keep("Clear", () => this.#clear()));
    section.append(
      h("div", { class: "fields" }, field("Language spoken", this.#language), features.live_speakers && field("Who speaks", this.#speakers)),
      h("div", { class: "row" }, this.#button, this.#state),
      h("div", { class: "card" }, this.#finals, this.#drafts),
      this.#keeping);
    document.addEventListener("keydown", (event) => {
      if (!event.altKey || event.code !== "KeyL" || section.hidden) return;
      event.preventDefault();
      this.toggle();
    });
  }

  async toggle() {
    if (this.#button.disabled) return;
    if (this.#listening) {
      this.#button.disabled = true;
      this.#say("Waiting for the last words.");
      await this.#listening.stop();
      return;
    }
    this.#context.fail(null);
    this.#listening = new Listening({
      language: this.#language.value,
      diarize: Boolean(this.#speakers.value),
      beginS: this.#heardS,
      show: (turn) => this.#show(turn),
      say: (message) => this.#say(message),
      end: (error) => this.#end(error),
    });
    this.#say("Asking for the microphone.");
    this.#turnOn(true);
    await this.#listening.start();
  }

  #say(message) {
    this.#state.textContent = message;
  }

  #turnOn(isOn) {
    this.#button.textContent = isOn ? "Stop captions" : "Start captions";
    this.#button.disabled = false;
    this.#language.disabled = this.#speakers.disabled = isOn;
    this.#keeping.lastChild.disabled = isOn;
  }

  #end(error) {
    this.#heardS = this.#listening.heardS;
    this.#sessions.push(...this.#listening.sessions);
    this.#listening = null;
    this.#turnOn(false);
    this.#say("Stopped.");
    if (error) this.#context.fail(error);
  }

  // Drafts are for the eyes. A screen reader has each text once: when it is final.
  #show(turn) {
    if (!this.#turns.includes(turn)) this.#turns.push(turn);
    const text = turn.isFinal ? turn.fault || turn.text : turn.draft;
    if (turn.isGone || !text) this.#remove(turn);
    else if (turn.isFinal) this.#showFinal(turn);
    else this.#row(turn, this.#drafts).textContent = text;
    this.#keeping.hidden = !this.#finals.childElementCount;
  }

  #remove(turn) {
    this.#rows.get(turn)?.remove();
    this.#rows.delete(turn);
    if (turn.isGone || turn.isFinal) this.#turns.splice(this.#turns.indexOf(turn), 1);
  }

  #row(turn, place, before = null) {
    const row = this.#rows.get(turn) ?? h("p", {});
    if (row.parentNode !== place) place.insertBefore(row, before);
    this.#rows.set(turn, row);
    return row;
  }

  // Who spoke comes after the text, which is then not written anew: it would be read aloud again.
  #showFinal(turn) {
    const shown = this.#rows.get(turn);
    const parts = turn.fault ? [{ ...turn, text: `Not understood: ${turn.fault}` }] : partsOf(turn);
    if (shown?.parentNode === this.#finals && parts.length === shown.childElementCount) {
      parts.forEach(({ speaker }, place) => { shown.children[place].querySelector("b").textContent = named(speaker); });
      return;
    }
    if (shown?.parentNode === this.#drafts) this.#rows.delete(turn) && shown.remove();
    const lines = parts.map((part) => h("p", {},
      h("time", { "aria-hidden": "true" }, timecode(part.startS)), h("b", {}, named(part.speaker)), part.text));
    const row = this.#rows.get(turn) ?? h("div", {});
    this.#rows.set(turn, row);
    row.replaceChildren(...lines);
    if (row.parentNode) return;
    const { scrollTop, clientHeight, scrollHeight } = this.#finals;
    const later = this.#turns.filter((one) => one.isFinal && one.startS > turn.startS).map((one) => this.#rows.get(one));
    this.#finals.insertBefore(row, later.find((one) => one?.parentNode === this.#finals) ?? null);
    if (scrollTop + clientHeight >= scrollHeight - ALMOST_END_PX) this.#finals.scrollTop = this.#finals.scrollHeight;
  }

  #parts() {
    const understood = this.#turns.filter((turn) => turn.isFinal && turn.text && !turn.fault);
    return understood.sort((one, other) => one.startS - other.startS).flatMap(partsOf);
  }

  #text() {
    return this.#parts().map(asText).join("\n");
  }

  // The server keeps what its sessions heard, and cuts that into cues by its rules. What was said twice, because a
  // connection broke off, counts in the later session. Where nothing is kept, each turn is a cue.
  async #subtitles(format) {
    const sessions = [...this.#sessions, ...(this.#listening?.sessions ?? [])].filter(({ id }) => id);
    const cues = [];
    try {
      for (const [place, { id, offsetS }] of sessions.entries()) {
        const untilS = sessions[place + 1]?.offsetS ?? Infinity;
        const answer = await call(`/realtime/sessions/${id}/transcript?response_format=${format}`);
        for (const { startS, endS, text } of readCues(await answer.text())) {
          const cue = { startS: startS + offsetS, endS: Math.min(endS + offsetS, untilS), text };
          if (cue.startS < untilS - SAME_S) cues.push(cue);
        }
      }
    } catch (error) {
      if (error.status !== 404) throw error;
      return writeCues(this.#parts().map((part) => ({ ...part, text: asText(part) })), format);
    }
    return writeCues(cues, format);
  }

  // Here and on the server.
  async #clear() {
    const sessions = this.#sessions.splice(0).filter(({ id }) => id);
    this.#turns = [];
    this.#rows.clear();
    this.#finals.replaceChildren();
    this.#keeping.hidden = true;
    this.#say("Cleared.");
    this.#button.focus();
    const gone = await Promise.allSettled(sessions.map(({ id }) => call(`/realtime/sessions/${id}/transcript`, { method: "DELETE" })));
    const failed = gone.find(({ reason }) => reason && reason.status !== 404);
    if (failed) throw failed.reason;
  }
}

export const part = {
  id: "captions",
  title: "Live captions",
  servers: ["asr", "chat"],
  build: async (section, context) => { new Captions(section, context, (await tellAbout()).features); },
  show() {},
  hide() {},
};
