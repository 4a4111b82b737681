# SPDX-License-Identifier: MIT
set(fixture ${SLUICE_TEST_DIR}/source_fixture.c ${SLUICE_TEST_DIR}/source_board.c)
foreach(noun framing scanner source_device source_file source_merlin source_open source_socket)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c ${fixture}
		LINK source)
	target_include_directories(test_${noun} PRIVATE ${CMAKE_SOURCE_DIR}/firmware-iface)
endforeach()
sluice_test(test_source_node LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_source_node.c ${SLUICE_TEST_DIR}/fake_node.c ${fixture}
	LINK source
	WRAP open ioctl uring_next)
target_include_directories(test_source_node PRIVATE ${CMAKE_SOURCE_DIR}/firmware-iface)
