#!/usr/bin/env python3
"""What a login costs that `hansardd` holds, beside `hansard rec`, `script` and a bare pty.

  login.py [--runs 5] [--keys 2000] [--logins 100]

Needs root: it starts a daemon of its own in a mount namespace (with a `/run` of its own) and logs in as
a user that does not exist. HANSARD names the client (default: target/release/hansard), the daemon
stands beside it. Prints four tables, and appends them to PTYBENCH_RESULTS if that is set:

- wall of 100 MB of output, and the CPU that the daemon took (spool and archive included);
- echo of a key, 5 ms between keys and none;
- the same in strict mode, where nothing is shown before it is durable;
- how long a login takes until its prompt is there.
"""
import argparse
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import ptybench
from benchdaemon import Running
from ptybench import run_ptyrun, say, table

HERE = os.path.dirname(os.path.abspath(__file__))
USER = "64021"
PROMPT = b"here> "


class Daemon(Running):
    """`hansardd` with everything on this machine, and its socket where logins look for it."""

    def __init__(self, where, program):
        super().__init__(where, program)
        self.configure(strict=False)
        self.init()

    def configure(self, strict):
        with open(self.config, "w") as f:
            f.write("node: {name: bench, data_dir: %s/data}\n"
                    "capture:\n  local: {notice: '', strict: %s}\n  shell: {shell: /bin/sh}\n"
                    "store: {}\nserve: {admin: {}}\n" % (self.where, "true" if strict else "false"))


def as_user(*words):
    return ["setpriv", "--reuid=" + USER, "--regid=" + USER, "--clear-groups", *words]


def recorders(shell, client, out, command):
    """name -> what is run on the terminal"""
    return {
        "bare": as_user("sh", "-c", command),
        "script": as_user("script", "-qec", command, os.path.join(out, "ts")),
        "hansard rec": as_user(client, "rec", "--quiet", "--out", os.path.join(out, "rec.hansard"), "--", "sh", "-c",
                               command),
        "held": as_user(shell, "-c", command),
    }


def wipe(out):
    for name in os.listdir(out):
        os.unlink(os.path.join(out, name))


def throughput(a, daemon, words, out):
    runs = {name: [] for name in words}
    for _ in range(a.runs):
        for name, argv in words.items():
            wipe(out)
            daemon.settle()
            os.sync()
            before = daemon.cpu()
            run = run_ptyrun(["tp"], argv, {})
            run["at_end"] = daemon.cpu() - before
            daemon.settle()
            run["daemon"] = daemon.cpu() - before
            if run["rc"] != 0:
                raise SystemExit("%s left with %s" % (name, run["rc"]))
            runs[name].append(run)
    median = lambda name, key: statistics.median(run[key] for run in runs[name])
    lines = [["recorder", "wall s", "min", "max", "x hansard rec", "cpu s (its processes)", "cpu s of the daemon until the end",
              "and with the archive", "MB shown"]]
    for name, all_of in runs.items():
        ratio = statistics.median(x["wall"] / y["wall"] for x, y in zip(all_of, runs["hansard rec"]))
        lines.append([name, "%.2f" % median(name, "wall"), "%.2f" % min(x["wall"] for x in all_of),
                      "%.2f" % max(x["wall"] for x in all_of), "%.2f" % ratio,
                      "%.2f" % statistics.median(x["utime"] + x["stime"] for x in all_of),
                      "%.2f" % median(name, "at_end"), "%.2f" % median(name, "daemon"),
                      "%.1f" % (median(name, "term_bytes") / 1e6)])
    table("a held login, 100 MB of output, median of %d runs" % a.runs, lines)


