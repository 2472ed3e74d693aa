"""Lints and renders the chart by Helm's own engine. Writes a JSON object a line: for values that are accepted
{case, lint, notes, objects, texts}, objects being {file, object}, and texts for the default alone; for
values with claims {claim, expect, text}, text being the template's; for values that are refused {refused,
expect, reason}, reason being null if they were accepted. With values (JSON) for an argument these are
rendered, and nothing else."""

import json
import pathlib
import re
import sys

import helm_python as helm

import cases

CHART = pathlib.Path(__file__).parents[2] / "charts" / "podgate"
NAMESPACE = "podgate"


def documents(text):
    return [part for part in re.split(r"(?m)^---\s*$", text) if any(
        line.strip() and not line.lstrip().startswith("#") for line in part.splitlines()
    )]


def main():
    chart = helm.Chart.load(CHART)

    def render(values):
        chart.validate_schema(values)
        return chart.render(values, name="podgate", namespace=NAMESPACE, is_install=True)

    asked = [("asked for", json.loads(text)) for text in sys.argv[1:]]
    for case, values in asked or cases.accepted():
        lint = helm.lint(CHART, values, strict=True, namespace=NAMESPACE)
        rendered = {}
        for path, text in sorted(render(values).items()):
            rendered[path.removeprefix("podgate/templates/")] = text
        notes = rendered.pop("NOTES.txt")
        objects = [
            {"file": path, "object": helm.values_from_yaml(part)}
            for path, text in rendered.items()
            for part in documents(text)
        ]
        line = {
            "case": case,
            "lint": [m["error"] for m in lint["messages"] if m["severity"] > 1] + lint["errors"],
            "notes": notes,
            "objects": objects,
            "texts": rendered if case == "default" else {},
        }
        json.dump(line, sys.stdout)
        sys.stdout.write("\n")
    for values, path, expect in [] if asked else cases.CLAIMS:
        text = " ".join(render(cases.NEEDED | values)[f"podgate/templates/{path}"].split())
        json.dump({"claim": f"{json.dumps(values)}: {path}", "expect": expect, "text": text}, sys.stdout)
        sys.stdout.write("\n")
    for values, expect in [] if asked else cases.REFUSED:
        try:
            render(cases.NEEDED | values)
            reason = None
        except helm.HelmError as error:
            reason = str(error)
        json.dump({"refused": json.dumps(values), "expect": expect, "reason": reason}, sys.stdout)
        sys.stdout.write("\n")


main()
