// Talk with the model: who speaks, what is said, and what was heard of a reply when somebody interrupts it.

import { openSocket, tellAbout } from "./api.js";
import { field, h } from "./dom.js";
import { languageChoice } from "./languages.js";
import { Player, openMicrophone } from "./sound.js";
import { RATE_HZ } from "./speech.js";
import { fillVoices, listVoices } from "./voice_list.js";

const NO_MODEL = "There is no language model to talk with: the setting CHAT_LLM_URL of this server is empty. Set it to the address of one "
  + "with OpenAI's API, as http://127.0.0.1:11434/v1 for Ollama, and start the server again.";
const TRANSCRIPTION = "conversation.item.input_audio_transcription";
/** Less than this of a reply is not worth a cut. */
const LEAST_CUT_MS = 60;
const PRESSES = [" ", "Enter"];

/** What was said: a line for each item of the conversation. */
class Transcript {
  #lines = new Map();
  #list = h("ol", { class: "turns" });
  // A program that reads the page aloud would talk into the conversation.
  element = h("div", { role: "log", "aria-label": "What was said", "aria-live": "off" }, this.#list);

  /** The line of an item, at the end if it is new. */
  line(id, who) {
    let line = this.#lines.get(id);
    if (!line) {
      line = { who, text: h("span", {}), note: h("em", { class: "quiet" }) };
      line.element = h("li", { class: who }, h("strong", {}, who === "user" ? "You" : "Model"), " ", line.text, " ", line.note);
      this.#lines.set(id, line);
      this.#list.append(line.element);
      line.element.scrollIntoView({ block: "nearest" });
    }
    return line;
  }

  write(id, who, text, note = "") {
    const line = this.line(id, who);
    line.text.textContent = text;
    line.note.textContent = note;
  }

  add(id, who, delta) {
    this.line(id, who).text.append(delta);
  }

  remove(id) {
    this.#lines.get(id)?.element.remove();
    this.#lines.delete(id);
  }

  clear() {
    for (const id of [...this.#lines.keys()]) this.remove(id);
  }

  /** What was said, as items for a new session. */
  items() {
    const said = [...this.#lines.values()].filter((line) => line.text.textContent);
    return said.map(({ who, text }) => {
      const type = who === "user" ? "input_text" : "output_text";
      return { type: "message", role: who, content: [{ type, text: text.textContent }] };
    });
  }
}

/** The sound of replies: which item is heard, and how much of it. */
class ReplySound {
  #player = new Player(RATE_HZ);
  #items = [];
  #givenMs = 0;

  constructor(onEnd) {
    this.#player.onEnd = onEnd;
  }

  get isPlaying() { return this.#player.isPlaying; }
  unlock() { return this.#player.unlock(); }

  play(id, base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    let last = this.#items.at(-1);
    if (last?.id !== id) {
      if (!this.isPlaying) this.stop();
      this.#items.push((last = { id, fromMs: this.#givenMs }));
    }
    this.#givenMs += bytes.length / 2 / (RATE_HZ / 1000);
    last.toMs = this.#givenMs;
    this.#player.play(bytes);
  }

  /** Be silent; returns what was not heard to its end, `{id, heardMs}`. */
  stop() {
    const heardMs = this.#player.stop();
    const cut = this.#items.filter(({ toMs }) => toMs - heardMs > LEAST_CUT_MS);
    this.#items = [];
    this.#givenMs = 0;
    return cut.map(({ id, fromMs }) => ({ id, heardMs: Math.max(0, Math.round(heardMs - fromMs)) }));
  }
}

class Talk {
  #context;
  #socket = null;
  #microphone = null;
  #isMuted = false;
  #isHeard = false;
  #awaited = new Set();
  #active = null;
  #silenced = new Set();
  #transcript = new Transcript();
  #sound = new ReplySound(() => this.#tell());
  #state = h("p", { class: "state" });
  #start = h("button", { type: "button", class: "main", onclick: () => (this.#socket ? this.#end() : this.#begin()) });
  #mute = h("button", {
    type: "button",
    class: "hold",
    onclick: () => this.#isHeld() || this.#open(this.#isMuted),
    onpointerdown: ({ target, pointerId }) => { if (this.#isHeld()) { target.setPointerCapture(pointerId); this.#open(true); } },
    onlostpointercapture: () => this.#open(false),
    onkeydown: ({ key, repeat }) => { if (this.#isHeld() && PRESSES.includes(key) && !repeat) this.#open(true); },
    onkeyup: () => { if (this.#isHeld()) this.#open(false); },
    onblur: () => { if (this.#isHeld()) this.#open(false); },
  });
  #hold = h("input", { type: "checkbox", onchange: () => this.#open(!this.#isHeld()) });
  #forget = h("button", { type: "button", onclick: () => { this.#transcript.clear(); this.#tell(); } }, "Forget what was said");
  #text = h("input", { autocomplete: "off", required: true });
  #send = h("button", {}, "Send");
  #voice = h("select", { onchange: () => this.#update() });
  #language;
  #instructions = h("textarea", { rows: 3, onchange: () => this.#update() });

  constructor(section, context, features) {
    this.#context = context;
    this.#language = languageChoice("Found by itself", features.languages);
    this.#language.addEventListener("change", () => this.#update());
    section.append(
      features.language_model === false ? h("p", { class: "problem" }, NO_MODEL) : "",
      h("div", { class: "card" },
        h("div", { class: "row" }, this.#start, this.#mute, this.#forget),
        this.#state,
        this.#transcript.element,
        h("form", { onsubmit: (event) => { event.preventDefault(); this.#type(); } },
          field("Or type", this.#text),
          h("div", { class: "row" }, this.#send))),
      h("div", { class: "card" },
        h("div", { class: "fields" },
          field("Voice", this.#voice, "It stays once the model has spoken."),
          field("Language that you speak", this.#language)),
        field("Instructions for the model", this.#instructions, "Those of the server if empty."),
        h("p", {}, h("label", {}, this.#hold, " Push to talk: I am heard only while I hold the button."))));
    this.#tell();
  }

  async show() {
    const chosen = this.#voice.value;
    fillVoices(this.#voice, (await listVoices()).voices);
    this.#voice.prepend(h("option", { value: "" }, "that of the server"));
    this.#voice.value = chosen;
    if (!this.#voice.value) this.#voice.value = "";
  }

  async #begin() {
    this.#context.fail(null);
    this.#start.disabled = true;
    this.#state.textContent = "Connecting …";
    try {
      await this.#sound.unlock();
      this.#socket = await openSocket("/realtime?model=gpt-realtime");
      this.#socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
      this.#socket.onclose = (event) => this.#lose(event);
      this.#update();
      for (const item of this.#transcript.items()) this.#tellServer("conversation.item.create", { item });
      await this.#openMicrophone();
    } catch (error) {
      this.#context.fail(error);
    }
    this.#start.disabled = false;
    this.#tell();
  }

  /** Without a microphone there are still words to type. */
  async #openMicrophone() {
    try {
      const microphone = await openMicrophone((pcm) => this.#hear(pcm), RATE_HZ);
      if (!this.#socket) return microphone.stop();
      this.#microphone = microphone;
      const [track] = microphone.stream.getAudioTracks();
      track.enabled = !this.#isMuted;
      track.onended = () => this.#context.fail("The microphone is gone. End the conversation and start again with another.");
    } catch (error) {
      this.#context.fail(error);
    }
  }

  #hear(pcm) {
    const audio = btoa(String.fromCharCode(...new Uint8Array(pcm.buffer)));
    this.#tellServer("input_audio_buffer.append", { audio });
  }

  #tellServer(type, fields = {}) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, ...fields }));
  }

  /** Tell the server what is set. */
  #update() {
    const transcription = { model: "whisper-1", language: this.#language.value || null };
    const input = { format: { type: "audio/pcm", rate: RATE_HZ }, transcription, turn_detection: { type: "server_vad" } };
    const output = { voice: this.#voice.value || null };
    const instructions = this.#instructions.value.trim() || null;
    this.#tellServer("session.update", { session: { type: "realtime", instructions, audio: { input, output } } });
  }

  #end() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#close();
  }

  #lose({ code, reason, target }) {
    if (target !== this.#socket) return;
    this.#socket = null;
    this.#close();
    const why = code === 1001 ? "The server has ended the conversation: it stops, or the hour is over." : `The connection is lost (${reason || code}).`;
    this.#context.fail(`${why} Start goes on where it was.`);
  }

  #close() {
    this.#microphone?.stop();
    this.#microphone = this.#active = null;
    this.#isHeard = false;
    this.#awaited.clear();
    this.#sound.stop();
    this.#tell();
  }

  /** Whether one is heard only while the button is held. */
  #isHeld() {
    return this.#hold.checked;
  }

  /** Open the microphone, or mute it: a muted track gives silence, which ends a turn that was begun. */
  #open(isOpen) {
    this.#isMuted = !isOpen;
    for (const track of this.#microphone?.stream.getAudioTracks() ?? []) track.enabled = isOpen;
    this.#tell();
  }

  #type() {
    const text = this.#text.value.trim();
    if (!text || !this.#socket) return;
    this.#interrupt();
    if (this.#active) this.#silenced.add(this.#active);
    // Also where none is known of: one may just begin.
    this.#tellServer("response.cancel");
    const id = `typed_${crypto.getRandomValues(new Uint32Array(2)).join("_")}`;
    this.#transcript.write(id, "user", text);
    this.#tellServer("conversation.item.create", { item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] } });
    this.#tellServer("response.create");
    this.#text.value = "";
  }

  /** Stop the sound, and have the rest of it forgotten: it was not heard. */
  #interrupt() {
    for (const { id, heardMs } of this.#sound.stop()) {
      this.#tellServer("conversation.item.truncate", { item_id: id, content_index: 0, audio_end_ms: heardMs });
    }
    this.#tell();
  }

  #take(event) {
    this.#takers[event.type]?.(event);
    this.#tell();
  }

  #takers = {
    "error": ({ error }) => {
      // A reply may end by itself while it is being cancelled.
      if (error.code !== "response_cancel_not_active") this.#context.fail(error.message);
    },
    "input_audio_buffer.speech_started": ({ item_id: id }) => {
      this.#interrupt();
      this.#isHeard = true;
      this.#transcript.write(id, "user", "", "…");
    },
    "input_audio_buffer.speech_stopped": ({ item_id: id }) => {
      this.#isHeard = false;
      this.#awaited.add(id);
    },
    [`${TRANSCRIPTION}.delta`]: ({ item_id: id, delta }) => this.#transcript.add(id, "user", delta),
    [`${TRANSCRIPTION}.completed`]: ({ item_id: id, transcript }) => this.#understand(id, transcript.trim()),
    [`${TRANSCRIPTION}.failed`]: ({ item_id: id, error }) => this.#understand(id, "", error.message),
    "response.created": ({ response }) => { this.#active = response.id; },
    "response.output_audio_transcript.delta": (event) => this.#say(event),
    "response.output_text.delta": (event) => this.#say(event),
    "response.output_audio.delta": ({ response_id: response, item_id: id, delta }) => {
      if (!this.#silenced.has(response)) this.#sound.play(id, delta);
    },
    "response.done": ({ response }) => this.#finish(response),
    "conversation.item.truncated": ({ item_id }) => this.#tellServer("conversation.item.retrieve", { item_id }),
    "conversation.item.retrieved": ({ item }) => {
      const [part] = item.content ?? [];
      const text = part?.transcript ?? part?.text;
      if (text) this.#transcript.write(item.id, item.role, text, "(interrupted)");
      else this.#transcript.remove(item.id);
    },
  };

  #understand(id, text, problem = "") {
    this.#awaited.delete(id);
    if (text || problem) this.#transcript.write(id, "user", text, problem && `(not understood: ${problem})`);
    else this.#transcript.remove(id);
  }

  #say({ item_id: id, response_id: response, delta }) {
    if (!this.#silenced.has(response)) this.#transcript.add(id, "assistant", delta);
  }

  #finish({ id, status, status_details: details, output }) {
    if (this.#active === id) this.#active = null;
    this.#silenced.delete(id);
    if (status === "failed") this.#context.fail(details?.error?.message ?? "The reply has failed.");
    if (status === "incomplete") this.#context.say("The reply ends before its end: it became too long.");
    if (status !== "cancelled") return;
    this.#interrupt();
    // What is left of it is for the server to say.
    for (const { type, id: item_id } of output ?? []) if (type === "message") this.#tellServer("conversation.item.retrieve", { item_id });
  }

  #tell() {
    const isOpen = Boolean(this.#socket);
    this.#start.textContent = isOpen ? "End" : "Start";
    this.#mute.textContent = this.#isHeld() ? "Hold to talk" : this.#isMuted ? "Unmute" : "Mute";
    this.#mute.disabled = !this.#microphone;
    this.#send.disabled = !isOpen;
    this.#forget.hidden = isOpen || !this.#transcript.items().length;
    const state = !isOpen ? "Not connected"
      : this.#isHeard ? "Hearing you"
      : this.#sound.isPlaying ? "The model speaks"
      : this.#active || this.#awaited.size ? "Thinking"
      : !this.#microphone ? "Connected: type something"
      : this.#isMuted ? `You are not heard: ${this.#isHeld() ? "hold the button to talk" : "muted"}`
      : "Listening";
    if (this.#state.textContent !== state) this.#state.textContent = state;
  }
}

let talk;

export const part = {
  id: "talk",
  title: "Talk",
  servers: ["chat"],
  build: async (section, context) => { talk = new Talk(section, context, (await tellAbout()).features); },
  show: () => talk.show(),
};
