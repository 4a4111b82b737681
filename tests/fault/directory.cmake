# SPDX-License-Identifier: MIT
sluice_test(test_directory_heal LABEL fault TIMEOUT 180
	SOURCES ${SLUICE_TEST_DIR}/test_directory_heal.c ${CMAKE_SOURCE_DIR}/tests/support/etcd.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK directory)
sluice_test(test_directory_answer LABEL fault
	SOURCES ${SLUICE_TEST_DIR}/test_directory_answer.c ${SLUICE_TEST_DIR}/fake_server.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK directory)
