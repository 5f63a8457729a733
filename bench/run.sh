#!/bin/sh
# Everything that `make bench` measures of recording, interleaved with the peers that are installed,
# and appended to bench/RESULTS.md. About ten minutes on a quiet machine.
#   HANSARD   the program to measure (default: target/release/hansard)
#   RUNS      rounds (default 5)   KEYS  keys a run (default 2000)   TOP_SECONDS  (default 300)
set -eu
cd "$(dirname "$0")"
: "${HANSARD:=$PWD/../target/release/hansard}"
: "${RUNS:=5}" "${KEYS:=2000}" "${TOP_SECONDS:=300}"
PTYBENCH_DIR=${PTYBENCH_DIR:-${TMPDIR:-/tmp}/hansard-bench/work}
PTYBENCH_RESULTS=${PTYBENCH_RESULTS-$PWD/RESULTS.md}
PTYBENCH_OURS="$HANSARD rec --quiet --out {out}.hansard -- sh -c {cmd}"
: "${ASCIINEMA3:=$PWD/../.peers/bin/asciinema}"
export PTYBENCH_DIR PTYBENCH_RESULTS PTYBENCH_OURS ASCIINEMA3
mkdir -p "$PTYBENCH_DIR"
gcc -O2 -Wall -o ptyrun ptyrun.c -lutil

peers=bare,script
# tlog on Debian does not start a session without it, and refuses while a lock of a dead one is there.
if command -v tlog-rec >/dev/null; then
    [ -e /run/utmp ] || { touch /run/utmp && chgrp utmp /run/utmp && chmod 664 /run/utmp; } || true
    [ -e /run/utmp ] && peers=$peers,tlog-rec
fi
command -v asciinema >/dev/null && peers=$peers,asciinema2
[ -x "$ASCIINEMA3" ] && peers=$peers,asciinema3

python3 ptybench.py heading
for workload in ansi bin; do
    python3 ptybench.py throughput --workload "$workload" --runs "$RUNS" --only "$peers,ours" 2>/dev/null
done
python3 ptybench.py latency --n "$KEYS" --runs "$RUNS" --only "$peers,ours"
python3 ptybench.py latency --n $((KEYS / 10)) --runs "$RUNS" --gap 0.005 --only bare,script,ours
python3 ptybench.py top --seconds "$TOP_SECONDS"
