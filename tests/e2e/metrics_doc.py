#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""metrics_doc.py METRICS.MD [--elsewhere REGEX] PAGE...

Every metric of the pages is in the tables of docs/metrics.md, with the labels that it has; and every metric of the
tables is on a page, but for those that REGEX matches, which another datapath shows."""
import re
import sys

# A row names metrics first; "`nfbpf_x_packets_total`, `_bytes_total`" is two of one stem.
ROW = re.compile(r"^\| ((?:`[\w*]+`(?:, )?)+) \|([^|]*)\|", re.M)


def documented(path):
    found, labels_before = {}, set()
    for names, labels in ROW.findall(open(path).read()):
        last = ""
        labels = labels_before if labels.strip() == "same" else set(re.findall(r"`(\w+)`", labels))
        for name in re.findall(r"`([\w*]+)`", names):
            if name.startswith("__") or name.endswith("_t"):
                continue  # a row about C types
            if name.startswith("_"):
                name = last.removesuffix(re.search(r"(_[a-z]+){%d}$" % name.count("_"), last)[0]) + name
            last = name
            if name.startswith(("nfbpf_", "process_")):
                found[name] = labels
        labels_before = labels
    return found


def shown(paths):
    found = {}
    for path in paths:
        text = open(path).read()
        for name, labels in re.findall(r"^([a-z]\w*)(\{.*\})? ", text, re.M):
            found.setdefault(name, set()).update(re.findall(r'[{,](\w+)="', labels))
    return found


def main(arguments):
    doc, elsewhere = documented(arguments.pop(0)), "$."
    if arguments[0] == "--elsewhere":
        elsewhere = arguments[1]
        arguments = arguments[2:]
    page = shown(arguments)
    wrong = []
    match = lambda name: next((d for d in doc if re.fullmatch(d.replace("*", r"\w*"), name)), None)
    for name, labels in page.items():
        row = match(name)
        if row is None:
            wrong.append(f"{name} is on the page and not in docs/metrics.md")
        elif "*" not in row:
            # The groups of the configuration stand beside source and destination.
            more = labels - doc[row] - {"source_group", "destination_group"}
            if more or doc[row] - labels:
                wrong.append(f"{name} has labels {sorted(labels)}; docs/metrics.md says {sorted(doc[row])}")
    for name in doc:
        if not any(re.fullmatch(name.replace("*", r"\w*"), shown_name) for shown_name in page) and not re.match(elsewhere, name):
            wrong.append(f"{name} is in docs/metrics.md and on no page")
    for words in wrong:
        print(words)
    print(f"{len(doc)} metrics documented, {len(page)} shown, {len(wrong)} complaints")
    return 1 if wrong else 0


sys.exit(main(sys.argv[1:]))
