# SPDX-License-Identifier: MIT
foreach(noun pattern camera model batch fault truth recording board stream)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c LINK model m)
endforeach()
sluice_test(test_model_create LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_model_create.c LINK model
	WRAP malloc calloc free mmap munmap)
sluice_test(test_board_server LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_board_server.c LINK model
	WRAP eventfd socket bind listen)
