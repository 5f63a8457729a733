#!/usr/bin/env python3
"""What host events cost the programs that are watched, beside nothing, auditd and bpftrace.

  host_events.py [--pairs 20] [--seconds 60] [--only spawn,open,build,rate,bytes]

Needs root, a kernel that takes the programs, gcc and make. HANSARD names the client (default:
target/release/hansard), the daemon stands beside it. What is compared is CPU time of the workload and of
all its children, the kernel's part included, which wall time on a shared machine is not good for. In each
round every way is measured once, in another order; a ratio is of two of the same round. The
intervals are of the median, 95 %, by resampling the rounds (fixed seed).

Workloads: `spawn` starts /bin/true 1,500 times; `open` opens 40,000 files; `build` compiles a C project of
60 files with make. Ways:

  nothing    no daemon
  outside    a daemon that records host events; the workload is in no session
  session    in a session that is watched: commands, files and connections
  auditd     rules for execve, or for open, openat and openat2 (a machine's one audit system; root)
  bpftrace   its own execsnoop.bt, or opensnoop.bt

A peer that is not installed, or that does not start, is left out, and the reason stands in the results.
"""
import argparse
import glob
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request

import ptybench
from benchdaemon import Running
from ptybench import say, table

HERE = os.path.dirname(os.path.abspath(__file__))
SPAWNS, OPENS, SOURCES = 1500, 40000, 60
WANTED = {("spawn", "session"): "<= 1.10", ("open", "session"): "<= 1.7", ("spawn", "outside"): "1.00 +- 0.05",
          ("open", "outside"): "1.00 +- 0.05", ("build", "outside"): "1.00 +- 0.05", ("build", "session"): "1.00 +- 0.05"}


class Daemon(Running):
    """`hansardd` on a place of its own, with host events or without."""

    def __init__(self, where, client, host="{enabled: true}"):
        super().__init__(where, client + "d")
        self.client = client
        os.makedirs(where, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(self.config, "w") as f:
            f.write("node: {name: bench, data_dir: %s/data, runtime_dir: %s/run}\n"
                    "capture:\n  local: {notice: ''}\n  host: %s\nstore: {pack_age: 1s}\n"
                    "serve: {admin: {}, metrics: {listen: '127.0.0.1:%d'}}\n" % (where, where, host, self.port))
        self.init()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def rec(self, argv):
        """Runs this in a session."""
        env = dict(os.environ, HANSARD_RUNTIME_DIR=os.path.join(self.where, "run"))
        return subprocess.run([self.client, "rec", "--", *argv], env=env, check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True).stdout

    def metric(self, name):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=30) as said:
            for line in said.read().decode().splitlines():
                if line.startswith(name + " ") or line.startswith(name + "_total "):
                    return float(line.split()[-1])
        raise SystemExit("the daemon has no metric " + name)

    def events(self, name):
        """How many of these all sessions have."""
        env = dict(os.environ, HANSARD_RUNTIME_DIR=os.path.join(self.where, "run"))
        with subprocess.Popen([self.client, "events", "--event", name, "--all", "--json"], env=env, text=True,
                              stdout=subprocess.PIPE) as said:
            return sum(1 for line in said.stdout if json.loads(line)["event"] == name)

    def archive_bytes(self):
        sizes = 0
        for place, _, names in os.walk(os.path.join(self.where, "data", "archive")):
            sizes += sum(os.path.getsize(os.path.join(place, name)) for name in names)
        return sizes


