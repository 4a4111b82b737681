#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a program says of its options and of its configuration is what its page says.
set -euo pipefail

doc=$SLUICE_SOURCE/daemon/doc
failed=0

fail() {
	printf 'FAILED: %s\n' "$*"
	failed=1
}

page() {
	mandoc -T ascii -O width=100 "$1" | sed 's/.\x08//g'
}

# The long options that begin a row, of --help or of a page. --usage is argp's own.
row_options() {
	{ grep -E '^ {2,8}-' || true; } | grep -oE '^ *(-[a-zA-Z0-9?], +)?--[a-z][a-z0-9-]*' |
		grep -oE '\--[a-z][a-z0-9-]*' | grep -vx -- --usage | sort -u
}

# The sections of a page's text whose headings are named.
sections() {
	awk -v names="$1" '
		BEGIN { count = split(names, name, "|") }
		/^ ? ? ?[^ ]/ {
			heading = $0
			sub(/^ +/, "", heading)
			inside = 0
			for (i = 1; i <= count; i++)
				inside = inside || heading == name[i]
		}
		inside'
}

# compare WHAT HELP PAGE
compare() {
	local difference

	if ! difference=$(diff <(row_options <<<"$2") <(row_options <<<"$3")); then
		fail "$1: < only in --help, > only in the page: $(grep '^[<>]' <<<"$difference")"
	fi
}

for program in sluiced sluice-aggregator; do
	compare "$program" "$("$SLUICE_BIN/$program" --help)" "$(page "$doc/$program.8")"
done
for program in sluice-board sluice-counter sluice-merge; do
	compare "$program" "$("$SLUICE_BIN/$program" --help)" "$(page "$doc/$program.1")"
done
commands=$("$SLUICE_BIN/sluice" --help | grep -oE '^  [a-z]+' | tr -d ' ')
for command in $commands; do
	members="|Options of arm, watch, status and abort"
	[[ $members = *$command* ]] || members=
	compare "sluice $command" "$("$SLUICE_BIN/sluice" "$command" --help)" \
		"$(page "$doc/sluice.1" | sections "sluice $command$members")"
done
[ "$(wc -w <<<"$commands")" -ge 4 ] || fail "sluice --help lists only: $commands"

# Each key with its limits, its default and its help, as the program tells them. A page breaks
# its lines at hyphens too, so blanks count for nothing.
words=$(page "$doc/sluice.5" | tr -d ' \n')
for program in sluiced sluice-aggregator sluice-counter; do
	keys=0
	while IFS= read -r key && IFS= read -r help; do
		key=$(sed "s/: //; s/\"$(uname -n)\"/that of the host/" <<<"$key")
		[[ $words = *"$(tr -d ' \t' <<<"$key.$help.")"* ]] ||
			fail "$program: sluice(5) lacks: $key. $help"
		keys=$((keys + 1))
	done < <("$SLUICE_BIN/$program" --help-config)
	[ "$keys" -gt 10 ] || fail "$program --help-config lists $keys keys"
done
exit "$failed"
