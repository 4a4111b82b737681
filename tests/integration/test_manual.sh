#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program's --help and its page name the same options; the page of sluice each subcommand, too.
set -euo pipefail

failed=0

# The long options of --help: what argp prints at the head of a row.
options_of_help() {
	grep -oE '^ *(-[a-zA-Z0-9?], |    )?--[a-z][a-z0-9-]*' | grep -oE '\--[a-z][a-z0-9-]*' | sort -u
}

# Those of the page: what stands at the head of a tagged paragraph.
options_of_page() {
	mandoc -T ascii "$1" | col -b | grep -E '^ {5}( {2})? ?-' | grep -oE '\--[a-z][a-z0-9-]*' |
		sort -u
}

compare() {
	local page=$1 difference

	shift
	if ! difference=$(diff <("$@" --help | options_of_help) <(options_of_page "$page")); then
		printf 'FAILED: %s: < only in --help, > only in %s\n%s\n' "$*" "${page##*/}" \
			"$(grep '^[<>]' <<<"$difference")"
		failed=1
	fi
}

for page in "$SLUICE_SOURCE"/daemon/doc/*.[18]; do
	program=$(basename "${page%.*}")
	[ "$program" != sluice ] || continue
	compare "$page" "$SLUICE_BIN/$program"
done
exit "$failed"
