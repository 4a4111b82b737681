# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_part SOURCES ${SLUICE_TEST_DIR}/fuzz_part.c LINK consume
	CORPUS ${SLUICE_TEST_DIR}/corpus/part)
