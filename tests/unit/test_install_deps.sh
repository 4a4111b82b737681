#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/dev/install-deps asks apt for what is missing and for nothing else, whoever runs it.
set -euo pipefail

install_deps=$SLUICE_SOURCE/tools/dev/install-deps
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WORK=$work

# A Debian where all is installed but what $WORK/missing names, and apt-get writes down its words.
mkdir "$work/bin"
cat >"$work/bin/dpkg-query" <<'END'
#!/bin/bash
grep -qx "${@: -1}" "$WORK/missing" && exit 1
printf installed
END
cat >"$work/bin/apt-get" <<'END'
#!/bin/bash
echo "$*" >>"$WORK/asked"
[[ $* != *install* ]] || [ ! -e "$WORK/stale" ] || { rm "$WORK/stale"; exit 100; }
END
cat >"$work/bin/id" <<'END'
#!/bin/bash
cat "$WORK/uid"
END
cat >"$work/bin/sudo" <<'END'
#!/bin/bash
echo "by sudo" >>"$WORK/asked"
exec "$@"
END
chmod +x "$work"/bin/*

# with MISSING... : what is missing; then what apt was asked is in $work/asked
with() {
	printf '%s\n' "$@" >"$work/missing"
	: >"$work/asked"
	echo 0 >"$work/uid"
}
run() {
	PATH=$work/bin:$PATH "$install_deps" "$@" 2>"$work/said"
}
asked() {
	if ! diff <(printf '%s' "$1") <(grep -oE 'update|by sudo|install .*' "$work/asked"); then
		echo "FAILED: line ${BASH_LINENO[0]}"
		exit 1
	fi
}

with
run
[ ! -s "$work/asked" ] || exit 1
[ ! -s "$work/said" ] || exit 1

with cmake jq
run
asked $'install -y --no-install-recommends cmake jq\n'
grep -q 'cmake jq' "$work/said"

with cmake jq shellcheck
run --for run --for test
asked $'install -y --no-install-recommends jq shellcheck\n'

# A list of packages that is too old is fetched anew.
with cmake
touch "$work/stale"
run
asked $'install -y --no-install-recommends cmake\nupdate\ninstall -y --no-install-recommends cmake\n'

with cmake
echo 1000 >"$work/uid"
run
asked $'by sudo\ninstall -y --no-install-recommends cmake\n'

with cmake
status=0
run --for nothing || status=$?
[ "$status" -eq 2 ]
status=0
run --nonsense || status=$?
[ "$status" -eq 2 ]
run --list | grep -x cmake >/dev/null
asked ''
