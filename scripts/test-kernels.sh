#!/usr/bin/env bash
# Runs tests of host events under another kernel: Debian 12's own, in an emulator, over this machine's
# own files. What kernels allow differs: this one lets programs look at its functions, which makes
# another backend be taken. No privileges are needed; some minutes are.
# Usage: scripts/test-kernels.sh TESTS [ARGUMENT...]      TESTS: the built tests of host events
#   KERNEL_DIR      where the kernel is kept between runs (default: target/kernels)
#   KERNEL_SECONDS  how long it may take (default: 1500)
# Says `skipped: reason`, and succeeds, where it cannot; fails where CI is set.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
tests=$(realpath "$1")
shift
here=$(cd "$(dirname "$0")/.." && pwd)
kept=${KERNEL_DIR:-$here/target/kernels}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
    echo "skipped: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
}

for program in qemu-system-x86_64 busybox cpio apt-get dpkg-deb; do
    command -v "$program" >/dev/null || skip "$program is not there: apt install qemu-system-x86 busybox-static cpio"
done
[ "$(uname -m)" = x86_64 ] || skip "the programs are for x86-64"

# The kernel, once: the package says which modules it has, and nothing is installed.
mkdir -p "$kept"
if ! compgen -G "$kept/boot/vmlinuz-*" >/dev/null; then
    package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-6\.1\.[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || skip "there is no Debian kernel 6.1 to be had here"
    (cd "$work" && apt-get download -q "$package" >/dev/null 2>&1) || skip "$package could not be fetched"
    dpkg-deb -x "$work/$package"_*.deb "$work/kernel"
    mv "$work/kernel/boot" "$work/kernel/lib" "$kept/"
fi
kernel=$(compgen -G "$kept/boot/vmlinuz-*" | head -n 1)
version=${kernel##*/vmlinuz-}

# What it starts with: a shell, the modules that the machine's files come through, and nothing else.
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,lower,upper,new}
cp "$(command -v busybox)" "$root/bin/busybox"
modules=(virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay)
names=()
for module in "${modules[@]}"; do
    # What is built in has no file.
    file=$(find "$kept/lib/modules/$version" -name "$module.ko*" | head -n 1)
    [ -n "$file" ] || continue
    case $file in
        *.xz) xz -dc "$file" >"$root/$module.ko" ;;
        *.zst) zstd -qdc "$file" >"$root/$module.ko" ;;
        *) cp "$file" "$root/$module.ko" ;;
    esac
    names+=("$module")
done
cat >"$root/init" <<INIT
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
# Each needs some of the others first.
for turn in 1 2 3 4; do for module in ${names[*]}; do insmod /\$module.ko 2>/dev/null; done; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro files /lower
mount -t tmpfs -o size=1g tmpfs /upper; mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new
mount -t proc proc /new/proc; mount -t sysfs sys /new/sys; mount -t devtmpfs dev /new/dev
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs -o size=1g tmpfs /new/run; mkdir -m 1777 /new/run/tmp
mount -t devpts devpts /new/dev/pts; mount -t bpf bpf /new/sys/fs/bpf
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
ip link set lo up
uname -r
chroot /new /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \\
    TMPDIR=/run/tmp HANSARD_OTHER_KERNEL=\$(uname -r) $(printf ' %q' "$tests" "$@")
echo "the tests left with \$?"
poweroff -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"

echo "test-kernels: Linux $version, emulated"
timeout "${KERNEL_SECONDS:-1500}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3072 -nographic \
    -no-reboot -kernel "$kernel" -initrd "$work/initrd" \
    -virtfs local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap \
    -append "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off" </dev/null >"$work/said" 2>&1 || true
tr -d '\r' <"$work/said" | grep -a -v '^SeaBIOS\|^iPXE\|^Booting\|^$' | tail -n 120
grep -a -q '^the tests left with 0' <(tr -d '\r' <"$work/said") || {
    echo "test-kernels: they did not pass under Linux $version" >&2
    exit 1
}
