// What leaves the page: as a file, or by the clipboard.

/** Hand a text or a Blob to the browser as a file. */
export function save(name, content) {
  const file = content instanceof Blob ? content : new Blob([content], { type: "text/plain;charset=utf-8" });
  const address = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  // Some browsers read it a moment later.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Copy a text; returns what is to be said of it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    return "The browser does not let this page use the clipboard: save it instead.";
  }
}
