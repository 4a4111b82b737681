#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/vm/boot and session with guests that go wrong: each way is seen, said, and nothing of it is
# left behind. And with what they stand on: an image that depends on its inputs alone, a module
# built with the fetched headers.
set -euo pipefail

vm=$SLUICE_SOURCE/tests/vm
cache=$SLUICE_BUILD/vm/cache
work=$(mktemp -d)
# Processes to be ended should a test fail.
killed=
qemu=
clean_up() {
	# shellcheck disable=SC2086 # two numbers, or fewer
	kill -KILL $killed $qemu 2>/dev/null || true
	rm -rf "$work"
}
trap clean_up EXIT

fail() {
	echo "FAILED: line ${BASH_LINENO[0]}: $*"
	exit 1
}

"$vm/fetch" --to "$cache" || exit $?

# within SECONDS COMMAND...
within() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt "$end" ] || return 1
		sleep 0.1
	done
}

# image NAME OPTION...: from the script on standard input
image() {
	printf '#!/bin/sh\n. /lib/vm/guest.sh\n' >"$work/$1.sh"
	cat >>"$work/$1.sh"
	chmod +x "$work/$1.sh"
	"$vm/initramfs" --kernel "$cache" --script "$work/$1.sh" --out "$work/$1.img" "${@:2}"
}
# boot NAME OPTION...: its exit status is in $work/NAME.status
boot() {
	local status=0

	"$vm/boot" --kernel "$cache" --initramfs "$work/$1.img" --out "$work/$1" --node-mib 256 \
		"${@:2}" 2>"$work/$1.said" || status=$?
	mkdir -p "$work/$1"
	echo "$status" | tee "$work/$1.status" >"$work/$1/status"
}
status_is() {
	[ "$(cat "$work/$1.status")" = "$2" ] ||
		fail "$1: $(cat "$work/$1.status") and not $2: $(cat "$work/$1.said")"
}
# judged_bad NAME WORDS
judged_bad() {
	! "$vm/session" judge --out "$work/$1" --whole lives >"$work/verdict" || fail "$1: good?"
	grep -q "$2" "$work/verdict" || fail "$1: not '$2' but: $(cat "$work/verdict")"
}

# Equal inputs, equal images; the image of unchanged inputs is kept.
image hangs --module 9p <<<'sleep 1000'
"$vm/initramfs" --kernel "$cache" --script "$work/hangs.sh" --out "$work/again.img" --module 9p
cmp "$work/hangs.img" "$work/again.img" || fail 'two images of the same inputs differ'
touch -d @0 "$work/again.img"
"$vm/initramfs" --kernel "$cache" --script "$work/hangs.sh" --out "$work/again.img" --module 9p
[ "$(stat -c %Y "$work/again.img")" = 0 ] || fail 'an unchanged image was made anew'
echo true >>"$work/hangs.sh"
"$vm/initramfs" --kernel "$cache" --script "$work/hangs.sh" --out "$work/again.img" --module 9p
! cmp -s "$work/hangs.img" "$work/again.img" || fail 'the image has kept an old script'
! "$vm/initramfs" --kernel "$cache" --script "$work/hangs.sh" --out "$work/bad.img" \
	--module no_such_module 2>"$work/said" || fail 'a module that is not there'
grep -q no_such_module "$work/said" || fail "$(cat "$work/said")"

# A module built with the headers that were fetched.
mkdir "$work/module"
cp "$vm/warner.c" "$work/module"
echo 'obj-m := warner.o' >"$work/module/Kbuild"
make -s -C "$cache/headers" M="$work/module" W=1 modules >"$work/make" 2>&1 ||
	fail "$(cat "$work/make")"
! grep -E 'warning:|error:' "$work/make" || fail 'warnings with W=1'

image panics <<<'ok lives; sleep 1; echo c >/proc/sysrq-trigger; sleep 1000'
image warns --ko "$work/module/warner.ko" <<'END'
modprobe warner
log_clean >/run/said && exit 1
log_mark
log_clean || exit 2
ok lives
END

# A run that is killed takes QEMU along, and the next run its folder. Meanwhile one hangs.
boot hangs --deadline 8 &
hanging=$!
"$vm/boot" --kernel "$cache" --initramfs "$work/hangs.img" --out "$work/killed" --node-mib 256 &
killed=$!
within 60 grep -q '^begin ' "$work/killed/results.txt" 2>/dev/null || fail 'the guest has not begun'
qemu=$(tr ' ' '\n' <"/proc/$killed/task/$killed/children" | head -n 1)
folder=$(tr '\0' '\n' <"/proc/$qemu/cmdline" | sed -n 's/^unix:\(.*\)\/qmp,.*/\1/p')
[ -e "$folder/memory1" ] || fail "no memory in '$folder'"
kill -KILL "$killed"
wait "$killed" 2>/dev/null || true
killed=
qemu_ended() { ! kill -0 "$qemu" 2>/dev/null; }
within 20 qemu_ended || fail "QEMU, process $qemu, has outlived its run"
qemu=
wait "$hanging"
status_is hangs 124
grep -q 'not ended after 8 s' "$work/hangs.said" || fail "$(cat "$work/hangs.said")"
grep -q 'sleep 1000' "$work/hangs/console.log" || fail 'it is not said what hangs'
judged_bad hangs 'session not ok the script has not ended'

# One panics; the other warns, and the process behind its card ends badly.
boot panics &
panicking=$!
boot warns --card "0:1:trap 'exit 3' TERM; $vm/echo_card <&0 & wait"
wait "$panicking"
[ ! -e "$folder" ] || fail "$folder of a killed run is still there"
status_is panics 125
judged_bad panics 'Kernel panic'
judged_bad panics 'session not ok the guest died'
status_is warns 125
judged_bad warns 'WARNING: CPU'
judged_bad warns 'card0: its process ended with status 3'
"$vm/session" judge --out "$work/warns" --test lives || fail 'a test that was good'

# What cannot start says so, at once.
boot warns --card '0:1:true'
status_is warns 125
grep -q 'card0: its process ended before it listened' "$work/warns.said" || fail 'a dead card'
boot warns --card 2:1:true
status_is warns 2

# Nothing is left: no folder that its run would still hold.
for left in /dev/shm/sluice-vm-*; do
	[ ! -e "$left" ] || ! flock -n "$left/lock" true || fail "$left is left"
done