def echo(a, words, out, gap, title):
    runs = {name: [] for name in words}
    keys = a.keys if gap == 0 else a.keys // 10
    for _ in range(a.runs):
        for name, argv in words.items():
            wipe(out)
            runs[name].append(run_ptyrun(["lat", str(keys), str(int(gap * 1e6))], argv, {}))
    lines = [["recorder", "p50 us", "p95", "p99", "max", "p99 x script"]]
    for name, all_of in runs.items():
        ratio = "–"
        if "script" in runs:
            ratio = "%.2f" % statistics.median(x["p99"] / y["p99"] for x, y in zip(all_of, runs["script"]))
        lines.append([name] + ["%.0f" % statistics.median(x[k] for x in all_of) for k in ("p50", "p95", "p99", "max")]
                     + [ratio])
    table("%s, median of %d runs of %d keys, %g s between keys" % (title, a.runs, keys, gap), lines)


def prompt_ms(argv):
    """From the start of a login until its prompt is on the screen."""
    import pty
    began = time.monotonic()
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PS1=PROMPT.decode(), TERM="xterm", ENV="/dev/null", HISTFILE="/dev/null")
        os.execvp(argv[0], argv)
    seen = b""
    while PROMPT not in seen:
        if not select.select([fd], [], [], 30)[0]:
            raise SystemExit("no prompt: %r" % seen)
        seen += os.read(fd, 4096)
    took = (time.monotonic() - began) * 1e3
    os.write(fd, b"exit\n")
    while True:
        try:
            if not os.read(fd, 4096):
                break
        except OSError:
            break
    os.waitpid(pid, 0)
    os.close(fd)
    return took


def logins(a, shell):
    words = {"sh": as_user("sh", "-i"), "held": as_user(shell, "-i")}
    took = {name: [] for name in words}
    for _ in range(a.logins):
        for name, argv in words.items():
            took[name].append(prompt_ms(argv))
    lines = [["login", "p50 ms", "p95", "p99", "max", "p50 more than without"]]
    for name, all_of in took.items():
        at = lambda part: sorted(all_of)[min(len(all_of) - 1, int(len(all_of) * part))]
        more = statistics.median(x - y for x, y in zip(all_of, took["sh"]))
        lines.append([name] + ["%.1f" % x for x in (at(.5), at(.95), at(.99), max(all_of))] + ["%.1f" % more])
    table("a login until its prompt, %d of each in turn" % a.logins, lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--keys", type=int, default=2000)
    p.add_argument("--logins", type=int, default=100)
    a = p.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("login.py: needs root: it starts a daemon that takes terminals")
    if not os.environ.get("LOGIN_BENCH_INSIDE"):
        os.environ["LOGIN_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    client = os.path.abspath(os.environ.get("HANSARD", os.path.join(HERE, "../target/release/hansard")))
    ptybench.make_data()
    subprocess.run(["gcc", "-O2", "-Wall", "-o", ptybench.PTYRUN, ptybench.PTYRUN + ".c", "-lutil"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    where = tempfile.mkdtemp(prefix="hansard-login-", dir=os.path.dirname(os.path.abspath(ptybench.WORK)))
    os.chmod(where, 0o755)
    out, shell = os.path.join(where, "out"), os.path.join(where, "hansard-shell")
    os.mkdir(out)
    os.chmod(out, 0o777)
    shutil.copyfile(client, shell)
    os.chmod(shell, 0o711)
    daemon = Daemon(where, client + "d")
    daemon.start()
    try:
        throughput(a, daemon, {name: argv for name, argv in recorders(
            shell, client, out, ptybench.workloads()["ansi"]).items() if name != "script"}, out)
        cat = recorders(shell, client, out, "stty raw -echo; echo RDY; exec cat")
        for gap in (0, 0.005):
            echo(a, cat, out, gap, "echo of a held login")
        logins(a, shell)
        daemon.stop()
        daemon.configure(strict=True)
        daemon.start()
        echo(a, {"held, strict": cat["held"]}, out, 0.005, "echo of a held login in strict mode")
        say("Load %s." % " ".join("%.1f" % x for x in os.getloadavg()))
    finally:
        daemon.stop()
        shutil.rmtree(where)


if __name__ == "__main__":
    main()
