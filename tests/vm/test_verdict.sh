#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/vm/session judges what a guest has left: good is only what is whole, and a bad line of a
# kernel is found in either log. tests/vm/fetch asks the network only for what is not there.
set -euo pipefail

vm=$SLUICE_SOURCE/tests/vm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAILED: line ${BASH_LINENO[0]}: $*"
	exit 1
}

"$vm/fetch" --to "$SLUICE_BUILD/vm/cache" || exit $?

good() {
	rm -rf "$work/out"
	mkdir "$work/out"
	printf 'begin 6.1\nok reads\nhost card 0 x: done\nvalue up 5 s\nskip polls no card\nsession ok\n' \
		>"$work/out/results.txt"
	printf '[    0.1] Linux version 6.1\r\n' >"$work/out/console.log"
	printf '[    0.1] Linux version 6.1\n[    1.0] rcu: RCU CPU stall timeout set to 60\n' \
		>"$work/out/kernel.log"
	echo 0 >"$work/out/status"
}

# judge STATUS WORDS OPTION...
judge() {
	local status=0

	"$vm/session" judge --out "$work/out" "${@:3}" >"$work/said" || status=$?
	if [ "$status" != "$1" ] || ! grep -qF -- "$2" "$work/said"; then
		fail "status $status, not $1 and '$2': $(cat "$work/said")"
	fi
}
whole() {
	judge "$1" "$2" --whole reads polls
}

good
whole 0 ''
judge 0 'ok reads' --test reads
judge 77 'no card' --test polls
judge 1 'never_named: reported 0 times' --test never_named

sed -i 's/^ok reads/not ok reads 7 bytes short/' "$work/out/results.txt"
judge 1 '7 bytes short' --test reads
good
sed -i 's/^ok reads/&\n&/' "$work/out/results.txt"
judge 1 'reported 2 times' --test reads
good
sed -i '/^ok reads/d' "$work/out/results.txt"
whole 1 'reads: never reported'
good
sed -i 's/^ok reads/&\nok writes/' "$work/out/results.txt"
whole 1 'writes: reported, but not in the list'
good
sed -i '$d' "$work/out/results.txt"
whole 1 "the session's last line is"
good
echo 3 >"$work/out/status"
whole 1 'exit status is 3'
good
: >"$work/out/kernel.log"
whole 1 "the kernel's log is empty"
rm -rf "$work/out"
mkdir "$work/out"
whole 1 'nothing at all'
echo 'vm tests: no network' >"$work/out/skip"
whole 77 'no network'
judge 77 'no network' --test reads

# What kernels say when something is wrong, in their own words: each line is found, here and there.
good
cat >"$work/bad" <<'END'
WARNING: CPU: 1 PID: 71 at mm/gup.c:229 try_grab_page+0x1a/0x90
BUG: kernel NULL pointer dereference, address: 0000000000000008
BUG: unable to handle page fault for address: ffffc90000a5d000
BUG: Bad page state in process cat  pfn:10a02
BUG: Bad rss-counter state mm:00000000 type:MM_FILEPAGES val:3
BUG: sleeping function called from invalid context at mm/slab.h:283
BUG: scheduling while atomic: swapper/0/0/0x00000002
BUG kmalloc-64 (Tainted: G): Right Redzone overwritten
BUG sluice_chunk (Not tainted): Objects remaining in sluice_chunk on __kmem_cache_shutdown()
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:71]
kernel BUG at mm/slub.c:305!
Oops: 0000 [#1] PREEMPT SMP PTI
general protection fault, probably for non-canonical address 0xdead000000000108: 0000
list_del corruption. prev->next should be ffff888, but was dead
refcount_t: underflow; use-after-free.
INFO: task cat:71 blocked for more than 30 seconds.
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: { 1-...D } 6 jiffies s: 77
rcu: INFO: rcu_preempt self-detected stall on CPU
irq 23: nobody cared (try booting with the "irqpoll" option)
Kernel panic - not syncing: sysrq triggered crash
sysfs: cannot create duplicate filename '/devices/pci0000:40/sluice0'
cat: page allocation failure: order:9, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)
END
sed 's/.*/[    3.141592] &\r/' "$work/bad" >>"$work/out/console.log"
whole 1 'kernel: '
while IFS= read -r line; do
	grep -qF -- "kernel: [    3.141592] $line" "$work/said" || fail "session lets '$line' pass"
	grep -qE -f "$vm/trouble" <<<"$line" || fail "a guest's grep lets '$line' pass"
done <"$work/bad"
good
echo '[    3.0] WARNING: CPU: 1 PID: 71 at as/expected.c:1' >>"$work/out/kernel.log"
whole 1 'as/expected.c'
judge 0 '' --allow 'as/expected\.c' --whole reads polls
# What a script prints is no word of the kernel.
good
echo 'WARNING: CPU: 1' >>"$work/out/console.log"
whole 0 ''

# fetch: with all there, apt is not asked; without a network, a skip with its reason; a package that
# the mirror has not is an error.
mkdir "$work/bin"
cat >"$work/bin/apt-get" <<'END'
#!/bin/bash
echo "$*" >>"$WORK/asked"
[[ $* = *update* ]] && [ -e "$WORK/network" ]
END
chmod +x "$work/bin/apt-get"
export WORK=$work
fetch() {
	local status=0

	: >"$work/asked"
	PATH=$work/bin:$PATH "$vm/fetch" --to "$1" >"$work/said" 2>&1 || status=$?
	[ "$status" = "$2" ] || fail "fetch: $status and not $2: $(cat "$work/said")"
}
fetch "$SLUICE_BUILD/vm/cache" 0
[ ! -s "$work/asked" ] || fail "apt was asked for what is there: $(cat "$work/asked")"
fetch "$work/cache" 77
grep -q 'cannot reach its mirror' "$work/said" || fail "$(cat "$work/said")"
for left in "$work"/cache "$work"/cache.new; do
	[ ! -e "$left" ] || fail "half a cache is left: $left"
done
fetch "$work/cache" 77
grep -q 'within the last 3 minutes' "$work/said" || fail "$(cat "$work/said")"
[ ! -s "$work/asked" ] || fail 'apt was asked again, at once'
touch "$work/network"
fetch "$work/other" 1
grep -q 'cannot download' "$work/said" || fail "$(cat "$work/said")"
