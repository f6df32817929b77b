"""Lints the chart named first, renders it with each set of values into the folder named second, and tries values that are wrong.

Sets of values come on standard input as JSON: {"right": {NAME: VALUES}, "wrong": [VALUES]}.
"""

import json
import os
import sys

import helm_python


def main(path, goal):
    """Renders; returns what is wrong, one sentence each."""
    sets = json.load(sys.stdin)
    faults = [f"{message}" for message in helm_python.lint(path)["messages"] if message["severity"] > 1]
    with helm_python.Chart.load(path) as chart:
        for name, values in sets["right"].items():
            rendered = chart.render(values, name="uidmeter", namespace="uidmeter")
            with open(os.path.join(goal, f"helm-{name}.yaml"), "w", encoding="utf-8") as output:
                for template, text in sorted(rendered.items()):
                    if template.endswith(".yaml"):
                        output.write(f"---\n{text}\n")
        for values in sets["wrong"]:
            try:
                chart.render(values, name="uidmeter", namespace="uidmeter")
            except helm_python.HelmValuesError:
                continue
            faults.append(f"these values are accepted: {values}")
    return faults


wrong = main(sys.argv[1], sys.argv[2])
print("\n".join(wrong), file=sys.stderr)
sys.exit(bool(wrong))
