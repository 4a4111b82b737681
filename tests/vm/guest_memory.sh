#!/bin/sh
# SPDX-License-Identifier: MIT
# The memory of rings on a machine with two nodes, and the unit tests that can only pretend to have
# one elsewhere. Last, io_uring of this kernel, by the tests of the sources that read with it.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

run node_memory test_node_memory
run arena test_arena
run numa test_numa
for source in device file socket; do
	run "source_$source" "test_source_$source"
done
value up "$(cut -d' ' -f1 /proc/uptime)" s
