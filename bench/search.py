#!/usr/bin/env python3
"""What full text costs and how soon it answers: bench/search.py [HOURS]

Of several kinds of recordings, each by itself: the time until they are in a committed index beside the
time of the emulator alone (in turn, the middle of five), and the size of the index beside raw output.
Then the time of a first page for words and phrases over HOURS synthetic session-hours (10000 unless said
otherwise). FULL_TEXT names the example of the store that measures; PTYBENCH_RESULTS the file that tables
are appended to. SEARCH_DIR keeps the recordings, which are made if they are not there: with programs of
this machine, so that only those of the same machine and day can be compared.
"""
import glob
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import ptybench

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PROGRAMS = os.path.join(ROOT, "crates", "store", "tests", "recall", "programs.py")
SAMPLES = os.path.join(ROOT, "tests", "samples", "screens")
FULL_TEXT = os.environ.get("FULL_TEXT") or os.path.join(ROOT, "target", "release", "examples", "full_text")
# Wanted at least, and at most.
RATE, SHARE, WORD_MS, PHRASE_MS = 0.4, 0.15, 200, 1000
TEXT_BYTES_MAX = 16_000_000
RECORDED, SEED = 200, "77"


def run(*args):
    done = subprocess.run([FULL_TEXT, *args], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def written(path, command):
    """What a command writes, as a terminal is given it, up to a bound."""
    with open(path, "wb") as out:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        while out.tell() < TEXT_BYTES_MAX:
            piece = child.stdout.read(1 << 16)
            if not piece:
                break
            out.write(piece.replace(b"\n", b"\r\n"))
        child.kill()
        child.wait()


def log_lines(path):
    """Coloured lines of a service's log, of which each has its own numbers; the same each time."""
    dice = random.Random(20261120)
    with open(path, "w", encoding="utf-8", newline="") as out:
        n = i = 0
        while n < TEXT_BYTES_MAX:
            i += 1
            n += out.write(
                "\x1b[2m2024-05-%02dT%02d:%02d:%02dZ\x1b[0m \x1b[3%dmINFO\x1b[0m unit=svc-%d pid=%d "
                "\x1b[1mméthode\x1b[0m=\"GET /a/%x/%d?x=%d\" 日本 ✓ %s\r\n"
                % (i % 28 + 1, i // 3600 % 24, i // 60 % 60, i % 60, dice.randrange(8), dice.randrange(97),
                   dice.randrange(32768), dice.getrandbits(32), i, dice.randrange(100000), "x" * dice.randrange(40)))


def headers(path):
    """A build that says everything: the compiler's own words about each header of this machine."""
    names = " ".join(sorted(glob.glob("/usr/include/*.h")))
    script = f'for f in {names}; do echo "cc -O2 -v -H $f"; cc -O2 -fdiagnostics-color=always -Wall -Wextra -v -H ' \
             '-fsyntax-only -x c "$f" 2>&1; done'
    written(path, ["sh", "-c", script])


def kinds(place):
    """Name and files of each kind of recording, made where they are not there."""
    programs = os.path.join(place, "programs")
    if not os.path.isdir(programs):
        os.makedirs(programs)
        subprocess.run(["/usr/bin/python3", PROGRAMS, programs, str(RECORDED), SEED], check=True,
                       stdout=subprocess.DEVNULL)
    texts = {
        "log.txt": ("a service's log", log_lines),
        "build.txt": ("a build, verbose", headers),
        "changes.txt": ("git log -p --color", lambda path: written(path, ["git", "log", "-p", "--color"])),
        "listing.txt": ("ls -laR --color", lambda path: written(path, ["ls", "-laR", "--color=always", "/usr"])),
    }
    found = [("programs, %d recordings" % RECORDED, sorted(glob.glob(os.path.join(programs, "*.cast"))))]
    found.append(("programs, the samples", sorted(glob.glob(os.path.join(SAMPLES, "*.cast")))))
    for name, (what, make) in texts.items():
        path = os.path.join(place, name)
        if not os.path.exists(path):
            make(path)
        found.append((what, [path]))
    return found


def measure(place, hours):
    rows = []
    for what, files in kinds(place):
        m = run("rate", *files)
        rows.append([what, "%.1f" % (m["raw_bytes"] / 1e6), "%.2f" % m["emulator_s"], "%.2f" % m["texts_s"],
                     "%.2f" % m["index_s"], "%.2f" % m["rate_of_emulator"], "%.1f %%" % (100 * m["index_share"])])
    ptybench.table("full text: the emulator alone, and until it is in a committed index (wanted: >= %.1f x, <= %d %%)"
                   % (RATE, 100 * SHARE),
                   [["recordings", "MB raw", "emulator s", "texts s", "index s", "x emulator", "index of raw"]] + rows)
    index = os.path.join(place, "index")
    shutil.rmtree(index, ignore_errors=True)
    try:
        m = run("fill", index, hours)
        m.update(run("find", index, hours))
    finally:
        shutil.rmtree(index, ignore_errors=True)
    ptybench.table("full text: a first page over %s synthetic session-hours (wanted: words p95 <= %d ms, phrases <= %d)"
                   % (hours, WORD_MS, PHRASE_MS),
                   [["asked", "questions", "p50 ms", "p95 ms"],
                    ["words", *(str(m[key]) for key in ("words", "word_p50_ms", "word_p95_ms"))],
                    ["phrases", *(str(m[key]) for key in ("phrases", "phrase_p50_ms", "phrase_p95_ms"))]])
    ptybench.say("%.0f MB of raw output, index %.1f %% of it, filled in %.0f s.\n"
                 % (m["raw_bytes"] / 1e6, 100 * m["index_share"], m["fill_s"]))


def main():
    hours = sys.argv[1] if len(sys.argv) > 1 else "10000"
    kept = os.environ.get("SEARCH_DIR")
    place = kept or tempfile.mkdtemp(prefix="hansard-search-")
    os.makedirs(place, exist_ok=True)
    try:
        ptybench.heading(None)
        measure(place, hours)
    finally:
        if not kept:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
