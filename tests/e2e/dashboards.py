#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dashboards.py lint FILE...             what grafana/dashboard-linter asks for, and a little more
   dashboards.py ask PROMETHEUS FILE...   runs every query of dashboards (.json) and rules (.yaml, read by
                                          Prometheus itself): each has data and is fast"""
import json
import re
import sys
import time
import urllib.parse
import urllib.request

UNITS = {"Bps", "pps", "bytes", "s", "percentunit", "none", "ops", "dateTimeAsIso", "short"}
# What only the module can say, or only a program that filters: absent in this test's datapath.
MODULE_ALONE = re.compile(r"nfbpf_hook_|nfbpf_run_seconds|nfbpf_filtered_")


def lint(path):
    board = json.load(open(path))
    wrong = []
    say = lambda condition, words: condition or wrong.append(words)
    names = {v["name"]: v for v in board["templating"]["list"]}
    say(board["id"] is None and board["uid"], "id has to be null and uid set, or an import clashes")
    say(board["schemaVersion"] >= 38, "schemaVersion is old")
    say(names.get("datasource", {}).get("type") == "datasource", "no variable datasource")
    for name in ("job", "instance"):
        say(name in names and names[name]["multi"], f"no variable {name} of many values")
    say(board["links"], "no link to the other dashboard")
    ids, used, boxes = set(), set(), []
    for panel in board["panels"]:
        title = panel["title"]
        say(panel["id"] not in ids, f"{title}: id twice")
        ids.add(panel["id"])
        box = panel["gridPos"]
        say(box["x"] + box["w"] <= 24, f"{title}: wider than the grid")
        for other, b in boxes:
            apart = box["x"] >= b["x"] + b["w"] or b["x"] >= box["x"] + box["w"] or box["y"] >= b["y"] + b["h"] or b["y"] >= box["y"] + box["h"]
            say(apart, f"{title}: lies over {other}")
        boxes.append((title, box))
        if panel["type"] == "row":
            continue
        say(panel.get("description", "").endswith("."), f"{title}: no description, or no sentence")
        say(panel["fieldConfig"]["defaults"]["unit"] in UNITS, f"{title}: unit {panel['fieldConfig']['defaults']['unit']}")
        say(panel["datasource"]["uid"] == "${datasource}", f"{title}: a data source of its own")
        say(panel["targets"], f"{title}: no query")
        say(len({t["refId"] for t in panel["targets"]}) == len(panel["targets"]), f"{title}: refId twice")
        for target in panel["targets"]:
            expression = target["expr"]
            used.update(re.findall(r"\$(\w+)", expression))
            say(target["datasource"]["uid"] == "${datasource}", f"{title}: a query's data source of its own")
            for name in ("job", "instance"):
                say(f'{name}=~"${name}"' in expression, f"{title}: does not heed ${name}")
            for inside in re.findall(r"rate\(.*?\[([^\]]+)\]", expression):
                say(inside in ("$__rate_interval", "5m"), f"{title}: rate over {inside}")
            # Many nodes with many pairs each: a panel must not draw them all.
            bounded = re.search(r"topk\(|\bsum\(|count\(|max\(|sum by \((reason|direction|protocol)\)", expression)
            say(bounded, f"{title}: draws as many series as there are")
    for name in names:
        say(name in used or name == "datasource", f"variable {name} is used nowhere")
    for words in wrong:
        print(f"{path}: {words}")
    print(f"{path}: {len(ids)} panels, {len(wrong)} complaints")
    return not wrong


def get(base, path, **query):
    url = f"{base}{path}?{urllib.parse.urlencode(query)}"
    began = time.monotonic()
    with urllib.request.urlopen(url, timeout=30) as answer:
        data = json.load(answer)["data"]
    return data, time.monotonic() - began


def expressions(base, path):
    for panel in json.load(open(path))["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "8s")
            yield panel["title"], re.sub(r"\$\w+", ".*", text)


def ask(base, paths):
    good, slowest, absent = True, 0.0, []
    for path in paths:
        for title, text in expressions(base, path):
            data, took = get(base, "/api/v1/query", query=text)
            slowest = max(slowest, took)
            if not data["result"]:
                if MODULE_ALONE.search(text):
                    absent.append(title)
                else:
                    good = False
                    print(f"{path}: {title}: no data: {text}")
    rules = [r for g in get(base, "/api/v1/rules")[0]["groups"] for r in g["rules"]]
    for rule in rules:
        good = good and rule["health"] == "ok"
        if rule["health"] != "ok":
            print(f"rule {rule['name']}: {rule['health']} {rule.get('lastError')}")
        slowest = max(slowest, rule["evaluationTime"])
        if rule["type"] == "recording" and not MODULE_ALONE.search(rule["query"]) and "kube_pod_info" not in rule["query"]:
            if not get(base, "/api/v1/query", query=rule["name"])[0]["result"]:
                good = False
                print(f"rule {rule['name']}: records nothing")
    print(f"{len(rules)} rules; slowest query {slowest:.3f} s; without the module there is no: {', '.join(absent) or 'nothing'}")
    if slowest > 1:
        good = False
    return good


if sys.argv[1] == "lint":
    ok = all([lint(path) for path in sys.argv[2:]])
else:
    ok = ask(sys.argv[2], sys.argv[3:])
sys.exit(0 if ok else 1)
