# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_card SOURCES ${SLUICE_TEST_DIR}/fuzz_card.c LINK model
	CORPUS ${SLUICE_TEST_DIR}/corpus/card)
