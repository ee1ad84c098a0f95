// Speech that arrives: asked for, played while it comes, kept as a file; and what the head of the answer tells.

import { ApiError, call } from "./api.js";

/** Of the server's speech, and of what is recorded for it. */
export const RATE_HZ = 24000;
const TOLD = {
  "x-provider": (name) => `The text went to ${name}, which spoke it.`,
  "x-fallback-model": (name) => `${name} spoke in place of the model that was asked for.`,
  "x-ignored-fields": (names) => `What this voice does not heed: ${names}.`,
  "x-left-out": (names) => `Not spoken: ${names}.`,
  "x-warnings": (text) => text,
};

/** Ask for a speech; `body` as the API takes it. */
export const askSpeech = (body, signal) => call("/audio/speech", { json: body, signal });

/** The bytes of an answer as they come. */
export async function* read(answer) {
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new ApiError(0, { message: "The speech breaks off: the connection to the server is lost." });
    });
    if (done) return;
    yield value;
  }
}

/** How long PCM is. */
export const seconds = (pieces) => pieces.reduce((bytes, piece) => bytes + piece.byteLength, 0) / 2 / RATE_HZ;

/** PCM as a WAV file. */
export function writeWav(pieces) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const parts = ["RIFF", 36 + bytes, "WAVE", "fmt ", 16, [1, 1], RATE_HZ, 2 * RATE_HZ, [2, 16], "data", bytes];
  parts.forEach((part, index) => {
    const at = 4 * index;
    if (typeof part === "number") head.setUint32(at, part, true);
    else if (typeof part === "string") [...part].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
    else part.forEach((value, i) => head.setUint16(at + 2 * i, value, true));
  });
  return new Blob([head, ...pieces], { type: "audio/wav" });
}

/** What was replaced, left out or guessed, in sentences. */
export function tellHead(answer) {
  return Object.entries(TOLD).flatMap(([name, tell]) => (answer.headers.has(name) ? [tell(answer.headers.get(name))] : []));
}
