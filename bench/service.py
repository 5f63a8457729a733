#!/usr/bin/env python3
"""What the service's heart does in a second, and what idle hosts cost it.

    cargo build --release -p hansardd --bins --examples
    python3 bench/service.py [--rounds 5] [--seconds 3] [--dir DIRECTORY]

Runs the examples keeper_speed (16 writers of frames of 100 events, projection, 16 streams of raw
terminal text to archived segments, live lag, 4,000 idle sessions; all in one process, on the disk of
DIRECTORY), round after round, then idle_hosts (the daemon with hosts that join it and are connected
over TLS from processes of their own), and prints medians with the smallest and the largest, and the machine's load before each round.
There is no peer to run beside: the goals stand beside the figures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "target", "release", "examples")

# What is measured, in which line, its unit, and what is wanted.
FIGURES = [
    ("frames", "events_per_second", "events/s acknowledged durable", ">= 200,000"),
    ("frames", "put_p99_ms", "ms p99 of an acknowledgement", "<= 50"),
    ("archived", "events_per_second", "events/s archived", ""),
    ("rows", "rows_per_second", "rows/s projected", ">= 50,000"),
    ("text", "mb_per_second_recorded", "MB/s of text, 16 streams, durable", ""),
    ("text", "mb_per_second_archived", "MB/s of text, 16 streams, archived", ">= 200"),
    ("lag", "p95_ms", "ms p95 from event to follower", "<= 300"),
    ("idle", "resident_kib", "KiB resident, 4,000 idle sessions", ""),
]


def keeper(seconds, where):
    command = [os.path.join(EXAMPLES, "keeper_speed"), where, str(seconds)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {line["what"]: line for line in lines}


def hosts(count):
    command = [os.path.join(EXAMPLES, "idle_hosts"), "measure", str(count), "2"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=2000)
    parser.add_argument("--dir", default=None)
    args = parser.parse_args()
    rounds, loads = [], []
    with tempfile.TemporaryDirectory(dir=args.dir) as where:
        for _ in range(args.rounds):
            loads.append(os.getloadavg()[0])
            rounds.append(keeper(args.seconds, where))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print("| what | median | min | max | wanted |")
    print("|---|---|---|---|---|")
    for line, name, unit, wanted in FIGURES:
        values = [one[line][name] for one in rounds if line in one]
        median = statistics.median(values)
        shown = [f"{value:,.1f}" for value in (median, min(values), max(values))]
        print(f"| {unit} | {' | '.join(shown)} | {wanted} |")
    print(f"\nLoad before each round: {' '.join(f'{load:.1f}' for load in loads)};"
          f" {os.cpu_count()} CPUs, {args.rounds} rounds of {args.seconds} s.\n")
    print("Idle hosts with two sessions each, the whole service (wanted <= 200 MiB):\n")
    print("    " + hosts(args.hosts).replace("\n", "\n    "))


if __name__ == "__main__":
    main()
