# SPDX-License-Identifier: MIT
sluice_test(test_consumer_etcd LABEL conformance
	SOURCES ${SLUICE_TEST_DIR}/test_consumer_etcd.c ${CMAKE_SOURCE_DIR}/tests/support/etcd.c
	LINK consumer_static directory base)
