#!/usr/bin/env python3
"""Sessions that are watched while they happen: what viewers cost them, and how late everything is seen.

    python3 bench/live.py [--viewers 0,1,8,200] [--seconds 10] [--rounds 3]

Starts a daemon of its own on loopback and watches its sessions as the page does (`/v1/sessions/ID/watch`), from
one process beside it. HANSARD names the client (default: target/release/hansard), the daemon stands beside it.
Prints a table, and appends it to PTYBENCH_RESULTS if that is set:

- wall and the daemon's CPU of 20 MB of lines that a watched session prints as fast as it may, and how many times the
  wall without viewers that is, in the same round;
- meanwhile, how old the newest line is that a viewer has when it is given one;
- lag from the moment at which a line is printed, twenty times a second, to the moment at which each viewer has it,
  median and p99 over all viewers;
- how long after a word was printed the search finds it.

The viewers' process is nice (19): it stands for other machines. No test asserts a speed; how many may watch at a time is
`FOLLOWERS_MAX`.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from benchdaemon import Running
from ptybench import say, table

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.environ.get("HANSARD", os.path.join(HERE, "..", "target", "release", "hansard"))
PASSWORD = "correct horse battery"
CONFIG = """node: {name: bench, data_dir: %(at)s/data, runtime_dir: %(at)s/run}
capture: {local: {notice: ''}}
store: {pack_age: 1s}
serve: {admin: {}, web: {listen: '127.0.0.1:0'}}
"""
STAMP = re.compile(rb"at (\d{19})")
# Printed once somebody makes the file: until then viewers come.
BULK = """import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
line = "%06d at %d the quick brown fox jumps over the lazy dog, again and again and once more\\n"
begun = time.monotonic()
for n in range(200000): sys.stdout.write(line % (n, time.time_ns()))
sys.stdout.flush()
open(sys.argv[1] + ".took", "w").write(str(time.monotonic() - begun))
"""
STAMPS = """import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
for n in range(int(float(sys.argv[2]) * 20)):
    sys.stdout.write("at %d\\n" % time.time_ns()); sys.stdout.flush(); time.sleep(0.05)
"""


# Shows a word, notes when, and stays.
WORD = """import sys, time
open(sys.argv[3], "w").write(str(time.monotonic()))
print(sys.argv[1] + sys.argv[2], flush=True)
time.sleep(20)
"""


class Service:
    """A daemon with a web server, and somebody who is signed in at it."""

    def __init__(self, where):
        self.where = where
        self.daemon = Running(where, os.path.join(os.path.dirname(CLIENT), "hansardd"))
        with open(self.daemon.config, "w") as f:
            f.write(CONFIG % {"at": where})
        self.daemon.init()
        self.daemon.start()
        self.environment = dict(os.environ, HANSARD_RUNTIME_DIR=os.path.join(where, "run"))
        self.client("user", "add", "viewer", "--role", "auditor", "--no-totp", said=PASSWORD + "\n")
        self.origin = json.loads(self.client("status", "--json"))["web"]
        self.address = self.origin.split("//", 1)[1]
        body = json.dumps({"user": "viewer", "password": PASSWORD, "code": ""})
        connection = http.client.HTTPConnection(self.address)
        connection.request("POST", "/v1/sign-in", body, {"Origin": self.origin, "Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit("signing in: %d %s" % (answer.status, answer.read()))
        self.cookie = answer.getheader("set-cookie").split(";")[0]

    def client(self, *words, said=""):
        done = subprocess.run([CLIENT, *words], input=said, capture_output=True, text=True, check=True,
                              env=self.environment)
        return done.stdout

    def get(self, path):
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        return json.loads(connection.getresponse().read())

    def record(self, title, program, *words):
        """Begins to record a program; answers it and its session."""
        child = subprocess.Popen([CLIENT, "rec", "--quiet", "--title", title, "--", sys.executable, "-c", program,
                                  *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while True:
            rows = [row for row in self.get("/v1/sessions")["sessions"] if row["title"] == title]
            if rows:
                return child, rows[0]["sid"]
            time.sleep(0.05)


def watching(service, sid, count, ready, lags):
    """Watches a session so often, to its end; hands over how late each stamp was."""
    os.nice(19)
    selector, host = selectors.DefaultSelector(), service.address.split(":")
    ask = "GET /v1/sessions/%s/watch HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n" % (sid, service.address, service.cookie)
    for _ in range(count):
        one = socket.create_connection((host[0], int(host[1])))
        one.sendall(ask.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += one.recv(4096)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            sys.exit("a viewer was refused: %s" % head[:200].decode())
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
    ready.set()
    found, left = [], count
    while left:
        for key, _ in selector.select():
            piece = key.fileobj.recv(1 << 20)
            now = time.time_ns()
            if not piece or b'"family":"over"' in piece:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                left -= 1
                continue
            stamps = STAMP.findall(piece)
            # The newest of a piece: the page shows the others only on the way to it.
            if stamps:
                found.append((now - max(map(int, stamps))) / 1e6)
    lags.send(found)


def watched(service, title, count, program, *words):
    """Records a program that so many watch; the daemon's CPU seconds, and how late stamps were."""
    go = os.path.join(service.where, title)
    child, sid = service.record(title, program, go, *words)
    there, here = multiprocessing.Pipe()
    ready = multiprocessing.Event()
    viewers = multiprocessing.Process(target=watching, args=(service, sid, count, ready, here))
    viewers.start()
    ready.wait()
    before = service.daemon.cpu()
    open(go, "w").close()
    child.wait()
    cpu = service.daemon.settle() - before
    lags = there.recv()
    viewers.join()
    return cpu, lags, go


