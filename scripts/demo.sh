#!/usr/bin/env bash
# The main job, for real: records a person at a terminal, replays it, shows one moment, proves it;
# then the same with a service (scripts/demo_service.sh) and its application (scripts/demo_web.sh), with a login (scripts/demo_login.sh), and
# with what the kernel tells (scripts/demo_watched.sh); then somebody signs in and goes to hosts
# (scripts/demo_access.sh).
# One line `ok: …` for each thing shown; ends with a failure at the first that is not so.
# HANSARD_BIN, HANSARDD_BIN: the built programs. DEMO_DIR: where the files go. DEMO_EXIT=1: no closing words.
set -euo pipefail
cd "$(dirname "$0")/.."

hansard=$(realpath "${HANSARD_BIN:-target/release/hansard}")
hansardd=$(realpath "${HANSARDD_BIN:-target/release/hansardd}")
here=$PWD
dir=${DEMO_DIR:-target/demo}
rm -rf "$dir"
mkdir -p "$dir/desk"
dir=$(realpath "$dir")
path=$dir/session.hansard
file=${path#"$here"/}
secret='correct horse 42'
# No terminal, login or taste of whoever runs this reaches the recorded shell.
export LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=xterm-256color HOME="$dir"
unset TMUX COLUMNS LINES EXINIT VIMINIT LS_COLORS NOTIFY_SOCKET JOURNAL_STREAM

ok() { echo "ok: $*"; }
fail() {
    echo "not ok: $*" >&2
    exit 1
}
# Runs a step whose own output is shown only if it fails.
quietly() { "$@" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail "$*"; }; }

record() {
    cd "$dir/desk"
    mkdir plans
    printf '#!/bin/sh\n' >deploy.sh
    chmod +x deploy.sh
    ln -s deploy.sh latest
    quietly "$hansard" keygen "$dir/key"
    echo "PS1='demo> '; unset HISTFILE" >"$dir/rc"
    cat >"$dir/steps" <<STEPS
wait demo>
type ls -l --color=always\r
wait deploy.sh
wait demo>
# The editor.
type vim.tiny -u NONE notes.txt\r
wait notes.txt
pause 0.3
type iThe limit was raised to 20 at noon.\e
pause 0.5
type :wq\r
wait written
wait demo>
# A program that redraws its screen by itself.
type top -d 0.5\r
wait load average
pause 2
type q
wait demo>
# The window grows.
size 120x40
pause 0.2
type stty size\r
wait 40 120
# A secret, typed while the terminal hides it.
type read -rsp 'Password: ' password; echo\r
wait Password:
wait Password:
pause 0.3
type $secret\r
type echo \${#password} characters\r
wait ${#secret} characters
type exit 7\r
STEPS
    local status=0
    "$here/scripts/person.py" --size 100x30 --saw "$dir/saw" "$dir/steps" \
        "$hansard" rec --quiet --keystrokes --key "$dir/key" --out "$path" \
        -- bash --rcfile "$dir/rc" -i || status=$?
    cd "$here"
    [ "$status" = 7 ] || fail "the recorded shell left with 7, the recorder with $status"
    [ -s "$file" ] || fail "no recording in $file"
    ok "recorded a shell, an editor, top, a resize and a password prompt:" \
        "$(stat -c %s "$file") bytes on disk for $(stat -c %s "$dir/saw") shown"
}

replay() {
    "$hansard" cat "$file" >"$dir/cat"
    cmp -s "$dir/saw" "$dir/cat" || fail "hansard cat differs from what the person saw"
    ok "hansard cat gives back every byte that the terminal was sent"

    printf 'wait ■\npause 0.3\ntype q\n' >"$dir/steps"
    cat >"$dir/viewer" <<'VIEWER'
stty -a >before; "$1" play --speed 20 --idle-limit 0.2 "$2" || exit; stty -a >after
VIEWER
    cd "$dir"
    quietly "$here/scripts/person.py" --size 120x40 --saw "$dir/played" "$dir/steps" \
        sh "$dir/viewer" "$hansard" "$path"
    cd "$here"
    grep -q 'Password:' "$dir/played" || fail "play did not show the password prompt"
    tail -c 100 "$dir/played" | grep -qF $'\e[?1049l' || fail "play left the alternate screen on"
    cmp -s "$dir/before" "$dir/after" || fail "play left the terminal in another mode"
    ok "hansard play shows it again at 20 times the speed, and leaves the terminal as it was"
}

# One moment: found by what stood on the screen, shown as text and as a picture.
moment() {
    local at
    "$hansard" search --json 'raised to 20 at noon' "$file" >"$dir/found"
    at=$(grep -o '"at_ns": *[0-9]*' "$dir/found" | head -n 1 | tr -dc 0-9)
    [ -n "$at" ] || fail "hansard search did not find what was typed into the editor"
    at=$(awk -v ns="$at" 'BEGIN { printf "%.3f", ns / 1e9 + 0.2 }')
    "$hansard" screen --at "$at" "$file" >"$dir/moment.txt"
    grep -q 'The limit was raised to 20 at noon' "$dir/moment.txt" ||
        fail "the screen at $at s does not show the editor's text"
    "$hansard" screen --at "$at" --svg "$file" >"$dir/moment.svg"
    grep -q '<svg' "$dir/moment.svg" || fail "no picture of the screen at $at s"
    ok "hansard search found the editor's text at $at s; that moment as text:"
    sed -n '1,3s/^/    | /p' "$dir/moment.txt"
}

prove() {
    "$hansard" info "$file" >"$dir/info"
    ok "hansard info: $(awk '$1 ~ /^(size|duration|output|ended)$/' ORS=', ' "$dir/info" |
        sed 's/^ *//; s/,  */, /g; s/  */ /g; s/, $//')"
    "$hansard" verify --trust "$dir/key.pub" "$file" >"$dir/verified" ||
        fail "hansard verify: $(cat "$dir/verified")"
    ok "hansard verify: $(head -n 1 "$dir/verified")"

    # One bit in the middle of a copy.
    local middle
    middle=$(($(stat -c %s "$file") / 2))
    /usr/bin/python3 - "$file" "$dir/altered.hansard" "$middle" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[3])] ^= 1
