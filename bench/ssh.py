#!/usr/bin/env python3
"""The SSH node and the proxy beside Debian's sshd, in one run, one after the other and then again.

    python3 bench/ssh.py [--only bulk,relay,open,echo,delay,idle,flood] [--runs 5]

Needs root. HANSARD names the client (default: target/release/hansard), the daemon stands beside it. Prints tables,
and appends them to PTYBENCH_RESULTS if that is set. What is wanted stands beside each figure; nothing is asserted.
Everything is recorded as shipped. Clients are OpenSSH's; cipher and key exchange are the same everywhere.

- bulk:  a file each way through `cat`, incompressible and text; CPU of the server with all that it started. As
         shipped, with a budget (`bulk`) beyond which it is counted and hashed, and kept whole (`0B`)
- relay: the same through the proxy, and through an OpenSSH host that runs ssh (ForceCommand), beside the target alone
- open:  connecting, signing in, `true`, and leaving
- echo:  a byte and its echo on a terminal, with 5 ms between bytes
- delay: behind a line of 167 ms there and back that is not narrow (delayline.py), from the first byte to the last
- idle:  memory of the daemon for each of 2,000 sessions that do nothing
- flood: the echo of 23 sessions beside one that prints `y` for ever
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import ptybench
import sshplace
from delayline import Line
from ptybench import say, table

HERE = os.path.dirname(os.path.abspath(__file__))
ECHO = "stty raw -echo; echo RDY; exec cat"
ROUND_TRIP_MS = 167
# The policy's `bulk` where a stream is kept whole; as shipped it is 16 MiB, and what is beyond it is counted and hashed.
WHOLE = "0B"
# Counts what comes in, and says how long that took from the first byte on.
SINK = ("import os,sys,time\nn=len(os.read(0,1<<18));t=time.monotonic()\nwhile True:\n p=os.read(0,1<<18)\n"
        " if not p: break\n n+=len(p)\nprint(n,time.monotonic()-t)")


def middle(values):
    return statistics.median(values)


def spread(values):
    return "%.0f to %.0f" % (min(values), max(values))


def interleaved(runs, ways, measure):
    """Each way once, then again; what came of it by way."""
    found = {way: [] for way in ways}
    for turn in range(runs):
        for way in ways:
            found[way].append(measure(way))
        print("  %d of %d" % (turn + 1, runs), file=sys.stderr, flush=True)
    return found


def ratio(found, way, beside, key=lambda x: x):
    """The middle of the ratios within a round."""
    return middle([key(x) / key(y) for x, y in zip(found[way], found[beside])])


class Data:
    """Files that are in memory: no disk is measured but that of the record."""

    def __init__(self, mib):
        self.where = tempfile.mkdtemp(prefix="hansard-ssh-", dir="/dev/shm")
        os.chmod(self.where, 0o755)
        self.bytes = mib << 20
        self.random, self.text = (os.path.join(self.where, name) for name in ("random", "text"))
        with open(self.random, "wb") as f:
            for _ in range(mib):
                f.write(os.urandom(1 << 20))
        ptybench.make_data()
        with open(ptybench.ANSI, "rb") as source, open(self.text, "wb") as f:
            once = source.read()
            while f.tell() < self.bytes:
                f.write(once[:self.bytes - f.tell()])


def moved(place, data, named, is_down, path):
    """One file through `cat`: seconds, and the server's CPU when it was through and when all was archived."""
    way, _, budget = named.partition(", ")
    place.keep(budget)
    place.settle()
    before = place.cpu(way)
    began = time.monotonic()
    if is_down:
        done = subprocess.run(place.ssh(way, "-T", "cat " + path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    else:
        with open(path, "rb") as f:
            done = subprocess.run(place.ssh(way, "-T", "cat >/dev/null"), stdin=f)
    wall = time.monotonic() - began
    if done.returncode:
        raise SystemExit("%s left with %d" % (way, done.returncode))
    at_end = place.quiet_cpu(way) - before
    place.settle()
    return wall, at_end, place.cpu(way) - before


def moves(a, place, data, ways, files, wanted, title):
    lines = [["what", "way", "MB/s", "spread", "x " + ways[0], "CPU s per GiB", "with the archive", "wanted"]]
    for name, path in files:
        for is_down in (True, False):
            found = interleaved(a.runs, ways, lambda way: moved(place, data, way, is_down, path))
            per_gib = (1 << 30) / data.bytes
            for way in ways:
                rates = [data.bytes / 1e6 / wall for wall, _, _ in found[way]]
                beside = ratio(found, ways[0], way, lambda run: run[0])
                lines.append([name + (" down" if is_down else " up"), way, "%.0f" % middle(rates), spread(rates),
                              "%.2f" % beside, "%.2f" % (middle([run[1] for run in found[way]]) * per_gib),
                              "%.2f" % (middle([run[2] for run in found[way]]) * per_gib), wanted(way, found)])
    table("%s, %d MiB, median of %d" % (title, data.bytes >> 20, a.runs), lines)


def bulk(a, place, data):
    moves(a, place, data, ["sshd", "node", "node, " + WHOLE], [("random", data.random), ("text", data.text)],
          lambda way, _: "" if way == "sshd" else ">= 1.0", "ssh bulk, %s" % sshplace.CIPHER)


def relay(a, place, data):
    def wanted(way, found):
        if not way.startswith("proxy"):
            return ""
        return ">= 0.5; >= 1.3 x hop: %.2f" % ratio(found, "hop", way, lambda run: run[0])
    moves(a, place, data, ["sshd", "hop", "proxy", "proxy, " + WHOLE], [("random", data.random), ("text", data.text)], wanted,
          "ssh through another machine, %s" % sshplace.CIPHER)


def opened(place, way, words):
    began = time.monotonic()
    subprocess.run(place.ssh(way, *words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - began) * 1e3


def opens(a, place):
    lines = [["what", "way", "p50 ms", "p95", "x sshd", "wanted"]]
    for what, words in (("true", ["-T", "true"]), ("true on a terminal", ["-tt", "true"])):
        ways = ["sshd", "node", "proxy"]
        found = interleaved(a.runs * 10, ways, lambda way: opened(place, way, words))
        for way in ways:
            lines.append([what, way, "%.0f" % middle(found[way]), "%.0f" % sorted(found[way])[int(len(found[way]) * .95)],
                          "%.2f" % ratio(found, way, "sshd"), "<= 1.3" if way == "node" else ""])
    table("ssh session, opened and left, %d of each in turn, %s" % (a.runs * 10, sshplace.KEX), lines)


def echo(a, place):
    ways = ["sshd", "node", "proxy"]
    found = interleaved(a.runs, ways, lambda way: ptybench.run_ptyrun(
        ["lat", "1000", "5000"], place.ssh(way, "-tt", ECHO), {}))
    lines = [["way", "p50 us", "p95", "p99", "p99 spread", "p99 x sshd", "wanted"]]
    for way in ways:
        lines.append([way] + ["%.0f" % middle([run[k] for run in found[way]]) for k in ("p50", "p95", "p99")]
                     + [spread([run["p99"] for run in found[way]]), "%.2f" % ratio(found, way, "sshd", lambda x: x["p99"]),
                        "<= 1.5" if way == "node" else ""])
    table("ssh echo, median of %d runs of 1000 bytes, 5 ms between them" % a.runs, lines)


def sent(words, path, mib):
    """MB/s of an upload, from the first byte that comes in to the last."""
    feed = subprocess.Popen(["head", "-c", str(mib << 20), path], stdout=subprocess.PIPE)
    done = subprocess.run(words + ["exec python3 -c '%s'" % SINK], stdin=feed.stdout, capture_output=True, check=True)
    feed.stdout.close()
    feed.wait()
    count, seconds = done.stdout.split()
    if int(count) != mib << 20:
        raise SystemExit("%s bytes came in" % count)
    return int(count) / float(seconds) / 1e6


def fetched(words, path, mib):
    """The same of a download."""
    source = subprocess.Popen(words + ["exec head -c %d %s" % (mib << 20, path)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
    done = subprocess.run([sys.executable, "-c", SINK], stdin=source.stdout, capture_output=True, check=True)
    source.stdout.close()
    source.wait()
    count, seconds = done.stdout.split()
    if int(count) != mib << 20:
        raise SystemExit("%s bytes were fetched" % count)
    return int(count) / float(seconds) / 1e6


def delay(a, place, data):
    lines_of = {"sshd": Line(place.sshd.port, ROUND_TRIP_MS / 2), "node": Line(place.node, ROUND_TRIP_MS / 2),
                "proxy": Line(place.proxy, ROUND_TRIP_MS / 2)}
    ways = {}
    for way, line in lines_of.items():
        ways["ssh", way] = (place.ssh(way, "-T", port=line.port), 64 if way == "sshd" else 512)
    for way in ("node", "proxy", "sshd"):
        words = place.own_client(way, lines_of[way].port)
        if words:
            ways["hansard ssh", way] = (words, 512)
    table_lines = [["client", "to", "way", "MB/s", "spread", "x ssh to sshd", "wanted"]]
    for is_up in (True, False):
        def measure(pair):
            place.settle()
            words, mib = ways[pair]
            # What ssh fetches is bound by its own window, whoever sends it.
            mib = min(mib, data.bytes >> 20, 64 if pair[0] == "ssh" and not is_up else 1 << 20)
            return (sent if is_up else fetched)(words, data.random, mib)
        found = interleaved(a.runs, list(ways), measure)
        for client, way in ways:
            rates = found[client, way]
            is_wanted = way != "sshd" and (is_up or client != "ssh")
            table_lines.append([client, way, "up" if is_up else "down", "%.0f" % middle(rates), spread(rates),
                                "%.1f" % ratio(found, (client, way), ("ssh", "sshd")), ">= 80" if is_wanted else ""])
    for line in lines_of.values():
        line.close()
    table("ssh behind a line of %d ms there and back, median of %d" % (ROUND_TRIP_MS, a.runs), table_lines)


def pss(pid, key="Pss:"):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(key))


def descendants(pid):
    """Processes below one: those that run its own program, and others."""
    own, others, program = [], [], os.path.realpath("/proc/%d/exe" % pid)
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task)) as f:
                    below = list(map(int, f.read().split()))
                waiting += below
                for child in below:
                    is_own = os.path.realpath("/proc/%d/exe" % child) == program
                    (own if is_own else others).append(child)
        except OSError:
            continue
    return own, others


def idle(a, place):
    holder = ["/usr/bin/python3", os.path.join(HERE, "sshidle.py")]
    if subprocess.run([holder[0], "-W", "ignore", "-c", "import asyncssh"], capture_output=True).returncode:
        return say("idle: there is no python3-asyncssh, left out\n")
    lines = [["what runs", "sessions", "daemon, KiB of PSS each", "of RSS", "its helpers, KiB of PSS each",
              "an account's own program", "wanted"]]
    for what, kind in (("a command", "exec"), ("a terminal", "pty")):
        place.settle()
        pid, count = place.daemon.process.pid, a.sessions
        before = pss(pid), pss(pid, "Rss:")
        held = subprocess.Popen([*holder, str(place.node), sshplace.USER, place.at("user"), str(count), kind],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if held.stdout.readline() != b"ready\n":
            raise SystemExit("idle: no %d sessions" % count)
        # A segment that is open is sealed after a minute; nothing happens in them from then on.
        time.sleep(70)
        place.settle()
        after = pss(pid), pss(pid, "Rss:")
        own, programs = descendants(pid)
        lines.append([what, str(count), "%.0f" % ((after[0] - before[0]) / count),
                      "%.0f" % ((after[1] - before[1]) / count), "%.0f" % (sum(map(pss, own)) / count),
                      "%.0f" % (sum(map(pss, programs)) / count), "<= 150"])
        held.stdin.close()
        held.wait()
        while descendants(pid)[1]:
            time.sleep(0.5)
    table("ssh sessions that do nothing, each a connection of its own, a minute later", lines)
    say("The account's own programs (`sleep`) are not counted. PAM's modules run in a helper for each session.\n")


def flood(a, place):
    ways = ["sshd", "node"]

    def all_of(way, with_flood):
        flooding = []
        if with_flood:
            flooding = [subprocess.Popen(place.ssh(way, "-tt", "yes"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         start_new_session=True)]
            time.sleep(2)
        words = [ptybench.PTYRUN, "lat", "150", "100000", "--", *place.ssh(way, "-tt", ECHO)]
        typing = []
        for _ in range(23):
            typing.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL))
            # A node takes ten strangers of an address at a time.
            time.sleep(0.1)
        found = [json.loads(one.communicate()[0]) for one in typing]
        for one in flooding:
            one.terminate()
            one.wait()
        place.settle()
        return middle([one["p99"] for one in found]), max(one["p99"] for one in found), middle([one["p50"] for one in found])

    found = interleaved(a.runs, [(way, loud) for way in ways for loud in (False, True)], lambda pair: all_of(*pair))
    lines = [["way", "beside", "p50 us", "p99 us, of a session's middle", "spread", "p99 of the worst session", "x quiet",
              "wanted"]]
    for way in ways:
        for loud in (False, True):
            runs = found[way, loud]
            lines.append([way, "`yes`" if loud else "nothing", "%.0f" % middle([x[2] for x in runs]),
                          "%.0f" % middle([x[0] for x in runs]), spread([x[0] for x in runs]),
                          "%.0f" % middle([x[1] for x in runs]),
                          "%.2f" % ratio(found, (way, loud), (way, False), lambda x: x[0]),
                          "<= 2" if loud and way == "node" else ""])
    table("ssh echo of 23 sessions beside one that floods, median of %d runs" % a.runs, lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="bulk,relay,open,echo,delay,idle,flood")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--mib", type=int, default=512)
    p.add_argument("--sessions", type=int, default=2000)
    a = p.parse_args()
    only = a.only.split(",")
    sshplace.alone()
    client = os.path.abspath(os.environ.get("HANSARD", os.path.join(HERE, "../target/release/hansard")))
    os.makedirs(ptybench.WORK, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-o", ptybench.PTYRUN, ptybench.PTYRUN + ".c", "-lutil"], check=True)
    where = tempfile.mkdtemp(prefix="hansard-ssh-", dir=os.path.dirname(os.path.abspath(ptybench.WORK)))
    data = Data(a.mib)
    place = sshplace.Place(where, client)
    try:
        ptybench.heading(a)
        if "bulk" in only:
            bulk(a, place, data)
        if "relay" in only:
            relay(a, place, data)
        if "open" in only:
            opens(a, place)
        if "echo" in only:
            echo(a, place)
        if "delay" in only:
            delay(a, place, data)
        if "flood" in only:
            flood(a, place)
        if "idle" in only:
            idle(a, place)
        say("Load %s." % " ".join("%.1f" % x for x in os.getloadavg()))
    finally:
        place.close()
        shutil.rmtree(where)
        shutil.rmtree(data.where)


if __name__ == "__main__":
    main()
