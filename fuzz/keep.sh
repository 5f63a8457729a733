#!/usr/bin/env bash
# Keeps the best of what fuzzing found: for each target, a smallest set of inputs that reaches
# everything the corpus reaches, of these a sample over all sizes, up to a bound; the rest is
# thrown away.
#
# Usage: fuzz/keep.sh [TARGET...]
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
bytes_max=200000
files_max=150

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cd fuzz_targets && ls | sed 's/\.rs$//')
fi
hash_name='[0-9a-f]{40}'
for target in "${targets[@]}"; do
    merged=$(mktemp -d)
    cargo fuzz run "$target" "$merged" "corpus/$target" -- -merge=1 -timeout=20 >/dev/null 2>&1
    bytes=0 files=0
    step=$(($(find "$merged" -type f | wc -l) / files_max + 1))
    rm -f "corpus/$target"/kept-*
    while read -r size file; do
        # What has a name of its own is there already.
        if find "corpus/$target" -type f -size "${size}c" ! -regextype posix-extended \
            ! -regex ".*/$hash_name" -exec cmp -s {} "$file" \; -print -quit | grep -q .; then
            continue
        fi
        bytes=$((bytes + size)) files=$((files + 1))
        if [ "$bytes" -gt "$bytes_max" ]; then
            break
        fi
        cp "$file" "corpus/$target/kept-$(basename "$file" | cut -c1-12)"
    done < <(find "$merged" -type f -printf '%s %p\n' | sort -n | awk -v step="$step" 'NR % step == 0')
    find "corpus/$target" -type f -regextype posix-extended -regex ".*/$hash_name" -delete
    rm -r "$merged"
    echo "$target: $(find "corpus/$target" -type f | wc -l) inputs," \
        "$(cat "corpus/$target"/* | wc -c) bytes"
done
