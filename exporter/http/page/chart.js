// SPDX-License-Identifier: Apache-2.0
// Rates over the last two minutes, stacked, and the same as a table.
import { addUp, busiest } from "./rates.js";

const WINDOW = 120;    // seconds
const APART = 8;       // that have a colour of their own; the rest is everything else
const KEPT = 64;       // of each look, for those that come to be among the first later
const GAP = 6;         // seconds without an answer that are a gap, not a slope
const HEIGHT = 224, TOP = 8, BOTTOM = 22, LEFT = 68;
const SVG = "http://www.w3.org/2000/svg";

const svg = (name, attributes, text) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const html = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// The next number that is short to say, and so is its half.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].map((m) => m * power).find((v) => v >= value);
}

// A pair reads from whom to whom.
const called = (parts) => parts.length === 0 ? "total" : parts.map((part) => part === "" ? "–" : part).join(" → ");

export class Chart {
  #looks = [];            // {time, seconds, total, sums: by choice a Map of key -> {parts, rate}}
  #choices = [];          // [name, labels]
  #chosen = "";
  #colours = new Map();   // key -> number of its colour, kept while it is shown
  #rate = String;
  #at = null;             // the look under the pointer; null: the last
  #elements;

  // elements: svg, title, choices (a fieldset), table.
  constructor(elements) {
    this.#elements = elements;
    elements.svg.addEventListener("pointermove", (event) => this.#point(event.clientX - elements.svg.getBoundingClientRect().left));
    elements.svg.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.draw()).observe(elements.svg);
  }

  forget() {
    this.#looks = [];
    this.#colours.clear();
  }

  // What may be chosen, [name, labels] each.
  offer(choices) {
    this.#choices = choices;
    this.#elements.choices.hidden = choices.length === 0;
    if (!choices.some(([name]) => name === this.#chosen)) this.#choose(choices[0]?.[0] ?? "");
    this.#elements.choices.replaceChildren(html("legend", "hidden", "Chart by"), ...choices.map(([name]) => {
      const label = html("label", ""), radio = html("input", ""), text = html("span", "", name);
      radio.type = "radio";
      radio.name = "chart-by";
      radio.value = name;
      radio.checked = name === this.#chosen;
      radio.addEventListener("change", () => { this.#choose(name); this.draw(); });
      label.append(radio, text);
      return label;
    }));
  }

  #choose(name) {
    this.#chosen = name;
    this.#colours.clear();
  }

