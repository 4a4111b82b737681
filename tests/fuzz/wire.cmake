# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_wire SOURCES ${SLUICE_TEST_DIR}/fuzz_wire.c LINK link
	CORPUS ${SLUICE_TEST_DIR}/corpus/wire)