class Peer:
    """Another tracer that runs beside the workload."""

    def __init__(self, argv, ready, before=(), after=()):
        self.argv, self.ready, self.before, self.after, self.process = argv, ready, before, after, None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, bufsize=1)
        try:
            if self.ready and self.ready not in self.process.stdout.readline():
                raise RuntimeError("did not start")
            # Its output goes where it costs nothing of what is measured.
            self.sink = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)
            for argv in self.before:
                done = subprocess.run(argv, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError("%s: %s" % (" ".join(argv), (done.stderr or done.stdout).strip()))
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for argv in self.after:
            subprocess.run(argv, capture_output=True)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def bpftrace(script):
    if not shutil.which("bpftrace"):
        raise RuntimeError("bpftrace is not installed")
    found = glob.glob("/usr/sbin/" + script) + glob.glob("/usr/share/bpftrace/tools/" + script)
    if not found:
        raise RuntimeError(script + " is not installed")
    return Peer(["bpftrace", "-B", "line", found[0]], "Attaching")


def auditd(calls):
    for program in ("auditd", "auditctl"):
        if not shutil.which(program):
            raise RuntimeError(program + " is not installed")
    if subprocess.run(["pgrep", "-x", "auditd"], capture_output=True).returncode == 0:
        raise RuntimeError("this machine's own auditd runs")
    rule = ["-a", "always,exit", "-F", "arch=b64"] + [word for call in calls for word in ("-S", call)]
    wait = ["sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do auditctl -s 2>/dev/null | grep -q 'pid [1-9]' && exit; "
            "sleep 0.3; done; echo auditd does not run >&2; exit 1"]
    return Peer(["auditd", "-n", "-c", "/etc/audit"], None, [wait, ["auditctl", "-b", "8192"], ["auditctl", *rule]],
                [["auditctl", "-D"], ["auditctl", "-e", "0"]])


def peers(workload):
    calls = {"spawn": ["execve"], "open": ["open", "openat", "openat2"]}.get(workload)
    if not calls:
        return {}
    made = {}
    for name, make in (("auditd", lambda: auditd(calls)),
                       ("bpftrace", lambda: bpftrace("execsnoop.bt" if workload == "spawn" else "opensnoop.bt"))):
        try:
            with make() as peer:
                made[name] = peer
        except RuntimeError as why:
            say("%s, %s: left out: %s." % (workload, name, why))
    return made


def project(where):
    """A C project of some files that are worth compiling, and its makefile."""
    os.makedirs(where, exist_ok=True)
    for n in range(SOURCES):
        with open(os.path.join(where, "part%d.c" % n), "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n")
            for m in range(60):
                f.write("int part%d_%d(const char *s, int n) { int sum = %d; for (int i = 0; i < n; i++) sum = sum * 31 + "
                        "(s[i %% (int)(strlen(s) + 1)] ^ (i << %d)); return sum; }\n" % (n, m, m, m % 7))
    with open(os.path.join(where, "main.c"), "w") as f:
        f.write("int main(void) { return 0; }\n")
    with open(os.path.join(where, "Makefile"), "w") as f:
        f.write("OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))\nall: program\nprogram: $(OBJECTS)\n\tcc -o $@ $^\n"
                "%.o: %.c\n\tcc -O1 -c -o $@ $<\nclean:\n\trm -f *.o program\n")


class Bench:
    def __init__(self, a, where, client):
        self.a, self.where, self.client = a, where, client
        self.load = os.path.join(where, "hostload")
        self.files, self.project = os.path.join(where, "files"), os.path.join(where, "project")
        subprocess.run(["gcc", "-O2", "-Wall", "-o", self.load, os.path.join(HERE, "hostload.c")], check=True)
        os.mkdir(self.files)
        for n in range(1000):
            open(os.path.join(self.files, "f%d" % n), "w").close()
        project(self.project)
        self.workloads = {"spawn": [self.load, "spawn", str(SPAWNS)],
                          "open": [self.load, "open", self.files, str(OPENS)],
                          "build": ["make", "--quiet", "-C", self.project]}

    def measured(self, workload, run):
        """CPU milliseconds of the workload, started by `run`."""
        if workload == "build":
            subprocess.run(["make", "--quiet", "-C", self.project, "clean"], check=True)
        out = os.path.join(self.where, "cpu")
        run([self.load, "cpu", out, *self.workloads[workload]])
        with open(out) as f:
            return int(f.read()) / 1e6

    def once(self, workload, way, daemon, beside):
        plain = lambda argv: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        if way == "nothing":
            return self.measured(workload, plain)
        if way in beside:
            with beside[way]:
                return self.measured(workload, plain)
        with daemon:
            took = self.measured(workload, plain if way == "outside" else daemon.rec)
            # What it still has to do is not to disturb the next one.
            daemon.settle(looks=5, pause=0.3)
            return took

    def pairs(self, workload):
        beside = peers(workload)
        ways = ["nothing", "outside", "session", *beside]
        daemon = Daemon(os.path.join(self.where, "d-" + workload), self.client)
        order, took = random.Random(6), {way: [] for way in ways}
        for _ in range(self.a.pairs):
            turn = order.sample(ways, len(ways))
            for way in turn:
                took[way].append(self.once(workload, way, daemon, beside))
        lines = [["way", "CPU ms, median", "min", "max", "x nothing", "95 %", "wanted"]]
        for way in ways:
            ratios = [x / y for x, y in zip(took[way], took["nothing"])]
            low, high = interval(ratios)
            lines.append([way, "%.0f" % statistics.median(took[way]), "%.0f" % min(took[way]), "%.0f" % max(took[way]),
                          "%.3f" % statistics.median(ratios), "%.3f to %.3f" % (low, high),
                          WANTED.get((workload, way), "")])
        table("host events, %s, %d rounds" % (workload, self.a.pairs), lines)

    def rate(self):
        """So many events a second, for so long, and none lost."""
        with Daemon(os.path.join(self.where, "d-rate"), self.client) as daemon:
            before = daemon.settle(looks=5, pause=0.3)
            said = daemon.rec([self.load, "rate", self.files, "50000", str(self.a.seconds)])
            done, seconds = said.split()
            at_end = daemon.cpu() - before
            after = daemon.settle(looks=5, pause=0.3) - before
            told, lost = daemon.metric("hansard_host_events"), daemon.metric("hansard_host_events_lost")
        table("host events, 50,000 a second", [
            ["opens", "seconds", "a second", "records", "lost", "wanted", "CPU s of the daemon until the end", "with the archive"],
            [done, seconds, "%.0f" % (int(done) / float(seconds)), "%.0f" % told, "%.0f" % lost, "0 lost",
             "%.1f" % at_end, "%.1f" % after]])

    def bytes(self):
        """What an event takes in the archive, on the build."""
        lines = [["what is told", "events of programs", "of files", "archive, bytes", "bytes a started program", "bytes an event", "wanted"]]
        for what, host in (("programs", "{enabled: true, disk: false, network: false}"), ("everything", "{enabled: true}")):
            subprocess.run(["make", "--quiet", "-C", self.project, "clean"], check=True)
            with Daemon(os.path.join(self.where, "d-bytes-" + what), self.client, host) as daemon:
                daemon.settle(looks=5, pause=0.3)
                before = daemon.archive_bytes()
                daemon.rec(self.workloads["build"])
                daemon.settle(looks=5, pause=0.3)
                size = daemon.archive_bytes() - before
                started, ended, files = (daemon.events(name) for name in
                                         ("session.command", "session.process_exit", "session.disk"))
            lines.append([what, "%d started, %d ended" % (started, ended), str(files), str(size),
                          "%.0f" % (size / started), "%.0f" % (size / (started + ended + files)),
                          "<= 200 a started program" if what == "programs" else ""])
        table("host events, bytes in the archive, a build of %d files" % (SOURCES + 1), lines)


def interval(ratios):
    """95 % of the median, by resampling."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(5000))
    return medians[125], medians[4874]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=20)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--only", default="spawn,open,build,rate,bytes")
    a = p.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("host_events.py: needs root: the kernel takes programs from nobody else")
    if not os.environ.get("HOST_EVENTS_INSIDE"):
        os.environ["HOST_EVENTS_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    # bpftrace looks for its tracepoints there; nobody else sees this one.
    if not os.listdir("/sys/kernel/tracing"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"])
    client = os.path.abspath(os.environ.get("HANSARD", os.path.join(HERE, "../target/release/hansard")))
    ptybench.heading(a)
    where = tempfile.mkdtemp(prefix="hansard-host-events-")
    try:
        bench = Bench(a, where, client)
        for what in a.only.split(","):
            if what in bench.workloads:
                bench.pairs(what)
            else:
                getattr(bench, what)()
        say("Load %s." % " ".join("%.1f" % x for x in os.getloadavg()))
    finally:
        shutil.rmtree(where)


if __name__ == "__main__":
    main()
