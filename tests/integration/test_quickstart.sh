#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/quickstart as a user calls it: what it prints, what it leaves, and that it leaves nothing
# running, whichever way it ends.
set -euo pipefail

build=$1
root=$SLUICE_SOURCE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	printf 'test_quickstart: %s\n' "$1" >&2
	cat "$work"/*.err >&2 || true
	exit 1
}

# Everything it starts carries its folder of configuration or data in its arguments.
leftovers() {
	local pid

	for pid in /proc/[0-9]*; do
		grep -qsa "$work/tmp/sluice-quickstart" "$pid/cmdline" && printf '%s\n' "${pid#/proc/}"
	done
	return 0
}

mkdir "$work/tmp"
export TMPDIR=$work/tmp

quickstart() {
	"$root/tools/quickstart" --build "$build" "$@"
}

# One scan, small, and the line that it ends with.
quickstart --scan 6x5 --out "$work/a" >"$work/a.txt" 2>"$work/a.err" || fail 'the scan failed'
line=$(tail -n 1 "$work/a.txt")
[ "$(jq -r 'keys_unsorted | join(",")' <<<"$line")" = 'schema_version,scan,frames_expected,frames_delivered,frames_incomplete,frames_lost,events,seconds,gbytes_per_s,ledger,hdf5,picture' ] ||
	fail "the line has other keys: $line"
# A flyback column is added: 7 x 5 positions.
[ "$(jq '.schema_version == 1 and .scan == 1 and .frames_expected == 35 and .frames_delivered == 35 and
	.frames_incomplete == 0 and .frames_lost == 0 and .events > 35 and .seconds > 0 and
	.gbytes_per_s > 0 and .ledger == "closed"' <<<"$line")" = true ] || fail "the line is wrong: $line"
[ "$(h5dump -a version "$(jq -r .hdf5 <<<"$line")" | grep -c '(0): 3')" -eq 1 ] || fail 'no version 3 file'
[ "$(head -c 8 "$(jq -r .picture <<<"$line")" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] || fail 'no picture'
grep -q '^sector ' "$work/a.txt" || fail 'no table'
[ -z "$(leftovers)" ] || fail 'processes are left after a good end'

# The same seed gives the same events; another one others. Thresholds as given, nobody's directory.
events() {
	quickstart --scan 6x5 --out "$work/$1" --background 28.5 --xray 440 "${@:2}" 2>"$work/$1.err" |
		tail -n 1 | jq .events
}
b=$(events b --seed 5)
c=$(events c --seed 5 --directory none)
quickstart --scan 6x5 --out "$work/n" --directory none >"$work/n.txt" 2>"$work/n.err" || fail 'none, fitted, failed'
[ "$(tail -n 1 "$work/n.txt" | jq '.frames_delivered == 35 and .ledger == "closed"')" = true ] ||
	fail "none, fitted: $(tail -n 1 "$work/n.txt")"
d=$(events d --seed 6)
[ "$b" -eq "$c" ] || fail "the same seed gave $b and $c events"
[ "$b" -ne "$d" ] || fail "two seeds gave $b events"

# Recorded files; the scan size is theirs.
mkdir "$work/raw"
"$build/bin/sluice-board" --write "$work/raw" --scan 4x3 --sectors-served 0,1,2,3 2>/dev/null
quickstart --raw "$work/raw/data_scan*_module{0..3}_*.data" --out "$work/e" >"$work/e.txt" 2>"$work/e.err" ||
	fail 'recorded files failed'
[ "$(tail -n 1 "$work/e.txt" | jq '.frames_expected == 12 and .ledger == "closed"')" = true ] ||
	fail "recorded files: $(tail -n 1 "$work/e.txt")"

# A scan that cannot be: it says so, and nothing is left.
if quickstart --raw "$work/raw/nothing*_module*" --out "$work/f" >"$work/f.txt" 2>"$work/f.err"; then
	fail 'files that are not there made a scan'
fi
grep -q 'nothing' "$work/f.err" || fail 'it does not name the files that are missing'
[ -z "$(leftovers)" ] || fail 'processes are left after an error'

# Interrupted in a long scan: everything ends.
set -m # or it would be started with SIGINT ignored
"$root/tools/quickstart" --build "$build" --scan 400x400 --out "$work/g" >"$work/g.txt" 2>"$work/g.err" &
pid=$!
set +m
until grep -q '^scan 1: ' "$work/g.err" 2>/dev/null; do
	kill -0 "$pid" 2>/dev/null || fail 'the long scan ended by itself'
	sleep 0.1
done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[ "$status" -eq 130 ] || fail "interrupted, it ended with $status"
[ -z "$(leftovers)" ] || fail 'processes are left after Ctrl-C'
[ -z "$(ls -A "$work/tmp")" ] || fail 'its folder is left'
