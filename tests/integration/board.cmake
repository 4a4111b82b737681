# SPDX-License-Identifier: MIT
sluice_test(test_board_program LABEL integration SOURCES ${SLUICE_TEST_DIR}/test_board_program.c
	LINK model SHORT)
add_dependencies(test_board_program sluice-board)
