#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages and looks into them: each file that belongs into one is in that one,
# nothing else is, and nothing names the folder that it was built in.
set -euo pipefail

version=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

packages=$SLUICE_BUILD/packages
rm -rf "$packages"
(cd "$SLUICE_BUILD" && cpack) >"$work/log" 2>&1 || fail "$(tail -n 30 "$work/log")"
arch=$(dpkg --print-architecture)
declare -A deb=(
	[sluice]=$packages/sluice_$version-1_$arch.deb
	[sluice-dev]=$packages/sluice-dev_$version-1_$arch.deb
	[sluice-dkms]=$packages/sluice-dkms_$version-1_all.deb
)

for package in "${!deb[@]}"; do
	[ -f "${deb[$package]}" ] || fail "cpack made no ${deb[$package]}"
	dpkg-deb --extract "${deb[$package]}" "$work/$package"
	(cd "$work/$package" && find . ! -type d -printf '/%P\n') | LC_ALL=C sort >"$work/$package.has"
done

cd "$SLUICE_SOURCE"
libdir=$(cd "$work/sluice-dev" && find usr/lib -name pkgconfig -printf '/%h\n')
{
	for program in sluiced sluice-aggregator sluice-counter sluice-merge sluice-board sluice; do
		echo "/usr/bin/$program"
	done
	printf '%s\n' "$libdir/libsluice-consumer.so.$version" \
		"$libdir/libsluice-consumer.so.${version%%.*}" \
		/usr/lib/{udev/rules.d/60-sluice.rules,{modules-load,sysusers}.d/sluice.conf} \
		/usr/lib/systemd/system/{sluiced,sluice-aggregator}.service \
		/usr/share/doc/sluice/{LICENSE,copyright,examples/example_consumer.c} \
		/usr/share/doc/sluice/examples/{sluiced,sluice-aggregator,sluice-counter}.yaml
	for page in daemon/doc/*.[1-8]; do
		echo "/usr/share/man/man${page##*.}/${page##*/}"
	done
} | LC_ALL=C sort >"$work/sluice.wants"
{
	for header in include/sluice/*.h; do
		echo "/usr/$header"
	done
	printf '%s\n' "$libdir/libsluice-consumer.so" "$libdir/pkgconfig/sluice-consumer.pc" \
		/usr/share/doc/sluice-dev/copyright
} | LC_ALL=C sort >"$work/sluice-dev.wants"
{
	for source in driver/*.[ch] driver/{Kbuild,Makefile,dkms.conf}; do
		echo "/usr/src/sluice-$version/${source##*/}"
	done
	for header in firmware-iface/*.h include/sluice/{block,le,uapi}.h; do
		echo "/usr/src/sluice-$version/$header"
	done
	echo /usr/share/doc/sluice-dkms/copyright
} | LC_ALL=C sort >"$work/sluice-dkms.wants"

for package in "${!deb[@]}"; do
	diff "$work/$package.wants" "$work/$package.has" >"$work/diff" ||
		fail "$package: < is missing, > is too much: $(cat "$work/diff")"
	# Everybody may read, nobody but root may write, and what is run can be.
	wrong=$(dpkg-deb --contents "${deb[$package]}" | awk '
		$2 != "root/root" ||
		($1 != "drwxr-xr-x" && $1 != "-rw-r--r--" && $1 !~ /^l/ &&
			!($1 == "-rwxr-xr-x" && $6 ~ /^\.\/usr\/bin\//))')
	[ -z "$wrong" ] || fail "$package: owner or mode: $wrong"
	wrong=$(grep -rlF -e "$SLUICE_SOURCE" -e "$SLUICE_BUILD" -e "$packages" "$work/$package" || true)
	[ -z "$wrong" ] || fail "$package: the folder of the build is named in $wrong"
done
[ -d "$work/sluice/etc/sluice" ] || fail "sluice: no folder for its configuration"

field() {
	dpkg-deb --field "${deb[$1]}" "$2"
}
field sluice Depends | grep libzmq5 >/dev/null || fail "sluice: not all that it is linked with"
[ "$(field sluice-dev Depends)" = "sluice (= $version-1)" ] || fail "sluice-dev fits any sluice"
field sluice-dkms Depends | grep dkms >/dev/null || fail "sluice-dkms does not depend on dkms"
for package in "${!deb[@]}"; do
	[ "$(field "$package" Version)" = "$version-1" ] || fail "$package: version"
	# One line that says what this package is, and not what another is.
	[ "$(field "$package" Description | head -n 1 | cut -c1-80)" = \
		"$(field "$package" Description | head -n 1)" ] || fail "$package: a long first line"
done
grep -qx "PACKAGE_VERSION=\"$version\"" "$work/sluice-dkms/usr/src/sluice-$version/dkms.conf" ||
	fail "dkms.conf: another version than its folder's"
