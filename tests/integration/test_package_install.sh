#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the packages that test_package has built, with dpkg and their scripts, in a throw-away
# root; tries what they promise; removes them, and looks for what is left.
#   test_package_install VERSION all     every package, where no kernel has headers
#   test_package_install VERSION module  the driver's, where one has
set -euo pipefail

version=$1
part=$2
packages=$SLUICE_BUILD/packages
kernel=$SLUICE_BUILD/vm/cache

if [ "${3-}" != inside ]; then
	# The kernel that the guests of the vm tests run.
	[ "$part" = all ] || timeout 240 "$SLUICE_SOURCE/tests/vm/fetch" --to "$kernel" || exit
	exec "$SLUICE_SOURCE/tests/support/throwaway_root" --see "$SLUICE_BUILD" \
		--see "$SLUICE_SOURCE" -- bash "$(realpath "$0")" "$version" "$part" inside
fi

# ---- from here on in the throw-away root -------------------------------------------------------

export DEBIAN_FRONTEND=noninteractive
arch=$(dpkg --print-architecture)
names=(sluice sluice-dev sluice-dkms)
debs=("$packages/sluice_$version-1_$arch.deb" "$packages/sluice-dev_$version-1_$arch.deb"
	"$packages/sluice-dkms_$version-1_all.deb")

fail() {
	echo "FAILED: $*"
	exit 1
}

run_dpkg() {
	dpkg "$@" >/tmp/dpkg.log 2>&1 ||
		fail "dpkg $1: $(cat /tmp/dpkg.log /var/lib/dkms/sluice/*/build/make.log | tail -n 60)"
}

# A machine with one kernel and its headers, or with neither.
prepare_kernel() {
	rm -rf /lib/modules /boot/config-*
	mkdir /lib/modules
	[ "$part" = module ] || return 0
	release=$(cat "$kernel/version")
	mkdir "/lib/modules/$release"
	ln -s "$(realpath "$kernel/headers")" "/lib/modules/$release/build"
	cp "$(realpath "$kernel/modules")"/modules.{builtin,order} "/lib/modules/$release/"
}

check_installed() {
	local name file

	for name in "${names[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name")" = installed ] || fail "$name"
		while read -r file; do
			[ -e "$file" ] || fail "$name: $file is not there"
			[ "$(stat -c %U:%G "$file")" = root:root ] || fail "$name: owner of $file"
		done < <(dpkg-query -L "$name")
	done
}

check_programs() {
	local program unit

	getent passwd sluice | grep ':/usr/sbin/nologin$' >/dev/null ||
		fail "no user sluice, or one with a shell"
	[ "$(id -gn sluice)" = sluice ] || fail "the user sluice is in group $(id -gn sluice)"

	for program in sluiced sluice-aggregator sluice-counter sluice-merge sluice-board sluice; do
		"/usr/bin/$program" --version | grep -F "$version" >/dev/null || fail "$program --version"
		"/usr/bin/$program" --help >/dev/null || fail "$program --help"
	done
	for unit in sluiced sluice-aggregator; do
		"/usr/bin/$unit" --check --config "/usr/share/doc/sluice/examples/$unit.yaml" \
			2>/dev/null || fail "$unit: its example"
		systemd-analyze verify "$unit.service" >/tmp/verify 2>&1 || fail "$(cat /tmp/verify)"
		[ ! -s /tmp/verify ] || fail "$(cat /tmp/verify)"
	done
}

# Against what is installed, and found without being told where.
check_development() {
	read -ra flags <<<"$(pkg-config --cflags --libs sluice-consumer)"
	gcc -Wall -Werror /usr/share/doc/sluice/examples/example_consumer.c -o /tmp/example \
		"${flags[@]}" || fail "the example does not compile"
	# Known to the loader's cache, not found by chance in a folder that is always searched.
	ldconfig -p >/tmp/cache
	grep -q 'libsluice-consumer\.so\.' /tmp/cache || fail "the loader does not know the library"
	ldd /tmp/example | grep -E 'libsluice-consumer.so.* => (/usr)?/lib' >/dev/null ||
		fail "$(ldd /tmp/example)"
}

# ---- udev, on boards that are nothing but a description ----------------------------------------

# make_board NUMBER PCI-ADDRESS SERIAL
make_board() {
	local slot=/sys/devices/pci0000:40/0000:40:01.0/$2
	local board=$slot/sluice/sluice$1

	mkdir -p "$board"
	ln -s /sys/bus/pci "$slot/subsystem"
	ln -s /sys/class/sluice "$board/subsystem"
	echo "PCI_SLOT_NAME=$2" >"$slot/uevent"
	printf 'MAJOR=240\nMINOR=%d\nDEVNAME=sluice%d\n' "$1" "$1" >"$board/uevent"
	printf '%s\n' "$3" >"$board/serial"
	mknod -m 600 "/dev/sluice$1" c 240 "$1"
	SYSTEMD_DEVICE_VERIFY_SYSFS=0 udevadm test --action=add "$board" >"/tmp/udev$1" 2>&1 ||
		fail "udevadm: $(tail -n 20 "/tmp/udev$1")"
}

