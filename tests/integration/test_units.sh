#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What udev and systemd are given: installed where they look, accepted by systemd, and a sandbox
# that is tight but lets through what the data path is made of.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
units=$prefix/lib/systemd/system

fail() {
	echo "FAILED: $*"
	exit 1
}

cmake --install "$SLUICE_BUILD" --prefix "$prefix" --component sluice >"$work/log" ||
	fail "$(cat "$work/log")"
for file in udev/rules.d/60-sluice.rules modules-load.d/sluice.conf sysusers.d/sluice.conf; do
	[ -s "$prefix/lib/$file" ] || fail "lib/$file is missing"
done

for unit in sluiced sluice-aggregator; do
	[ -x "$(sed -nE 's/^ExecStart=([^ ]+).*/\1/p' "$units/$unit.service")" ] ||
		fail "$unit.service starts no program"
	systemd-analyze verify --man=no "$units/$unit.service" >"$work/out" 2>&1 ||
		fail "$(cat "$work/out")"
	[ ! -s "$work/out" ] || fail "$(cat "$work/out")"
	# In tenths, of 100: below 20 systemd calls it OK, a service without a sandbox has 96.
	systemd-analyze security --offline=yes --threshold=20 "$units/$unit.service" >"$work/out" ||
		fail "$(tail -n 1 "$work/out")"
done

has() {
	grep -qxF -- "$1" "$units/sluiced.service" || fail "sluiced.service: no line $1"
}
has Type=notify
has LimitMEMLOCK=infinity
has User=sluice
has CapabilityBoundingSet=
has NoNewPrivileges=yes
has ProtectSystem=strict
has 'DeviceAllow=char-sluice rw'
grep -qE '^WatchdogSec=[1-9]' "$units/sluiced.service" || fail "sluiced.service: no watchdog"

# calls_of SET: the system calls of a set, with those of the sets in it.
calls_of() {
	local name

	while read -r name; do
		case $name in
		'' | '#'*) ;;
		@*) calls_of "$name" ;;
		*) echo "$name" ;;
		esac
	done < <(systemd-analyze syscall-filter "$1" | tail -n +2)
}

# allowed UNIT: what is left when each line of the filter has added or taken its own.
allowed() {
	local line word calls

	: >"$work/calls"
	while read -r line; do
		for word in ${line#\~}; do
			calls=$word
			[[ $word != @* ]] || calls=$(calls_of "$word")
			if [[ $line = \~* ]]; then
				grep -vxF -- "$calls" "$work/calls" >"$work/left" || true
				mv "$work/left" "$work/calls"
			else
				echo "$calls" >>"$work/calls"
			fi
		done
	done < <(sed -n 's/^SystemCallFilter=//p' "$units/$1.service")
}
allowed sluiced
for call in io_uring_setup io_uring_enter io_uring_register mbind move_pages set_mempolicy \
	get_mempolicy sched_setaffinity mlock mmap madvise munmap clone3 futex epoll_wait eventfd2 \
	signalfd4 timerfd_create socket bind listen accept4 connect sendmsg recvmsg ioctl openat read \
	getrandom rseq set_robust_list prlimit64; do
	grep -qx "$call" "$work/calls" || fail "sluiced.service forbids $call"
done
for call in mount ptrace setuid chown bpf init_module kexec_load perf_event_open add_key; do
	! grep -qx "$call" "$work/calls" || fail "sluiced.service allows $call"
done
