#!/usr/bin/env bash
# Compiles the programs that run in the kernel, into the file that is named: the same bytes from the
# same sources, wherever they lie.
# Usage: scripts/ebpf.sh OBJECT
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 OBJECT" >&2; exit 2; }
object=$(realpath -m "$1")
cd "$(dirname "$0")/../ebpf"

# Debian's own compiler and libbpf's headers; no kernel's headers. Of the debugging information BTF
# stays, which the loader needs.
clang-19 -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -Wall -Wextra -Werror \
    -Wno-unused-parameter -Wno-missing-declarations -Wno-sign-compare \
    -fdebug-compilation-dir=. -fno-ident -c host.bpf.c -o "$object"
llvm-strip-19 -g "$object"
