#!/bin/sh
# SPDX-License-Identifier: MIT
# The firmware interface clause by clause, as a firmware team would ask its own board.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

there() {
	[ -c /dev/sluice0 ]
}
asked() {
	modprobe sluice ids=1af4:1110 && until_ok 10 there || return 1
	# LONG: so many chunks that their tags go round.
	SLUICE_TEST_BLOCKS=2048 SLUICE_TEST_LONG=1 test_board_device /dev/sluice0
}
check conforms asked
