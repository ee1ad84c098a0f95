// Transcribes raw PCM (24 kHz) through both WebSocket classes of OpenAI's JavaScript SDK; prints what each of them told.
// They speak TLS alone; here what they say goes over a plain connection.
// Usage: node listen.mjs BASE_URL API_KEY SOUND_FILE
import fs from "node:fs";
import net from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { WebSocket } from "ws";

const [baseURL, apiKey, path] = process.argv.slice(2);
const { hostname: host, port } = new URL(baseURL);
const createConnection = () => net.connect({ host, port });
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { createConnection });
  }
};
const client = new OpenAI({ baseURL, apiKey });
const sound = fs.readFileSync(path);

const listen = (realtime) =>
  new Promise((resolve, reject) => {
    const seen = { types: [], errors: [], protocol: null };
    realtime.on("event", (event) => seen.types.push(event.type));
    realtime.on("error", (error) => (error.error ? seen.errors.push(error.error) : reject(error)));
    realtime.on("session.created", () => {
      seen.protocol = realtime.socket.protocol;
      realtime.send({
        type: "session.update",
        session: {
          type: "transcription",
          audio: { input: { transcription: { model: "gpt-4o-transcribe", language: "en" }, turn_detection: null } },
        },
      });
      realtime.send({ type: "input_audio_buffer.commit", event_id: "early" });
      for (let at = 0; at < sound.length; at += 4800) {
        const audio = sound.subarray(at, at + 4800).toString("base64");
        realtime.send({ type: "input_audio_buffer.append", audio });
      }
      realtime.send({ type: "input_audio_buffer.commit" });
    });
    realtime.on("conversation.item.input_audio_transcription.completed", (event) => {
      seen.text = event.transcript;
      realtime.close();
      resolve(seen);
    });
  });

const intent = "transcription";
const node = await listen(new OpenAIRealtimeWS({ intent, options: { createConnection } }, client));
const web = await listen(new OpenAIRealtimeWebSocket({ intent, dangerouslyAllowBrowser: true }, client));
console.log(JSON.stringify({ node, web }));
process.exit(0);
