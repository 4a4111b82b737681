#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# sluice list, of boards in a folder that is laid out like /sys.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sys=$work/sys
export SLUICE_SYSFS=$sys

fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

list() {
	"$SLUICE_BIN/sluice" list "$@" 2>&1
}

# board NUMBER PCI: one with all that the driver tells.
board() {
	local device=$sys/devices/pci0000:3a/$2 folder

	folder=$device/sluice/sluice$1
	mkdir -p "$folder" "$sys/class/sluice" "$sys/bus/pci/drivers/sluice" "$sys/module/sluice"
	ln -sfn ../../../../module/sluice "$sys/bus/pci/drivers/sluice/module"
	echo 1.0.0 >"$sys/module/sluice/version"
	ln -sfn ../../../bus/pci/drivers/sluice "$device/driver"
	ln -sfn "../../../$2" "$folder/device"
	ln -sfn "../../devices/pci0000:3a/$2/sluice/sluice$1" "$sys/class/sluice/sluice$1"
	printf '%016x\n' $((1234 + $1)) >"$folder/serial"
	echo 42 >"$folder/firmware_version"
	echo 1.0 >"$folder/interface_version"
	echo running >"$folder/state"
	echo "$(($1 % 2))" >"$folder/numa_node"
	echo "$1" >"$folder/sector"
	echo 165952 >"$folder/block_bytes"
	echo 8000 | tee "$folder/link_speed" >"$folder/link_speed_max"
	echo 8 | tee "$folder/link_width" >"$folder/link_width_max"
}

# expect TEXT LINE: LINE, with blanks as they are, is one of TEXT's.
expect() {
	grep -qxF -- "$2" <<<"$1" || fail "no line \"$2\" in:"$'\n'"$1"
}

# No driver; then a driver without a board.
[[ $(list) = *"driver is not loaded"*"modprobe sluice"*driver/README.md* ]] || fail "$(list)"
[ "$(list --json)" = '{"schema_version":1,"boards":[],"boards_left_off":0}' ] || fail "$(list --json)"
mkdir -p "$sys/class/sluice"
[[ $(list) = *"has no board"*"lspci -nn"*"ids=VENDOR:DEVICE"*driver/README.md* ]] || fail "$(list)"
[ "$(list --json | jq '.boards | length')" = 0 ] || fail "$(list --json)"

# Every column; 10 comes after 2; what is no board is left out.
board 10 0000:5e:00.0
board 2 0000:3b:00.0
mkdir "$sys/class/sluice/version" "$sys/class/sluice/sluice" "$sys/class/sluice/sluice1x"
table=$(list)
expect "$table" 'board     serial            firmware  pci           link         max          node  driver        state'
expect "$table" 'sluice2   00000000000004d4  42        0000:3b:00.0  8.0 GT/s x8  8.0 GT/s x8  0     sluice 1.0.0  running'
expect "$table" 'sluice10  00000000000004dc  42        0000:5e:00.0  8.0 GT/s x8  8.0 GT/s x8  0     sluice 1.0.0  running'
[ "$(wc -l <<<"$table")" = 3 ] || fail "$table"
[ "$(list --json | jq -c '.boards[0]')" = '{"name":"sluice2","serial":"00000000000004d4","firmware":"42","interface":"1.0","pci":"0000:3b:00.0","numa_node":0,"driver":"sluice","driver_version":"1.0.0","state":"running","sector":2,"block_bytes":165952,"link":{"speed_mbit_s":8000,"width":8,"speed_max_mbit_s":8000,"width_max":8,"down_trained":false}}' ] ||
	fail "$(list --json)"

# A link that came up with less than it can, by speed and by width.
slow=$sys/class/sluice/sluice2
echo 2500 >"$slow/link_speed"
expect "$(list)" 'sluice2   00000000000004d4  42        0000:3b:00.0  2.5 GT/s x8 !  8.0 GT/s x8  0     sluice 1.0.0  running'
[[ $(list) = *"sluice2: its PCIe link runs at 2.5 GT/s x8, it can 8.0 GT/s x8: reseat the card"* ]] ||
	fail "$(list)"
[ "$(list --json | jq -c '[.boards[].link.down_trained]')" = '[true,false]' ] || fail "$(list --json)"
echo 8000 >"$slow/link_speed"
echo 4 >"$slow/link_width"
[[ $(list) = *"8.0 GT/s x4 !"*"runs at 8.0 GT/s x4, it can 8.0 GT/s x8"* ]] || fail "$(list)"
echo 8 >"$slow/link_width"

# Boards that need somebody.
echo failed >"$slow/state"
[[ $(list) = *"sluice2: it has failed: the next scan resets it"* ]] || fail "$(list)"
echo gone >"$slow/state"
[[ $(list) = *"sluice2: it is gone"*"/sys/bus/pci/rescan"* ]] || fail "$(list)"

# What the platform does not say, and what is missing.
rm -r "$sys/class/sluice/sluice10"
echo -1 >"$slow/numa_node"
[ "$(list --json | jq '.boards[0].numa_node')" = -1 ] || fail "$(list --json)"
rm "$slow"/*
expect "$(list)" 'sluice2  -       -         -    -     -    -     -       -'
[ "$(list --json | jq -c '.boards[0] | [.serial, .firmware, .interface, .pci, .numa_node, .driver, .driver_version, .state, .sector, .block_bytes, .link.speed_mbit_s, .link.down_trained]')" = \
	'[null,null,null,null,null,null,null,null,null,null,null,false]' ] || fail "$(list --json)"

# What no driver would write: nothing of it reaches the terminal, and nothing is waited for.
printf 'a\033[2J"\\\xff\nsecond line\n' >"$slow/serial"
head -c 100000 /dev/zero | tr '\0' A >"$slow/firmware_version"
mkfifo "$slow/state"
mkdir "$slow/numa_node"
echo 99999999999999999999 >"$slow/link_speed"
echo -5 >"$slow/link_width"
echo 0x10 >"$slow/link_width_max"
ln -s "$(printf '../\033]0;x\007')" "$slow/device"
ln -s sluice3 "$sys/class/sluice/sluice3"
ln -s nowhere "$sys/class/sluice/sluice4"
table=$(timeout 20 "$SLUICE_BIN/sluice" list)
[[ $table = *'a?[2J"\?'* ]] || fail "$table"
[[ $table != *"second line"* ]] || fail "$table"
[ "$(LC_ALL=C tr -d '\n -~' <<<"$table" | wc -c)" = 0 ] || fail "control characters: $table"
[ "$(wc -l <<<"$table")" = 2 ] || fail "$table"
timeout 20 "$SLUICE_BIN/sluice" list --json | jq -e '.boards[0].link.speed_mbit_s == null and
	.boards[0].link.width == null and .boards[0].state == null and
	(.boards[0].firmware | length) < 48' >/dev/null || fail "$(list --json)"

# More than can be are counted.
rm -r "$sys/class/sluice"
for ((i = 0; i < 66; i++)); do
	mkdir -p "$sys/class/sluice/sluice$i"
done
[[ $(list) = *"2 more are not listed: at most 64 are" ]] || fail "$(list)"
[ "$(list --json | jq -c '[(.boards | length), .boards_left_off]')" = '[64,2]' ] || fail "$(list --json)"

# A folder that cannot be one is an error.
rm -r "$sys/class/sluice"
: >"$sys/class/sluice"
if list; then
	fail "succeeds on a file"
fi
if list surplus >"$work/usage"; then
	fail "takes an argument"
fi
