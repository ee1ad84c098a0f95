// Calls of the server: with the key, errors as OpenAI words them, and where the server really is.

const facts = document.documentElement.dataset;
// The folder above this file: a proxy may serve all of it below a path.
const root = new URL("../", import.meta.url);
const KEPT = "voice-stack-key";
const NO_KEY = "This server wants a key, and there is none. Give one with the button at the top of the page.";

/** `asr`, `tts` or `chat`. */
export const server = facts.server;
/** Whether requests need a key. */
export const needsKey = facts.needsKey === "true";

/** What the server answered instead of what was asked for; `status` is 0 where it did not answer at all. */
export class ApiError extends Error {
  constructor(status, told = {}, headers = new Headers()) {
    super(told.message || `The server answered with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = told.code ?? null;
    this.type = told.type ?? null;
    this.param = told.param ?? null;
    this.requestId = headers.get("x-request-id");
    this.retryAfterS = Number(headers.get("retry-after")) || null;
  }
}

/** What this tab keeps until it is closed; nothing where the browser keeps nothing for pages. */
export const kept = {
  get(name) {
    try { return sessionStorage.getItem(name) ?? ""; } catch { return ""; }
  },
  set(name, value) {
    try { sessionStorage.setItem(name, value); } catch { /* It lasts as long as the page, then. */ }
  },
};

let givenKey = "";

/** The key of this tab; it goes when the tab is closed. */
export const key = {
  get value() { return kept.get(KEPT) || givenKey; },
  set value(given) { kept.set(KEPT, givenKey = given); },
};

/** The address of a path: below the API's prefix, as `/audio/speech`, or of the server itself with `isRoot`. */
export function address(path, isRoot = false) {
  return new URL(root.pathname.slice(0, -1) + (isRoot ? "" : facts.prefix) + path, root);
}

/** One request with a key and without a question; returns the answer whatever its status is. */
export async function ask(path, given, { json, isRoot = false, headers, ...options } = {}) {
  const sent = new Headers(headers);
  if (given) sent.set("authorization", `Bearer ${given}`);
  if (json !== undefined) {
    sent.set("content-type", "application/json");
    options = { method: "POST", ...options, body: JSON.stringify(json) };
  }
  try {
    return await fetch(address(path, isRoot), { ...options, headers: sent, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The server does not answer. Is it running, and is this machine connected to it?" });
  }
}

/** The error that an answer is. */
export async function errorOf(answer) {
  const told = await answer.json().catch(() => ({}));
  return new ApiError(answer.status, told.error ?? {}, answer.headers);
}

let asking = null;
let isDeclined = false;

async function askForKey(reason) {
  const { wantKey } = await import("./key.js");
  asking ??= wantKey(reason).finally(() => { asking = null; });
  isDeclined = !(await asking);
  return !isDeclined;
}

/** Ask for another key than the one that there is. */
export const changeKey = () => askForKey("");

/**
 * Ask the server; the answer is good, or an ApiError is thrown.
 *
 * `options` are those of fetch and: `json` is sent as the body; `isRoot` for a path that is not below the API's prefix;
 * `isBackground` for what nobody has just asked for, so that somebody who gave no key is not asked for it again.
 * Where a key is missing or wrong it is asked for, and the call is made again.
 */
export async function call(path, { isBackground = false, ...options } = {}) {
  const asks = !(isBackground && isDeclined);
  for (let tried = 0; ; tried++) {
    if (needsKey && !key.value && !(asks && (await askForKey("")))) throw new ApiError(401, { message: NO_KEY });
    const given = key.value;
    const answer = await ask(path, given, options);
    if (answer.ok) return answer;
    const error = await errorOf(answer);
    // Another call may have been given a new key meanwhile.
    const isAgain = error.status === 401 && !tried && asks && (given !== key.value || (await askForKey(given && error.message)));
    if (!isAgain) throw error;
  }
}

/** The same where the answer is JSON. */
export const callJson = async (path, options) => (await call(path, options)).json();

let about = null;

/** What stands behind this page: `{name, server, version, features}`; asked for once. */
export function tellAbout() {
  about ??= ask("/page/about.json", "", { isRoot: true }).then(async (answer) => {
    if (!answer.ok) throw await errorOf(answer);
    return answer.json();
  });
  about.catch(() => { about = null; });
  return about;
}

function connect(path) {
  return new Promise((resolve, reject) => {
    const url = address(path);
    url.protocol = url.protocol.replace("http", "ws");
    const offered = key.value ? [`openai-insecure-api-key.${key.value}`] : [];
    const socket = new WebSocket(url, ["realtime", ...offered]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { socket.onopen = socket.onclose = null; resolve(socket); };
    socket.onclose = () => reject(new ApiError(0, { message: "The connection could not be opened." }));
  });
}

/** A WebSocket that is open, for a path below the API's prefix; an ApiError says why there is none. */
export async function openSocket(path) {
  if (needsKey && !key.value && !(await askForKey(""))) throw new ApiError(401, { message: NO_KEY });
  try {
    return await connect(path);
  } catch {
    // Browsers do not tell why an upgrade was refused; the same address tells it to a plain request, or says 426.
    await call(path).catch((error) => { if (error.status !== 426) throw error; });
    return connect(path);
  }
}
