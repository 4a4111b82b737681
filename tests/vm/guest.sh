#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest's test script has at hand: `. /lib/vm/guest.sh`. Each test that the session names in
# its list of TESTS reports once, by one of: ok, not_ok, skip, check, run.
exec 3<>/dev/ttyS1

# ok NAME
ok() {
	echo "ok $1" >&3
	echo "ok $1"
}

# not_ok NAME REASON...
not_ok() {
	echo "not ok $*" >&3
	echo "not ok $*"
}

# skip NAME REASON...: a visible skip
skip() {
	echo "skip $*" >&3
	echo "skip $*"
}

# check NAME COMMAND...: ok if the command exits 0; a shell function serves as well. The reason for
# "not ok" is the last line that it prints.
# run NAME PROGRAM [ARGUMENT]...: the same thing, by another name for programs.
# 77 is a skip.
check() {
	name=$1
	shift
	if "$@" >"/run/$name.out" 2>&1; then
		status=0
	else
		status=$?
	fi
	cat "/run/$name.out"
	case $status in
	0) ok "$name" ;;
	77) skip "$name" "$(tail -n 1 "/run/$name.out")" ;;
	*) not_ok "$name" "status $status: $(tail -n 1 "/run/$name.out")" ;;
	esac
	return "$status"
}
run() {
	check "$@"
}

# value NAME NUMBER UNIT: a measurement, kept among the session's results.
value() {
	echo "value $1 $2 $3" >&3
	echo "value $1 $2 $3"
}

# host WORD...: asks the host for something and prints its answer; 0 if it is "done ...".
#   host card N WORD...   hands a line to the process behind card N, and the answer is its next line
#   host unplug N         takes card N out of its slot
#   host plug N           puts it back
host() {
	echo "host $*" >&3
	# shellcheck disable=SC3045 # busybox has it
	if ! read -r -t 60 answer <&3; then
		echo "host $*: no answer in 60 s"
		return 1
	fi
	echo "$answer"
	case $answer in
	done*) return 0 ;;
	*) return 1 ;;
	esac
}

# log_mark: what the kernel says from here on is what log_since and log_clean look at.
log_marked=0
log_mark() {
	log_marked=$(dmesg | wc -l)
}

# log_since: what the kernel has said since the mark.
log_since() {
	dmesg | tail -n +$((log_marked + 1))
}

# log_clean: 0 if there is no oops, warning or leak in it; else prints them.
log_clean() {
	! log_since | grep -E -f /lib/vm/trouble
}

# until_ok SECONDS COMMAND...: tries it until it exits 0, or fails after so many seconds.
until_ok() {
	tries=$(($1 * 10))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ]; then
			return 1
		fi
		sleep 0.1
	done
}
