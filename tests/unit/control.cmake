# SPDX-License-Identifier: MIT
sluice_test(test_http LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_http.c LINK control
	WRAP clock_gettime)
sluice_test(test_http_open LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_http_open.c LINK control
	WRAP calloc socket listen eventfd pthread_create)
sluice_test(test_metrics LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_metrics.c LINK control)
