// A small chart of the last values of one thing: a line, what it is now, and the same in words.

import { h } from "./dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 32;
/** Values that are kept. */
const COUNT = 60;

function draw(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** One chart; `write` puts a value into words, and gets null where there is none. */
export class Chart {
  #values = [];
  #write;
  #line = draw("polyline", { points: "" });
  #area = draw("polygon", { points: "" });
  #now = h("dd", {});
  #svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });

  constructor(title, write) {
    this.#write = write;
    this.title = title;
    this.#svg.setAttribute("aria-label", `${title}: no values yet`);
    this.#svg.append(this.#area, this.#line);
    this.element = h("div", { class: "chart" }, h("dt", {}, title), this.#now, h("dd", {}, this.#svg));
  }

  /** The next value, or null where it is not known. */
  add(value) {
    this.#values.push(value);
    if (this.#values.length > COUNT) this.#values.shift();
    const most = Math.max(...this.#values.map((one) => one ?? 0));
    const points = this.#values.map((one, index) => {
      const x = WIDTH - (this.#values.length - 1 - index) * (WIDTH / (COUNT - 1));
      const y = HEIGHT - 1.5 - (most ? ((one ?? 0) / most) * (HEIGHT - 3) : 0);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    this.#line.setAttribute("points", points.join(" "));
    const left = WIDTH - (this.#values.length - 1) * (WIDTH / (COUNT - 1));
    this.#area.setAttribute("points", [`${left.toFixed(1)},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" "));
    this.#now.textContent = this.#write(value);
    this.#svg.setAttribute("aria-label", `${this.title}: ${this.#write(value)} now, ${this.#write(most)} at most since this is shown`);
  }
}
