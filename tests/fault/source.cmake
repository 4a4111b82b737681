# SPDX-License-Identifier: MIT
set(fixture ${SLUICE_TEST_DIR}/../unit/source_fixture.c ${SLUICE_TEST_DIR}/../unit/source_board.c
	${SLUICE_TEST_DIR}/../unit/fake_node.c)
sluice_test(test_source_fault LABEL fault SOURCES ${SLUICE_TEST_DIR}/test_source_fault.c ${fixture}
	LINK source
	WRAP open ioctl uring_next calloc malloc io_uring_queue_init_params io_uring_queue_exit io_uring_register_buffers)
target_include_directories(test_source_fault PRIVATE ${CMAKE_SOURCE_DIR}/firmware-iface)
