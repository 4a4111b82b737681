#!/bin/sh
# SPDX-License-Identifier: MIT
# What the driver costs, for `tests/bench/run --row driver`: each measurement is a line of JSON among
# the session's results. The tests ask for what is no time; the targets are the benchmark's.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

board() {
	for device in /sys/class/sluice/*; do
		if [ "$(cat "$device/numa_node")" = "$1" ]; then
			echo "/dev/${device##*/}"
		fi
	done
}

# sample WORD...: a measurement of guest_bench.
sample() {
	guest_bench "$@" >/run/sample || {
		cat /run/sample
		return 1
	}
	cat /run/sample
	grep '^{' /run/sample >&3
}

loads() {
	modprobe sluice ids=1af4:1110
	large=$(board 0)
	small=$(board 1)
	[ -c "$large" ] && [ -c "$small" ]
}

# One read under way at a time, and an interrupt for each: whatever the size, the same is done.
cost() {
	for round in 0 1 2 3 4 5 6 7 8 9; do
		for blocks in 1 4 16 64 256; do
			sample "$large" driver_cpu $round $blocks 41 1 1 1 || return 1
			sample "$large" driver_copied $round $blocks 11 1 1 1 copied || return 1
		done
	done
}

# copied_so_far: bytes and ns that the card has spent in memcpy since it is there.
copied_so_far() {
	answer=$(host card 0 report) || return 1
	echo "$answer" | sed -n 's/.*"copy_bytes":\([0-9]*\),"copy_ns":\([0-9]*\).*/\1 \2/p'
}

# As fast as it goes, and what the card's own memcpy into the same memory took meanwhile.
rate() {
	for round in 0 1 2 3 4; do
		before=$(copied_so_far) || return 1
		sample "$large" driver $round 256 64 8 8 100 || return 1
		after=$(copied_so_far) || return 1
		echo "$before $after" | awk -v round=$round '
			NF != 4 || $4 <= $2 { exit 1 }
			{ printf "{\"row\":\"driver_memcpy\",\"round\":%d,\"bytes\":%.0f," \
				"\"frames\":0,\"seconds\":%.9f,\"crc\":0,\"gaps\":0,\"lost\":0," \
				"\"wrong\":0}\n", round, $3 - $1, ($4 - $2) / 1e9 }' >/run/sample ||
			return 1
		cat /run/sample
		cat /run/sample >&3
	done
}

# Chunks of one small block.
reads() {
	for round in 0 1 2; do
		sample "$small" driver_reads $round 1 4000 32 8 100 || return 1
	done
}
polled() {
	for round in 0 1 2; do
		sample "$small" driver_polled $round 1 4000 32 8 100 polled || return 1
	done
}

# Time for coalescing is so long that the count alone decides.
interrupts() {
	for count in 1 8 32; do
		sample "$small" driver_irq_$count 0 1 3200 64 $count 1000000 || return 1
	done
}

log_mark
check loads loads
for test in cost rate reads polled interrupts; do
	check $test $test
done
check log log_clean
