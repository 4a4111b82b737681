#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each check of tools/dev/lint is quiet on a good tree, and finds the one fault that is put in.
set -euo pipefail

lint=$SLUICE_SOURCE/tools/dev/lint
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

licence='/* SPDX-License-Identifier: MIT */'
contract='/* SPDX-License-Identifier: MIT OR GPL-2.0-only */'

good_tree() {
	rm -rf "$work/tree"
	mkdir -p "$work/tree"/{include/sluice,daemon/{base,ring,link,doc},tests/{unit,fuzz/corpus/word}}
	cd "$work/tree"
	printf '%s\n#ifndef A_H\n#define A_H\nint a(void);\n#endif\n' "$contract" >include/sluice/block.h
	printf '%s\n#ifndef B_H\n#define B_H\nint b(void);\n#endif\n' "$licence" >daemon/base/b.h
	printf '%s\n#include <base/b.h>\n#include <sluice/block.h>\n' "$licence" >daemon/ring/ring.c
	printf '%s\n#ifndef L_H\n#define L_H\nint l(void);\n#endif\n' "$licence" >daemon/link/link.h
	printf '%s\n#include <zmq.h>\n' "$licence" >daemon/link/zmq.c
	printf '%s\n' "$licence" >tests/unit/test_ring.c
	printf '%s\n' "$licence" >tests/fuzz/fuzz_word.c
	printf 'x' >tests/fuzz/corpus/word/x
	mkdir -p "$work/build/tests"
	printf '"%s"\n' "$PWD"/tests/{unit/test_ring.c,fuzz/fuzz_word.c} >"$work/build/compile_commands.json"
	: >"$work/build/tests/CTestTestfile.cmake"
	printf '#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\ntrue\n' >tests/run
}

# expect CHECK WORDS: the check must fail and say so.
expect() {
	local out

	if out=$("$lint" --root "$work/tree" --build "$work/build" "$1"); then
		echo "FAILED: $1 let '$2' pass"
		failed=1
	elif [[ $out != *"$2"* ]]; then
		echo "FAILED: $1 did not say '$2' but: $out"
		failed=1
	fi
	good_tree
}

good_tree
for check in spdx words size layers thirdparty registered headers format shell manual; do
	if ! "$lint" --root "$work/tree" --build "$work/build" "$check"; then
		echo "FAILED: $check finds a fault in a good tree"
		failed=1
	fi
done

echo 'int c;' >daemon/base/c.c
expect spdx 'daemon/base/c.c'
printf '%s\n' "$licence" >include/sluice/block.h
expect spdx 'GPL-2.0-only'
echo '/* TO''DO */' >>daemon/ring/ring.c
expect words 'daemon/ring/ring.c:4'
printf '\n%.0s' {1..600} >>daemon/ring/ring.c
expect size '603 lines'
echo '#include <link/link.h>' >>daemon/ring/ring.c
expect layers 'daemon/ring must not see link/'
echo '#include <ring/ring.h>' >>daemon/base/b.h
expect layers 'daemon/base must not see ring/'
echo '#include <base/b.h>' >>include/sluice/block.h
expect layers 'a contract must not see'
echo '#include "../base/b.h"' >>daemon/ring/ring.c
expect layers 'name it'
mkdir daemon/other && printf '%s\n#include <base/b.h>\n' "$licence" >daemon/other/o.c
expect layers 'no place'
echo '#include <zmq.h>' >>daemon/ring/ring.c
expect thirdparty 'daemon/ring/ring.c'
printf '%s\n' "$licence" >tests/unit/test_lost.c
expect registered 'tests/unit/test_lost.c'
printf '# SPDX-License-Identifier: MIT\n' >tests/unit/test_lost.sh
expect registered 'tests/unit/test_lost.sh'
rm tests/fuzz/corpus/word/x
expect registered 'no corpus'
echo 'struct c { size_t n; };' >>daemon/base/b.h
expect headers 'base/b.h: does not compile alone'
echo 'int class(int new);' >>include/sluice/block.h
expect headers 'g++'
echo 'int   twice;' >>daemon/ring/ring.c
cp "$SLUICE_SOURCE/.clang-format" "$work/tree/"
expect format 'daemon/ring/ring.c'
# shellcheck disable=SC2016
echo 'for a in $(ls); do rm $b; done; local c=$(d)' >>tests/run
expect shell 'tests/run'
printf '.\\" SPDX-License-Identifier: MIT\n.TH\n.XY z\n' >daemon/doc/a.1
expect manual 'daemon/doc/a.1'

# Without its build, and unknown, a check is an error.
if "$lint" --root "$work/tree" registered 2>/dev/null || "$lint" nonsense 2>/dev/null; then
	echo 'FAILED: a check that checked nothing is no error'
	failed=1
fi
exit "$failed"
