// The picture of a recording: how loud it is over time, and a lane for everybody who speaks. Whoever cannot see it has
// the same as a list of turns. A click or a key plays the recording from there.

import { timecode } from "./cues.js";
import { h } from "./dom.js";

// A browser decodes a recording as a whole, which takes 23 MB a minute: longer ones have no loudness.
const MAX_BYTES = 32 * 2 ** 20;
const MAX_S = 15 * 60;
const PEAKS_RATE_HZ = 8000;
const COLUMNS = 1600;
const WAVE_PX = 64;
const LANE_PX = 24;
const GAP_PX = 2;
const STEP_S = 5;
const FAR_S = 30;

/** Turns of speech in a table of segments, as a job's `tsv` has it; what one person says without a break is one. */
export function readTurns(tsv) {
  const turns = [];
  const [names, ...rows] = tsv.trimEnd().split("\n").map((row) => row.split("\t"));
  const column = names.indexOf("speaker");
  for (const row of rows) {
    const [startMs, endMs, text] = row;
    const speaker = row[column] ?? "";
    const last = turns.at(-1);
    if (speaker && last?.speaker === speaker) {
      last.endS = endMs / 1000;
      last.text += ` ${text}`;
    } else {
      turns.push({ startS: startMs / 1000, endS: endMs / 1000, text, speaker });
    }
  }
  return turns;
}

class TooLongError extends Error {}

/** The loudest sample of each column, 0 to 1. */
async function findPeaks(file, durationS) {
  if (file.size > MAX_BYTES || durationS > MAX_S) throw new TooLongError();
  const sound = await new OfflineAudioContext(1, 1, PEAKS_RATE_HZ).decodeAudioData(await file.arrayBuffer());
  const peaks = new Float32Array(COLUMNS);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let place = 0; place < samples.length; place++) {
      const column = Math.floor((place * COLUMNS) / samples.length);
      peaks[column] = Math.max(peaks[column], Math.abs(samples[place]));
    }
  }
  return peaks;
}

/** An even walk around the circle of colours: neighbours differ, however many there are. */
const colour = (number, alpha) => `hsl(${(175 + number * 137.5) % 360} 60% 45% / ${alpha})`;

export class Picture {
  #name;
  #turns;
  #speakers;
  #durationS;
  #peaks = null;
  #player = null;
  #address = null;
  #current = null;
  #frame = 0;
  #canvas = h("canvas", {});
  #note = h("p", { class: "hint", hidden: true });
  #list;
  #watch = new ResizeObserver(() => this.#draw());

  /** `turns` as `readTurns` gives them; without a `file` nothing can be played. */
  constructor({ file, name, turns, durationS }) {
    this.#name = name;
    this.#turns = turns;
    this.#durationS = durationS || turns.at(-1)?.endS || 0;
    this.#speakers = [...new Set(turns.map(({ speaker }) => speaker).filter(Boolean))];
    this.#list = h("ol", { class: "turns" }, turns.map((turn) => this.#row(turn, Boolean(file))));
    const count = this.#speakers.length;
    const told = `${count ? `${count} ${count === 1 ? "speaker" : "speakers"}, ` : ""}${turns.length} ${turns.length === 1 ? "turn" : "turns"}`;
    this.element = h("div", { class: "recording" },
      this.#canvas, this.#note, turns.length > 0 && h("details", {}, h("summary", {}, told), this.#list));
    this.#label();
    this.#resize();
    this.#watch.observe(this.#canvas);
    if (file) this.#load(file);
  }

  /** Give back what it holds. */
  close() {
    this.#watch.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#player?.pause();
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.element.remove();
  }

  #row(turn, isPlayable) {
    const shown = `${timecode(turn.startS)}  ${turn.speaker && `${turn.speaker}: `}${turn.text}`;
    const play = () => this.#seek(turn.startS, true);
    return h("li", {}, isPlayable ? h("button", { type: "button", onclick: play }, shown) : shown);
  }

