// The microphone as PCM and PCM as sound; both 16 bits, one channel, at the rate that the server speaks.

/** What a person can do something about; nothing for the log. */
class SoundError extends Error {
  isPlain = true;
}

const REFUSALS = {
  NotAllowedError: "The microphone is denied to this page. Allow it in the browser, by the sign left of the address, and try again.",
  NotFoundError: "No microphone was found. Connect one and try again.",
  NotReadableError: "The microphone is in use by another program, or the system does not give it to the browser. Close that program, or look into the privacy settings of the system, and try again.",
};
const NOT_SECURE = "Browsers give the microphone only to pages of this machine (http://localhost) and to https:// addresses, and this page is neither. "
  + "Open it on the machine that the server runs on, or put a proxy with https in front of the server: docs/guides/reverse-proxy.md says how.";

/**
 * Open the microphone; `onPcm` gets an Int16Array every 40 ms until `stop()`.
 *
 * Returns `{stop, stream}`. `clean` takes echo and noise away, which conversations want and recordings of a voice do not.
 */
export async function openMicrophone(onPcm, rateHz, { clean = true } = {}) {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new SoundError(NOT_SECURE);
  const audio = { channelCount: 1, echoCancellation: clean, noiseSuppression: clean, autoGainControl: clean };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw REFUSALS[error.name] ? new SoundError(REFUSALS[error.name]) : error;
  }
  const sound = new AudioContext();
  const stop = () => {
    recorder?.port.postMessage("stop");
    recorder?.disconnect();
    for (const track of stream.getTracks()) track.stop();
    if (sound.state !== "closed") sound.close();
  };
  let recorder;
  try {
    await sound.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    recorder = new AudioWorkletNode(sound, "recorder", { numberOfOutputs: 1, processorOptions: { rateHz } });
    recorder.port.onmessage = ({ data }) => onPcm(data);
    // Some browsers run only what leads to the loudspeaker; this node gives silence.
    sound.createMediaStreamSource(stream).connect(recorder).connect(sound.destination);
    await sound.resume();
  } catch (error) {
    stop();
    throw error;
  }
  return { stop, stream };
}

/** How loud samples are, 0 to 1: 0 at -60 dB and below. */
export function loudness(pcm) {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / (pcm.length || 1) / 32768 ** 2 || 1e-9);
  return Math.max(0, Math.min(1, 1 + decibels / 60));
}

/** Plays pieces of PCM one after the other without gaps, as they come. */
export class Player {
  #rateHz;
  #sound = null;
  #gain = null;
  #pieces = [];
  #end = 0;
  #pastS = 0;
  #rest = new Uint8Array(0);

  /** Called when all that came has been played. */
  onEnd = null;

  constructor(rateHz) {
    this.#rateHz = rateHz;
  }

  /** Where the sound comes out: for those who want to show or record it. */
  get output() {
    this.#open();
    return this.#gain;
  }

  /** Whether something is heard now, or will be. */
  get isPlaying() {
    return this.#pieces.length > 0;
  }

  /** Milliseconds that were heard since the last `stop()`; waiting for more does not count. */
  get playedMs() {
    const now = this.#sound ? this.#sound.currentTime - (this.#sound.outputLatency || 0) : 0;
    const heardS = this.#pieces.reduce((sum, one) => sum + Math.max(0, Math.min(one.lengthS, now - one.startS)), this.#pastS);
    return Math.round(heardS * 1000);
  }

  /** Begin to sound; browsers want this within a click or a key. */
  async unlock() {
    this.#open();
    await this.#sound.resume();
  }

  /** Add the next piece: an Int16Array, or bytes, which may end in the middle of a sample. */
  play(piece) {
    this.#open();
    const samples = piece instanceof Int16Array ? piece : this.#whole(new Uint8Array(piece.buffer ?? piece, piece.byteOffset ?? 0, piece.byteLength));
    if (!samples.length) return;
    const buffer = this.#sound.createBuffer(1, samples.length, this.#rateHz);
    const channel = buffer.getChannelData(0);
    for (let index = 0; index < samples.length; index++) channel[index] = samples[index] / 32768;
    const source = this.#sound.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    // After a pause a little later than now, so that what follows comes in time.
    const startS = Math.max(this.#end, this.#sound.currentTime + (this.#pieces.length ? 0 : 0.03));
    const played = { source, startS, lengthS: buffer.duration };
    this.#pieces.push(played);
    this.#end = startS + buffer.duration;
    source.onended = () => this.#finish(played);
    source.start(startS);
  }

  /** Be silent at once and forget what was not heard; returns the milliseconds that were. */
  stop() {
    const heardMs = this.playedMs;
    for (const { source } of this.#pieces.splice(0)) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#end = this.#pastS = 0;
    this.#rest = new Uint8Array(0);
    return heardMs;
  }

  /** Give the loudspeaker back. */
  close() {
    this.stop();
    this.#sound?.close();
    this.#sound = this.#gain = null;
  }

  #open() {
    if (this.#sound) return;
    this.#sound = new AudioContext({ sampleRate: this.#rateHz });
    this.#gain = this.#sound.createGain();
    this.#gain.connect(this.#sound.destination);
  }

  #finish(played) {
    this.#pieces.splice(this.#pieces.indexOf(played), 1);
    this.#pastS += played.lengthS;
    if (!this.#pieces.length) this.onEnd?.();
  }

  #whole(bytes) {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const even = all.length - (all.length % 2);
    this.#rest = all.slice(even);
    return new Int16Array(all.buffer, 0, even / 2);
  }
}
