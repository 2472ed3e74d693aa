"""Turns asciicast v3 on stdin into v2 on stdout, for players that know no other."""

import json
import sys

lines = (json.loads(line) for line in sys.stdin if line.strip() and not line.startswith("#"))
header = next(lines)
term = header["term"]
print(json.dumps({"version": 2, "width": term["cols"], "height": term["rows"], "timestamp": header["timestamp"]}))
at = 0.0
for interval, code, data in lines:
    at += interval
    if code in ("o", "i", "r", "m"):
        print(json.dumps([round(at, 6), code, data]))
