# shellcheck shell=bash
# A part of scripts/demo.sh, which sources this: somebody signs in, and goes with the certificate to a node and, through
# the proxy, to Debian's own sshd, on which nothing of ours is installed. Needs root, since a node becomes accounts, and
# sshd. All of it is in a directory and at free ports of its own, and ends with the demo.

access=$dir/access
access_password='seven bridges at dawn'
access_jobs=()

end_access() {
    local pid
    for pid in "${access_jobs[@]}"; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    access_jobs=()
}

# As administrator, and as anna at another machine.
at_service() { HANSARD_RUNTIME_DIR=$access/run "$hansard" "$@"; }
anna() { env -u SSH_AUTH_SOCK HANSARD_HOME="$access/anna" HANSARD_RUNTIME_DIR="$access/nowhere" "$hansard" "$@"; }

free_ports() {
    /usr/bin/python3 - <<'PY'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))
PY
}

start_access() {
    mkdir -p "$access" /run/sshd
    read -r node_port proxy_port sshd_port <<<"$(free_ports)"
    cat >"$access/hansard.yaml" <<YAML
node:
  name: demo-gate
  labels: {env: demo}
  data_dir: $access/data
  runtime_dir: $access/run
capture:
  local: {}
  ssh: {listen: "127.0.0.1:$node_port", names: [127.0.0.1]}
  proxy:
    listen: 127.0.0.1:$proxy_port
    names: [127.0.0.1]
    targets: ["localhost:$sshd_port"]
    target_labels: [{targets: "localhost:*", labels: {env: demo}}]
    first_use: true
access:
  roles:
  - {name: operators, logins: [root], hosts: {env: demo}, channels: [shell, exec, sftp]}
store: {}
serve:
  admin: {}
  web: {listen: "127.0.0.1:0"}
YAML
    quietly "$hansardd" check --config "$access/hansard.yaml"
    quietly "$hansardd" init --config "$access/hansard.yaml" --cluster demo
    "$hansardd" run --config "$access/hansard.yaml" >"$access/log" 2>&1 &
    access_jobs+=($!)
    until_so grep -qs ' running roles=' "$access/log"
    at_service cert authority >"$access/ca.pub"
    quietly ssh-keygen -q -t ed25519 -N '' -f "$access/sshd-key"
    cat >"$access/sshd_config" <<CONF
ListenAddress 127.0.0.1:$sshd_port
HostKey $access/sshd-key
TrustedUserCAKeys $access/ca.pub
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
PermitRootLogin yes
CONF
    /usr/sbin/sshd -D -e -f "$access/sshd_config" >"$access/sshd.log" 2>&1 &
    access_jobs+=($!)
    until_so grep -qs 'Server listening' "$access/sshd.log"
}

