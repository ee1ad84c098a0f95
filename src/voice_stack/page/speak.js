// Type and hear: streamed, so that the first words are heard while the last are made.

import { clock, field, h } from "./dom.js";
import { save } from "./saving.js";
import { Player } from "./sound.js";
import { RATE_HZ, askSpeech, read, seconds, tellHead, writeWav } from "./speech.js";
import { fillVoices, listVoices } from "./voice_list.js";

const FORMATS = ["wav", "mp3", "opus", "aac", "flac", "pcm"];
const TICK_MS = 200;
const AHEAD_S = 30;

class Speak {
  #context;
  #voices = [];
  #speech = null;
  #player = new Player(RATE_HZ);
  #text = h("textarea", { required: true, maxlength: 200000, rows: 6 });
  #voice = h("select", { required: true });
  #model = h("select", { onchange: () => this.#fill() });
  #speed = h("input", { type: "number", min: 0.25, max: 4, step: 0.05, value: 1, required: true });
  #manner = h("input", { maxlength: 4096, autocomplete: "off" });
  #format = h("select", {}, FORMATS.map((name) => h("option", {}, name)));
  #stop = h("button", { type: "button", disabled: true, onclick: () => this.#halt("Stopped.") }, "Stop");
  #download = h("button", { type: "button", disabled: true, onclick: () => this.#save() }, "Download");
  #state = h("span", { class: "quiet" });
  #notes = h("ul", { class: "notes" });

  constructor(section, context) {
    this.#context = context;
    const form = h("form", { class: "card", onsubmit: (event) => { event.preventDefault(); this.#speak(); }, onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    } },
      field("Text", this.#text, "Ctrl+Enter speaks it."),
      h("div", { class: "fields" }, field("Voice", this.#voice), field("Model", this.#model), field("Speed", this.#speed, "1 is the voice's own pace.")),
      field("How to speak", this.#manner, "In words, as “cheerfully”, for voices that heed it."),
      h("div", { class: "row" }, h("button", { class: "main" }, "Speak"), this.#stop, this.#state),
      h("div", { role: "status" }, this.#notes),
      field("Format", this.#format, "WAV and PCM are the sound that you heard. The server writes the others, with the same words, voice and pace."),
      h("div", { class: "row" }, this.#download));
    section.append(form);
  }

  async show() {
    this.#voices = (await listVoices()).voices;
    const chosen = this.#model.value;
    const names = [...new Set(this.#voices.map((voice) => voice.model).filter(Boolean))];
    this.#model.replaceChildren(h("option", { value: "" }, "that of the voice"), ...names.map((name) => h("option", {}, name)));
    this.#model.value = names.includes(chosen) ? chosen : "";
    this.#fill();
  }

  #fill() {
    const model = this.#model.value;
    fillVoices(this.#voice, this.#voices.filter((voice) => !model || voice.model === model));
  }

  async #speak() {
    this.#halt("");
    this.#context.fail(null);
    const body = { model: this.#model.value || "tts-1", input: this.#text.value, voice: this.#voice.value, speed: Number(this.#speed.value) };
    if (this.#manner.value.trim()) body.instructions = this.#manner.value.trim();
    const speech = { body, asking: new AbortController(), pieces: [], given: 0, givenS: 0, lengthS: 0, isWhole: false };
    this.#speech = speech;
    this.#stop.disabled = false;
    this.#download.disabled = true;
    this.#notes.replaceChildren();
    this.#state.textContent = "Waiting for the first sound …";
    const askedAt = performance.now();
    try {
      await this.#player.unlock();
      const answer = await askSpeech({ ...body, response_format: "pcm" }, speech.asking.signal);
      this.#notes.replaceChildren(...tellHead(answer).map((text) => h("li", {}, text)));
      for await (const piece of read(answer)) {
        if (speech.asking.signal.aborted) return;
        speech.firstS ??= (performance.now() - askedAt) / 1000;
        speech.timer ??= setInterval(() => this.#follow(speech), TICK_MS);
        speech.pieces.push(piece);
        speech.lengthS += seconds([piece]);
        this.#feed(speech);
      }
      speech.isWhole = true;
      this.#download.disabled = false;
    } catch (error) {
      if (speech !== this.#speech || error.name === "AbortError") return;
      this.#halt("");
      this.#context.fail(error);
    }
  }

  /** A chapter is made in minutes and heard in an hour: the player gets what comes next, not all of it. */
  #feed(speech) {
    while (speech.given < speech.pieces.length && speech.givenS < this.#player.playedMs / 1000 + AHEAD_S) {
      const piece = speech.pieces[speech.given++];
      speech.givenS += seconds([piece]);
      this.#player.play(piece);
    }
  }

  #follow(speech) {
    this.#feed(speech);
    if (!speech.isWhole || this.#player.isPlaying) {
      this.#state.textContent = `Speaking: ${clock(this.#player.playedMs / 1000)} of ${clock(speech.lengthS)}`;
      return;
    }
    this.#halt(`${clock(speech.lengthS)} of speech, the first of it after ${speech.firstS.toFixed(2)} s.`);
  }

  #halt(text) {
    this.#speech?.asking.abort();
    clearInterval(this.#speech?.timer);
    this.#player.stop();
    this.#stop.disabled = true;
    this.#state.textContent = text;
    this.#context.say(text);
  }

  async #save() {
    const { body, pieces } = this.#speech;
    const format = this.#format.value;
    this.#download.disabled = true;
    try {
      const own = { wav: writeWav, pcm: (bytes) => new Blob(bytes) }[format];
      const file = own ? own(pieces) : await (await askSpeech({ ...body, response_format: format, stream: false })).blob();
      save(`speech.${format}`, file);
    } catch (error) {
      this.#context.fail(error);
    }
    this.#download.disabled = !this.#speech.isWhole;
  }
}

let speak;

export const part = {
  id: "speak",
  title: "Speak",
  servers: ["tts", "chat"],
  build: (section, context) => { speak = new Speak(section, context); },
  show: () => speak.show(),
};
