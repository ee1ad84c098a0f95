// Prints, as one JSON object, what OpenAI's JavaScript SDK makes of a transcription with speakers, whole and streamed.
// Usage: node diarize.mjs BASE_URL SOUND_FILE
import fs from "node:fs";
import OpenAI from "openai";

const [baseURL, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0, timeout: 60_000 });
const create = (options) =>
  client.audio.transcriptions.create({
    file: fs.createReadStream(path),
    model: "gpt-4o-transcribe-diarize",
    response_format: "diarized_json",
    chunking_strategy: "auto",
    ...options,
  });

const whole = await create({});
const events = [];
for await (const event of await create({ stream: true })) events.push(event);
console.log(JSON.stringify({ whole, events }));
