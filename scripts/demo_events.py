#!/usr/bin/python3
"""Checks the demo's events: the sizes wanted are there, typed keys are, the hidden secret is not.

Usage: demo_events.py EVENTS.jsonl SECRET [--size COLSxROWS] KEYS...
"""

import argparse
import base64
import json
import sys


def content(event):
    """The bytes of a Data event: text where it is UTF-8, base64 otherwise."""
    if "text" in event:
        return event["text"].encode()
    return base64.b64decode(event.get("base64", ""))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("events")
    parser.add_argument("secret", type=str.encode)
    parser.add_argument("--size", default=[], action="append")
    parser.add_argument("keys", nargs="*", type=str.encode)
    args = parser.parse_args()
    secret = args.secret
    with open(args.events, encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    sizes = [f"{e['cols']}x{e['rows']}" for e in events if e["family"] == "resize"]
    if any(size not in sizes for size in args.size):
        sys.exit(f"the window grew to {args.size}, but the sizes recorded are {sizes}")
    data = [e for e in events if e["family"] == "data"]
    typed = b"".join(content(e) for e in data if e["stream"] == "keystrokes")
    if any(keys not in typed for keys in args.keys):
        sys.exit(f"keys were to be kept, but these are: {typed!r}")
    if secret in typed or b"".join(content(e) for e in data).find(secret) >= 0:
        sys.exit("the secret stands in the recording")
    for length in range(4, len(secret)):
        if secret[:length] in typed:
            sys.exit(f"a part of the secret stands among the keys: {secret[:length]!r}")


if __name__ == "__main__":
    main()
