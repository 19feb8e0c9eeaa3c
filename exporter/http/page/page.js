// SPDX-License-Identifier: Apache-2.0
// The page of nfbpf_exporter: asks for the counters every other second and shows what they grew by.
"use strict";
(() => {
  const PERIOD = 2000;          // ms between questions
  const HISTORY = 60;           // rates that the chart keeps: two minutes
  const PAGE = 100;             // rows of the table before somebody asks for more
  const $ = (id) => document.getElementById(id);

  const state = {
    family: null, by: null, filter: [], shown: PAGE, paused: false,
    before: null,               // counters of the answer before, by table and row
    time: 0, rates: [], history: [],
  };

  // ---- numbers for people ----
  const number = (value) => typeof value === "string" ? Number(value) : value;
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
  const mainCounter = (names) => names.indexOf(names.find((n) => n === "bytes") ?? names.find((n) => n === "packets") ?? names[0]);

  // Rates of each row of the family: {labels: {...}, rate, packets, total}.
  function measure(answer, seconds) {
    const now = new Map();
    const rows = [];
    for (const table of answer.tables) {
      if (table.family !== state.family) continue;
      const names = table.counters.map((c) => c.name);
      const main = table.labels.length + mainCounter(names);
      const packets = names.includes("packets") ? table.labels.length + names.indexOf("packets") : -1;
      for (const row of table.rows) {
        const labels = row.slice(0, table.labels.length);
        const key = table.labels.join("\u0000") + "\u0001" + labels.join("\u0000");
        const total = number(row[main]);
        const count = packets < 0 ? 0 : number(row[packets]);
        const old = state.before?.get(key);
        now.set(key, [total, count]);
        // A row that is new since the last answer began then. One that fell began again.
        const grown = (value, i) => state.before === null || seconds <= 0 ? 0 : Math.max(0, value - (old?.[i] ?? 0)) / seconds;
        rows.push({ names: table.labels, labels, rate: grown(total, 0), packets: grown(count, 1), total });
      }
    }
    state.before = now;
    return rows;
  }

  function addUp(rows, by) {
    const sums = new Map();
    for (const row of rows) {
      const parts = by.map((name) => { const i = row.names.indexOf(name); return i < 0 ? "" : row.labels[i]; });
      const key = parts.join("\u0000");
      const sum = sums.get(key);
      if (sum) { sum.rate += row.rate; sum.packets += row.packets; sum.total += row.total; }
      else sums.set(key, { parts, rate: row.rate, packets: row.packets, total: row.total });
    }
    return [...sums.values()];
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
    const text = JSON.stringify(answer.health);
    if (text === healthShown) return;     // or a screen reader reads it again and again
    healthShown = text;
    $("health").replaceChildren(...answer.health.map((line) => {
      const item = element("li", line.level);
      if (line.level !== "ok") item.append(element("strong", "", line.level === "error" ? "Error: " : "Warning: "));
      item.append(line.text);
      return item;
    }));
    $("datapath").textContent = answer.datapath ? `${answer.datapath.name}: ${answer.datapath.reason}` : "none";
    $("program").textContent = answer.program
      ? `${answer.program.name}, id ${answer.program.id}, tag ${answer.program.tag}` : "none";
  }

  let choicesShown = "";
  function showChoices(answer) {
    const all = families(answer);
    if (!all.has(state.family)) {
      state.family = favourite(all);
      state.before = null;
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

  const matches = (parts) => state.filter.every((word) => parts.some((part) => part.includes(word)));

  function showRows() {
    const counter = state.counter ?? "bytes";
    const [asRate, asTotal] = units(counter);
    const rows = addUp(state.filter.length === 0 ? state.rates : state.rates.filter((row) => matches(row.labels)), state.by ?? []);
    rows.sort((a, b) => b.rate - a.rate || b.total - a.total);
    const shown = rows.slice(0, state.shown);
    const most = shown.length > 0 ? Math.max(shown[0].rate, 1e-9) : 1;
    const heads = [...(state.by ?? []).map((name) => ["", name.replace("_", " ")]),
      ["number", counter === "bytes" ? "rate" : `${counter} rate`], ["share", ""], ["number", "packets"], ["number", "total"]];
    $("head").replaceChildren(...heads.map(([cls, text]) => { const th = element("th", cls, text); th.scope = "col"; return th; }));
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
    const status = `${rows.length} ${rows.length === 1 ? "row" : "rows"}${state.filter.length > 0 ? " match" : ""}${rows.length > state.shown ? `, the busiest ${state.shown} shown` : ""}${state.paused ? ", paused" : ""}`;
    if ($("status").textContent !== status) $("status").textContent = status;
  }

  function showTotal() {
    const [asRate] = units(state.counter ?? "bytes");
    const total = state.rates.reduce((sum, row) => sum + row.rate, 0);
    const packets = state.rates.reduce((sum, row) => sum + row.packets, 0);
    state.history.push(total);
    if (state.history.length > HISTORY) state.history.shift();
    $("total").textContent = asRate(total);
    $("total-packets").textContent = packets > 0 ? `${countText(packets)} packets/s` : "";
    const most = Math.max(...state.history, 1);
    $("peak").textContent = `peak ${asRate(most)}`;
    const x = (i) => (600 - (state.history.length - 1 - i) * 600 / (HISTORY - 1)).toFixed(1);
    const points = state.history.map((v, i) => `${x(i)},${(116 - v / most * 108).toFixed(1)}`);
    $("line").setAttribute("d", `M${points.join("L")}`);
    $("area").setAttribute("d", `M${x(0)},120L${points.join("L")}L600,120Z`);
  }

  function show(answer) {
    const began = performance.now();
    showHealth(answer);
    showChoices(answer);
    const table = families(answer).get(state.family);
    if (table) { const names = table.counters.map((c) => c.name); state.counter = names[mainCounter(names)]; }
    const first = state.before === null;
    state.rates = measure(answer, answer.time - state.time);
    state.time = answer.time;
    if (!first) showTotal();
    showRows();
    // For tests: how long it took, and how often.
    document.body.dataset.updateMs = (performance.now() - began).toFixed(1);
    document.body.dataset.updates = String(Number(document.body.dataset.updates ?? 0) + 1);
  }

  // ---- asking ----
  async function ask() {
    try {
      const response = await fetch("api/v1/traffic", { cache: "no-store" });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      show(await response.json());
    } catch (error) {
      showHealth({ health: [{ level: "error", text: `The exporter does not answer: ${error.message}` }] });
    }
  }
  async function keepAsking() {
    for (let first = true; ; first = false) {
      if (!state.paused && !document.hidden) await ask();
      await new Promise((done) => setTimeout(done, first ? 1000 : PERIOD));
    }
  }

  $("filter").addEventListener("input", () => {
    state.filter = $("filter").value.trim().split(/\s+/).filter((word) => word !== "");
    state.shown = PAGE;
    showRows();
  });
  $("family").addEventListener("change", () => {
    state.family = $("family").value;
    state.by = null; state.before = null; state.history = []; state.shown = PAGE;
    choicesShown = "";
    ask();
  });
  $("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    $("pause").setAttribute("aria-pressed", String(state.paused));
    showRows();
  });
  $("more").addEventListener("click", () => { state.shown += 10 * PAGE; showRows(); });
  keepAsking();
})();
