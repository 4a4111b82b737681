#!/bin/sh
# SPDX-License-Identifier: MIT
# What every guest session stands on: the nodes, the huge pages, the cards, the ways to the host.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

nodes=/sys/devices/system/node
huge=hugepages/hugepages-2048kB

two_nodes() {
	[ "$(cat $nodes/online)" = 0-1 ] || return 1
	[ "$(cat $nodes/node0/cpulist)" = 0 ] && [ "$(cat $nodes/node1/cpulist)" = 1 ] || return 1
	[ "$(cat $nodes/node0/distance)" = '10 20' ]
}
check nodes two_nodes

huge_pages() {
	for node in 0 1; do
		echo "node $node: $(cat $nodes/node$node/$huge/free_hugepages) pages of 2 MiB"
		[ "$(cat $nodes/node$node/$huge/free_hugepages)" = "$VM_HUGE_PAGES" ] || return 1
	done
}
check huge_pages huge_pages

# The path of the Nth card: the bridge of node 0 has the lower bus number.
card() {
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/device")" = 0x1110 ]; then
			echo "$device"
		fi
	done | sort | sed -n "$(($1 + 1))p"
}

cards_on_nodes() {
	for n in 0 1; do
		echo "card $n: $(card $n), node $(cat "$(card $n)/numa_node")"
		[ "$(cat "$(card $n)/numa_node")" = "$n" ] || return 1
	done
	[ -z "$(card 2)" ]
}
check cards_on_nodes cards_on_nodes

# bar CARD N: the address of its BAR
bar() {
	sed -n "$(($2 + 1))p" "$(card "$1")/resource" | cut -d' ' -f1
}

register_is() {
	[ "$(devmem $(($1)) 32)" = "$2" ]
}

# Both cards, each with a number of its own, so that one cannot answer for the other.
doorbell() {
	for n in 0 1; do
		echo 1 >"$(card $n)/enable"
		registers=$(bar $n 2)
		devmem $((registers)) 32 $((0x1000 + n))
		# Doorbell 0 of peer 0, which is the board.
		devmem $(($(bar $n 0) + 12)) 32 0
		until_ok 10 register_is $((registers + 8)) "0x0000100$((n + 1))" || return 1
	done
}
check doorbell doorbell

# What the guest writes, the host finds in the memory files. It is asked for by the same word spelt
# backwards, for the question lies in the guest's memory as well.
memory_is_seen() {
	echo 'hctiws-dna-egdirb-ecluis' | rev >/dev/shm/word
	host card 0 find hctiws-dna-egdirb-ecluis >/run/found || return 1
	cat /run/found
	! grep -qx 'done 0 0' /run/found
}
check memory_is_seen memory_is_seen

unplug_and_plug() {
	log_mark
	echo 0 >"$(card 1)/enable"
	host unplug 1 || return 1
	[ -z "$(card 1)" ] || return 1
	host plug 1 || return 1
	until_ok 30 second_card || return 1
	log_clean
}
second_card() {
	[ -n "$(card 1)" ] && [ "$(cat "$(card 1)/numa_node")" = 1 ]
}
check unplug_and_plug unplug_and_plug

check refused_by_host eval '! host card 7 x && ! host nothing 0 && ! host card 0 nothing'

shared_folder() {
	echo 'seen by both' >/mnt/from_guest && [ "$(cat /mnt/from_guest)" = 'seen by both' ]
}
check shared_folder shared_folder

value up "$(cut -d' ' -f1 /proc/uptime)" s
