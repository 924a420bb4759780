"""Renders a chart once for each file of values, and prints a JSON list of files by name."""

import json
import pathlib
import sys

import helm_python as helm

NAMESPACE = "netpath-system"
INFO = 1

path, *files = sys.argv[1:]
rendered = []
with helm.Chart.load(path) as chart:
    for file in files:
        values = helm.values_from_yaml(pathlib.Path(file).read_text())
        for message in helm.lint(path, values, namespace=NAMESPACE)["messages"]:
            if message["severity"] > INFO:
                sys.exit(f"helm lint: {message['path']}: {message['error']}")
        chart.validate_schema(values)
        rendered.append(chart.render(values, name="netpath", namespace=NAMESPACE))
json.dump(rendered, sys.stdout)
