// Languages under their English names.

import { h } from "./dom.js";

const names = new Intl.DisplayNames(["en"], { type: "language" });

/** A choice among languages by their codes, behind `first` for none of them. */
export function languageChoice(first, codes = []) {
  // Whisper's code of Javanese is an old one.
  const named = codes.map((code) => [code, names.of(code === "jw" ? "jv" : code)]);
  named.sort((one, other) => one[1].localeCompare(other[1]));
  return h("select", {}, [["", first], ...named].map(([value, name]) => h("option", { value }, name)));
}
