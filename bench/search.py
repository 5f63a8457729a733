#!/usr/bin/env python3
"""What full text costs and how soon it answers: bench/search.py [HOURS]

Indexing beside the emulator alone over the recordings of tests/samples/screens, the size of the index
beside raw output, and the time of a first page for words and phrases over HOURS synthetic session-hours
(10000 unless said otherwise). Prints one JSON document; limits are those of docs/search.md's issue.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
LIMITS = {"rate_of_emulator": 0.4, "index_share": 0.15, "word_p95_ms": 200, "phrase_p95_ms": 1000}


def run(*args):
    command = ["cargo", "run", "--quiet", "--release", "-p", "hansard-store", "--example", "full_text", "--"]
    done = subprocess.run(command + list(args), cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main():
    hours = sys.argv[1] if len(sys.argv) > 1 else "10000"
    casts = sorted(glob.glob(os.path.join(ROOT, "tests", "samples", "screens", "*.cast")))
    rate = run("rate", *casts)
    place = tempfile.mkdtemp(prefix="hansard-search-")
    try:
        found = run("find", os.path.join(place, "index"), hours)
    finally:
        shutil.rmtree(place)
    print(json.dumps({"limits": LIMITS, "samples": rate, "synthetic": found}, indent=2))


if __name__ == "__main__":
    main()
