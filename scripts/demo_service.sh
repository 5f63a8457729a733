# shellcheck shell=bash
# The second half of scripts/demo.sh, which sources this: one machine's service.
# A daemon is set up and started in a directory of its own; a session is handed over to it, followed
# from a second terminal, listed, replayed, proved and found again. It ends with the demo, by its pid.

service=$dir/service
daemon=
worker=
# The service's sockets, for every `hansard` from here on.
export HANSARD_RUNTIME_DIR=$service/run

# Whatever way the demo ends, nothing that it started goes on.
end_what_was_started() {
    local pid
    for pid in $worker $daemon; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    end_login
    end_watched
    end_access
}
trap end_what_was_started EXIT
trap 'exit 130' INT TERM

# Until a command succeeds, 20 s at most.
until_so() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    [ ! -s "$service/log" ] || tail -n 5 "$service/log" >&2
    fail "not within 20 s: $*"
}

# What a daemon does without a configuration, but in a directory of its own, at a free port, and for
# whoever runs this.
start_service() {
    mkdir -p "$service"
    cat >"$service/hansard.yaml" <<YAML
node:
  name: demo
  data_dir: $service/data
  runtime_dir: $service/run
capture:
  local: {}
store: {}
serve:
  admin: {roles: {admin: {users: ["$(id -u)"]}}}
  metrics: {listen: "127.0.0.1:0"}
  web: {listen: "127.0.0.1:0"} # web
YAML
    quietly "$hansardd" check --config "$service/hansard.yaml"
    quietly "$hansardd" init --config "$service/hansard.yaml" --cluster demo
    cp "$dir/said" "$service/init"
    "$hansardd" run --config "$service/hansard.yaml" >"$service/log" 2>&1 &
    daemon=$!
    until_so is_running
    ok "hansardd runs, set up by two commands: $(sed -n 's/.*running roles=//p' "$service/log")"
}
is_running() {
    kill -0 "$daemon" 2>/dev/null || { cat "$service/log" >&2; fail "hansardd ended"; }
    grep -qs ' running roles=' "$service/log"
}

# The one terminal session that the service lists, as a line of JSON.
listed() { "$hansard" ls --json 2>/dev/null | grep '"kind":"terminal"'; }
session_id() { id=$(listed | grep -o '"sid":"[^"]*"' | cut -d '"' -f 4) && [ -n "$id" ]; }
has_ended() { listed | grep -q '"ended":true'; }

# Two people: one works and is recorded, the other watches. Each waits for what the other does.
record_and_follow() {
    echo "PS1='work> '; unset HISTFILE" >"$service/rc"
    cat >"$service/works" <<STEPS
wait work>
type echo before anybody looked on\r
wait before anybody
await $service/watches
type echo the answer is \$((6 * 7))\r
await $service/has-seen
type exit 7\r
STEPS
    cat >"$service/watching" <<STEPS
wait before anybody looked on
sign $service/watches
wait the answer is 42
sign $service/has-seen
wait ended
type q
STEPS
    scripts/person.py --saw "$service/worked" "$service/works" \
        "$hansard" rec --quiet -- bash --rcfile "$service/rc" -i 2>"$dir/said" &
    worker=$!
    until_so session_id
    quietly scripts/person.py --size 120x40 --saw "$service/watched" "$service/watching" \
        "$hansard" follow "$id" --reason "the demo looks on"
    local status=0
    wait "$worker" || status=$?
    worker=
    [ "$status" = 7 ] || fail "the session left with 7, its recorder with $status: $(cat "$dir/said")"
    ok "a session was handed over to the daemon: $id"
    ok "hansard follow showed it in a second terminal as it happened, and what stood there before"
}

list() {
    until_so has_ended
    "$hansard" ls >"$service/ls"
    grep "$id" "$service/ls" | grep -q 'status 7' || fail "hansard ls: $(cat "$service/ls")"
    ok "hansard ls:"
    sed 's/^/    | /' "$service/ls"
    "$hansard" show "$id" >"$service/show"
    grep -q 'complete and intact' "$service/show" || fail "hansard show: $(cat "$service/show")"
}

look() {
    "$hansard" cat "$id" >"$service/cat"
    cmp -s "$service/worked" "$service/cat" || fail "hansard cat $id differs from what was seen"
    printf 'wait ■\npause 0.3\ntype q\n' >"$service/steps"
    quietly scripts/person.py --size 120x40 --saw "$service/played" "$service/steps" \
        "$hansard" play --speed 20 --idle-limit 0.2 "$id"
    grep -q 'the answer is 42' "$service/played" || fail "hansard play $id did not show the answer"
    "$hansard" search 'answer is 42' "$id" >"$service/found"
    grep -q 'answer is 42' "$service/found" || fail "hansard search did not find it"
    ok "hansard cat, play and search take it from the service: $(head -n 1 "$service/found")"
    "$hansard" verify --trust "$service/data/keys/authority/authority.pem" "$id" \
        >"$service/verified" || fail "hansard verify: $(cat "$service/verified")"
    ok "hansard verify: $(head -n 1 "$service/verified");$(sed -n 's/^ *signed/ signed/p' "$service/verified")"
}

# Everything but what was shown, a line of JSON each; every look among it.
event_log() {
    local log=$service/data/log/events.log event
    for event in session.start session.end session.recording.access; do
        grep -F "\"event\":\"$event\"" "$log" | grep "$id" | tail -n 1 || fail "events.log has no $event of $id"
    done >"$service/lines"
    ok "events.log has $(wc -l <"$log") lines, looks among them; three of the session's, cut short:"
    sed -E 's/"uid":"[^"]*",//; s/^(.{96}).*/    | \1…/' "$service/lines"
    "$hansard" events --session "$id" --event session.end --json >"$service/events"
    grep -q '"session.end"' "$service/events" || fail "hansard events: $(cat "$service/events")"
}

stop_service() {
    local status=0
    kill "$daemon"
    wait "$daemon" || status=$?
    daemon=
    [ "$status" = 0 ] || { cat "$service/log" >&2; fail "hansardd ended with $status"; }
    ok "hansardd was told to stop, and closed everything"
}

service() {
    start_service
    record_and_follow
    list
    look
    event_log
    web
    stop_service
}
