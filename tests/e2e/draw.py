#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""draw.py PROMETHEUS FOLDER SECONDS FILE...

Draws dashboards (Grafana JSON) of the last SECONDS from a Prometheus into FOLDER/NAME.png: the panels where Grafana
puts them, with what their queries give. Not Grafana: what is seen is whether queries, legends and units say what
they should. Needs python3-matplotlib."""
import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

COLUMN, ROW = 0.62, 0.36  # inches


def ask(base, path, **query):
    with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(query)}") as answer:
        return json.load(answer)["data"]["result"]


def text_of(target, address):
    text = target["expr"].replace("$__rate_interval", "8s").replace("$address", address)
    return re.sub(r"\$\w+", ".*", text)


def human(value, unit):
    if value != value:
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s" and 0 < abs(value) < 1:
        for name, factor in (("ms", 1e3), ("µs", 1e6), ("ns", 1e9)):
            if abs(value) * factor >= 1 or name == "ns":
                return f"{value * factor:.3g} {name}"
    ends = {"Bps": "B/s", "bytes": "B", "pps": "p/s", "s": "s", "ops": "/s"}.get(unit, "")
    step = 1024 if unit == "bytes" else 1000
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < step or prefix == "T":
            return f"{value:.3g} {prefix}{ends}".strip()
        value /= step


def legend(template, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""), template)


def draw_stat(axes, panel, results, unit):
    axes.axis("off")
    value = float(results[0][1][0]["value"][1]) if results[0][1] else float("nan")
    axes.text(0.5, 0.45, human(value, unit), ha="center", va="center", fontsize=16, transform=axes.transAxes)


def draw_lines(axes, panel, results, unit, began, ends):
    lines = []
    for target, series in results:
        for one in series:
            lines.append((legend(target["legendFormat"], one["metric"]),
                          [float(t) - ends for t, _ in one["values"]], [float(v) for _, v in one["values"]]))
    lines.sort(key=lambda line: -max(line[2]))
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal" and lines:
        at = sorted({t for line in lines for t in line[1]})
        axes.stackplot(at, [[dict(zip(x, y)).get(t, 0) for t in at] for _, x, y in lines], labels=[l[0] for l in lines], alpha=0.6)
    else:
        for name, x, y in lines:
            axes.plot(x, y, label=name, linewidth=1)
    axes.set_xlim(began - ends, 0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: human(v, unit)))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.2)
    if lines:
        axes.legend(fontsize=5, loc="upper left")
    else:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes)


def draw_table(axes, panel, results, unit):
    axes.axis("off")
    rows = sorted(results[0][1], key=lambda r: -float(r["value"][1]))
    change = panel["transformations"][0]
    if change["id"] == "groupingToMatrix":
        row, column = change["options"]["rowField"], change["options"]["columnField"]
        across = sorted({r["metric"].get(column, "") for r in rows})
        down = sorted({r["metric"].get(row, "") for r in rows})
        value = {(r["metric"].get(row, ""), r["metric"].get(column, "")): float(r["value"][1]) for r in rows}
        top = max(value.values(), default=1) or 1
        cells = [[d] + [human(value.get((d, a), 0), unit) for a in across] for d in down]
        colours = [["white"] + [plt.cm.BuPu(0.6 * value.get((d, a), 0) / top) for a in across] for d in down]
        heads = ["from \\ to"] + across
    else:
        options = change["options"]
        names = [n for n in options["indexByName"] if not options["excludeByName"].get(n)]
        heads = [options["renameByName"][n] for n in names]
        cells = [[human(float(r["value"][1]), unit) if n == "Value" else r["metric"].get(n, "")[:60] for n in names] for r in rows]
        colours = None
    if not cells:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes)
        return
    room = int((panel["gridPos"]["h"] - 1) * ROW / 0.17)
    cells, colours = cells[:room - 1], colours and colours[:room - 1]
    table = axes.table(cellText=cells, colLabels=heads, cellColours=colours, loc="upper center", cellLoc="left", edges="closed" if colours else "horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(6)
    table.auto_set_column_width(range(len(heads)))


def placed(board):
    """Panels with the row at which they begin: a collapsed row is drawn opened, below the rest."""
    y, shift = 0, 0
    for panel in board["panels"]:
        yield panel, panel["gridPos"]["y"] + shift
        if panel.get("panels"):
            first = panel["panels"][0]["gridPos"]["y"]
            depth = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panel["panels"]) - first
            for inner in panel["panels"]:
                yield inner, panel["gridPos"]["y"] + shift + 1 + inner["gridPos"]["y"] - first
            shift += depth


def draw(base, path, folder, seconds):
    board = json.load(open(path))
    panels = list(placed(board))
    height = max(y + p["gridPos"]["h"] for p, y in panels)
    figure = plt.figure(figsize=(24 * COLUMN, height * ROW + 0.5))
    total = height * ROW + 0.5
    ends = time.time()
    busiest = ask(base, "/api/v1/query", query="topk(1, sum by (source) (instance_pair:nfbpf_bytes:topk20_rate5m))")
    address = busiest[0]["metric"]["source"] if busiest else ".*"
    figure.text(0.01, 1 - 0.3 / total, board["title"], fontsize=14, weight="bold")
    for panel, y in panels:
        box = panel["gridPos"]
        if panel["type"] == "row":
            figure.text(0.01, 1 - ((y + 0.7) * ROW + 0.5) / total, panel["title"].replace("$address", address), fontsize=10, weight="bold")
            continue
        left, top = box["x"] / 24, 1 - (y * ROW + 0.5) / total
        axes = figure.add_axes((left + 0.03, top - (box["h"] - 0.7) * ROW / total, box["w"] / 24 - 0.035, (box["h"] - 1.7) * ROW / total))
        axes.set_title(panel["title"], fontsize=8, loc="left")
        unit = panel["fieldConfig"]["defaults"]["unit"]
        results = []
        for target in panel["targets"]:
            query = text_of(target, address)
            if target["range"]:
                results.append((target, ask(base, "/api/v1/query_range", query=query, start=ends - seconds, end=ends, step=max(1, seconds // 200))))
            else:
                results.append((target, ask(base, "/api/v1/query", query=query)))
        if panel["type"] == "stat":
            draw_stat(axes, panel, results, unit)
        elif panel["type"] == "table":
            draw_table(axes, panel, results, unit)
        else:
            draw_lines(axes, panel, results, unit, ends - seconds, ends)
    target = pathlib.Path(folder) / (pathlib.Path(path).stem + ".png")
    figure.savefig(target, dpi=80)
    print(f"drawn: {target}")


for name in sys.argv[4:]:
    draw(sys.argv[1], name, sys.argv[2], int(sys.argv[3]))