  // Rates between two answers, of which `time` is when the second was, `seconds` how long it took.
  add(time, seconds, rows, rate) {
    this.#rate = rate;
    const busy = rows.filter((row) => row.rate > 0);
    const sums = new Map(this.#choices.map(([name, by]) => {
      const all = addUp(busy, by, false).filter((sum) => sum.parts);
      return [name, new Map(busiest(all, KEPT).map((sum) => [sum.key, { parts: sum.parts, rate: sum.rate }]))];
    }));
    // The clock was set back: what was before is not comparable.
    if (this.#looks.length > 0 && time <= this.#looks.at(-1).time) this.#looks = [];
    this.#looks.push({ time, seconds, total: busy.reduce((sum, row) => sum + row.rate, 0), sums });
    while (this.#looks[0].time < time - WINDOW - GAP) this.#looks.shift();
    this.draw();
  }

  // The busiest of the window, then the rest: {name, colour, rates: one for each look}.
  #series() {
    const of = (look) => look.sums.get(this.#chosen) ?? new Map();
    const sums = new Map();
    for (const look of this.#looks)
      for (const [key, { parts, rate }] of of(look)) {
        const sum = sums.get(key);
        if (sum) sum.weight += rate * look.seconds;
        else sums.set(key, { key, parts, weight: rate * look.seconds });
      }
    const first = [...sums.values()].sort((a, b) => b.weight - a.weight).slice(0, APART);
    for (const key of this.#colours.keys())
      if (!first.some((one) => one.key === key)) this.#colours.delete(key);
    const taken = new Set(this.#colours.values());
    for (const { key } of first) {
      if (this.#colours.has(key)) continue;
      const free = [...Array(APART).keys()].find((n) => !taken.has(n));
      taken.add(free);
      this.#colours.set(key, free);
    }
    const series = first.map(({ key, parts }) => ({ name: called(parts), colour: `c${this.#colours.get(key)}`,
      rates: this.#looks.map((look) => of(look).get(key)?.rate ?? 0) }));
    const rest = this.#looks.map((look, i) =>
      Math.max(0, look.total - series.reduce((sum, one) => sum + one.rates[i], 0)));
    // What is left over by rounding is nobody's.
    if (rest.some((rate, i) => rate > 1e-6 * this.#looks[i].total))
      series.push({ name: "everything else", colour: "rest", rates: rest });
    return series;
  }

  draw() {
    const series = this.#series();
    this.#drawStack(series);
    this.#drawTable(series);
    const last = this.#looks.at(-1);
    const now = last ? `Now ${this.#rate(last.total)}. ${series.map((one) => `${one.name}: ${this.#rate(one.rates.at(-1))}`).join(", ")}.` : "No rates yet.";
    this.#elements.title.textContent = `Rate over the last two minutes by ${this.#chosen}, stacked. ${now}`;
  }

  #drawStack(series) {
    const width = Math.max(200, this.#elements.svg.clientWidth);
    const end = this.#looks.at(-1)?.time ?? 0;
    const x = (time) => (width - (end - time) / WINDOW * (width - LEFT)).toFixed(1);
    const most = roundUp(Math.max(1, ...this.#looks.map((look) => look.total)));
    const floor = HEIGHT - BOTTOM;
    const y = (rate) => (floor - rate / most * (floor - TOP)).toFixed(1);
    const parts = [];
    for (const share of [0, 0.5, 1])
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(most * share), y2: y(most * share) }));
    let below = this.#looks.map(() => 0);
    for (const one of series) {
      const above = below.map((rate, i) => rate + one.rates[i]);
      const upper = [], lower = [];
      this.#looks.forEach((look, i) => {
        const before = this.#looks[i - 1];
        // A rate is that of the whole time since the answer before.
        if (!before || look.seconds > GAP) {
          const start = x(look.time - look.seconds);
          if (before) { upper.push(`${start},${y(above[i - 1])}`); lower.push(`${start},${y(below[i - 1])}`); }
          upper.push(`${start},${y(above[i])}`);
          lower.push(`${start},${y(below[i])}`);
        }
        upper.push(`${x(look.time)},${y(above[i])}`);
        lower.push(`${x(look.time)},${y(below[i])}`);
      });
      if (upper.length > 0)
        parts.push(svg("path", { class: `area ${one.colour}`, d: `M${upper.join("L")}L${lower.reverse().join("L")}Z` }));
      below = above;
    }
    // What is older than the window is not in the picture.
    parts.push(svg("rect", { class: "gutter", x: 0, y: 0, width: LEFT, height: HEIGHT }));
    for (const share of this.#looks.length > 0 ? [0.5, 1] : [])
      parts.push(svg("text", { class: "mark", x: LEFT - 6, y: Number(y(most * share)) + 4, "text-anchor": "end" }, this.#rate(most * share)));
    for (const [ago, anchor, text] of [[WINDOW, "start", "2 minutes ago"], [WINDOW / 2, "middle", "1 minute ago"], [0, "end", "now"]])
      parts.push(svg("text", { class: "mark", x: x(end - ago), y: HEIGHT - 5, "text-anchor": anchor }, text));
    const at = this.#looks[this.#at];
    if (at) parts.push(svg("line", { class: "at", x1: x(at.time), x2: x(at.time), y1: TOP, y2: floor }));
    this.#elements.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#elements.svg.replaceChildren(this.#elements.title, ...parts);
  }

  #drawTable(series) {
    if (this.#looks.length === 0) {
      this.#elements.table.replaceChildren(html("caption", "quiet", "No rates yet."));
      return;
    }
    const at = this.#at !== null && this.#at < this.#looks.length ? this.#at : this.#looks.length - 1;
    const ago = Math.round(this.#looks.at(-1).time - this.#looks[at].time);
    const head = html("tr");
    for (const [i, text] of [this.#chosen, ago > 0 ? `${ago} s ago` : "now", "mean", "peak"].entries()) {
      const cell = html("th", i > 0 ? "number" : "", text);
      cell.scope = "col";
      head.append(cell);
    }
    const seconds = this.#looks.reduce((sum, look) => sum + look.seconds, 0);
    const line = (name, colour, rates) => {
      const tr = html("tr", colour === "" ? "sum" : ""), th = html("th", "name");
      th.scope = "row";
      th.title = name;
      if (colour !== "") th.append(html("span", `swatch ${colour}`));
      th.append(name);
      const mean = rates.reduce((sum, rate, i) => sum + rate * this.#looks[i].seconds, 0) / seconds;
      tr.append(th, ...[rates[at], mean, Math.max(...rates)].map((rate) => html("td", "number", this.#rate(rate))));
      return tr;
    };
    const caption = html("caption", "hidden", `The chart in numbers: rates by ${this.#chosen} over the last two minutes`);
    const thead = html("thead"), body = html("tbody"), foot = html("tfoot");
    thead.append(head);
    body.append(...series.map((one) => line(one.name, one.colour, one.rates)));
    foot.append(line("together", "", this.#looks.map((look) => look.total)));
    this.#elements.table.replaceChildren(caption, thead, body, foot);
  }

  #point(x) {
    let at = null;
    if (x !== null && this.#looks.length > 0) {
      const width = Math.max(200, this.#elements.svg.clientWidth);
      const time = this.#looks.at(-1).time - (width - x) / (width - LEFT) * WINDOW;
      at = this.#looks.reduce((best, look, i) =>
        Math.abs(look.time - time) < Math.abs(this.#looks[best].time - time) ? i : best, 0);
    }
    if (at === this.#at) return;
    this.#at = at;
    this.draw();
  }
}
