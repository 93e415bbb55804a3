#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""monitoring.py FOLDER SOURCE...: the alert rules and the dashboard are well formed and name only metrics and labels that the sources have."""
import json
import re
import sys

import yaml

folder, sources = sys.argv[1], "".join(open(path, encoding="utf-8").read() for path in sys.argv[2:])
rules = yaml.safe_load(open(folder + "/alerts.yaml", encoding="utf-8"))
dashboard = json.load(open(folder + "/dashboard.json", encoding="utf-8"))
expressions = []
for group in rules["groups"]:
    for rule in group["rules"]:
        assert rule["alert"] and rule["labels"]["severity"] in ("warning", "critical"), rule
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        expressions.append(rule["expr"])
ids = set()
for panel in dashboard["panels"]:
    assert panel["id"] not in ids and panel["title"] and panel["gridPos"], panel
    ids.add(panel["id"])
    expressions += [target["expr"] for target in panel["targets"]]
expressions += [v["definition"] for v in dashboard["templating"]["list"] if "definition" in v]
for text in expressions:
    names = re.findall(r"litepool_[a-z_]+", text)
    assert names, text
    assert text.count("(") == text.count(")") and text.count("{") == text.count("}"), text
    for name in names:
        assert '"' + re.sub("_(bucket|sum|count)$", "", name) + '"' in sources, name
print(len(expressions), "expressions")
