// What the microphone hears, as turns of text, over a transcription session of OpenAI's Realtime wire.
//
// All sound is kept until its words are final: where the connection breaks off, the next session begins with it, so that
// nothing is lost or said twice.

import { ApiError, openSocket } from "./api.js";
import { openMicrophone } from "./sound.js";

const RATE_HZ = 16_000;
const KEPT_S = 60;
const ATTEMPTS = 8;
const LONGEST_PAUSE_S = 8;
const LAST_WORDS_S = 60;
const TRANSCRIPTION = "conversation.item.input_audio_transcription";
// A second commit finds nothing to commit any more: its refusal says that all before it has its turns.
const LAST = "last";
const NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty";

export const pause = (timeS) => new Promise((resolve) => setTimeout(resolve, timeS * 1000));

function toBase64(pcm) {
  return btoa(String.fromCharCode(...new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength)));
}

/**
 * Live speech from its start to its stop, in as many sessions as that takes.
 *
 * A turn is `{startS, endS, draft, text, parts, isFinal, isGone, fault}`; `parts` say who speaks: `{startS, endS, speaker,
 * text}`. Times count from `beginS` on. `show(turn)` is called when a turn changes, `say(message)` when something
 * happens, `end(error)` when nothing more is heard.
 */
export class Listening {
  /** `{id, offsetS}` of each session: where its time begins in this one's. */
  sessions = [];
  #sound = [];
  #turns = new Map();
  #attempts = 0;
  #isOn = true;
  #isReady = false;
  #isAnswered = false;
  #doneS;
  #socket;
  #microphone;
  #complete;

  constructor({ language, diarize, beginS, show, say, end }) {
    Object.assign(this, { language, diarize, show, say, end, heardS: beginS });
    this.#doneS = beginS;
  }

  async start() {
    try {
      // A loudspeaker in the room is somebody to hear as well.
      this.#microphone = await openMicrophone((pcm) => this.#take(pcm), RATE_HZ, { clean: false });
    } catch (error) {
      this.#fail(error);
      return;
    }
    for (const track of this.#microphone.stream.getTracks()) {
      track.onended = () => this.#fail(new ApiError(0, { message: "The microphone was taken away." }));
    }
    await this.#connect();
  }