  #label() {
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", `Who speaks when in ${this.#name}: ${this.#speakers.join(", ") || "nobody by name"}`);
  }

  #tell(message) {
    this.#note.textContent = message;
    this.#note.hidden = false;
  }

  // The address of a file is no copy: the browser reads what it plays.
  #load(file) {
    this.#address = URL.createObjectURL(file);
    const player = h("audio", { controls: true, preload: "metadata", src: this.#address, "aria-label": this.#name });
    player.onloadedmetadata = () => this.#begin(file);
    player.onerror = () => {
      player.remove();
      this.#player = null;
      this.#label();
      this.#draw();
      this.#tell("This browser cannot play the file.");
    };
    this.#player = player;
    this.#canvas.after(player);
  }

  async #begin(file) {
    const player = this.#player;
    if (Number.isFinite(player.duration)) this.#durationS = player.duration;
    const slider = { role: "slider", tabindex: 0, "aria-label": `Place in ${this.#name}`, "aria-valuemin": 0, "aria-valuemax": Math.round(this.#durationS) };
    for (const [attribute, value] of Object.entries(slider)) this.#canvas.setAttribute(attribute, value);
    this.#canvas.onclick = (event) => this.#seek((event.offsetX / this.#canvas.clientWidth) * this.#durationS, true);
    this.#canvas.onkeydown = (event) => this.#press(event);
    for (const kind of ["play", "pause", "seeked", "ended"]) player.addEventListener(kind, () => this.#follow());
    this.#follow();
    try {
      this.#peaks = await findPeaks(file, this.#durationS);
      this.#resize();
    } catch (error) {
      this.#tell(error instanceof TooLongError
        ? `Loudness is shown of recordings of ${MAX_S / 60} minutes and ${MAX_BYTES >> 20} MiB at most.`
        : "This browser cannot decode the file, so its loudness is not shown.");
    }
  }

  #press(event) {
    const now = this.#player.currentTime;
    const places = {
      ArrowRight: now + STEP_S, ArrowUp: now + STEP_S, ArrowLeft: now - STEP_S, ArrowDown: now - STEP_S,
      PageUp: now + FAR_S, PageDown: now - FAR_S, Home: 0, End: this.#durationS,
    };
    if (event.key in places) this.#seek(places[event.key], false);
    else if (event.key !== " " && event.key !== "Enter") return;
    else if (this.#player.paused) this.#play();
    else this.#player.pause();
    event.preventDefault();
  }

  #seek(timeS, isPlayed) {
    if (!this.#player) return;
    this.#player.currentTime = Math.min(Math.max(0, timeS), this.#durationS);
    if (isPlayed) this.#play();
  }

  #play() {
    this.#player.play().catch(() => {}); // whoever pauses it at once has it fail
  }

  // Show where it plays: to the eyes with each frame, to who listens when it stands still.
  #follow() {
    cancelAnimationFrame(this.#frame);
    this.#draw();
    const now = this.#player.currentTime;
    const turn = this.#turns.find(({ startS, endS }) => startS <= now && now < endS) ?? null;
    if (turn !== this.#current) {
      this.#mark(this.#current, false);
      this.#mark(turn, true);
      this.#current = turn;
    }
    if (!this.#player.paused && this.#player.isConnected) {
      this.#frame = requestAnimationFrame(() => this.#follow());
      return;
    }
    this.#canvas.setAttribute("aria-valuenow", Math.round(now));
    this.#canvas.setAttribute("aria-valuetext", `${timecode(now)} of ${timecode(this.#durationS)}${turn?.speaker ? `, ${turn.speaker}` : ""}`);
  }

  #mark(turn, isCurrent) {
    const row = turn && this.#list.children[this.#turns.indexOf(turn)].firstChild;
    if (isCurrent) row?.setAttribute("aria-current", "true");
    else row?.removeAttribute?.("aria-current");
  }

  #resize() {
    const lanes = this.#turns.length ? Math.max(1, this.#speakers.length) : 0;
    this.#canvas.style.height = `${lanes * (LANE_PX + GAP_PX) + (this.#peaks ? WAVE_PX : 0)}px`;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    Object.assign(this.#canvas, { width: width * devicePixelRatio, height: height * devicePixelRatio });
    const pen = this.#canvas.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    const ink = getComputedStyle(this.#canvas).color;
    if (this.#peaks) this.#drawPeaks(pen, ink, width);
    this.#drawLanes(pen, ink, width);
    if (this.#player) {
      pen.fillStyle = ink;
      pen.fillRect((this.#player.currentTime / (this.#durationS || 1)) * width - 1, 0, 2, height);
    }
  }

  #drawPeaks(pen, ink, width) {
    const loudest = Math.max(...this.#peaks, 0.01);
    pen.fillStyle = ink;
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x * COLUMNS) / width);
      const end = Math.max(first + 1, Math.floor(((x + 1) * COLUMNS) / width));
      const tall = Math.max(1, (Math.max(...this.#peaks.subarray(first, end)) / loudest) * (WAVE_PX - 6));
      pen.fillRect(x, (WAVE_PX - tall) / 2, 1, tall);
    }
  }

  #drawLanes(pen, ink, width) {
    const number = ({ speaker }) => Math.max(0, this.#speakers.indexOf(speaker));
    const top = (lane) => (this.#peaks ? WAVE_PX : 0) + lane * (LANE_PX + GAP_PX);
    const place = (timeS) => (timeS / (this.#durationS || 1)) * width;
    for (let lane = 0; lane < Math.max(1, this.#speakers.length); lane++) {
      pen.fillStyle = colour(lane, 0.12);
      pen.fillRect(0, top(lane), width, LANE_PX);
    }
    for (const turn of this.#turns) {
      pen.fillStyle = colour(number(turn), 0.65);
      pen.fillRect(place(turn.startS), top(number(turn)), Math.max(1, place(turn.endS - turn.startS)), LANE_PX);
    }
    pen.fillStyle = ink;
    pen.font = "600 13px system-ui, sans-serif";
    this.#speakers.forEach((speaker, lane) => pen.fillText(speaker, 8, top(lane) + 17));
  }
}
