// The form that asks for a key: loaded where one is needed.

import { ApiError, ask, errorOf, key } from "./api.js";
import { field, h } from "./dom.js";

/** Ask for a key until one is right, or nobody wants to give one; returns whether there is one. */
export function wantKey(reason) {
  const problem = h("p", { class: "problem", role: "alert" }, reason);
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const use = h("button", { class: "main" }, "Use this key");
  const dialog = h("dialog", { "aria-labelledby": "key-title" },
    h("form", { onsubmit: check },
      h("h2", { id: "key-title" }, "This server wants a key"),
      field("Key", input, "Whoever runs the server makes one with: voice-stack keys create NAME. It stays in this tab and goes when you close it."),
      problem,
      h("p", { class: "row" }, use, h("button", { type: "button", onclick: () => dialog.close() }, "Not now"))));

  async function check(event) {
    event.preventDefault();
    use.disabled = true;
    try {
      const given = input.value.trim();
      const answer = await ask("/page/key.json", given, { isRoot: true });
      if (!answer.ok) throw await errorOf(answer);
      key.value = given;
      dialog.close("given");
    } catch (error) {
      // A character that no header can carry makes fetch fail before it sends anything.
      problem.textContent = error instanceof ApiError ? error.message : "That is no key: it has characters that no key has.";
      use.disabled = false;
      input.select();
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      document.dispatchEvent(new Event("keychange"));
      resolve(dialog.returnValue === "given");
    };
  });
}
