# shellcheck shell=bash
# The fourth part of scripts/demo.sh, which sources this: what a session really did, as the kernel saw
# it, beside what its terminal showed. A daemon of its own, which is root, loads the kernel's programs.

watched=$dir/watched
watched_daemon=''
watched_jobs=()
on_watched() { "${as_root[@]}" env HANSARD_RUNTIME_DIR="$watched/run" "$@"; }

end_watched() {
    [ -z "$watched_daemon" ] || "${as_root[@]}" kill "$watched_daemon" 2>/dev/null || true
    wait "${watched_jobs[@]}" 2>/dev/null || true
    [ -z "$watched_daemon" ] || "${as_root[@]}" chown -R "$(id -u):$(id -g)" "$watched"
    watched_daemon=''
}

start_watched() {
    mkdir -p "$watched"
    cat >"$watched/hansard.yaml" <<YAML
node:
  name: demo
  data_dir: $watched/data
  runtime_dir: $watched/run
capture:
  local: {}
  host: {enabled: true}
store: {}
serve:
  admin: {}
YAML
    quietly "${as_root[@]}" "$hansardd" init --config "$watched/hansard.yaml" --cluster demo
    "${as_root[@]}" "$hansardd" doctor --config "$watched/hansard.yaml" >"$watched/doctor" 2>&1 || true
    grep -q 'this kernel can tell them' "$watched/doctor" || return 1
    "${as_root[@]}" sh -c 'echo $$ >"$0/daemon"; exec "$1" run --config "$0/hansard.yaml"' \
        "$watched" "$hansardd" >"$watched/log" 2>&1 &
    watched_jobs+=($!)
    until_so grep -qs ' running roles=' "$watched/log"
    watched_daemon=$(cat "$watched/daemon")
    ok "hansardd doctor: $(grep -o 'this kernel can tell them.*' "$watched/doctor")"
}

# A shell whose echo is off: a command that nobody can read, a script, a connection.
hide_something() {
    echo "PS1='work> '; unset HISTFILE" >"$watched/rc"
    printf '#!/bin/sh\nid -un >/dev/null\n' >"$watched/tidy.sh"
    chmod 755 "$watched/tidy.sh"
    cat >"$watched/steps" <<STEPS
wait work>
type stty -echo\r
wait work>
type echo Y2F0IC9ldGMvc2hhZG93ID4vZGV2L251bGwK | base64 -d | sh\r
wait work>
type $watched/tidy.sh\r
wait work>
type exec 3<>/dev/tcp/127.0.0.1/9\r
wait work>
type exit 0\r
STEPS
    quietly on_watched "$here/scripts/person.py" --saw "$watched/saw" "$watched/steps" \
        "$hansard" rec -- bash --noprofile --rcfile "$watched/rc"
    ! grep -q shadow "$watched/saw" || fail "the terminal showed what was to be hidden"
    ok "a session whose terminal shows no command: echo off, base64, a script"
}

watched_session() { on_watched "$hansard" ls --json 2>/dev/null | grep '"ended":true'; }

look_at_watched() {
    until_so watched_session >/dev/null
    id=$(watched_session | grep -o '"sid":"[^"]*"' | cut -d '"' -f 4)
    shown() { on_watched "$hansard" show "$id" --events >"$watched/events" && grep -q session.end "$watched/events"; }
    until_so shown
    local what
    for what in 'argv=\["/etc/shadow"\]' 'path=/etc/shadow' 'program=id' 'dst_addr=127.0.0.1'; do
        grep -q "$what" "$watched/events" || fail "hansard show $id --events has no $what"
    done
    ok "hansard show --events: cat /etc/shadow, id from the script, the connection"
    cat >"$watched/looks" <<STEPS
wait paused
type G
wait cat /etc/shadow
type q
STEPS
    quietly on_watched "$here/scripts/person.py" --size 160x30 --saw "$watched/played" "$watched/looks" \
        "$hansard" play --events --paused "$id"
    ok "hansard play --events shows them beside the screen"
}

watched() {
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null && [ ! -t 0 ]; then
        echo "skipped: host events need root, or sudo that asks nobody"
        return
    fi
    if ! start_watched; then
        echo "skipped: host events: $(grep 'host events' "$watched/doctor")"
        return
    fi
    hide_something
    look_at_watched
    end_watched
}
