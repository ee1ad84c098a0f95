// Voices of your own: record or choose a sample, hear whether it is good enough, keep it, try it, delete it.

import { call, callJson } from "./api.js";
import { clock, field, h } from "./dom.js";
import { nameLanguage } from "./languages.js";
import { Player, loudness, openMicrophone } from "./sound.js";
import { RATE_HZ, askSpeech, read, seconds, tellHead, writeWav } from "./speech.js";
import { listVoices } from "./voice_list.js";

const MAX_RECORDING_S = 60;
const TOO_LOUD = 32000;
const UPLOADED = /^voice_[0-9a-f]{32}$/;
const SAMPLE = "Please call me when the train has left the station. I packed three books, a warm coat and some fruit for the way, "
  + "because nobody could tell me how long it takes.";
const CONSENT = "I am the owner of this voice, and I agree that a synthetic voice is made of it.";
/** What to do, by what is wrong. */
const ADVICE = {
  silent: "Choose the right microphone, and see that it is not muted.",
  no_speech: "Speak, without music and without noise around you.",
  too_short: "Speak longer: six to thirty seconds are good.",
  clipped: "Move away from the microphone, or turn its level down.",
  noisy: "Find a quieter room, and go closer to the microphone.",
  narrow: "Take another microphone: telephones and some Bluetooth headsets sound like that.",
  quiet: "Go closer to the microphone, or turn its level up.",
  sparse: "Leave no long pauses.",
};

/** Takes a recording from the microphone or from a file; `file` is null while there is none. */
class Recorder {
  #context;
  #onFile;
  #microphone = null;
  #pieces = [];
  #button = h("button", { type: "button", onclick: () => (this.#microphone ? this.stop() : this.#start()) }, "Record");
  #meter = h("meter", { min: 0, max: 1, low: 0.4, high: 0.95, optimum: 0.7, "aria-label": "Level of the microphone", hidden: true });
  #state = h("span", { class: "quiet" });
  #sound = h("audio", { controls: true, hidden: true, "aria-label": "What was recorded" });
  #input = h("input", { type: "file", accept: "audio/*", onchange: () => this.#input.files.length && this.#take(this.#input.files[0]) });

