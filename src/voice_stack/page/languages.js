// Languages under their English names.

import { h } from "./dom.js";

const names = new Intl.DisplayNames(["en"], { type: "language" });

/** The name of a language; a code that no browser knows stays what it is. */
export function nameLanguage(code) {
  try {
    // Whisper's code of Javanese is an old one.
    return names.of(code === "jw" ? "jv" : code);
  } catch {
    return code;
  }
}

/** A choice among languages by their codes, behind `first` for none of them. */
export function languageChoice(first, codes = []) {
  const named = codes.map((code) => [code, nameLanguage(code)]);
  named.sort((one, other) => one[1].localeCompare(other[1]));
  return h("select", {}, [["", first], ...named].map(([value, name]) => h("option", { value }, name)));
}
