// One file on its way: sent, heard as a background job, shown as text or subtitles with its picture.

import { ApiError, address, call, callJson, key } from "./api.js";
import { clock, h, size } from "./dom.js";
import { pause } from "./listening.js";
import { Picture, readTurns } from "./picture.js";
import { copy, save } from "./saving.js";

/** Formats of results, and how their files end. */
export const FORMATS = {
  text: { title: "Text", ending: "txt" },
  srt: { title: "Subtitles (srt)", ending: "srt" },
  vtt: { title: "Subtitles (vtt)", ending: "vtt" },
  verbose_json: { title: "JSON with times", ending: "json" },
  tsv: { title: "Table (tsv)", ending: "tsv" },
};
const [FIRST_LOOKS, FIRST_LOOK_S, LOOK_S, AWAY_S] = [5, 0.3, 1, 120];
const TOLD = {
  "x-warnings": "Not heard",
  "x-fallback": "Done in the second-best way",
  "x-fallback-model": "Done by another model",
  "x-left-out": "Left out",
  "x-ignored-fields": "Not understood by this server",
};

const aborted = () => new DOMException("", "AbortError");

/** Post a form; `onShare` is told how much of it is sent, 0 to 1. The file is read as it is sent, and never as a whole. */
function upload(path, form, onShare, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path));
    if (key.value) request.setRequestHeader("authorization", `Bearer ${key.value}`);
    request.upload.onprogress = ({ loaded, total }) => onShare(loaded / total);
    request.onabort = () => reject(aborted());
    request.onerror = () => reject(new ApiError(0, { message: "The file could not be sent: the server, or the file, is away." }));
    request.onload = () => {
      const headers = new Headers();
      for (const name of Object.keys(TOLD)) if (request.getResponseHeader(name)) headers.set(name, request.getResponseHeader(name));
      if (request.status < 300) return resolve({ headers, text: request.responseText });
      let told = {};
      try {
        told = JSON.parse(request.responseText).error;
      } catch { /* a proxy's page: the status has to do */ }
      return reject(new ApiError(request.status, told));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/**
 * `asked` is `{path, fields, format, language}`: where it is sent, as what, and the language of the result if it is a
 * translation. Without a file it is a job that was sent before the page was loaded anew, and has an `id`.
 */
export class Task {
  /** `waiting`, `sending`, `working`, `over`, `gone`. */
  state = "waiting";
  #file;
  #fail;
  #onChange;
  #language = "";
  #results = new Map();
  #aborting = new AbortController();
  #picture = null;
  #status = h("p", { role: "status" }, "Waits.");
  #progress;
  #left = h("span", { class: "quiet" });
  #button;
  #told = h("ul", { class: "problem", hidden: true });

  constructor({ file, name, asked, id, fail, onChange }) {
    Object.assign(this, { name, asked, id });
    this.#file = file;
    this.#fail = fail;
    this.#onChange = onChange;
    this.#progress = h("progress", { max: 100, value: 0, "aria-label": `Progress of ${name}` });
    this.#button = h("button", { type: "button", "aria-label": `Cancel ${name}`, onclick: () => this.#leave() }, "Cancel");
    this.element = h("article", { class: "card", "aria-label": name },
      h("div", { class: "row" }, h("h3", {}, name), file && h("span", { class: "quiet" }, size(file.size)), this.#button),
      this.#status, this.#told, this.#progress, this.#left);
  }

  async run() {
    try {
      const whole = this.id ? null : await this.#send();
      const job = whole === null ? await this.#follow() : null;
      this.#tell("x-fallback", job?.fallback);
      this.#tell("x-fallback-model", job?.fallback_model);
      await this.#showResult(whole, job);
      this.#end("Done.");
    } catch (error) {
      if (this.state === "gone" || this.state === "over") return;
      this.#end(error.name === "AbortError" ? "Cancelled." : error.message, error.name !== "AbortError");
    }
  }

  #enter(state, message) {
    this.state = state;
    this.#status.textContent = message;
    this.#onChange();
  }

  // Percent and time left are not for live regions: they change all the time.
  #showProgress(percent, left = "") {
    if (percent === null) this.#progress.removeAttribute("value");
    else this.#progress.value = percent;
    this.#left.textContent = percent === null ? left : `${Math.round(percent)} %${left && `, ${left}`}`;
  }

  /** Send it; returns the whole answer of a server that keeps no jobs. */
  async #send() {
    this.#enter("sending", "Is sent.");
    await call("/models"); // asks for a key before much is sent in vain
    const form = new FormData();
    for (const [name, value] of Object.entries(this.asked.fields)) form.append(name, value);
    form.append("file", this.#file, this.name);
    const onShare = (share) => this.#showProgress(share < 1 ? 100 * share : null);
    const { headers, text } = await upload(this.asked.path, form, onShare, this.#aborting.signal);
    this.#tellAll(headers);
    if (!this.asked.fields.background) return text;
    this.id = JSON.parse(text).id;
    return null;
  }

  /** Look at the job until it is completed. A server that starts anew goes on with it. */
  async #follow() {
    this.#enter("working", "Waits for its turn.");
    let awaySince = null;
    for (let looks = 0; ; looks++) {
      await pause(looks < FIRST_LOOKS ? FIRST_LOOK_S : LOOK_S);
      this.#aborting.signal.throwIfAborted();
      const job = await callJson(`/jobs/${this.id}`).catch((error) => {
        awaySince ??= Date.now();
        const mayComeBack = !error.status || error.status >= 500 || error.status === 429;
        if (!mayComeBack || Date.now() - awaySince > AWAY_S * 1000) throw error;
      });
      if (job) awaySince = null;
      if (job?.status === "completed") return job;
      if (job?.status === "cancelled") throw aborted();
      if (job?.status === "failed") throw new ApiError(0, job.error);
      this.#showJob(job);
    }
  }

  #showJob(job) {
    const waits = job?.queue_place ? `Waits; number ${job.queue_place} in the queue.` : "Waits for its turn.";
    const isWorking = job?.status === "running";
    const said = !job ? "The server is away; it goes on with the job when it is back." : isWorking ? "Is heard." : waits;
    if (said !== this.#status.textContent) this.#status.textContent = said;
    this.#showProgress(isWorking ? job.percent : null, isWorking && job.eta_s !== null ? `${clock(job.eta_s)} left` : "");
  }

  #end(message, isProblem = false) {
    this.#enter("over", message);
    this.#status.classList.toggle("problem", isProblem);
    this.#progress.remove();
    this.#left.remove();
    this.#button.textContent = "Remove";
    this.#button.setAttribute("aria-label", `Remove ${this.name}`);
  }

  #tellAll(headers) {
    for (const header of Object.keys(TOLD)) this.#tell(header, headers.get(header));
  }

  #tell(header, told) {
    const line = `${TOLD[header]}: ${told}`;
    if (!told || [...this.#told.children].some((known) => known.textContent === line)) return;
    this.#told.append(h("li", {}, line));
    this.#told.hidden = false;
  }

  async #result(format) {
    if (!this.#results.has(format)) {
      const answer = await call(`/jobs/${this.id}/result?response_format=${format}`);
      this.#tellAll(answer.headers);
      this.#results.set(format, await answer.text());
    }
    return this.#results.get(format);
  }

  async #showResult(whole, job) {
    this.#language = this.asked.language || job?.language || "";
    if (whole !== null) this.#results.set(this.asked.format, whole);
    const text = h("pre", { tabindex: "0", "aria-label": `Result of ${this.name}` });
    const format = h("select", { disabled: whole !== null },
      Object.entries(FORMATS).map(([name, { title }]) => h("option", { value: name }, title)));
    format.value = this.asked.format;
    const show = async () => { text.textContent = await this.#result(format.value); };
    format.onchange = () => show().catch(this.#fail);
    await show();
    const turns = job ? readTurns(await this.#result("tsv")) : [];
    this.element.append(
      h("div", { class: "row" },
        h("label", {}, "Shown as ", format),
        h("button", { type: "button", class: "main", onclick: () => save(this.#fileName(format.value), text.textContent) }, "Save"),
        h("button", { type: "button", onclick: async () => { this.#status.textContent = await copy(text.textContent); } }, "Copy")),
      text);
    if (!this.#file && !turns.length) return;
    this.#picture = new Picture({ file: this.#file, name: this.name, turns, durationS: job?.total_s });
    this.element.append(this.#picture.element);
  }

  /** `film.srt` would be anybody's; players take the language from `film.en.srt`. */
  #fileName(format) {
    const stem = this.name.replace(/\.[^.]*$/, "");
    const language = this.#language && ["srt", "vtt"].includes(format) ? `.${this.#language}` : "";
    return `${stem}${language}.${FORMATS[format].ending}`;
  }

  // What is not over is cancelled. What is over goes, here and on the server.
  #leave() {
    const isOver = this.state === "over";
    this.#aborting.abort();
    if (this.id) call(`/jobs/${this.id}`, { method: "DELETE" }).catch((error) => error.status !== 404 && this.#fail(error));
    if (!isOver) {
      this.#end("Cancelled.");
      return;
    }
    this.state = "gone";
    this.#picture?.close();
    this.element.remove();
    this.#onChange();
  }
}
