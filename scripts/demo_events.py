#!/usr/bin/python3
"""Checks the demo's events: the resize is there, typed keys are, the hidden secret is not.

Usage: demo_events.py EVENTS.jsonl SECRET
"""

import base64
import json
import sys


def content(event):
    """The bytes of a Data event: text where it is UTF-8, base64 otherwise."""
    if "text" in event:
        return event["text"].encode()
    return base64.b64decode(event.get("base64", ""))


def main():
    path, secret = sys.argv[1], sys.argv[2].encode()
    with open(path, encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    sizes = [(e["cols"], e["rows"]) for e in events if e["family"] == "resize"]
    if (120, 40) not in sizes:
        sys.exit(f"the window grew to 120x40, but the sizes recorded are {sizes}")
    data = [e for e in events if e["family"] == "data"]
    typed = b"".join(content(e) for e in data if e["stream"] == "keystrokes")
    if b"notes.txt" not in typed or b"exit 7" not in typed:
        sys.exit(f"keys were to be kept, but these are: {typed!r}")
    if secret in typed or b"".join(content(e) for e in data).find(secret) >= 0:
        sys.exit("the secret stands in the recording")
    for length in range(4, len(secret)):
        if secret[:length] in typed:
            sys.exit(f"a part of the secret stands among the keys: {secret[:length]!r}")


if __name__ == "__main__":
    main()
