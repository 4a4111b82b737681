# SPDX-License-Identifier: MIT
# What the driver believes of a board and of its callers.
set(driver_view ${CMAKE_BINARY_DIR}/view/driver_shared)
file(MAKE_DIRECTORY ${driver_view})
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/driver ${driver_view}/driver SYMBOLIC)
sluice_fuzz(fuzz_completion
	SOURCES ${SLUICE_TEST_DIR}/fuzz_completion.c
		${CMAKE_SOURCE_DIR}/tests/conformance/board_rings.c
	LINK firmware_iface CORPUS ${SLUICE_TEST_DIR}/corpus/completion)
sluice_fuzz(fuzz_uapi SOURCES ${SLUICE_TEST_DIR}/fuzz_uapi.c LINK firmware_iface
	CORPUS ${SLUICE_TEST_DIR}/corpus/uapi)
foreach(noun completion uapi)
	target_include_directories(fuzz_${noun} PRIVATE ${driver_view} ${CMAKE_SOURCE_DIR}/tests)
endforeach()
