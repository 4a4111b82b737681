# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_framing SOURCES ${SLUICE_TEST_DIR}/fuzz_framing.c LINK source
	CORPUS ${SLUICE_TEST_DIR}/corpus/framing)
