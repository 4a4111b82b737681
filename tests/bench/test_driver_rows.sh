#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_driver_rows.sh [DIR]: the rows that `tests/bench/run --row driver` makes of what a guest has
# measured: without DIR of measurements whose answer is known, with it of those of a real guest,
# of which only the form is looked at.
# shellcheck disable=SC2016 # what stands in single quotes is for jq
set -uo pipefail

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

expect() {
	local what=$1

	shift
	"$@" >/dev/null || {
		echo "not so: $what"
		failed=1
	}
}

# table DIR: sets status.
table() {
	rm -f "$work/report.json"
	"$SLUICE_SOURCE/tests/bench/run" --no-build --build "$SLUICE_BUILD" --row driver --guest "$1" \
		--json "$work/report.json" >"$work/table.txt" 2>"$work/errors.txt"
	status=$?
	cat "$work/table.txt" "$work/errors.txt"
}

rows=(driver_memcpy driver driver_reads driver_polled driver_cpu_16K driver_cpu_64K driver_cpu_256K
	driver_cpu_1024K driver_cpu_4096K driver_slope copied_slope driver_irq_1 driver_irq_8
	driver_irq_32)
has_all_rows() {
	local row

	for row in "${rows[@]}"; do
		expect "row $row is in the JSON" jq -e --arg row "$row" '.rows[]
			| select(.row == $row) | .runs > 0 and .min <= .median and .median <= .max' \
			"$work/report.json"
		expect "row $row is in the table" grep -q "^$row " "$work/table.txt"
	done
	expect "no other row" test "$(jq '.rows | length' "$work/report.json")" -eq "${#rows[@]}"
	expect "nothing was lost" jq -e '[.rows[].errors // empty | add] | add == 0' \
		"$work/report.json"
	expect "no more interrupts than coalescing allows" jq -e '[.rows[]
		| select(.row | startswith("driver_irq_")).ratios[].verdict] == ["PASS", "PASS", "PASS"]' \
		"$work/report.json"
	expect "cycles per read stand below the table" grep -q '^Thousands of cycles per read, by .*: 16 KiB ' \
		"$work/table.txt"
	expect "nothing on standard error" test ! -s "$work/errors.txt"
}

if [ $# -gt 0 ]; then
	if [ -e "$1/skip" ]; then
		cat "$1/skip"
		exit 77
	fi
	table "$1"
	has_all_rows
	exit "$failed"
fi

# guest DIR SLOPE: a read takes 400000 cycles and SLOPE for each byte, and 2 more if it is copied;
# one of the rounds was disturbed.
guest() {
	mkdir -p "$1"
	jq -nc --argjson slope "$2" '
		{ row: "", round: 0, frames: 100, seconds: 0.5, crc: 0, gaps: 0, lost: 0, wrong: 0 } as $all
		| (range(3) as $round | (16384, 65536, 262144, 1048576, 4194304) as $chunk
			| ("driver_cpu", "driver_copied") as $row
			| (400000 + $chunk * ($slope + (if $row == "driver_copied" then 2 else 0 end))) as $c
			| $all + { row: $row, round: $round, chunk: $chunk, reads: 64, bytes: (64 * $chunk),
				cycles: (64 * $c * (if $round == 1 then 3 else 1 end)) }),
		  $all + { row: ("driver", "driver_memcpy"), bytes: 1e9 },
		  $all + { row: ("driver_reads", "driver_polled"), bytes: 19200 },
		  ((1, 8, 32) as $count | $all + { row: "driver_irq_\($count)", chunk: 192,
			completions: 3200, interrupts: (3200 / $count),
			interrupts_allowed: (3200 / $count + 1 | floor) })' |
		sed '1i ok loads' >"$1/results.txt"
}

# row NAME FILTER: of the report.
row() {
	jq -c --arg row "$1" ".rows[] | select(.row == \$row) | $2" "$work/report.json"
}

guest "$work/flat" 0.01
table "$work/flat"
expect "a flat cost passes" test "$status" -eq 0
has_all_rows
expect "the slope is what it was made" test \
	"$(row driver_slope '[.least, .ratios[0].ratio] | map(. * 1e6 | round)')" = "[10000,4975]"
expect "of the copy as well" test "$(row copied_slope '.least * 1e6 | round')" = 2010000
expect "a disturbed round is in the spread" test \
	"$(row driver_cpu_16K '[.min, .max] | map(. * 1000 | round)')" = "[24424,73272]"
expect "reads per second" test "$(row driver_reads .median)" = 200
expect "the rate" test "$(row driver '[.median, .ratios[0].ratio]')" = "[2,1]"

guest "$work/copies" 1
table "$work/copies"
expect "a driver that copies fails" test "$status" -eq 2
expect "by its slope" test "$(row driver_slope '.ratios[0].verdict')" = '"FAIL"'

guest "$work/interrupts" 0.01
sed -i '/driver_irq_8/s/"interrupts":400/"interrupts":402/' "$work/interrupts/results.txt"
table "$work/interrupts"
expect "an interrupt too many fails" test "$status" -eq 2

mkdir "$work/none"
echo "vm tests: no kernel" >"$work/none/skip"
table "$work/none"
expect "nothing was measured" test "$status" -eq 3
expect "and the table says why" grep -q '^driver .*SKIP: not measured: vm tests: no kernel$' \
	"$work/table.txt"
expect "so does the JSON" test "$(row driver .skipped)" = '"not measured: vm tests: no kernel"'

mkdir "$work/empty"
table "$work/empty"
expect "a folder without measurements is refused" test "$status" -eq 3

"$SLUICE_SOURCE/tests/bench/run" --row count --guest "$work/flat" >/dev/null 2>&1
expect "--guest without --row driver is refused" test $? -eq 3
exit "$failed"
