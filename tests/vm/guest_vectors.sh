#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver on a machine without MSI-X: it says that it polls, and reads all the same.
# shellcheck source=tests/vm/guest.sh
. /lib/vm/guest.sh

there() {
	[ -c /dev/sluice0 ]
}
said() {
	dmesg | grep -q "no interrupt vector: completions are polled for"
}
loads() {
	modprobe sluice ids=1af4:1110 && until_ok 10 there && until_ok 10 said
}
check loads loads
run fixed guest_driver /dev/sluice0 fixed
run polled guest_driver /dev/sluice0 polled
removes() {
	rmmod sluice
}
check removes removes
