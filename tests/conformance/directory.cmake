# SPDX-License-Identifier: MIT
foreach(kind etcd none)
	sluice_test(test_directory_${kind} LABEL conformance
		SOURCES ${SLUICE_TEST_DIR}/test_directory.c ${CMAKE_SOURCE_DIR}/tests/support/etcd.c
			${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
		LINK directory
		ARGS ${kind})
endforeach()
