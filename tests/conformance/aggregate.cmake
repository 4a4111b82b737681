# SPDX-License-Identifier: MIT
sluice_test(test_aggregator LABEL conformance
	SOURCES ${SLUICE_TEST_DIR}/test_aggregator.c ${SLUICE_TEST_DIR}/aggregator_bench.c
		${SLUICE_TEST_DIR}/link_net.c
	LINK aggregate
	WRAP link_forward link_ack link_nack)
