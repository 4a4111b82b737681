#!/bin/sh
# SPDX-License-Identifier: MIT
# Scans from two cards on different nodes to an HDF5 file, through the module and the programs as
# they are installed: whole ones, one with losses, one in which a card is pulled out.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

ids=1af4:1110
scan=33x31
sluiced=http://127.0.0.1:9001
members="--directory none --member $sluiced --member http://127.0.0.1:9002 \
	--member http://127.0.0.1:9003"
cd /run || exit 1

# The board of a node, as the class has it; and its name that stays, which udev's rule makes.
board() {
	for device in /sys/class/sluice/*; do
		if [ "$(cat "$device/numa_node")" = "$1" ]; then
			echo "${device##*/}"
		fi
	done
}
name_boards() {
	rm -rf /dev/sluice
	mkdir -p /dev/sluice/by-serial
	for device in /sys/class/sluice/*; do
		ln -s "../../${device##*/}" "/dev/sluice/by-serial/$(cat "$device/serial")"
	done
}
counter() {
	cat "/sys/class/sluice/$(board "$1")/counters/$2"
}

log_mark
loads() {
	modprobe sluice ids=$ids || return 1
	[ -c "/dev/$(board 0)" ] && [ -c "/dev/$(board 1)" ] && name_boards
}
check loads loads

lists() {
	sluice list && sluice list --json >list.json && guest_flow list list.json || return 1
	for n in 0 1; do
		sluice list | grep -q "^$(board $n) .*000003e$((8 + n)) .* $n  *sluice .* idle\$" ||
			return 1
	done
}
check list lists

# ---- the programs ------------------------------------------------------------

# configure NAME PORT: the beginning of its configuration
configure() {
	printf 'control: 127.0.0.1:%s\ndirectory: {kind: none}\n' "$2" >"$1.yaml"
	cat >>"$1.yaml"
}
serves() {
	grep -q 'status at' "$1.log"
}
starts() {
	configure sluiced 9001 <<-'END'
	server: guest
	ring: {huge_pages: 2M, require_huge_pages: true, require_locked: true}
	boards:
	  - {name: board0, sector: 0, framing: sluice, node: -1,
	     source: "device:/dev/sluice/by-serial/00000000000003e8"}
	  - {name: board1, sector: 1, framing: sluice, node: -1,
	     source: "device:/dev/sluice/by-serial/00000000000003e9"}
	END
	configure sluice-aggregator 9002 </dev/null
	# Values that pixels of these frames have: on either side of both, one more would differ.
	configure sluice-counter 9003 <<-'END'
	output: /run
	thresholds: {background: 26, xray: 147}
	END
	sluiced --config sluiced.yaml >sluiced.log 2>&1 &
	sluiced_pid=$!
	sluice-aggregator --config sluice-aggregator.yaml >sluice-aggregator.log 2>&1 &
	aggregator_pid=$!
	sluice-counter --config sluice-counter.yaml >sluice-counter.log 2>&1 &
	counter_pid=$!
	for program in sluiced sluice-aggregator sluice-counter; do
		until_ok 30 serves $program || cat $program.log
		serves $program || return 1
	done
}
check starts starts

# A ring elsewhere than its board is refused, with both nodes named.
wrong_node() {
	configure wrong 9004 <<-'END'
	server: wrong
	boards:
	  - {name: board0, sector: 0, framing: sluice, node: 1,
	     source: "device:/dev/sluice/by-serial/00000000000003e8"}
	END
	! timeout 30 sluiced --config wrong.yaml >wrong.log 2>&1 || return 1
	cat wrong.log
	grep -q '/by-serial/00000000000003e8 (.*) is on NUMA node 0, configured is node 1;' wrong.log
}
check wrong_node wrong_node

