// A conversation with OpenAI's agents for JavaScript: written, called, spoken. Usage: node converse.mjs URL SOUND
import { readFileSync } from 'node:fs';
import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';

const [url, sound] = process.argv.slice(2);
const told = { events: [], errors: [], tools: [], audioBytes: 0, interrupted: 0 };
const weather = tool({
  name: 'get_weather',
  description: 'The weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: true },
  strict: false,
  execute: async ({ city }) => {
    told.tools.push(city);
    return `Rain in ${city}.`;
  },
});
const agent = new RealtimeAgent({ name: 'Assistant', instructions: 'Be kind.', tools: [weather] });
const session = new RealtimeSession(agent, { transport: 'websocket', model: 'gpt-realtime' });
const waiting = [];
const until = (type) => new Promise((resolve) => waiting.push([type, resolve]));
session.transport.on('*', (event) => {
  told.events.push(event.type);
  for (const [at, [type, resolve]] of [...waiting.entries()].reverse()) {
    if (type === event.type && (type !== 'response.done' || event.response.output.at(-1)?.type === 'message')) {
      waiting.splice(at, 1);
      resolve(event);
    }
  }
});
session.on('error', (error) => told.errors.push(JSON.stringify(error)));
session.on('audio', (event) => (told.audioBytes += event.data.byteLength));
session.on('audio_interrupted', () => told.interrupted++);

await session.connect({ apiKey: 'unused', url });
const written = until('response.done');
session.sendMessage('How is the weather in Bonn?');
await written;
const spoken = until('response.output_audio.delta');
const speech = readFileSync(sound);
session.sendAudio(speech.buffer.slice(speech.byteOffset, speech.byteOffset + speech.byteLength));
session.sendAudio(new ArrayBuffer(4 * 48000));
await spoken;
const stopped = until('response.done');
session.sendAudio(speech.buffer.slice(speech.byteOffset, speech.byteOffset + speech.byteLength));
told.last = (await stopped).response.status_details;
await new Promise((resolve) => setTimeout(resolve, 300));
told.history = session.history.map((item) => [item.type, item.role, item.content?.map((part) => part.transcript ?? part.text)]);
session.close();
console.log(JSON.stringify(told));