leads_to() {
	[ "$(realpath "/dev/sluice/$1")" = "/dev/$2" ] || fail "/dev/sluice/$1 is not $2"
}

check_udev() {
	mount -t tmpfs sys /sys
	mkdir -p /sys/bus/pci /sys/class/sluice /run/udev
	make_board 0 0000:41:00.0 A12-77
	make_board 1 0000:42:00.0 00000000c0ffee01
	# Serial numbers as a board may have them that is broken.
	make_board 2 0000:43:00.0 ../../null
	make_board 3 0000:44:00.0 'a b'
	make_board 4 0000:45:00.0 ''
	leads_to by-serial/A12-77 sluice0
	leads_to by-serial/00000000c0ffee01 sluice1
	for number in 0 1 2 3 4; do
		leads_to "by-slot/0000:4$((number + 1)):00.0" "sluice$number"
		[ "$(stat -c %U:%G:%a "/dev/sluice$number")" = root:sluice:660 ] ||
			fail "/dev/sluice$number is $(stat -c %U:%G:%a "/dev/sluice$number")"
		grep -qx SYSTEMD_WANTS=sluiced.service "/tmp/udev$number" || fail "starts no daemon"
		grep -q '^TAGS=.*:systemd:' "/tmp/udev$number" || fail "systemd does not see it"
	done
	[ "$(find /dev/sluice/by-serial -type l | wc -l)" -eq 2 ] ||
		fail "by-serial has $(ls /dev/sluice/by-serial)"
	[ -c /dev/null ] || fail "a serial number led out of its folder"
	umount /sys
}

# ---- DKMS --------------------------------------------------------------------------------------

check_module() {
	local module

	dkms status -m sluice -v "$version" -k "$release" | grep ': installed' >/dev/null ||
		fail "dkms: $(dkms status)"
	module=$(find "/lib/modules/$release" -name 'sluice.ko*')
	[ -n "$module" ] || fail "dkms installed no sluice.ko"
	modinfo -F vermagic "$module" | grep -F "$release" >/dev/null || fail "built for another kernel"
	modinfo -F parm "$module" | grep '^ids:' >/dev/null || fail "it cannot be told its boards"
}

# ---- what is left ------------------------------------------------------------------------------

changes() {
	(cd /run/changed && find . ! -type d -printf '/%P\n') | grep -vE \
		-e '^/etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|ld\.so\.cache|\.pwd\.lock)$' \
		-e '^/var/(lib/dpkg|log|cache)/' -e '^/var/lib/dkms/mok\.(key|pub)$' \
		-e '^/(usr/)?lib/modules' -e '^/boot/config-' || true
}

check_gone() {
	local left

	left=$(changes)
	[ -z "$left" ] || fail "left behind: $left"
	left=$(cd /run/changed && find . -type d -name '*sluice*')
	[ -z "$left" ] || fail "left behind: $left"
	! systemctl is-enabled --quiet sluiced.service 2>/dev/null || fail "sluiced is still enabled"
	[ -z "$(dkms status -m sluice)" ] || fail "dkms still has it: $(dkms status -m sluice)"
	[ -z "$(find /lib/modules -name 'sluice*')" ] || fail "the module is still there"
}

# A second installation, as an upgrade is, loses neither the configuration nor that it is enabled.
try_all() {
	run_dpkg -i "${debs[@]}"
	check_installed
	check_programs
	check_development
	check_udev
	dkms status -m sluice -v "$version" | grep ': added$' >/dev/null || fail "dkms: $(dkms status)"

	echo "# mine" >/etc/sluice/sluiced.yaml
	systemctl enable --quiet sluiced.service
	run_dpkg -i "${debs[@]}"
	check_installed
	systemctl is-enabled --quiet sluiced.service || fail "an upgrade has disabled sluiced"

	run_dpkg -r "${names[@]}"
	[ "$(cat /etc/sluice/sluiced.yaml)" = "# mine" ] ||
		fail "a removal has taken the configuration"
	rm -r /etc/sluice
	run_dpkg -P "${names[@]}"
	check_gone
}

try_module() {
	names=(sluice-dkms)
	debs=("${debs[2]}")
	run_dpkg -i "${debs[@]}"
	check_installed
	check_module
	run_dpkg -i "${debs[@]}"
	check_module
	run_dpkg -r "${names[@]}"
	check_gone
}

# Images of Debian tell dpkg to leave out manuals and the like.
mount -t tmpfs empty /etc/dpkg/dpkg.cfg.d
left=$(changes)
[ -z "$left" ] || fail "the root is not fresh: $left"
prepare_kernel
"try_$part"