  /** Hear no more, and wait for the last words. */
  async stop() {
    this.#isOn = false;
    this.#microphone?.stop();
    if (this.#isReady) {
      this.#send({ type: "input_audio_buffer.commit" });
      this.#send({ type: "input_audio_buffer.commit", event_id: LAST });
      await Promise.race([new Promise((resolve) => { this.#complete = resolve; }), pause(LAST_WORDS_S)]);
    }
    this.#socket?.close();
    this.end();
  }

  #fail(error) {
    if (!this.#isOn) return;
    this.#isOn = false;
    this.#microphone?.stop();
    this.#socket?.close();
    this.end(error);
  }

  #take(pcm) {
    if (!this.#isOn) return;
    const piece = { startS: this.heardS, endS: this.heardS + pcm.length / RATE_HZ, pcm };
    this.heardS = piece.endS;
    this.#sound.push(piece);
    while (this.heardS - this.#sound[0].startS > KEPT_S) this.#sound.shift();
    if (this.#isReady) this.#sendSound(piece);
  }

  #sendSound({ pcm }) {
    this.#send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  #send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  async #connect() {
    for (; this.#isOn && !this.#isReady; this.#attempts++) {
      try {
        if (this.#attempts) await pause(Math.min(LONGEST_PAUSE_S, 2 ** (this.#attempts - 2)));
        if (this.#isOn) await this.#open();
      } catch (error) {
        const isRefusal = error.status >= 400 && error.status < 500 && error.status !== 429;
        if (isRefusal || !this.sessions.length || this.#attempts >= ATTEMPTS) this.#fail(error);
      }
    }
  }

  async #open() {
    const socket = await openSocket("/realtime?intent=transcription");
    if (!this.#isOn) {
      socket.close();
      return;
    }
    this.#socket = socket;
    this.#isAnswered = false;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#lose();
    this.sessions.push({ id: "", offsetS: this.#sound[0]?.startS ?? this.heardS });
    const transcription = { language: this.language || null, diarize: this.diarize };
    const input = { format: { type: "audio/pcm", rate: RATE_HZ }, transcription };
    this.#send({ type: "session.update", session: { type: "transcription", audio: { input } } });
    this.#isReady = true;
    for (const piece of this.#sound) this.#sendSound(piece);
    this.say(this.sessions.length > 1 ? "Listening. The connection was lost, and is there again." : "Listening.");
  }

  // Turns without a text come again in the next session.
  #lose() {
    this.#isReady = false;
    this.#complete?.();
    for (const [id, turn] of this.#turns) {
      if (turn.isFinal) continue;
      this.#turns.delete(id);
      this.show(Object.assign(turn, { isGone: true }));
    }
    if (!this.#isOn) return;
    this.say("The connection is lost. Trying to connect again; what is said meanwhile is kept.");
    this.#connect();
  }

  #receive(event) {
    const session = this.sessions.at(-1);
    const later = (timeMs) => session.offsetS + timeMs / 1000;
    switch (event.type) {
      case "session.created":
        session.id = event.session.id;
        break;
      case "session.updated":
        this.#check(event.session.audio.input.transcription);
        break;
      case "input_audio_buffer.speech_started":
        this.#attempts = 0;
        this.#change(event, { startS: later(event.audio_start_ms) });
        break;
      case "input_audio_buffer.speech_stopped":
        this.#change(event, { endS: later(event.audio_end_ms) });
        break;
      case "input_audio_buffer.committed":
        this.#change(event, {});
        break;
      case `${TRANSCRIPTION}.delta`:
        this.#change(event, { draft: this.#find(event).draft + event.delta });
        break;
      case `${TRANSCRIPTION}.completed`:
        this.#finish(event, { text: event.transcript });
        break;
      case `${TRANSCRIPTION}.failed`:
        this.#finish(event, { fault: event.error.message });
        break;
      case `${TRANSCRIPTION}.segment`: {
        const { start, end, speaker, text } = event;
        const part = { startS: later(start * 1000), endS: later(end * 1000), speaker, text };
        this.#change(event, { parts: [...this.#find(event).parts, part] });
        break;
      }
      case "error":
        if (event.error.event_id === LAST) this.#isAnswered = true;
        else if (event.error.code !== NOTHING_TO_COMMIT) this.say(event.error.message);
    }
    if (this.#isAnswered && [...this.#turns.values()].every((turn) => this.#isTold(turn))) this.#complete?.();
  }

  // A setting that cannot be had is no error on this wire: what counts is shown.
  #check(settings) {
    if (this.language && !settings.language) this.say("Listening. The server's model does not know this language, and finds one.");
    if (this.diarize && !settings.diarize) {
      this.diarize = false;
      this.say("Listening. This server cannot tell who speaks.");
    }
  }

  #find({ item_id: id }) {
    if (!this.#turns.has(id)) this.#turns.set(id, { startS: this.heardS, endS: 0, draft: "", text: "", parts: [] });
    return this.#turns.get(id);
  }

  #change(event, changes) {
    this.show(Object.assign(this.#find(event), changes));
  }

  #finish(event, changes) {
    const turn = this.#find(event);
    this.#change(event, { ...changes, isFinal: true, endS: turn.endS || this.heardS });
    this.#doneS = Math.max(this.#doneS, turn.endS);
    const open = [...this.#turns.values()].filter((one) => !one.isFinal).map((one) => one.startS);
    const keptFromS = Math.min(this.#doneS, ...open);
    while (this.#sound.length && this.#sound[0].endS <= keptFromS) this.#sound.shift();
  }

  #isTold(turn) {
    return turn.isFinal && (!this.diarize || !turn.text || turn.parts.length > 0);
  }
}