  constructor(context, label, onFile) {
    this.#context = context;
    this.#onFile = onFile;
    this.file = null;
    this.element = h("div", { role: "group", "aria-label": label },
      h("div", { class: "row" }, this.#button, this.#meter, this.#state, field("or choose a file", this.#input)),
      this.#sound);
  }

  async #start() {
    this.clear();
    this.#button.disabled = true;
    try {
      // As it is: what makes a call clearer would become part of the voice.
      this.#microphone = await openMicrophone((pcm) => this.#hear(pcm), RATE_HZ, { clean: false });
      this.#button.textContent = "Stop recording";
      this.#meter.hidden = false;
    } catch (error) {
      this.#context.fail(error);
    }
    this.#button.disabled = false;
  }

  #hear(pcm) {
    if (!this.#microphone) return;
    this.#pieces.push(pcm);
    this.#meter.value = loudness(pcm);
    const isTooLoud = pcm.some((sample) => Math.abs(sample) > TOO_LOUD);
    this.#state.textContent = `${clock(seconds(this.#pieces))}${isTooLoud ? ", too loud" : ""}`;
    if (seconds(this.#pieces) >= MAX_RECORDING_S) this.stop();
  }

  stop() {
    if (!this.#microphone) return;
    this.#microphone.stop();
    this.#microphone = null;
    this.#button.textContent = "Record again";
    this.#meter.hidden = true;
    this.#take(new File([writeWav(this.#pieces)], "recording.wav"));
  }

  #take(file) {
    this.file = file;
    URL.revokeObjectURL(this.#sound.src);
    this.#sound.src = URL.createObjectURL(file);
    this.#sound.hidden = false;
    this.#onFile(file);
  }

  clear() {
    this.file = null;
    this.#pieces = [];
    this.#sound.hidden = true;
    this.#state.textContent = this.#input.value = "";
    this.#onFile(null);
  }
}

class Voices {
  #context;
  #player = new Player(RATE_HZ);
  #isUsable = false;
  #needsConsent = false;
  #sample;
  #consent;
  #cloning = h("p", { class: "problem", hidden: true });
  #wanted = h("p", {});
  #verdict = h("div", { role: "status" });
  #name = h("input", { required: true, maxlength: 100, autocomplete: "off" });
  #language = h("input", { maxlength: 40, pattern: "[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", autocomplete: "off" });
  #keep = h("button", { class: "main", disabled: true }, "Keep this voice");
  #trial = h("input", { value: "Hello, this is how my voice sounds when I read to you." });
  #heading = h("h3", { tabindex: -1 }, "Recorded voices");
  #list = h("ul", { class: "voices" });

  constructor(section, context) {
    this.#context = context;
    this.#sample = new Recorder(context, "The recording", (file) => this.#check(file));
    this.#consent = new Recorder(context, "The consent", () => this.#allow());
    section.append(
      this.#cloning,
      h("form", { class: "card", onsubmit: (event) => { event.preventDefault(); this.#add(); } },
        h("h3", {}, "A recording"),
        h("p", {}, "Six to thirty seconds of one person, without echo, music or others. For example: ", h("q", {}, SAMPLE)),
        this.#sample.element,
        this.#verdict,
        h("h3", {}, "The speaker's consent"),
        this.#wanted,
        h("p", {}, "The speaker says: ", h("q", {}, CONSENT)),
        this.#consent.element,
        h("div", { class: "fields" }, field("Name", this.#name), field("Language spoken", this.#language, "A code, as en or pt-BR.")),
        h("div", { class: "row" }, this.#keep)),
      h("div", { class: "card" }, this.#heading, field("Text to try them with", this.#trial), this.#list));
  }

  async show() {
    const { voices, cloning } = await listVoices();
    this.#needsConsent = cloning.requires_consent;
    this.#cloning.hidden = cloning.available;
    this.#cloning.textContent = `No recording can speak here: ${cloning.unavailable_reason}.`;
    this.#wanted.textContent = this.#needsConsent
      ? "This server keeps no voice without it."
      : "This server does not ask for it. Keep it all the same if the voice is not yours.";
    const recorded = voices.filter((voice) => voice.kind === "cloned");
    this.#list.replaceChildren(...(recorded.length ? recorded.map((voice) => this.#describe(voice)) : [h("li", {}, "None yet.")]));
    this.#allow();
  }

  hide() {
    this.#sample.stop();
    this.#consent.stop();
    this.#player.stop();
  }

  /** Have the server say whether a recording is good enough. */
  async #check(file) {
    this.#isUsable = false;
    this.#allow();
    this.#verdict.replaceChildren(...(file ? [h("p", {}, "It is listened to …")] : []));
    if (!file) return;
    try {
      const found = await callJson("/audio/voices/check", post({ audio_sample: file }));
      if (file !== this.#sample.file) return;
      this.#isUsable = found.usable;
      this.#verdict.replaceChildren(...judge(found));
    } catch (error) {
      this.#verdict.replaceChildren();
      this.#context.fail(error);
    }
    this.#allow();
  }

  #allow() {
    this.#language.required = Boolean(this.#consent.file);
    this.#keep.disabled = !this.#isUsable || (this.#needsConsent && !this.#consent.file);
  }

  async #add() {
    const about = { name: this.#name.value, language: this.#language.value };
    let consent = null;
    this.#keep.disabled = true;
    try {
      if (this.#consent.file) consent = (await callJson("/audio/voice_consents", post({ ...about, recording: this.#consent.file }))).id;
      const voice = await callJson("/audio/voices", post({ ...about, consent, audio_sample: this.#sample.file }));
      consent = null;
      for (const recorder of [this.#sample, this.#consent]) recorder.clear();
      this.#name.value = this.#language.value = "";
      this.#verdict.replaceChildren(h("p", {}, `The voice ${voice.name} is kept.`));
      await this.show();
    } catch (error) {
      this.#context.fail(error);
    }
    // Without its voice a consent is of no use.
    if (consent) await call(`/audio/voice_consents/${consent}`, { method: "DELETE" }).catch(() => {});
    this.#allow();
  }

  #describe(voice) {
    const button = (label, act, disabled = false) =>
      h("button", { type: "button", disabled, "aria-label": `${label}: ${voice.name}`, onclick: () => act().catch(this.#context.fail) }, label);
    const wrong = [voice.unavailable_reason, ...(voice.warnings ?? [])].filter(Boolean);
    return h("li", {},
      h("strong", {}, voice.name), voice.language && ` ${nameLanguage(voice.language)}`,
      wrong.map((text) => h("p", { class: "hint" }, `${text}.`)),
      h("div", { class: "row" },
        button("Try", () => this.#try(voice), !voice.available),
        button("Hear the recording", () => this.#play(call(`/audio/voices/${encodeURIComponent(voice.id)}/preview?format=pcm`))),
        UPLOADED.test(voice.id) && button("Delete", () => this.#delete(voice))));
  }

  #try(voice) {
    return this.#play(askSpeech({ model: "tts-1", voice: voice.id, input: this.#trial.value, response_format: "pcm" }));
  }

  async #play(asked) {
    this.#player.stop();
    await this.#player.unlock();
    const answer = await asked;
    this.#context.say(tellHead(answer).join(" "));
    for await (const piece of read(answer)) this.#player.play(piece);
  }

  async #delete(voice) {
    if (!confirm(`Delete the voice ${voice.name} and its recording?`)) return;
    await call(`/audio/voices/${voice.id}`, { method: "DELETE" });
    await this.show();
    this.#heading.focus();
  }
}

/** What was found in a recording, in plain words. */
function judge({ usable, findings, speech }) {
  const verdict = !usable ? "This recording cannot be used." : findings.length ? "This recording can be used, and could be better." : "This recording is good.";
  return [
    h("p", {}, h("strong", {}, verdict), ` It holds ${speech.toFixed(1)} s of speech.`),
    h("ul", {}, findings.map(({ code, message }) => h("li", {}, [`${message}.`, ADVICE[code]].filter(Boolean).join(" ")))),
  ];
}

function post(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) body.append(name, value);
  return { method: "POST", body };
}

let voices;

export const part = {
  id: "voices",
  title: "Voices",
  servers: ["tts", "chat"],
  build: (section, context) => { voices = new Voices(section, context); },
  show: () => voices.show(),
  hide: () => voices.hide(),
};
