#!/usr/bin/env python3
"""How fast `hansard convert` writes and reads each format, and how much memory it takes.

    formats.py speed  [--megabytes 200] [--runs 5]     beside asciinema 3's convert, interleaved
    formats.py memory [--megabytes 2048]               one run each, peak RSS

Speeds are megabytes of raw output (what the recording showed) a second of wall time. The input is
the `ansi` workload in pieces of 1 to 8 KiB, 2 ms apart. HANSARD names the program, ASCIINEMA3 the
peer, PTYBENCH_DIR where the data lies, PTYBENCH_RESULTS the file that tables are appended to.
"""
import argparse, gzip, json, os, random, shutil, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.environ.get("PTYBENCH_DIR") or os.path.join(HERE, "ptybench-work")
HANSARD = os.environ.get("HANSARD") or os.path.join(HERE, "..", "target", "release", "hansard")
ASC3 = os.environ.get("ASCIINEMA3", os.path.join(HERE, "..", ".peers", "bin", "asciinema"))
RESULTS = os.environ.get("PTYBENCH_RESULTS")
BOTH = ["hansard", "jsonl", "asciicast-v2", "asciicast-v3", "tlog", "containerssh", "typescript",
        "ttyrec", "teleport", "raw"]
WRITTEN = ["containerssh-json", "transcript"]


def path(name):
    return os.path.join(WORK, "formats-" + name)


def wipe(target):
    for p in (target, target + ".timing"):
        if os.path.isdir(p):
            shutil.rmtree(p)
        elif os.path.exists(p):
            os.unlink(p)


def size(target):
    if os.path.isdir(target):
        return sum(os.path.getsize(os.path.join(target, n)) for n in os.listdir(target))
    timing = target + ".timing"
    return os.path.getsize(target) + (os.path.getsize(timing) if os.path.exists(timing) else 0)


