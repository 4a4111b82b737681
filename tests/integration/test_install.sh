#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs into an empty prefix, and builds programs in C and C++ against the installed copy only.
set -euo pipefail

version=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

# A sanitized library cannot be loaded by a program that is not.
if [ -n "$SLUICE_SANITIZED" ]; then
	echo "a sanitized build is not one to install"
	exit 77
fi

fail() {
	echo "FAILED: $*"
	exit 1
}

cmake --install "$SLUICE_BUILD" --prefix "$prefix" >"$work/log" || fail "$(cat "$work/log")"
library=$(dirname "$(find "$prefix" -name 'libsluice-consumer.so' -print -quit)")
[ -n "$library" ] || fail "no libsluice-consumer.so"
export PKG_CONFIG_PATH=$library/pkgconfig LD_LIBRARY_PATH=$library
[ "$(pkg-config --modversion sluice-consumer)" = "$version" ] || fail "pkg-config: the version"
# What pkg-config names must lie in the prefix, wherever that was chosen to be.
pkg-config --cflags --libs sluice-consumer | grep -qF -- "-I$prefix/include" ||
	fail "pkg-config: $(pkg-config --cflags --libs sluice-consumer)"
read -ra flags <<<"$(pkg-config --cflags --libs sluice-consumer)"

cd "$work"
cp "$SLUICE_SOURCE/tests/integration/installed_consumer.c" consumer.c
gcc -std=gnu11 -Wall -Wextra -Werror consumer.c -o in_c "${flags[@]}" || fail "the C program"
g++ -std=c++20 -Wall -Wextra -Werror -x c++ consumer.c -o in_cxx "${flags[@]}" ||
	fail "the C++ program"
for program in ./in_c ./in_cxx; do
	[ "$("$program")" = "$version" ] || fail "$program: not version $version"
done
cp "$SLUICE_SOURCE/daemon/consume/example_consumer.c" .
gcc -std=gnu11 -Wall -Wextra -Werror example_consumer.c -o example "${flags[@]}" ||
	fail "the example consumer"

# Nothing but the interface is visible.
hidden=$(nm -D --defined-only "$library/libsluice-consumer.so" |
	awk '$2 != "A" && $3 !~ /^sluice_/ { print $3 }')
[ -z "$hidden" ] || fail "visible besides the interface: $hidden"

# Each header of the interface compiles from where it was installed.
for header in "$prefix"/include/sluice/*.h; do
	echo "#include <sluice/${header##*/}>" |
		gcc -std=gnu11 -fsyntax-only -x c "-I$prefix/include" - || fail "$header"
done

# Each program says its version, and has a page.
for program in sluiced sluice-aggregator sluice-counter sluice-merge sluice-board sluice; do
	"$prefix/bin/$program" --version | grep -qF "$version" || fail "$program --version"
	[ -n "$(find "$prefix/share/man" -name "$program.[18]" -print)" ] || fail "$program: no page"
done
