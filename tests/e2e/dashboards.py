#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dashboards.py lint FILE...             the rules of grafana/dashboard-linter, and a little more
   dashboards.py ask [--only REGEX] PROMETHEUS FILE...
                                          runs every query and variable of dashboards (.json), and looks at
                                          every rule that Prometheus itself runs: each has data and is fast.
                                          With --only: of those that match, as far as data goes"""
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

UNITS = {"Bps", "pps", "bytes", "s", "percentunit", "ops", "short"}
# What only the module can say: absent where another datapath counts.
MODULE_ALONE = re.compile(r"nfbpf_hook_|nfbpf_run_seconds|nfbpf_unaccounted")
# Of whole clusters: kube-state-metrics knows neither our job nor our node.
OF_PODS = re.compile(r"namespace_pod:|node_pod_ip:|kube_pod")
COUNTERS = re.compile(r"\b(\w+_total)\b")
RANGE = re.compile(r"(\w+)\(([a-z_]\w*)\{[^}]*\}\[([^\]]+)\]")
SELECTOR = re.compile(r"(?<![\w:$\"{])([a-z_][\w]*:[\w:]+|nfbpf_\w+|up|process_\w+|scrape_\w+)(\{[^}]*\})?")


def panels_of(board):
    """All but rows; a collapsed row holds its own."""
    for panel in board["panels"]:
        yield from panel.get("panels", [])
        if panel["type"] != "row":
            yield panel


class Lint:
    def __init__(self, path):
        self.path, self.wrong, self.used = path, [], set()
        self.board = json.load(open(path))
        self.names = {v["name"]: v for v in self.board["templating"]["list"]}

    def say(self, condition, rule, words):
        if not condition:
            self.wrong.append(f"{rule}: {words}")

    def dashboard(self):
        board = self.board
        self.say(board["id"] is None and board["uid"], "own", "id has to be null and uid set, or an import clashes")
        self.say(board["schemaVersion"] >= 38, "own", "schemaVersion is old")
        self.say(not board["editable"], "uneditable-dashboard", "is editable, and an edit is lost at the next provisioning")
        source = self.names.get("datasource", {})
        self.say(source.get("type") == "datasource" and source.get("label") == "Data source" and source.get("query") == "prometheus",
                 "template-datasource", "no variable datasource, labelled Data source, of Prometheus")
        # "Instance" is labelled "Node" on purpose: that is what an operator calls it.
        for rule, name, label in (("template-job", "job", "Job"), ("template-instance", "instance", "Node")):
            one = self.names.get(name, {})
            self.say(one.get("type") == "query" and one.get("multi") and one.get("allValue") == ".+" and one.get("label") == label
                     and one["datasource"]["uid"] == "${datasource}", rule, f"variable {name} is not a query of many values, all of them .+")
        for name, one in self.names.items():
            if one["type"] == "query":
                self.say(one["refresh"] == 2, "template-on-time-change-reload", f"variable {name} does not follow the time range")
                self.say(re.fullmatch(r"label_values\(\w[\w:]*(\{[^}]*\})?, \w+\)", one["definition"])
                         and one["query"]["query"] == one["definition"], "template-label-promql", f"variable {name}: {one['definition']}")
        self.say(board["links"], "own", "no link to the other dashboard")

    def places(self, panels, seen):
        boxes = []
        for panel in panels:
            title, box = panel["title"], panel["gridPos"]
            self.say(panel["id"] not in seen, "own", f"{title}: id twice")
            seen.add(panel["id"])
            self.say(box["x"] + box["w"] <= 24, "own", f"{title}: wider than the grid")
            for other, b in boxes:
                apart = box["x"] >= b["x"] + b["w"] or b["x"] >= box["x"] + box["w"] or box["y"] >= b["y"] + b["h"] or b["y"] >= box["y"] + box["h"]
                self.say(apart, "own", f"{title}: lies over {other}")
            boxes.append((title, box))
            self.places(panel.get("panels", []), seen)

    def panel(self, panel):
        title = panel["title"]
        self.say(title and panel.get("description", "").endswith("."), "panel-title-description", f"{title}: no description, or no sentence")
        self.say(panel["fieldConfig"]["defaults"].get("unit") in UNITS, "panel-units", f"{title}: unit")
        self.say(panel["datasource"]["uid"] == "${datasource}", "panel-datasource", f"{title}: a data source of its own")
        self.say(panel["targets"], "panel-no-targets", f"{title}: no query")
        self.say(len({t["refId"] for t in panel["targets"]}) == len(panel["targets"]), "own", f"{title}: refId twice")
        for target in panel["targets"]:
            self.say(target["datasource"]["uid"] == "${datasource}", "panel-datasource", f"{title}: a query's data source of its own")
            self.target(title, target["expr"])

    def target(self, title, expression):
        self.used.update(re.findall(r"\$(\w+)", expression))
        bare = re.sub(r"\b(by|on|group_left) \([^)]*\)", "", expression)
        for metric, labels in SELECTOR.findall(bare):
            if not OF_PODS.search(metric):
                self.say('job=~"$job"' in labels, "target-job", f"{title}: {metric} does not heed $job")
                self.say('instance=~"$instance"' in labels, "target-instance", f"{title}: {metric} does not heed $instance")
        ranges = RANGE.findall(expression)
        for function, _, inside in ranges:
            # An increase over a day is a sum of that day; it is no rate at all.
            self.say(inside == "$__rate_interval" or (function == "increase" and inside == "1d"), "target-rate-interval", f"{title}: {function} over {inside}")
        for counter in COUNTERS.findall(expression):
            self.say(any(c == counter and f in ("rate", "irate", "increase") for f, c, _ in ranges), "target-counter-agg", f"{title}: {counter} is a counter, and no rate is taken")
        # Many nodes with many pairs each: a panel must not draw them all.
        for part in re.split(r"\bor\b", expression)[:1]:
            bounded = re.match(r"\(*(topk\(\d+,|sum\(|count\(|max\(|sum by \((reason|direction)\))", part)
            self.say(bounded, "own", f"{title}: draws as many series as there are")

    def all(self):
        self.dashboard()
        self.places(self.board["panels"], set())
        count = 0
        for panel in panels_of(self.board):
            count += 1
            self.panel(panel)
        for name, one in self.names.items():
            asked = "".join(v.get("definition", "") for v in self.names.values())
            self.say(name in self.used or f"${name}" in asked or name == "datasource", "own", f"variable {name} is used nowhere")
        for words in self.wrong:
            print(f"{self.path}: {words}")
        print(f"{self.path}: {count} panels, {len(self.wrong)} complaints")
        return not self.wrong


class Asker:
    def __init__(self, base, only):
        self.base, self.only = base, re.compile(only) if only else None
        self.good, self.slowest, self.asked, self.absent = True, 0.0, 0, []

    def get(self, path, timed=True, **query):
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self.base}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            self.wrong(f"{query}: {error.read().decode()}")
            return []
        if timed:
            self.took(time.monotonic() - began, query)
        return data

    def took(self, seconds, what):
        self.slowest = max(self.slowest, seconds)
        if seconds > 1:
            self.wrong(f"takes {seconds:.3f} s: {what}")

    def wrong(self, words):
        self.good = False
        print(words)

    def wants_data(self, text):
        if self.only:
            return self.only.search(text)
        return not MODULE_ALONE.search(text)

    def has(self, data, title, text):
        self.asked += 1
        if data:
            return
        if self.wants_data(text):
            self.wrong(f"{title}: no data: {text}")
        else:
            self.absent.append(title)

    def dashboard(self, path):
        board = json.load(open(path))
        # As Grafana asks them: an instant for numbers and tables, an hour in steps for lines.
        now = time.time()
        for panel in panels_of(board):
            for target in panel["targets"]:
                text = re.sub(r"\$\w+", ".*", target["expr"].replace("$__rate_interval", "8s"))
                data = self.get("/api/v1/query", query=text)
                self.has(data and data["result"], panel["title"], text)
                if target["range"]:
                    self.get("/api/v1/query_range", query=text, start=now - 3600, end=now, step=15)
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                match, label = re.fullmatch(r"label_values\((.*), (\w+)\)", re.sub(r"\$\w+", ".*", one["definition"])).groups()
                self.has(self.get(f"/api/v1/label/{label}/values", **{"match[]": match}), f"variable {one['name']}", match)

    def rules(self):
        rules = [r for g in self.get("/api/v1/rules", timed=False)["groups"] for r in g["rules"]]
        for rule in rules:
            if rule["health"] != "ok":
                self.wrong(f"rule {rule['name']}: {rule['health']} {rule.get('lastError')}")
            self.took(rule["evaluationTime"], rule["name"])
            if rule["type"] == "recording":
                self.has(self.get("/api/v1/query", query=rule["name"])["result"], rule["name"], rule["query"])
        return len(rules)


def ask(arguments):
    only = arguments.pop(0) and arguments.pop(0) if arguments[0] == "--only" else None
    asker = Asker(arguments[0], only)
    for path in arguments[1:]:
        asker.dashboard(path)
    count = asker.rules()
    print(f"{asker.asked} queries, {count} rules; slowest {asker.slowest:.3f} s; not asked for data: {', '.join(sorted(set(asker.absent))) or 'none'}")
    return asker.good


if sys.argv[1] == "lint":
    ok = all([Lint(path).all() for path in sys.argv[2:]])
else:
    ok = ask(sys.argv[2:])
sys.exit(0 if ok else 1)
