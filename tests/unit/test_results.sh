#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What ctest tells of a run is counted right: nothing that failed or was not run passes for good.
set -euo pipefail

read_results=$SLUICE_SOURCE/tests/support/read_results
may_skip=$SLUICE_SOURCE/tests/support/may_skip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

refused() {
	if "$@" >/dev/null 2>&1; then
		echo "FAILED: succeeds: $*"
		exit 1
	fi
}

cat >"$work/tests.xml" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="x" tests="6" failures="2" disabled="1" skipped="2">
<testcase name="good" status="run"><system-out>[  SKIPPED ] half
[  SKIPPED ] half
</system-out></testcase>
<testcase name="bad" status="fail"><failure message=""/><system-out>why	it
is</system-out></testcase>
<testcase name="skip" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out>begins
lacks it

</system-out></testcase>
<testcase name="missing" status="notrun"><skipped message="Unable to find executable"/></testcase>
<testcase name="off" status="disabled"/>
<testcase name="slow" status="fail"><failure message=""/><system-out></system-out></testcase>
</testsuite>
END
cat >"$work/want" <<'END'
passed|good|
skipped|good.half|one case of the program
output|why    it|
output|is|
failed|bad|
skipped|skip|lacks it
failed|missing: Unable to find executable|
failed|off|
failed|slow|
END
"$read_results" "$work/tests.xml" | tr '\t' '|' | diff "$work/want" -

# A file that ends early, and one that lacks a test, are errors.
sed 's/tests="6"/tests="7"/' "$work/tests.xml" >"$work/fewer.xml"
refused "$read_results" "$work/fewer.xml"
head -n 6 "$work/tests.xml" >"$work/cut.xml"
refused "$read_results" "$work/cut.xml"
refused "$read_results" "$work/none.xml"

# No test may be skipped but the named ones, and those only where the machine lacks something.
refused "$may_skip" test_ring
refused "$may_skip" ''
if grep -qw avx2 /proc/cpuinfo; then
	refused "$may_skip" test_count_avx2
else
	"$may_skip" test_count_avx2
fi
