#!/usr/bin/env python3
"""A recording of 24 hours and 2 GB of output, opened and searched through in a browser.

    python3 bench/browser.py [--rounds 5] [--seeks 100] [--dir DIR]

Starts a daemon of its own on loopback, whose spool is given the recording part by part while it is stopped
(examples/spooled.rs), so that it keeps it as it keeps what hosts send. Then leads Chromium through it
(browser.mjs), in each round with a daemon that was just started and nothing of the recording in the cache:

- how long after its end was archived the recording is ready to be played;
- the first screen, from the click in the list of sessions, in a page that is open already (warm page, cold
  recording), and from the navigation of a new window to the session's address (all cold);
- seeks to random moments with the pointer on the timeline, from the press to the changed screen;
- memory of the page's process (as the kernel counts it) and of its JavaScript.

With --dir what the daemon keeps stays in that directory, and a further run finds the recording there, archived,
indexed and ready: with --rounds 0 everything up to there is done and nothing measured.

RECORDING names the `.hansard` file (default: target/bench-seek/day.hansard, which the example `seek` of
hansard-view makes), HANSARD the client, SPOOLED the example, CHROMIUM the browser (default: /usr/bin/chromium).
Prints tables, and appends them to PTYBENCH_RESULTS if that is set. Dropping the cache needs root.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from live import CLIENT, HERE, PASSWORD, Service
from ptybench import heading, say, table

ROOT = os.path.dirname(HERE)
RECORDING = os.environ.get("RECORDING", os.path.join(ROOT, "target", "bench-seek", "day.hansard"))
SPOOLED = os.environ.get("SPOOLED", os.path.join(ROOT, "target", "release", "examples", "spooled"))
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# Wanted at most.
FIRST_MS, SEEK_MS, PAGE_MB = 300, 150, 200


def feed(service):
    """Brings the recording into a daemon that is stopped; answers its session."""
    service.daemon.stop()
    done = subprocess.run([SPOOLED, RECORDING, os.path.join(service.where, "data")], check=True,
                          stdout=subprocess.PIPE, text=True)
    service.daemon.start()
    service.sign_in()
    return done.stdout.split()[0]


def archived(service, sid):
    """Until the session's end is archived and listed."""
    began = time.monotonic()
    while not service.get("/v1/sessions/" + sid).get("ended"):
        time.sleep(0.05)
    return time.monotonic() - began


def ready(service, sid):
    """Until its timeline is there, which is asked for as the page does."""
    began = time.monotonic()
    while "duration_ns" not in service.get("/v1/sessions/%s/timeline" % sid):
        time.sleep(0.2)
    return time.monotonic() - began


def cold(service):
    """A daemon that was just started, and nothing of what it keeps in the cache."""
    service.daemon.stop()
    subprocess.run(["sync"], check=True)
    try:
        with open("/proc/sys/vm/drop_caches", "w") as drop:
            drop.write("1")
    except PermissionError:
        sys.exit("bench/browser.py: dropping the cache needs root")
    service.daemon.start()
    service.sign_in()
    service.daemon.settle()


def prepare(service, where):
    """The recording's session, kept by the service and ready; how long that took, if it was done now."""
    at = os.path.join(where, "session")
    if os.path.exists(at):
        with open(at) as f:
            return f.read(), None
    sid = feed(service)
    took = archived(service, sid), ready(service, sid)
    # Full text of 2 GB takes some minutes, and one that is stopped begins again.
    service.daemon.settle(looks=10, pause=1)
    with open(at, "w") as f:
        f.write(sid)
    return sid, took


def led(service, sid, seeks, window):
    environment = dict(os.environ, ORIGIN=service.origin, PASSWORD=PASSWORD, SESSION=sid, SEEKS=str(seeks),
                       CHROMIUM=CHROMIUM, WINDOW=window)
    done = subprocess.run(["node", os.path.join(HERE, "browser.mjs")], env=environment, check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeks", type=int, default=100)
    parser.add_argument("--dir")
    args = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() if args.dir is None else contextlib.nullcontext(args.dir) as where:
        os.makedirs(where, exist_ok=True)
        service = Service(where)
        try:
            sid, took = prepare(service, where)
            for _ in range(args.rounds):
                one = {}
                for window in ("open", "new"):
                    cold(service)
                    one.update(led(service, sid, args.seeks, window))
                rounds.append(one)
        finally:
            service.daemon.stop()
    if rounds:
        report(rounds, args.seeks)
    if took is not None:
        say("Archived %.1f s after the start of the daemon whose spool held it, ready to be played %.1f s after that.\n"
            % took)


def report(rounds, seeks):
    heading(None)
    rows = [["what", "median", "p99", "max", "wanted"]]
    for name, words, wanted in [("warm", "first screen, warm page and cold recording, ms", FIRST_MS),
                                ("again", "the same once more, recording warm, ms", FIRST_MS),
                                ("cold", "first screen, new window and cold recording, ms", FIRST_MS),
                                ("seeks", "a seek, ms", SEEK_MS)]:
        values = [value for one in rounds for value in (one[name] if name == "seeks" else [one[name]])]
        rows.append([words, "%.0f" % statistics.median(values), "%.0f" % percentile(values, 0.99),
                     "%.0f" % max(values), "<= %d" % wanted])
    for name, words in [("pss", "the page's process, PSS, MB"), ("private", "of it private, MB"),
                        ("heap", "JavaScript's heap, MB")]:
        values = [one[name] for one in rounds]
        rows.append([words, "%.0f" % statistics.median(values), "–", "%.0f" % max(values),
                     "<= %d" % PAGE_MB if name == "pss" else ""])
    table("24 hours and 2 GB in a browser (%d rounds of %d seeks, load %.1f, %d CPUs)"
          % (len(rounds), seeks, os.getloadavg()[0], os.cpu_count()), rows)


if __name__ == "__main__":
    main()