def run(argv):
    """Wall seconds and peak RSS in MB. ptyrun is small: a child of ours would begin with our RSS."""
    told = subprocess.run([os.path.join(HERE, "ptyrun"), "tp", "--"] + argv,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    told = json.loads(told.stdout)
    if told["rc"]:
        sys.exit("failed: %s" % " ".join(argv))
    return told["wall"], told["rss_kb"] / 1024


def convert(source, to, target, source_is="hansard"):
    wipe(target)
    # Raw is the one format that is never guessed.
    return run([HANSARD, "convert"] + (["--from", "raw"] if source_is == "raw" else [])
               + ["--to", to, source, target])


def make_input(megabytes):
    """A cast of so many megabytes of output, and how many bytes that is exactly."""
    import ptybench
    ptybench.make_data()
    text = open(ptybench.ANSI, encoding="utf-8").read(8_000_000)
    rnd, total, at, where = random.Random(3), 0, 0.0, 0
    target = path("input.cast")
    with open(target, "w", encoding="utf-8") as out:
        out.write('{"version":2,"width":80,"height":24,"timestamp":1700000000}\n')
        while total < megabytes * 1_000_000:
            piece = text[where:where + rnd.randrange(1000, 8000)]
            where = where + len(piece) if where + 8000 < len(text) else 0
            total += len(piece.encode())
            at += 0.002
            out.write("[%.6f,\"o\",%s]\n" % (at, json.dumps(piece, ensure_ascii=False)))
    return target, total


def pieces(megabytes):
    """The same output in pieces, for formats that we only read."""
    import ptybench
    data = open(ptybench.ANSI, "rb").read(8_000_000)
    rnd, total, where = random.Random(3), 0, 0
    while total < megabytes * 1_000_000:
        piece = data[where:where + rnd.randrange(1000, 8000)]
        where = where + len(piece) if where + 8000 < len(data) else 0
        total += len(piece)
        yield piece


def make_sudo(megabytes):
    """A session directory as sudo writes it, the output compressed."""
    target = path("in.sudo")
    wipe(target)
    os.mkdir(target)
    with open(os.path.join(target, "log"), "w") as log:
        log.write("1700000000:alice:root::/dev/pts/1:24:80\n/home/alice\n/bin/bash\n")
    with gzip.open(os.path.join(target, "ttyout"), "wb", 1) as out, \
            gzip.open(os.path.join(target, "timing"), "wt", 1) as timing:
        for piece in pieces(megabytes):
            out.write(piece)
            timing.write("4 0.002000000 %d\n" % len(piece))
    return target


def make_stream(megabytes):
    """A Teleport recording of parts of about 5 MiB. The layout is that of its test samples."""
    sys.path.insert(0, os.path.join(HERE, "..", "crates", "view", "tests", "data", "teleport"))
    import make
    target, records, gathered, ei, ms = path("in.stream"), [make.start()], 0, 0, 0
    with open(target, "wb") as out:
        for piece in pieces(megabytes):
            ei, ms, gathered = ei + 1, ms + 2, gathered + len(piece)
            records.append(make.out(ei, ei - 1, ms, piece))
            if gathered > 20_000_000:
                out.write(make.part(records))
                records, gathered = [], 0
        out.write(make.part(records + [make.end(ei + 1, ms)]))
    return target


def say(text):
    print(text)
    if RESULTS:
        with open(RESULTS, "a") as out:
            out.write(text + "\n")


def known():
    """Whether this build writes a format."""
    asked = subprocess.run([HANSARD, "convert", "--to", "?", "-", "-"], capture_output=True, text=True)
    names = asked.stderr.split("[possible values: ")[1].split("]")[0].replace(",", " ").split()
    return lambda name: name in names


def speed(args):
    cast, raw = make_input(args.megabytes)
    ours, has = path("input.hansard"), known()
    convert(cast, "hansard", ours)
    jobs = {}
    for name in filter(has, BOTH + WRITTEN):
        target = path("out." + name)
        jobs["hansard → " + name] = (ours, name, target)
        if name not in WRITTEN:
            convert(ours, name, target)
            kept = path("in." + name)
            wipe(kept)
            os.rename(target, kept)
            if os.path.exists(target + ".timing"):
                os.rename(target + ".timing", kept + ".timing")
            jobs[name + " → hansard"] = (kept, "hansard", path("out.hansard"), name)
    walls = {name: [] for name in jobs}
    peer = "asciinema 3: asciicast-v2 → raw"
    if os.access(ASC3, os.X_OK):
        walls[peer], walls["asciicast-v2 → raw"] = [], []
        jobs["asciicast-v2 → raw"] = (cast, "raw", path("out.raw"))
    for _ in range(args.runs):
        for name, job in jobs.items():
            walls[name].append(convert(*job)[0])
            wipe(job[2])
        if peer in walls:
            argv = [ASC3, "convert", "--overwrite", "-f", "raw", cast, path("out.peer")]
            walls[peer].append(run(argv)[0])
    say("\n### converting %d MB of output, median of %d interleaved runs\n" % (raw / 1e6, args.runs))
    say("| conversion | wall s | min | max | MB/s |\n|---|---|---|---|---|")
    for name, times in walls.items():
        median = statistics.median(times)
        say("| %s | %.2f | %.2f | %.2f | %.0f |" % (name, median, min(times), max(times), raw / 1e6 / median))
    if peer in walls:
        ratio = statistics.median(a / b for a, b in zip(walls["asciicast-v2 → raw"], walls[peer]))
        say("\nasciicast-v2 → raw: %.2f × the time of asciinema 3." % ratio)
    say("Load %s." % " ".join("%.1f" % n for n in os.getloadavg()))


def memory(args):
    cast, raw = make_input(args.megabytes)
    ours, has = path("input.hansard"), known()
    say("\n### memory, converting %d MB of output\n" % (raw / 1e6))
    say("| format | file MB | peak RSS writing it, MB | reading it, MB |\n|---|---|---|---|")
    _, first = convert(cast, "hansard", ours)
    for name in filter(has, BOTH + WRITTEN):
        target = path("out." + name)
        _, writing = convert(ours, name, target)
        megabytes, reading = size(target) / 1e6, "–"
        if name not in WRITTEN:
            reading = "%.1f" % convert(target, "hansard", path("out.back"), name)[1]
        say("| %s | %.0f | %.1f | %s |" % (name, megabytes, writing, reading))
        wipe(target)
        wipe(path("out.back"))
    for name, made in (("sudo", make_sudo), ("teleport (stream)", make_stream)):
        target = made(args.megabytes)
        reading = convert(target, "hansard", path("out.back"))[1]
        say("| %s | %.0f | – | %.1f |" % (name, size(target) / 1e6, reading))
        wipe(target)
        wipe(path("out.back"))
    wipe(cast)
    wipe(ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, megabytes in (("speed", 200), ("memory", 2048)):
        command = commands.add_parser(name)
        command.add_argument("--megabytes", type=int, default=megabytes)
        command.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    sys.path.insert(0, HERE)
    {"speed": speed, "memory": memory}[args.command](args)


if __name__ == "__main__":
    main()