open(sys.argv[2], "wb").write(data)
PY
    local status=0
    "$hansard" verify "${file%/*}/altered.hansard" >"$dir/verified" 2>&1 || status=$?
    [ "$status" = 3 ] || fail "verify of a copy with one bit changed: exit $status, not 3"
    ok "with one bit changed at byte $middle: $(head -n 1 "$dir/verified")"
}

# What was typed is kept, as asked, but not what was typed while the terminal hid it.
hide() {
    "$hansard" convert --to jsonl "$file" "$dir/events.jsonl"
    scripts/demo_events.py "$dir/events.jsonl" "$secret" notes.txt 'exit 7' --size 120x40 || fail "see above"
    local in
    if in=$(grep -rlF --exclude=steps -e "$secret" "$dir"); then
        fail "the password stands in $in"
    fi
    ok "the password was typed, and stands in no event and no file"
}

convert() {
    "$hansard" convert --to asciicast-v2 "$file" "$dir/session.cast"
    head -n 1 "$dir/session.cast" | grep -q '"version": *2' || fail "no asciicast header"
    ok "converted to an asciicast of $(wc -l <"$dir/session.cast") lines"
    # What others record: written, recognised by its content, and the same screen again.
    local format formats="tlog containerssh typescript teleport"
    "$hansard" screen "$file" >"$dir/last"
    for format in $formats; do
        "$hansard" convert --to "$format" "$file" "$dir/as-$format"
        "$hansard" info "$dir/as-$format" | head -n 1 | grep -q ": $format\$" ||
            fail "what was written as $format is not recognised"
        "$hansard" screen "$dir/as-$format" >"$dir/again"
        cmp -s "$dir/last" "$dir/again" || fail "as $format it ends with another screen"
    done
    ok "written as ${formats// /, }, and read again to the same screen"
}

. scripts/demo_service.sh
. scripts/demo_web.sh
. scripts/demo_login.sh
. scripts/demo_watched.sh
. scripts/demo_access.sh

closing_words() {
    local shown=${dir#"$here"/}
    cat <<WORDS

Look at it yourself:
  ${hansard#"$here"/} play $shown/session.hansard     space pauses, arrows seek, q ends
  ${hansard#"$here"/} info $shown/session.hansard
  ${hansard#"$here"/} verify $shown/altered.hansard
  $shown/moment.svg                     the editor, as a picture
  $shown/session.cast                   for asciinema play

The service has ended; what it kept is there. To start it again, and look at it from another terminal:
  ${hansardd#"$here"/} run --config $shown/service/hansard.yaml
then open the moment at which "$word" stood in less, as $web_user with the password "$web_password":
  $link
or:
  export HANSARD_RUNTIME_DIR=$shown/service/run
  ${hansard#"$here"/} ls
  ${hansard#"$here"/} play $id
  ${hansard#"$here"/} rec                       and, from a third, hansard follow ID
  ${hansard#"$here"/} events --limit 20
WORDS
}

record
replay
moment
prove
hide
convert
service
login
watched
access
[ "${DEMO_EXIT:-}" = 1 ] || closing_words
