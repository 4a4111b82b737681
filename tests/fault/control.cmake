# SPDX-License-Identifier: MIT
sluice_test(test_http_silence LABEL fault SOURCES ${SLUICE_TEST_DIR}/test_http_silence.c
	LINK control)
