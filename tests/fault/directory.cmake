# SPDX-License-Identifier: MIT
sluice_test(test_directory_heal LABEL fault TIMEOUT 180
	SOURCES ${SLUICE_TEST_DIR}/test_directory_heal.c ${CMAKE_SOURCE_DIR}/tests/support/etcd.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK directory)
sluice_test(test_directory_answer LABEL fault
	SOURCES ${SLUICE_TEST_DIR}/test_directory_answer.c ${SLUICE_TEST_DIR}/fake_server.c
		${CMAKE_SOURCE_DIR}/tests/support/watch_log.c
	LINK directory)
sluice_test(test_directory_unwind LABEL fault
	SOURCES ${SLUICE_TEST_DIR}/test_directory_unwind.c ${SLUICE_TEST_DIR}/fake_server.c
	LINK directory PkgConfig::curl
	WRAP calloc pthread_create pthread_join pthread_mutex_init pthread_mutex_destroy
		pthread_cond_init pthread_cond_destroy curl_multi_init curl_multi_cleanup)
