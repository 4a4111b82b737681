# SPDX-License-Identifier: MIT
sluice_test(test_member_etcd LABEL conformance
	SOURCES ${SLUICE_TEST_DIR}/test_member_etcd.c ${CMAKE_SOURCE_DIR}/tests/support/etcd.c
		${CMAKE_SOURCE_DIR}/tests/support/fake_member.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK member)
