# shellcheck shell=bash
# The third part of scripts/demo.sh, which sources this: somebody's login, recorded by hansard-shell.
# It happens in a mount namespace with its own /etc and /run, so that this machine gets no account and
# no file; a daemon of its own, which is root, holds the terminal. All of it ends with the demo.

login=$dir/login
login_password='staple battery 9431'
# Who makes the namespace: root, or somebody who may become root.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# Two accounts, one of which has the recorder as its login shell; lasts until it is killed.
login_place='
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -m 755 /run/hansard /run/demo /run/demo/home
    cp -a /etc /run/demo/etc
    mount --bind /run/demo/etc /etc
    install -m 711 "$1" /run/demo/hansard-shell
    useradd -K MAIL_DIR=/nowhere -m -d /run/demo/home/anna -s /run/demo/hansard-shell hansard-anna
    useradd -K MAIL_DIR=/nowhere -m -d /run/demo/home/ben -s /bin/bash hansard-ben
    printf "%s:%s\n" hansard-ben "$2" | chpasswd
    printf "PS1=\"work> \"; unset HISTFILE\n" | tee /run/demo/home/anna/.bashrc >/run/demo/home/anna/.bash_profile
    printf "PS1=\"ben> \"; unset HISTFILE\n" >/run/demo/home/ben/.bashrc
    echo $$ >"$3/place"
    exec sleep infinity
'
place=''
login_daemon=''
there() {
    "${as_root[@]}" nsenter --mount="/proc/$place/ns/mnt" --wd="$login" -- \
        env -u HANSARD_RUNTIME_DIR "$@"
}

# Nothing of the login goes on, and its files are those of whoever runs the demo.
end_login() {
    local pid
    for pid in $login_daemon $place; do
        "${as_root[@]}" kill "$pid" 2>/dev/null || true
    done
    wait "${login_jobs[@]}" 2>/dev/null || true
    [ -z "$place" ] || "${as_root[@]}" chown -R "$(id -u):$(id -g)" "$login"
    login_daemon='' place=''
}
login_jobs=()

start_login_place() {
    mkdir -p "$login"
    "${as_root[@]}" unshare --mount --propagation private sh -euc "$login_place" \
        sh "$hansard" "$login_password" "$login" >"$login/place.log" 2>&1 &
    login_jobs+=($!)
    until_so test -s "$login/place"
    place=$(cat "$login/place")
    cat >"$login/hansard.yaml" <<YAML
node:
  name: demo
  data_dir: $login/data
capture:
  local: {notice: "This session is recorded.", keystrokes: true}
  shell: {shell: /bin/bash}
store: {}
serve:
  admin: {}
YAML
    quietly there "$hansardd" init --config "$login/hansard.yaml" --cluster demo
    there sh -c 'echo $$ >daemon; exec "$0" run --config hansard.yaml' "$hansardd" \
        >"$login/log" 2>&1 &
    login_jobs+=($!)
    until_so grep -qs ' running roles=' "$login/log"
    login_daemon=$(cat "$login/daemon")
}

logins() { there "$hansard" ls --json 2>/dev/null | grep '"user":"hansard-anna"'; }
login_id() { id=$(logins | grep -o '"sid":"[^"]*"' | cut -d '"' -f 4) && [ -n "$id" ]; }
login_has_ended() { logins | grep -q '"ended":true'; }

# One logs in and becomes somebody else by a password; the other watches.
log_in() {
    cat >"$login/steps" <<STEPS
wait This session is recorded.
wait work>
type id -un; tty\r
wait hansard-anna
await $login/watches
type su hansard-ben\r
wait Password:
pause 0.3
type $login_password\r
wait ben>
type id -un\r
wait hansard-ben
await $login/has-seen
type exit\r
wait work>
type exit 5\r
STEPS
    cat >"$login/watching" <<STEPS
wait hansard-anna
sign $login/watches
wait hansard-ben
sign $login/has-seen
wait ended
type q
STEPS
    there "$here/scripts/person.py" --saw "$login/saw" "$login/steps" su - hansard-anna 2>"$dir/said" &
    worker=$!
    login_jobs+=("$worker")
    until_so login_id
    quietly there "$here/scripts/person.py" --size 120x40 --saw "$login/watched" "$login/watching" \
        "$hansard" follow "$id" --reason "the demo looks on"
    local status=0
    wait "$worker" || status=$?
    worker=
    [ "$status" = 5 ] || fail "the login left with 5, su with $status: $(cat "$dir/said")"
    ok "somebody without rights logged in ($id); hansard-shell passed on the shell's exit status 5"
    ok "hansard follow showed the login as it happened"
}

look_at_login() {
    until_so login_has_ended
    there "$hansard" verify --trust "$login/data/keys/authority/authority.pem" "$id" \
        >"$login/verified" || fail "hansard verify: $(cat "$login/verified")"
    there "$hansard" cat "$id" >"$login/cat"
    grep -q 'hansard-ben' "$login/cat" || fail "hansard cat $id does not show the login"
    ok "hansard verify: $(head -n 1 "$login/verified")"
    there "$hansard" ls | sed 's/^/    | /'
    rm -f "$login/steps"
    local in
    if in=$("${as_root[@]}" grep -rlF -e "$login_password" "$login"); then
        fail "the password stands in $in"
    fi
    # The archive is compressed: keystroke by keystroke.
    there "$hansard" convert --to jsonl "$id" "$login/events.jsonl"
    scripts/demo_events.py "$login/events.jsonl" "$login_password" 'id -un' 'exit 5' || fail "see above"
    ok "the password that was typed at a hidden prompt is nowhere, other keystrokes are kept"
}

login() {
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null && [ ! -t 0 ]; then
        echo "skipped: a login needs root, or sudo that asks nobody"
        return
    fi
    start_login_place
    log_in
    look_at_login
    end_login
}