def searched(service, number):
    """Seconds from the printing of a word until it is found. The word stands on the screen alone: the command
    has it in two pieces."""
    pieces, at = ("findable", "%d" % time.time_ns()), os.path.join(service.where, "word-%d" % number)
    child, _ = service.record("word %d" % number, WORD, *pieces, at)
    while not service.get("/v1/search?q=" + "".join(pieces))["sessions"]:
        time.sleep(0.02)
    took = time.monotonic() - float(open(at).read())
    child.terminate()
    child.wait()
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--viewers", default="0,1,8,200")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    counts = [int(n) for n in args.viewers.split(",")]
    walls, cpus, late, floods = ({count: [] for count in counts} for _ in range(4))
    words = []
    with tempfile.TemporaryDirectory() as where:
        service = Service(where)
        for turn in range(args.rounds):
            for count in counts:
                cpu, old, go = watched(service, "bulk-%d-%d" % (count, turn), count, BULK)
                floods[count] += old
                walls[count].append(float(open(go + ".took").read()))
                cpus[count].append(cpu)
                if count:
                    late[count] += watched(service, "stamps-%d-%d" % (count, turn), count, STAMPS, str(args.seconds))[1]
            words.append(searched(service, turn))
        service.daemon.stop()
    head = ["viewers", "20 MB printed, s", "x none", "min", "max", "daemon's CPU, s", "age meanwhile median, ms", "p99, ms"]
    rows = [head + ["lag median, ms", "lag p99, ms"]]

    def part(lags, p):
        return "%.0f" % sorted(lags)[int(len(lags) * p)] if lags else "–"

    for count in counts:
        ratios = [wall / alone for wall, alone in zip(walls[count], walls[counts[0]])]
        spread = ["%.2f" % value for value in (statistics.median(ratios), min(ratios), max(ratios))]
        rows.append([str(count), "%.2f" % statistics.median(walls[count]), *spread,
                     "%.2f" % statistics.median(cpus[count]), part(floods[count], 0.5), part(floods[count], 0.99),
                     part(late[count], 0.5), part(late[count], 0.99)])
    table("Sessions that are watched (%d rounds, load %.1f, %d CPUs)" % (args.rounds, os.getloadavg()[0],
                                                                         os.cpu_count()), rows)
    say("Found by the search after %s s.\n" % ", ".join("%.1f" % took for took in words))


if __name__ == "__main__":
    main()
