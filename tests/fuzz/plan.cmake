# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_plan SOURCES ${SLUICE_TEST_DIR}/fuzz_plan.c LINK scan
	CORPUS ${SLUICE_TEST_DIR}/corpus/plan)
