// Transcribes through OpenAI's JavaScript SDK with its own retries, when told to on standard input; prints the status of
// each attempt and the text.
// Usage: node retry.mjs BASE_URL SOUND_FILE
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, path] = process.argv.slice(2);
const watched = async (url, options) => {
  const answer = await fetch(url, options);
  // The SDK also looks at an address of its own, to learn what this `fetch` can do.
  if (String(url).startsWith(baseURL)) console.log(answer.status);
  return answer;
};
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 6, timeout: 60_000, fetch: watched });
const file = await toFile(fs.readFileSync(path), "film.wav");
console.log("ready");
await new Promise((resolve) => process.stdin.once("data", resolve));
const { text } = await client.audio.transcriptions.create({ file, model: "whisper-1", language: "en" });
console.log(text);
process.exit(0);
