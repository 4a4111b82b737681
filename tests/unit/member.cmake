# SPDX-License-Identifier: MIT
sluice_test(test_member LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_member.c ${CMAKE_SOURCE_DIR}/tests/support/fake_member.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK member)
