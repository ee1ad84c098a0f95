// Prints, as one JSON object, what OpenAI's JavaScript SDK makes of every answer of an ASR server.
// Usage: node transcribe.mjs BASE_URL SOUND_FILE
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0, timeout: 120_000 });
const create = (options) =>
  client.audio.transcriptions.create({ file: fs.createReadStream(path), model: "whisper-1", ...options });

const seen = {};
for (const response_format of ["json", "text", "srt", "verbose_json", "vtt"]) {
  seen[response_format] = await create({ response_format });
  seen[`translated_${response_format}`] = await client.audio.translations.create({
    file: await toFile(fs.readFileSync(path), "speech.wav"),
    model: "whisper-1",
    response_format,
  });
}
seen.words = await create({ response_format: "verbose_json", timestamp_granularities: ["word"] });
seen.logprobs = await create({ model: "gpt-4o-transcribe", include: ["logprobs"] });
seen.chunked = await create({
  chunking_strategy: { type: "server_vad", threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 200 },
});
seen.events = [];
for await (const event of await create({ model: "gpt-4o-transcribe", stream: true, include: ["logprobs"] })) {
  seen.events.push(event);
}
seen.model = await client.models.retrieve("whisper-1");
seen.deleted = await client.models.delete("tiny.en");
seen.refused = await create({ response_format: "docx" }).catch((error) => ({
  status: error.status,
  code: error.code,
  param: error.param,
}));
console.log(JSON.stringify(seen));