# The code that an authenticator would show now (RFC 6238).
code_of() {
    /usr/bin/python3 - "$1" <<'PY'
import base64, hashlib, hmac, struct, sys, time
secret = base64.b32decode(sys.argv[1] + "=" * (-len(sys.argv[1]) % 8))
digest = hmac.new(secret, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
at = digest[-1] & 15
print(f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 10**6:06}")
PY
}

sign_in() {
    local secret server
    echo "$access_password" | at_service user add anna --role operators --json >"$access/user"
    secret=$(sed -n 's/.*"totp_secret":"\([^"]*\)".*/\1/p' "$access/user")
    server=$(at_service status --json | grep -o '"web":"[^"]*"' | cut -d '"' -f 4)
    printf '%s\n%s\n' "$access_password" "$(code_of "$secret")" |
        anna login --server "$server" --user anna >"$access/login" 2>"$dir/said" || fail "login: $(cat "$dir/said")"
    [ "$(stat -c %a "$access/anna/key")" = 600 ] || fail "the key is readable by others"
    ok "hansard login: $(cat "$access/login")"
}

go_to_hosts() {
    anna ssh --node -p "$node_port" root@127.0.0.1 'echo "the node says $((6 * 7))"' >"$access/node" 2>"$dir/said" ||
        fail "hansard ssh to the node: $(cat "$dir/said")"
    grep -q 'the node says 42' "$access/node" || fail "the node said: $(cat "$access/node")"
    ok "hansard ssh to a node: $(cat "$access/node")"
    anna ssh -p "$sshd_port" root@localhost 'echo "sshd says $((6 * 9))"' >"$access/sshd" 2>"$dir/said" ||
        fail "hansard ssh through the proxy: $(cat "$dir/said")"
    grep -q 'sshd says 54' "$access/sshd" || fail "the sshd said: $(cat "$access/sshd")"
    ok "hansard ssh through the proxy to Debian's own sshd: $(cat "$access/sshd")"
    head -c 70000 /dev/urandom >"$access/upload"
    anna scp --node -P "$node_port" "$access/upload" root@127.0.0.1:"$access/uploaded" 2>"$dir/said" ||
        fail "hansard scp: $(cat "$dir/said")"
    cmp -s "$access/upload" "$access/uploaded" || fail "what arrived is another file"
    ok "hansard scp put a file there by SFTP: $(sha256sum <"$access/uploaded" | cut -c 1-16)…"
    if anna ssh --node -p "$node_port" -o ExitOnForwardFailure=yes -N -R 127.0.0.1:0:127.0.0.1:1 root@127.0.0.1 \
        >"$dir/said" 2>&1; then fail "a forward was opened that no role permits"; fi
    if anna ssh --node -p "$node_port" nobody@127.0.0.1 id >"$access/denied" 2>&1; then fail "nobody let anna in"; fi
    ok "a forward that no role permits is refused, and so is another account"
}

# All of that as events, and played.
everything_is_there() {
    at_service events --json --all --oldest >"$access/events" 2>/dev/null &&
        grep '"event":"sftp"' "$access/events" | grep -q "$(sha256sum <"$access/upload" | cut -c 1-64)" &&
        grep '"event":"target.connect"' "$access/events" | grep -q '"success":true' &&
        grep '"event":"port.remote"' "$access/events" | grep -q 'your role operators does not permit forward-remote' &&
        grep '"event":"user.login"' "$access/events" | grep -q '"success":true' &&
        grep '"event":"cert.create"' "$access/events" | grep -q '"roles":\["operators"\]'
}

look_at_access() {
    until_so everything_is_there
    ok "hansard events has all of it: $(wc -l <"$access/events") events, the upload with its SHA-256, the refusal with its reason:"
    grep '"event":"port.remote"' "$access/events" | grep -o '"error":"[^"]*"' | head -n 1 | sed 's/^/    | /'
    local sid of
    for of in node sshd; do
        sid=$(at_service ls --json --all 2>/dev/null | grep '"kind":"exec"' | grep "$of says" |
            grep -o '"sid":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
        [ -n "$sid" ] || fail "the session with '$of says' is not listed"
        at_service cat "$sid" >"$access/played"
        cmp -s "$access/$of" "$access/played" || fail "hansard cat $sid differs from what anna saw"
        printf 'wait ■\npause 0.3\ntype q\n' >"$access/steps"
        HANSARD_RUNTIME_DIR=$access/run quietly scripts/person.py --size 100x30 --saw "$access/played" "$access/steps" \
            "$hansard" play "$sid"
        grep -q "$of says" "$access/played" || fail "hansard play $sid did not show it"
    done
    ok "both sessions are played as they were, the one behind the proxy too"
}

lock_out() {
    local lock
    lock=$(at_service lock add user:anna --message 'ask the desk' 2>/dev/null)
    if anna ssh --node -p "$node_port" root@127.0.0.1 id >"$access/denied" 2>&1; then fail "whoever is locked came in"; fi
    grep -q 'user:anna is locked: ask the desk' "$access/denied" || fail "ssh said: $(cat "$access/denied")"
    quietly at_service lock rm "$lock"
    ok "hansard lock keeps her out, and tells her: user:anna is locked: ask the desk"
    quietly anna logout
    [ ! -e "$access/anna/key" ] || fail "the key is still there"
}

access() {
    if [ "$(id -u)" != 0 ] || [ ! -x /usr/sbin/sshd ]; then
        echo "skipped: signing in and going to hosts; a node needs root, and its target Debian's sshd"
        return
    fi
    start_access
    sign_in
    go_to_hosts
    look_at_access
    lock_out
    end_access
}
