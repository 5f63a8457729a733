#!/usr/bin/env bash
# Installs the Debian packages that a task needs and this machine lacks, and says which.
# Usage: scripts/needs.sh build|demo|test|bench|kernels|fuzz|web
set -euo pipefail

case "${1:-}" in
    # What reads the kernel programs' object when they are loaded.
    build) wanted=(libelf-dev zlib1g-dev pkg-config) ;;
    # A person's hands (Python's own pty module), an editor, top, a pager.
    demo) wanted=(python3 vim-tiny procps less openssh-server openssh-client) ;;
    # The second reader's libraries, players and recorders of other formats that must accept our
    # recordings and make some for us, a judge of certificates, a CBOR library, a tracer to kill at system calls, the
    # fuzzer's runtime (targets are compiled), two hosts' worth of network and what cuts it,
    # certificates' second opinion, a real SSH server and what copies files through it, and what the
    # demo needs.
    test)
        wanted=(python3 python3-cryptography python3-zstandard python3-cbor2 strace g++)
        wanted+=(asciinema tlog bsdutils util-linux ttyrec sudo gzip vim-tiny procps less openssl)
        wanted+=(iproute2 iptables systemd openssh-server openssh-client rsync passwd)
        # What puts a terminal behind a terminal.
        wanted+=(tmux)
        # Other SSH clients.
        wanted+=(putty-tools dropbear-bin python3-paramiko python3-asyncssh)
        # OpenSSH's own tests, what displays are lent with, PAM's modules.
        wanted+=(openssh-tests xauth libpam-modules)
        # A browser; what makes films MP4 and judges all of them.
        wanted+=(chromium ffmpeg)
        # Session recording of accounts that a directory has; it runs in a mount namespace.
        wanted+=(sssd-common sssd-proxy libnss-sss libpam-sss)
        # The programs in the kernel once more, to be compared with those that are here.
        wanted+=(clang-19 llvm-19 libbpf-dev libelf-dev zlib1g-dev pkg-config)
        ;;
    # The recorders we measure ourselves against, and the harness's compiler.
    bench) wanted=(python3 gcc libc6-dev bsdutils asciinema tlog vim-tiny procps) ;;
    # An emulator, and what a machine in it starts with.
    kernels) wanted=(qemu-system-x86 seabios busybox-static cpio xz-utils gcc libc6-dev) ;;
    # The fuzzer's runtime is C++.
    fuzz) wanted=(g++) ;;
    # The application's tools come from its lock file; Node itself must be newer than Debian 12's.
    web)
        if node -e 'const [a, b] = process.versions.node.split(".").map(Number);
            process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; then
            exit 0
        fi
        wanted=(nodejs npm)
        ;;
    *) echo "usage: $0 build|demo|test|bench|kernels|fuzz|web" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "needs: this is not Debian; going on as if these were there: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing+=("$package")
done
# Debian's tlog does not record on a terminal without the list of who is logged in, which a
# container does not have. An empty one says that nobody is.
utmp() {
    [[ " ${wanted[*]} " != *" tlog "* || -e /run/utmp ]] && return
    echo "needs: creating /run/utmp, which tlog-rec asks for"
    "${as_root[@]}" install -m 664 -g utmp /dev/null /run/utmp ||
        echo "needs: could not; tests of tlog-rec on a terminal will be skipped" >&2
}

as_root=()
[ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null || as_root=(sudo)
if [ ${#missing[@]} = 0 ]; then
    utmp
    exit 0
fi

echo "needs: installing from Debian: ${missing[*]}"
if [ "$(id -u)" != 0 ] && [ ${#as_root[@]} = 0 ]; then
    echo "needs: run as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! {
    "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "${missing[@]}"
} </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    echo "needs: could not install: ${missing[*]}" >&2
    exit 1
fi
utmp
