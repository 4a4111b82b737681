# SPDX-License-Identifier: MIT
foreach(name test_aggregator test_aggregator_credit)
	sluice_test(${name} LABEL conformance
		SOURCES ${SLUICE_TEST_DIR}/${name}.c ${SLUICE_TEST_DIR}/aggregator_bench.c
			${SLUICE_TEST_DIR}/link_net.c
		LINK aggregate
		WRAP link_forward link_ack link_nack)
endforeach()
