# SPDX-License-Identifier: MIT
sluice_test(test_sluiced_config LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_sluiced_config.c
	LINK acquire)
# The source is the test's own: daemon/source is not linked, since nothing asks for it.
sluice_test(test_acquisition LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_acquisition.c ${CMAKE_SOURCE_DIR}/tests/support/acquire_rig.c
	LINK acquire)
sluice_test(test_acquisition_open LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_acquisition_open.c
		${CMAKE_SOURCE_DIR}/tests/support/acquire_rig.c
	LINK acquire
	WRAP malloc calloc realloc aligned_alloc free eventfd pthread_create pthread_mutex_lock)
sluice_test(test_board_node LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_board_node.c ${SLUICE_TEST_DIR}/fake_node.c
	LINK acquire
	WRAP open ioctl uring_next)
target_include_directories(test_board_node PRIVATE ${CMAKE_SOURCE_DIR}/firmware-iface)
if(SLUICE_SYSTEMD)
	sluice_test(test_health LABEL unit
		SOURCES ${SLUICE_TEST_DIR}/test_health.c ${CMAKE_SOURCE_DIR}/tests/support/acquire_rig.c
		LINK acquire)
endif()
