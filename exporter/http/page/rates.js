// SPDX-License-Identifier: Apache-2.0
// What rows grew by between two answers of /api/v1/traffic (docs/api.md).

const number = (value) => typeof value === "string" ? Number(value) : value;
// Exact though no double holds the two: such come as text.
const difference = (now, old) => typeof now === "string" || typeof old === "string"
  ? Number(BigInt(now) - BigInt(old)) : now - old;

// The counter that rows are measured by: bytes are what people look for.
export function mainCounter(table) {
  const names = table.counters.filter((c) => c.type === "counter").map((c) => c.name);
  return names.find((n) => n === "bytes") ?? names.find((n) => n === "packets") ?? names[0];
}

export class Rates {
  #maps = new Map();   // by name: when it was seen last, and its rows by their labels

  forget() { this.#maps.clear(); }

  // Rows of a family, each with names, labels, other, rate, packets, total, and whether any of them could
  // be measured. A map that this answer lacks, because it could not be read, is measured from where it
  // was as soon as it is back.
  next(answer, family) {
    const tables = new Map();
    for (const table of answer.tables)
      if (table.family === family) tables.set(table.map, [...tables.get(table.map) ?? [], table]);
    const rows = [];
    let measured = false;
    for (const [map, parts] of tables) {
      const old = this.#maps.get(map);
      const seconds = old ? answer.time - old.time : 0;
      const now = new Map();
      // Rows first, then `other`, which has what left them.
      parts.sort((a, b) => (a.other_by ? 1 : 0) - (b.other_by ? 1 : 0));
      for (const table of parts) this.#addRows(rows, now, table, old?.rows, seconds);
      this.#maps.set(map, { time: answer.time, rows: now });
      measured ||= seconds > 0;
    }
    return { rows, measured };
  }

  #addRows(rows, now, table, old, seconds) {
    const names = table.counters.map((c) => c.name);
    const main = table.labels.length + names.indexOf(mainCounter(table));
    const packets = names.includes("packets") ? table.labels.length + names.indexOf("packets") : -1;
    const moved = table.other_by && old ? whatLeft(now, old, table) : null;
    for (const cells of table.rows) {
      const labels = cells.slice(0, table.labels.length);
      const key = (table.other_by ? "other\u0001" : "") + labels.join("\u0000");
      const row = { names: table.labels, labels, other: table.other_by ?? null, rate: 0, packets: 0,
        total: number(cells[main]), main: cells[main], count: packets < 0 ? 0 : cells[packets] };
      now.set(key, row);
      rows.push(row);
      if (seconds <= 0) continue;
      // A row that is new since the last answer began then. One that fell began again.
      const before = old?.get(key);
      const left = moved?.get(cellOf(row, table.other_by));
      const grown = (value, last, gone) => Math.max(0, difference(value, last ?? 0) - (gone ?? 0)) / seconds;
      row.rate = grown(row.main, before?.main, left?.main);
      row.packets = grown(row.count, before?.count, left?.count);
    }
  }
}

const cellOf = (row, by) => by.map((name) => row.labels[row.names.indexOf(name)]).join("\u0000");

// What rows that are gone had: it has moved into `other`, and is no traffic there.
function whatLeft(now, old, table) {
  const left = new Map();
  for (const [key, row] of old) {
    if (row.other || now.has(key)) continue;
    const cell = cellOf(row, table.other_by);
    const sum = left.get(cell);
    if (sum) { sum.main += number(row.main); sum.count += number(row.count); }
    else left.set(cell, { main: number(row.main), count: number(row.count) });
  }
  return left;
}

// Rates of rows added up by some of their labels. Of `other` only what is told apart by them: the rest
// is one more, whose `parts` is null.
export function addUp(rows, by, withOther = true) {
  const sums = new Map();
  let names = null, places = [];    // of `by` among a row's labels, which many rows share
  for (const row of rows) {
    if (row.names !== names) {
      names = row.names;
      places = by.map((name) => names.indexOf(name));
    }
    const apart = withOther || !row.other || by.every((name) => row.other.includes(name));
    let key = apart ? "" : "\u0001";
    if (apart && places.length === 1) key = row.labels[places[0]] ?? "";
    else if (apart) for (const place of places) key += (row.labels[place] ?? "") + "\u0000";
    const sum = sums.get(key);
    if (sum) { sum.rate += row.rate; sum.packets += row.packets; sum.total += row.total; }
    else sums.set(key, { key, parts: apart ? places.map((place) => row.labels[place] ?? "") : null,
      rate: row.rate, packets: row.packets, total: row.total });
  }
  return [...sums.values()];
}

// The `count` with the highest rates, in no order: of ten thousand a sort takes its time.
export function busiest(sums, count) {
  if (sums.length <= count) return sums;
  const least = Float64Array.from(sums, (sum) => sum.rate).sort()[sums.length - count];
  const higher = sums.filter((sum) => sum.rate > least);
  return [...higher, ...sums.filter((sum) => sum.rate === least).slice(0, count - higher.length)];
}
