#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The board suite where there is no board: a skip that says what is missing, and never a pass.
set -euo pipefail

suite=$SLUICE_BUILD/tests/test_board_device
unset SLUICE_TEST_DEVICE

# expect STATUS TEXT COMMAND...
expect() {
	local want=$1 text=$2 out status=0

	out=$("${@:3}" 2>&1) || status=$?
	if [ "$status" -ne "$want" ] || ! grep -qF "$text" <<<"$out"; then
		printf '%s: exit %d, and not %d with "%s":\n%s\n' "${*:3}" "$status" "$want" "$text" "$out"
		exit 1
	fi
}

expect 77 'no board: set SLUICE_TEST_DEVICE' "$suite"
expect 1 'cannot open: No such file' "$suite" /nonexistent
expect 1 'cannot open: No such file' env SLUICE_TEST_DEVICE=/nonexistent "$suite"
# What is no board is not taken for one.
expect 1 '/dev/null: does not tell what it is' "$suite" /dev/null
expect 1 'a number from 1' env SLUICE_TEST_BLOCKS=0 "$suite" /dev/null
expect 1 'a number from 1' env SLUICE_TEST_BLOCKS=-3 "$suite" /dev/null
expect 1 'a number from 1' env SLUICE_TEST_BLOCKS=7x "$suite" /dev/null
