// The voices of the server in a select.

import { callJson } from "./api.js";
import { h } from "./dom.js";
import { nameLanguage } from "./languages.js";

const OTHER_NAMES = "Other names for voices";
const YOURS = "Recorded voices";

const OPENAI_VOICES = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"];
const NO_CLONING = { available: false, unavailable_reason: "the server that speaks makes no voices of them" };

/** `{voices, cloning}`, as the server tells them; behind a Voice server may be one of others, which tells less or nothing. */
export async function listVoices() {
  const told = await callJson("/audio/voices").catch((error) => {
    if (error.status !== 404) throw error;
    return { voices: OPENAI_VOICES };
  });
  const voices = told.voices.map((voice) => {
    const { id, name = id, kind = "built-in", languages = [], available = true, engine = "", ...more } = voice.id ? voice : { id: voice };
    return { ...more, id, name, kind, languages, available, engine };
  });
  return { voices, cloning: told.cloning ?? NO_CLONING };
}

/** Fill a select with voices by language; the one that was chosen stays so, or else the first that can speak is. */
export function fillVoices(select, voices) {
  const chosen = select.value;
  const groups = new Map([[YOURS, []]]);
  for (const voice of [...voices].sort((one, other) => (one.kind === "alias") - (other.kind === "alias"))) {
    const title = { alias: OTHER_NAMES, cloned: YOURS }[voice.kind] ?? (voice.language ? nameLanguage(voice.language) : "Any language");
    groups.set(title, [...(groups.get(title) ?? []), option(voice)]);
  }
  const filled = [...groups].filter(([, options]) => options.length);
  select.replaceChildren(...filled.map(([label, options]) => h("optgroup", { label }, options)));
  select.value = voices.some((voice) => voice.id === chosen) ? chosen : voices.find((voice) => voice.available)?.id ?? "";
}

function option(voice) {
  const more = [
    voice.id.startsWith(`${voice.engine}/`) && `the text goes to ${voice.engine}`,
    voice.alias_of && `speaks as ${voice.alias_of}`,
    voice.kind !== "built-in" && voice.language && nameLanguage(voice.language),
    voice.languages.length > 1 && `${voice.languages.length} languages`,
    !voice.available && "cannot speak now",
  ].filter(Boolean);
  const name = more.length ? `${voice.name} (${more.join(", ")})` : voice.name;
  return h("option", { value: voice.id, disabled: !voice.available, title: voice.unavailable_reason ?? voice.description }, name);
}
