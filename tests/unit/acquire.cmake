# SPDX-License-Identifier: MIT
sluice_test(test_sluiced_config LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_sluiced_config.c
	LINK acquire)
