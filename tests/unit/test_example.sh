#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The example of a consumer is one of 30 lines: blank ones and comments do not count.
set -euo pipefail

example=$SLUICE_SOURCE/daemon/consume/example_consumer.c
# Comments go first, wherever they stand; -P leaves no line markers, and directives are kept as text.
lines=$(sed -E 's/^#/@/' "$example" | "${CC:-cc}" -fpreprocessed -dD -E -P -x c - |
	grep -cE '[^[:space:]]')
printf '%s lines of code in %s\n' "$lines" "$example"
[ "$lines" -ge 20 ] && [ "$lines" -le 30 ]
