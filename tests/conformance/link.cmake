# SPDX-License-Identifier: MIT
# One suite, every transport: RDMA will be one more name here.
foreach(transport zmq)
	sluice_test(test_link_${transport} LABEL conformance
		SOURCES ${SLUICE_TEST_DIR}/test_link.c ${SLUICE_TEST_DIR}/link_net.c
		LINK link
		ARGS ${transport})
endforeach()
