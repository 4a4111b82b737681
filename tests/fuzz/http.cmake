# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_http SOURCES ${SLUICE_TEST_DIR}/fuzz_http.c LINK control
	CORPUS ${SLUICE_TEST_DIR}/corpus/http)
