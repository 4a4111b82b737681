# SPDX-License-Identifier: MIT
# A file of the driver by itself: a copy, so that "board.h" is the one for tests and not its own.
set(copy ${CMAKE_BINARY_DIR}/tests/driver_link/link.c)
configure_file(${CMAKE_SOURCE_DIR}/driver/link.c ${copy} COPYONLY)
sluice_test(test_driver_link LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_driver_link.c ${copy} LINK base)
target_include_directories(test_driver_link PRIVATE ${SLUICE_TEST_DIR}/../support/kernel)
