// Takes what the microphone gives, at the rate of the sound card, and hands on 16-bit samples at the rate asked for.

const PIECE_S = 0.04;
/** Zero crossings of the sinc on each side. */
const WING = 16;
/** Steps of its table from one zero crossing to the next. */
const STEPS = 256;

class Recorder extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz } }) {
    super();
    this.step = sampleRate / rateHz;
    // Going down in rate, what the new one cannot carry is filtered away: the sinc becomes wider and lower.
    this.width = Math.max(1, this.step);
    this.table = Float32Array.from({ length: WING * STEPS + 1 }, (_, index) => {
      const x = (index / STEPS) * Math.PI;
      const window = 0.5 + 0.5 * Math.cos(x / WING);
      return ((x ? Math.sin(x) / x : 1) * window) / this.width;
    });
    this.reach = Math.ceil(WING * this.width);
    this.kept = new Float32Array(this.reach);
    this.at = this.reach;
    this.piece = new Int16Array(Math.round(rateHz * PIECE_S));
    this.filled = 0;
    this.isOpen = true;
    this.port.onmessage = () => { this.isOpen = false; };
  }

  process([[channel]]) {
    if (!channel) return this.isOpen;
    const all = new Float32Array(this.kept.length + channel.length);
    all.set(this.kept);
    all.set(channel, this.kept.length);
    for (; this.at + this.reach < all.length; this.at += this.step) this.put(this.sampleAt(all, this.at));
    const from = Math.min(all.length, Math.max(0, Math.floor(this.at) - this.reach));
    this.kept = all.slice(from);
    this.at -= from;
    return this.isOpen;
  }

  sampleAt(all, at) {
    let sum = 0;
    for (let index = Math.ceil(at - this.reach); index <= at + this.reach; index++) {
      const place = (Math.abs(index - at) / this.width) * STEPS;
      if (index >= 0 && place < this.table.length - 1) sum += all[index] * this.table[Math.round(place)];
    }
    return sum;
  }

  put(sample) {
    this.piece[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
    if (this.filled < this.piece.length) return;
    const full = this.piece;
    this.piece = new Int16Array(full.length);
    this.filled = 0;
    this.port.postMessage(full, [full.buffer]);
  }
}

registerProcessor("recorder", Recorder);
