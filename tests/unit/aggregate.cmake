# SPDX-License-Identifier: MIT
sluice_test(test_aggregator_config LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_aggregator_config.c
	LINK aggregate)
