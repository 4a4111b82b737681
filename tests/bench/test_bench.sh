#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The benchmark runs, has every row, and says the same in its table as in its JSON. How fast it is
# is no matter here.
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

"$SLUICE_SOURCE/tests/bench/run" --tiny --no-build --build "$SLUICE_BUILD" --json "$work/report.json" \
	>"$work/table.txt" 2>"$work/errors.txt"
status=$?
cat "$work/table.txt" "$work/errors.txt"
# 3: nothing could be measured.
expect "the exit status is 0, 1 or 2" test "$status" -le 2
expect "nothing on standard error" test ! -s "$work/errors.txt"
expect "the JSON has a schema_version" jq -e '.schema_version == 1' "$work/report.json"
expect "it names the machine" jq -e '.start | .cpu != "" and .cores > 0 and .compiler != ""' \
	"$work/report.json"
for row in memcpy tcp zmq_chunk zmq_tuned zmq_block zmq_file_chunk zmq_file_block link sluice \
	sluice_crc read_loop count_portable chain \
	chain_frames memory_sluiced memory_aggregator memory_counter0 copies_sluice copies_chain \
	allocations_reader allocations_sender locks_reader locks_sender; do
	expect "row $row is in the JSON" jq -e --arg row "$row" '.rows[] | select(.row == $row)
		| .runs > 0 and .min <= .median and .median <= .max' "$work/report.json"
	expect "row $row is in the table" grep -q "^$row " "$work/table.txt"
done
expect "no guest is booted where nobody asked for it" jq -e \
	'[.rows[].row | select(startswith("driver"))] == []' "$work/report.json"
expect "nothing was lost" jq -e '[.rows[].errors // empty | add] | add == 0' "$work/report.json"
expect "no allocation and no lock on the data path" jq -e '
	[.rows[] | select(.row | test("^(allocations|locks)_"))] | length == 4 and all(.max == 0)' \
	"$work/report.json"
# ratios ROW: what a row is compared to, and the least that is allowed.
ratios() {
	jq -c --arg row "$1" '[.rows[] | select(.row == $row).ratios[] | [.to, .target]]' \
		"$work/report.json"
}
expect "the link's targets are those of what sends from memory as it does" test "$(ratios link)" = \
	'[["zmq_chunk",0.85],["zmq_block",1.2],["zmq_tuned",null]]'
expect "the targets with a file are those of what reads the file too" test "$(ratios sluice)" = \
	'[["zmq_file_chunk",0.85],["zmq_file_block",1.2],["zmq_chunk",null],["zmq_block",null],["zmq_tuned",null]]'
expect "the table says who sends from memory" grep -q "send from memory" "$work/table.txt"
for row in link sluice zmq_file_block; do
	expect "every block of $row arrived" jq -e --arg row "$row" \
		'.rows[] | select(.row == $row) | .frames == 32' "$work/report.json"
done
expect "the exit status is the verdict" jq -e --argjson status "$status" \
	'.end.verdict == ["PASS", "WARN", "FAIL"][$status]' "$work/report.json"

"$SLUICE_SOURCE/tests/bench/run" --row nonsense >/dev/null 2>&1
expect "a row that is none is refused" test $? -eq 3
exit "$failed"
