# SPDX-License-Identifier: MIT
# One suite, every transport: RDMA will be one more name here.
foreach(transport zmq)
	foreach(suite link link_loss)
		sluice_test(test_${suite}_${transport} LABEL conformance
			SOURCES ${SLUICE_TEST_DIR}/test_${suite}.c ${SLUICE_TEST_DIR}/link_net.c
			LINK link
			ARGS ${transport})
	endforeach()
endforeach()
sluice_pkg(zmq libzmq)
sluice_test(test_link_hostile LABEL conformance
	SOURCES ${SLUICE_TEST_DIR}/test_link_hostile.c ${SLUICE_TEST_DIR}/link_net.c
	LINK link PkgConfig::zmq)
