// Has a TTS server speak through OpenAI's JavaScript SDK: one file per format in a folder; prints what else it saw.
// Usage: node speak.mjs BASE_URL FOLDER
import fs from "node:fs";
import path from "node:path";
import OpenAI from "openai";

const [baseURL, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0, timeout: 120_000 });
const input = "The first train leaves at dawn. The second one waits until the fog has gone, and nobody knows how long.";
const create = (options) => client.audio.speech.create({ model: "tts-1", voice: "alloy", input, ...options });
const save = (name, data) => fs.writeFileSync(path.join(folder, name), data);

const seen = { types: {} };
for (const response_format of ["mp3", "opus", "aac", "flac", "wav", "pcm"]) {
  const answer = await create({ response_format });
  seen.types[response_format] = answer.headers.get("content-type");
  save(response_format, Buffer.from(await answer.arrayBuffer()));
}
const chunks = [];
for await (const chunk of (await create({ response_format: "pcm" })).body) chunks.push(chunk);
save("streamed", Buffer.concat(chunks));
seen.chunks = chunks.length;
seen.events = await (await create({ model: "gpt-4o-mini-tts", stream_format: "sse" })).text();
seen.by_id = (await create({ voice: { id: "nova" }, instructions: "Softly." })).status;
const tell = (error) => ({ name: error.constructor.name, status: error.status, code: error.code, param: error.param });
seen.refused = await create({ voice: "darth" }).catch(tell);
seen.unknown = await create({ model: "no-such-model" }).catch(tell);
console.log(JSON.stringify(seen));