# Of the huge pages that the daemon has mapped, one mapping is bound to each node and has its pages
# there and nowhere else, and the daemon says the same of each board's ring.
rings() {
	grep huge "/proc/$sluiced_pid/numa_maps"
	[ "$(grep -c 'huge anon' "/proc/$sluiced_pid/numa_maps")" = 2 ] || return 1
	wget -q -O status.json $sluiced/api/v1/status || return 1
	for n in 0 1; do
		ring=$(grep 'huge anon' "/proc/$sluiced_pid/numa_maps" | grep " bind[^ ]*:$n ")
		pages=$(echo "$ring" | sed -n 's/.* anon=\([0-9]*\) .*/\1/p')
		echo "node $n: $pages pages"
		echo "$ring" | grep -q " N$n=$pages kernelpagesize_kB=2048" || return 1
		echo "$ring" | grep -q " N$((1 - n))=" && return 1
		sed 's/"id":/\n&/g' status.json | grep "/board$n\"" |
			grep -q "\"page_bytes\":2097152,\"node\":$n,\"locked\":true,\"note\":\"\"" ||
			return 1
	done
}
check rings_on_nodes rings

# ---- scans -------------------------------------------------------------------

# scan N: to scanN.h5, with its ledger in scanN.json
scan() {
	# shellcheck disable=SC2086 # a list
	sluice arm $members --number "$1" --scan $scan --watch --timeout 60 --json \
		--ledger "scan$1.json" || { cat scan"$1".json sluiced.log; return 1; }
	sluice-merge --out "scan$1.h5" --ledger "scan$1.json" scan*"$1".*.part
}
scan_is() {
	scan "$2" && guest_flow "$1" "scan$2.h5" "scan$2.json"
}
sent_before="$(counter 0 blocks_out) $(counter 1 blocks_out)"
check scan scan_is whole 1

# What the ledger said is what the cards say themselves. The ring was pinned once, when it was
# registered: the driver has pinned no page for any read.
sent() {
	echo "$sent_before, then $(counter 0 blocks_out) $(counter 1 blocks_out)"
	[ "$(counter 0 blocks_out)" = $((${sent_before% *} + 1023)) ] &&
		[ "$(counter 1 blocks_out)" = $((${sent_before#* } + 1023)) ] || return 1
	for n in 0 1; do
		echo "card $n: $(counter $n reads) reads, $(counter $n pages_pinned) pages pinned"
		[ "$(counter $n reads)" -ge 64 ] && [ "$(counter $n pages_pinned)" = 0 ] || return 1
	done
}
check counters_are_the_cards sent

losses() {
	host card 0 fault drop=5,20-22,1000 && host card 1 fault drop=700,1000 &&
		host card 1 fault corrupt=30 || return 1
	scan_is named_losses 2
	judged=$?
	host card 0 repair >repair.out && host card 1 repair >repair.out && return $judged
}
check named_losses losses
check scan_after_losses scan_is whole 3

# A counter that says more than there was leaves the ledger open, with both numbers in it.
jump() {
	host card 0 fault jump=50:7 || return 1
	# shellcheck disable=SC2086 # a list
	! sluice arm $members --number 6 --scan $scan --watch --timeout 60 --json \
		--ledger scan6.json
	judged=$?
	cat scan6.json
	host card 0 repair >repair.out || return 1
	grep -q '"closed":false,"why":"board guest/board0 says 1023 .* made, but 1030 sent' scan6.json ||
		judged=1
	return $judged
}
check counter_jump jump
check scan_after_jump scan_is whole 7

# The card is pulled out in mid-scan, comes back, and is bound anew; the daemon is the same.
removal() {
	address=$(basename "$(readlink "/sys/class/sluice/$(board 1)/device")")
	host card 1 fault gone=20 || return 1
	scan_is gone 4
	judged=$?
	sluice list
	[ "$(cat "/sys/class/sluice/$(board 1)/state")" = gone ] || judged=1
	kill -0 "$sluiced_pid" || judged=1
	host card 1 repair >repair.out || judged=1
	echo "$address" >/sys/bus/pci/drivers/sluice/unbind
	echo "$address" >/sys/bus/pci/drivers/sluice/bind
	name_boards
	return $judged
}
check removal removal
after_removal() {
	scan_is whole 5 && rings
}
check scan_after_removal after_removal

ends() {
	for pid in $sluiced_pid $counter_pid $aggregator_pid; do
		kill "$pid" || return 1
		wait "$pid" || return 1
	done
	rmmod sluice
}
check ends ends
check log log_clean
value up "$(cut -d' ' -f1 /proc/uptime)" s
