# shellcheck shell=bash
# A part of scripts/demo.sh, which sources this: a word that was only ever on a pager's screen is found
# in all sessions, and a link opens the player at its moment. A browser looks where there is one
# (web/tests/demo.mjs); with SHOTS=DIR it takes pictures.

web_user=ada
web_password='only of this demo'
word=marsupial

# Somebody reads a book in a pager; the word stands on its third page.
read_a_book() {
    mkdir -p "$service/desk"
    for ((n = 1; n <= 120; n++)); do
        case $n in
            61) echo "line $n: the quokka is a small $word, about the size of a cat" ;;
            *) echo "line $n of a long book about everything else" ;;
        esac
    done >"$service/desk/book.txt"
    echo "PS1='desk> '; unset HISTFILE LESS; cd '$service/desk'" >"$service/rc"
    cat >"$service/reads" <<STEPS
wait desk>
type ls -l --color=always\r
wait book.txt
wait desk>
type less -N book.txt\r
wait line 5 of
pause 1
type f
wait line 40 of
pause 1
type f
wait quokka
pause 1
type q
wait desk>
type exit\r
STEPS
    quietly scripts/person.py --size 100x28 "$service/reads" \
        "$hansard" rec --quiet --title 'a book' -- bash --rcfile "$service/rc" -i
}

# The moment, as it is found in all sessions at once.
found_everywhere() {
    "$hansard" search --json "$word" >"$service/found-all" 2>/dev/null && [ -s "$service/found-all" ]
}

find_everywhere() {
    until_so found_everywhere
    book=$(grep -o '"sid":"[^"]*"' "$service/found-all" | head -n 1 | cut -d '"' -f 4)
    local at_ns
    at_ns=$(grep -o '"at_ns":[0-9]*' "$service/found-all" | head -n 1 | tr -dc 0-9)
    moment_s=$(awk -v ns="$at_ns" 'BEGIN { ms = int(ns / 1e6); if (ms * 1e6 < ns) ms++; printf "%.3f", ms / 1e3 }')
    "$hansard" screen "$book" --at "$moment_s" >"$service/page"
    grep -q "$word" "$service/page" || fail "the screen of $book at $moment_s s has no $word"
    ok "hansard search $word: only ever in less, at $moment_s s; that line on the screen then:"
    grep "$word" "$service/page" | sed 's/^/    | /'
}

# The link, as a browser would open it: whoever signs in is given the player and the screen of the moment.
open_link() {
    origin=$("$hansard" status --json | grep -o '"web": *"[^"]*"' | cut -d '"' -f 4)
    [ -n "$origin" ] || fail "hansard status names no address of the application"
    printf '%s\n' "$web_password" | "$hansard" user add "$web_user" --role admin --no-totp >"$dir/said" 2>&1 ||
        fail "hansard user add: $(cat "$dir/said")"
    link="$origin/sessions/$book#t=$moment_s"
    scripts/demo_link.py "$link" "$web_user" "$web_password" "$word" >"$dir/said" 2>&1 ||
        fail "$link: $(cat "$dir/said")"
    ok "$link opens the player there, for who signs in"
}

# What a person sees: the list, the search, the player, a session that goes on.
look_in_browser() {
    local chromium=/usr/bin/chromium
    if [ ! -x "$chromium" ] || ! command -v node >/dev/null || [ ! -d web/node_modules/playwright-core ]; then
        echo "skipped: a browser: no chromium, or no web/node_modules: make needs-test web-tools"
        return
    fi
    # Goes on until it is ended.
    printf 'wait load average\npause 600\n' >"$service/top"
    scripts/person.py --size 100x28 "$service/top" \
        "$hansard" rec --quiet --title 'top -d 1' -- top -d 1 >/dev/null 2>&1 &
    worker=$!
    ORIGIN=$origin NAME=$web_user PASSWORD=$web_password WORD=$word LINK=$link CHROMIUM=$chromium \
        node web/tests/demo.mjs >"$dir/said" 2>&1 || fail "the application in a browser: $(cat "$dir/said")"
    kill "$worker"
    wait "$worker" 2>/dev/null || true
    worker=
    ok "in Chromium: $(tail -n 1 "$dir/said")"
}

# The next start has the same address, so that the link stays true.
keep_address() {
    sed -i "s|listen: \"127.0.0.1:0\"} # web|listen: \"${origin#http://}\"} # web|" "$service/hansard.yaml"
    grep -q "${origin#http://}" "$service/hansard.yaml" || fail "the address is not in $service/hansard.yaml"
}

web() {
    read_a_book
    find_everywhere
    open_link
    look_in_browser
    keep_address
}
