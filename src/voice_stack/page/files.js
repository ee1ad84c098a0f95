// Files: text or subtitles of recordings and films, as background jobs, with a picture of who speaks when.

import { kept, tellAbout } from "./api.js";
import { field, h } from "./dom.js";
import { FORMATS, Task } from "./file_task.js";
import { languageChoice } from "./languages.js";

const AT_ONCE = 2;
const KEPT = "voice-stack-files";

class Files {
  #tasks = [];
  #format = h("select", {}, Object.entries(FORMATS).map(([name, { title }]) => h("option", { value: name }, title)));
  #language;
  #target;
  #original = h("input", { type: "checkbox" });
  #speakers = h("select", {},
    h("option", { value: "" }, "Not told"),
    h("option", { value: "any" }, "Told, however many"),
    Array.from({ length: 10 }, (_, number) => h("option", { value: number + 1 }, `Told: ${number + 1} in all`)));
  #input = h("input", { type: "file", multiple: true, accept: "audio/*,video/*,.mkv,.ts,.m2ts,.wma,.aiff,.caf,.amr" });
  #list = h("div", { class: "files" });

  constructor(section, context, features) {
    this.context = context;
    this.features = features;
    this.#language = languageChoice("Found by itself", features.languages);
    // The speech model knows one language to translate into; for others a language model is needed.
    this.#target = languageChoice("Not at all", features.target_languages);
    const original = h("label", { class: "check", hidden: true }, this.#original, " With what was said beside it");
    this.#target.onchange = () => { original.hidden = !this.#isModelAsked; };
    this.#format.value = "srt";
    const drop = h("div", { class: "card drop" }, field("Recordings and films: drop them here, or choose them", this.#input));
    section.append(
      h("div", { class: "fields" },
        field("Result", this.#format),
        field("Language spoken", this.#language),
        h("div", {}, field("Translate into", this.#target), original),
        features.speakers && field("Who speaks", this.#speakers)),
      drop,
      this.#list);
    this.#input.onchange = () => {
      this.#add(this.#input.files);
      this.#input.value = "";
    };
    this.#takeDrops(section, drop);
    this.#restore();
  }

  get #isModelAsked() {
    return Boolean(this.#target.value) && !(this.#target.value === "en" && this.features.translation);
  }

  // Anywhere: a file that misses its place would take the page's.
  #takeDrops(section, drop) {
    for (const kind of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(kind, (event) => {
        if (section.hidden || !event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop") this.#add(event.dataTransfer.files);
      });
    }
  }

  #asked() {
    const [format, target] = [this.#format.value, this.#target.value];
    const fields = { model: "whisper-1", response_format: format };
    if (this.features.jobs) fields.background = "true";
    if (this.#isModelAsked) fields.target_language = target;
    if (this.#isModelAsked && this.#original.checked) fields.original = "true";
    if (this.#language.value && (!target || this.#isModelAsked)) fields.language = this.#language.value;
    if (this.#speakers.value) fields.diarize = "true";
    if (Number(this.#speakers.value)) fields.num_speakers = this.#speakers.value;
    return { path: target ? "/audio/translations" : "/audio/transcriptions", fields, format, language: target };
  }

  #add(files) {
    if (!files.length) return;
    this.context.fail(null);
    for (const file of files) this.#show({ file, name: file.name, asked: this.#asked() });
    this.#go();
  }

  #show(known) {
    const task = new Task({ ...known, fail: this.context.fail, onChange: () => this.#go() });
    this.#tasks.push(task);
    this.#list.prepend(task.element);
    return task;
  }

  // One upload at a time, and no more jobs than the server works on at once: those of others come between.
  #go() {
    this.#tasks = this.#tasks.filter(({ state }) => state !== "gone");
    const jobs = this.#tasks.filter(({ id }) => id).map(({ id, name, asked }) => ({ id, name, asked }));
    kept.set(KEPT, JSON.stringify(jobs));
    const busy = this.#tasks.filter(({ state }) => state === "sending" || state === "working");
    if (busy.length >= AT_ONCE || busy.some(({ state }) => state === "sending")) return;
    this.#tasks.find(({ state }) => state === "waiting")?.run();
  }

  // The jobs of this tab, after it was loaded anew.
  #restore() {
    for (const known of JSON.parse(kept.get(KEPT) || "[]")) this.#show(known).run();
  }
}

export const part = {
  id: "files",
  title: "Files",
  servers: ["asr", "chat"],
  build: async (section, context) => { new Files(section, context, (await tellAbout()).features); },
  show() {},
  hide() {},
};
