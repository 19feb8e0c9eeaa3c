// SPDX-License-Identifier: Apache-2.0
// The page of nfbpf_exporter: asks for the counters every other second and shows what they grew by.
import { Chart } from "./chart.js";
import { Rates, addUp, mainCounter } from "./rates.js";

(() => {
  const PERIOD = 2000;          // ms between questions
  const PAGE = 100;             // rows of the table before somebody asks for more
  const $ = (id) => document.getElementById(id);

  const state = {
    family: null, by: null, filter: [], shown: PAGE, paused: false,
    time: 0, rows: [],
    column: "rate", reverse: false,   // what the table is sorted by, and whether the other way round
  };
  const rates = new Rates();
  const chart = new Chart({ svg: $("chart"), title: $("chart-title"), choices: $("chart-by"), table: $("legend") });

  // ---- numbers for people ----
  function scaled(value, units, step) {
    let unit = 0;
    while (Math.abs(value) >= step && unit < units.length - 1) { value /= step; unit++; }
    return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
  }
  const rateText = (value) => scaled(value, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"], 1000);
  const bytesText = (value) => scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
  const countText = (value) => scaled(value, ["", "k", "M", "G", "T"], 1000).trim();
  const perSecond = (value) => `${value > 0 && value < 10 ? value.toFixed(1) : countText(value)}/s`;
  const units = (counter) => /bytes/.test(counter) ? [rateText, bytesText]
    : [(v) => `${countText(v)}/s`, countText];

  // ---- what the answer says ----
  // Families that can be added up: those whose rows have a counter. Bytes are what people look for.
  function families(answer) {
    const found = new Map();
    for (const table of answer.tables) {
      const counters = table.counters.filter((c) => c.type === "counter").map((c) => c.name);
      if (counters.length > 0 && !found.has(table.family)) found.set(table.family, table);
    }
    return found;
  }
  // Who talks to whom, else what has bytes, else whatever there is.
  function favourite(all) {
    const tables = [...all.values()];
    const best = tables.find((t) => t.labels.includes("source") && t.labels.includes("destination"))
      ?? tables.find((t) => t.counters.some((c) => c.name === "bytes")) ?? tables[0];
    return best?.family ?? null;
  }

  // ---- what is on the page ----
  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  let healthShown = "";
  function showHealth(answer) {
    const none = answer.up ? "none" : "not known now";
    $("datapath").textContent = answer.datapath ? `${answer.datapath.name}: ${answer.datapath.reason}` : none;
    $("program").textContent = answer.program
      ? `${answer.program.name}, id ${answer.program.id}, tag ${answer.program.tag}` : none;
    const text = JSON.stringify(answer.health);
    if (text === healthShown) return;     // or a screen reader reads it again and again
    healthShown = text;
    $("health").replaceChildren(...answer.health.map((line) => {
      const item = element("li", line.level);
      if (line.level !== "ok") item.append(element("strong", "", line.level === "error" ? "Error: " : "Warning: "));
      item.append(line.text);
      return item;
    }));
  }

  let choicesShown = "";
  function showChoices(answer) {
    const all = families(answer);
    if (!all.has(state.family)) {
      state.family = favourite(all);
      rates.forget();
      chart.forget();
      state.by = null;
    }
    const labels = [...new Set(answer.tables.filter((t) => t.family === state.family).flatMap((t) => t.labels))];
    const text = JSON.stringify([[...all.keys()], labels, state.family]);
    if (text === choicesShown) return;
    choicesShown = text;
    $("family").replaceChildren(...[...all.keys()].map((name) => {
      const option = element("option", "", name);
      option.selected = name === state.family;
      return option;
    }));
    const pair = labels.includes("source") && labels.includes("destination") ? [["pair", ["source", "destination"]]] : [];
    const groups = labels.includes("source_group") && labels.includes("destination_group")
      ? [["group", ["source_group", "destination_group"]]] : [];
    const choices = [...pair, ...groups, ["row", labels], ...labels.map((name) => [name, [name]])];
    const few = pair.length > 0 ? ["protocol", "direction"].filter((name) => labels.includes(name)) : labels;
    const stacks = [...pair, ...groups.map(([, by]) => ["group pair", by]), ...few.map((name) => [name.replace("_", " "), [name]])];
    chart.offer(state.family === null ? [] : stacks.length > 0 ? stacks.slice(0, 8) : [["total", []]]);
    if (state.by === null && choices.length > 0) state.by = choices[0][1];
    $("by").replaceChildren(...choices.filter(([, by]) => by.length > 0).map(([name, by]) => {
      const button = element("button", "", name.replace("_", " "));
      button.type = "button";
      button.setAttribute("aria-pressed", String(by.join() === state.by.join()));
      button.addEventListener("click", () => {
        state.by = by;
        state.shown = PAGE;
        for (const other of $("by").children) other.setAttribute("aria-pressed", String(other === button));
        showRows();
      });
      return button;
    }));
  }

  const matches = (row) => state.filter.every((word) => row.labels.some((part) => part.toLowerCase().includes(word)));

  // Numbers inside of a text by their value: 10.0.0.2 before 10.0.0.10.
  const orders = new Map();
  function orderOf(text) {
    let order = orders.get(text);
    if (order === undefined) {
      if (orders.size > 100000) orders.clear();
      order = text.replace(/\d+/g, (digits) => digits.padStart(5, "0"));
      orders.set(text, order);
    }
    return order;
  }
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;

  // Numbers begin with the highest, texts with the first.
  function sortRows(rows) {
    const byRate = (a, b) => b.rate - a.rate || b.total - a.total;
    const column = state.column, label = (state.by ?? []).indexOf(column.replace(/^label /, ""));
    const turn = state.reverse ? -1 : 1;
    if (column.startsWith("label ") && label >= 0)
      return rows.sort((a, b) => turn * compare(orderOf(a.parts[label]), orderOf(b.parts[label])) || byRate(a, b));
    if (column === "packets" || column === "total")
      return rows.sort((a, b) => turn * (b[column] - a[column]) || byRate(a, b));
    return rows.sort((a, b) => turn * byRate(a, b));
  }

  let headsShown = "";
  function showHeads(heads) {
    const text = JSON.stringify(heads);
    if (text !== headsShown) {          // or who is on a button by the keyboard loses it
      headsShown = text;
      $("head").replaceChildren(...heads.map(([cls, name, column]) => {
        const th = element("th", cls);
        th.scope = "col";
        if (column === "") {
          th.append(element("span", "hidden", name));
        } else {
          const button = element("button", "sort", name);
          button.type = "button";
          button.addEventListener("click", () => {
            state.reverse = state.column === column && !state.reverse;
            state.column = column;
            showRows();
            $("said").textContent = $("order").textContent;
          });
          th.append(button);
        }
        th.dataset.column = column;
        return th;
      }));
    }
    let order = "";
    for (const th of $("head").children) {
      const column = th.dataset.column;
      if (column === "") continue;
      const up = column.startsWith("label ") !== state.reverse;
      if (column === state.column) {
        th.setAttribute("aria-sort", up ? "ascending" : "descending");
        order = `Rows by their ${th.textContent}, ${up ? "lowest" : "highest"} first`;
      } else {
        th.removeAttribute("aria-sort");
      }
    }
    if ($("order").textContent !== order) $("order").textContent = order;
  }

  function showRows() {
    const counter = state.counter ?? "bytes";
    const [asRate, asTotal] = units(counter);
    const heads = [...(state.by ?? []).map((name) => ["", name.replace("_", " "), `label ${name}`]),
      ["number", counter === "bytes" ? "rate" : `${counter} rate`, "rate"], ["share", "share of the highest rate", ""],
      ["number", "packets", "packets"], ["number", "total", "total"]];
    if (!heads.some(([, , column]) => column === state.column)) { state.column = "rate"; state.reverse = false; }
    showHeads(heads);
    const rows = sortRows(addUp(state.filter.length === 0 ? state.rows : state.rows.filter(matches), state.by ?? []));
    const shown = rows.slice(0, state.shown);
    const most = rows.reduce((max, row) => Math.max(max, row.rate), 1e-9);
    const body = document.createDocumentFragment();
    for (const row of shown) {
      const tr = element("tr");
      for (const part of row.parts) tr.append(element("td", "name", part));
      const share = element("td", "share");
      if (row.rate > 0) {
        const bar = element("span");
        bar.style.width = `${(row.rate / most * 100).toFixed(1)}%`;
        share.append(bar);
      }
      const still = row.rate > 0 ? "" : " quiet";
      tr.append(element("td", "number" + still, asRate(row.rate)), share,
        element("td", "number" + still, perSecond(row.packets)), element("td", "number", asTotal(row.total)));
      body.append(tr);
    }
    if (shown.length === 0) {
      const tr = element("tr", "none");
      const td = element("td", "", state.filter.length > 0 ? "Nothing matches the filter." : "No rows yet.");
      td.colSpan = heads.length;
      tr.append(td);
      body.append(tr);
    }
    $("rows").replaceChildren(body);
    $("more").hidden = rows.length <= state.shown;
    const status = `${rows.length} ${rows.length === 1 ? "row" : "rows"}${state.filter.length === 0 ? "" : rows.length === 1 ? " matches" : " match"}${rows.length > state.shown ? `, the first ${state.shown} shown` : ""}${state.paused ? ", paused" : ""}`;
    if ($("status").textContent !== status) $("status").textContent = status;
  }

  function showTotal() {
    const [asRate] = units(state.counter ?? "bytes");
    $("total").textContent = asRate(state.rows.reduce((sum, row) => sum + row.rate, 0));
    const packets = state.rows.reduce((sum, row) => sum + row.packets, 0);
    $("total-packets").textContent = packets > 0 ? `${countText(packets)} packets/s` : "";
  }

  // What is shown is older than it looks, and since when.
  function showStale(since) {
    document.body.classList.toggle("stale", since !== null);
    const text = since === null ? "" : `Numbers are those of ${new Date(since * 1000).toLocaleTimeString()}.`;
    if ($("stale").textContent !== text) $("stale").textContent = text;
  }

  function show(answer) {
    showHealth(answer);
    // Where a collector failed its tables are not there: what was seen last stays, and says so.
    if (!answer.up && state.family !== null && !families(answer).has(state.family)) {
      showStale(state.time);
    } else {
      showStale(null);
      showChoices(answer);
      const table = families(answer).get(state.family);
      if (table) state.counter = mainCounter(table);
      const { rows, measured } = rates.next(answer, state.family);
      state.rows = rows;
      if (measured) {
        showTotal();
        chart.add(answer.time, answer.time - state.time, rows, units(state.counter ?? "bytes")[0]);
      }
      state.time = answer.time;
      showRows();
    }
  }

  // ---- asking ----
  let lastAnswer = {};
  async function ask() {
    try {
      const response = await fetch("api/v1/traffic", { cache: "no-store" });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const text = await response.text();
      const began = performance.now();
      lastAnswer = JSON.parse(text);
      show(lastAnswer);
      // For tests: how long it took, and how often.
      document.body.dataset.updateMs = (performance.now() - began).toFixed(1);
      document.body.dataset.updates = String(Number(document.body.dataset.updates ?? 0) + 1);
    } catch (error) {
      showHealth({ ...lastAnswer, health: [{ level: "error", text: `The exporter does not answer: ${error.message}` }] });
      if (state.family !== null) showStale(state.time);
    }
  }
  async function keepAsking() {
    for (let first = true; ; first = false) {
      if (!state.paused && !document.hidden) await ask();
      await new Promise((done) => setTimeout(done, first ? 1000 : PERIOD));
    }
  }

  // How many rows there are is told when somebody asked for them, not every other second.
  let toSay = 0;
  function saySoon() {
    clearTimeout(toSay);
    toSay = setTimeout(() => { $("said").textContent = $("status").textContent; }, 700);
  }

  $("filter").addEventListener("input", () => {
    state.filter = $("filter").value.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
    state.shown = PAGE;
    showRows();
    saySoon();
  });
  $("family").addEventListener("change", () => {
    state.family = $("family").value;
    state.by = null; state.shown = PAGE;
    rates.forget();
    chart.forget();
    choicesShown = "";
    ask();
  });
  $("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    $("pause").setAttribute("aria-pressed", String(state.paused));
    showRows();
    saySoon();
  });
  $("more").addEventListener("click", () => { state.shown += 10 * PAGE; showRows(); saySoon(); });
  keepAsking();
})();
