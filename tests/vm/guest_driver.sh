#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver on two cards on different nodes: every way to read, every fault, every way to go.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

ids=1af4:1110

board() {
	for device in /sys/class/sluice/*; do
		if [ "$(cat "$device/numa_node")" = "$1" ]; then
			echo "/dev/${device##*/}"
		fi
	done
}
counter() {
	cat "/sys/class/sluice/${node##*/}/counters/$1"
}

log_mark
loads() {
	modprobe sluice ids=$ids
	node=$(board 0)
	[ -c "$node" ] && [ -c "$(board 1)" ]
}
check loads loads
node=$(board 0)

for test in abi sync vector uring uring_vector sqpoll aio fixed huge misaligned polled before_arm stop \
	nonblock; do
	run $test guest_driver "$node" $test
done
run prbs guest_driver "$node" prbs 1024

two_boards() {
	guest_driver "$node" prbs 8 &
	guest_driver "$(board 1)" prbs 8 || return 1
	wait $!
}
check two_boards two_boards

# fault NAME ORDER ERRNO [COUNTER]: the errno, the counter, and the next scan is good.
fault() {
	before=$(counter "${4:-timeouts}")
	host card 0 fault "$2" || return 1
	guest_driver "$node" fault "$3" || return 1
	host card 0 repair || return 1
	if [ $# -gt 3 ] && [ "$(counter "$4")" -le "$before" ]; then
		echo "$4 is $(counter "$4"), was $before"
		return 1
	fi
	guest_driver "$node" fixed
}
check fault_length fault length length=5 90 completions_bad
check fault_twice fault twice twice=5 84 completions_twice
check fault_lost fault lost lost=5 61 completions_lost
check fault_dma fault dma dma=5 5
check fault_descriptor fault descriptor descriptor=5 14
check fault_internal fault internal internal=5 121
check fault_link fault link link=100 67

silent() {
	before=$(counter interrupts_missed)
	host card 0 fault silent=every:3 || return 1
	guest_driver "$node" fixed || return 1
	host card 0 repair || return 1
	[ "$(counter interrupts_missed)" -gt "$before" ]
}
check fault_silent silent

hang() {
	before=$(counter timeouts)
	host card 0 fault "hang=$1" || return 1
	guest_driver "$node" hang || return 1
	host card 0 repair || return 1
	[ "$(counter timeouts)" -gt "$before" ] || return 1
	guest_driver "$node" fixed
}
check hang_stop hang stop
check hang_reset hang reset

# The reader dies in mid-DMA; the board is free for the next one within a moment.
killed() {
	times=$1
	shift
	while [ "$times" -gt 0 ]; do
		times=$((times - 1))
		linger "$@" || return 1
		kill -9 $reader
		wait $reader
		until_ok 5 idle || return 1
	done
	guest_driver "$node" fixed
}
# linger [HOW]: a reader in the background, in the middle of a scan that does not end.
linger() {
	reads_before=$(counter reads)
	guest_driver "$node" linger "$@" &
	reader=$!
	until_ok 10 reading
}
reading() {
	[ "$(counter reads)" -gt "$((reads_before + 20))" ]
}
state_is() {
	[ "$(cat "/sys/class/sluice/${node##*/}/state")" = "$1" ]
}
idle() {
	state_is idle
}
check killed_fixed killed 20
check killed_uring killed 10 uring
check killed_aio killed 10 aio
check killed_sqpoll killed 5 sqpoll
check killed_sync killed 5 sync
check killed_polled killed 5 polled

# Nothing ends these reads but the driver: io_uring and aio cannot cancel what they started.
killed_armed() {
	for how in fixed uring aio sqpoll sync polled; do
		guest_driver "$node" linger $how armed &
		reader=$!
		until_ok 10 state_is armed || return 1
		kill -9 $reader
		wait $reader
		if ! until_ok 5 idle; then
			echo "a reader with $how was killed, and its scan goes on"
			return 1
		fi
	done
	guest_driver "$node" fixed
}
check killed_armed killed_armed

run chaos guest_driver "$node" chaos 210

pages() {
	[ "$(counter pages_pinned)" -gt 0 ] &&
		[ "$(counter pages_pinned)" = "$(counter pages_unpinned)" ]
}
check pages_given_back pages

address=$(basename "$(readlink "/sys/class/sluice/${node##*/}/device")")

# ended ERRNO: how the reader in the background came to its end.
ended() {
	wait "$reader"
	status=$?
	[ $status = "$1" ] && return
	echo "the reader ended with $status"
	return 1
}

# Tasks are frozen, devices are put to sleep and woken; the machine itself stays on.
slept() {
	echo devices >/sys/power/pm_test
	for how in fixed sync; do
		linger $how || return 1
		echo mem >/sys/power/state || return 1
		ended 125 || return 1
		guest_driver "$node" fixed || return 1
	done
}
check sleep slept

slot_reset() {
	linger || return 1
	echo 1 >"/sys/bus/pci/devices/$address/reset" || return 1
	ended 125 || return 1
	guest_driver "$node" fixed
}
check slot_reset slot_reset

unbound() {
	linger || return 1
	if rmmod sluice; then
		echo "the module went although its board was read"
		return 1
	fi
	echo "$address" >/sys/bus/pci/drivers/sluice/unbind
	ended 19 || return 1
	echo "$address" >/sys/bus/pci/drivers/sluice/bind
	node=$(board 0)
	guest_driver "$node" fixed
}
check unbind_under_load unbound

removed() {
	node=$(board 0)
	host card 0 fault gone=7 || return 1
	guest_driver "$node" fault 19 || return 1
	[ "$(cat "/sys/class/sluice/${node##*/}/state")" = gone ] || return 1
	host card 0 repair || return 1
	echo "$address" >/sys/bus/pci/drivers/sluice/unbind
	echo "$address" >/sys/bus/pci/drivers/sluice/bind
	node=$(board 0)
	guest_driver "$node" fixed
}
check surprise_removal removed

reloads() {
	times=20
	while [ $times -gt 0 ]; do
		times=$((times - 1))
		rmmod sluice && modprobe sluice ids=$ids || return 1
	done
	node=$(board 0)
	guest_driver "$node" fixed
}
check reloads reloads

starved() {
	rmmod sluice && modprobe sluice ids=$ids descriptors=4 || return 1
	node=$(board 0)
	for way in huge fixed uring vector misaligned; do
		guest_driver "$node" $way || return 1
	done
}
check starved starved

refuses() {
	rmmod sluice || return 1
	! modprobe sluice ids=nothing || return 1
	! modprobe sluice descriptors=5 || return 1
	modprobe sluice && ! ls /dev/sluice* 2>/dev/null
}
check refuses refuses
check log log_clean
