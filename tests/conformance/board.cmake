# SPDX-License-Identifier: MIT
# One suite, two ways to a board. What goes into small systems links nothing of ours.
set(suite ${SLUICE_TEST_DIR}/test_board.c ${SLUICE_TEST_DIR}/board_bench.c
	${SLUICE_TEST_DIR}/board_check.c ${SLUICE_TEST_DIR}/board_control.c
	${SLUICE_TEST_DIR}/board_data.c)

# The driver's headers that are no kernel code: <driver/judge.h>, <driver/uapi_check.h>.
set(driver_view ${CMAKE_BINARY_DIR}/view/driver_shared)
file(MAKE_DIRECTORY ${driver_view})
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/driver ${driver_view}/driver SYMBOLIC)

sluice_test(test_board_model LABEL conformance
	SOURCES ${suite} ${SLUICE_TEST_DIR}/board_model.c ${SLUICE_TEST_DIR}/board_rings.c
	LINK model firmware_iface
	TIMEOUT 300
	ARGS u16 u8 live)
target_include_directories(test_board_model PRIVATE ${driver_view})

# Run by hand or in a guest, where there is a board: without one it says so, and is skipped.
sluice_pkg(liburing liburing)
add_executable(test_board_device ${suite} ${SLUICE_TEST_DIR}/board_device.c
	${CMAKE_SOURCE_DIR}/firmware-iface/model/pattern.c)
target_include_directories(test_board_device PRIVATE ${CMAKE_BINARY_DIR}/view/model)
target_link_libraries(test_board_device PRIVATE firmware_iface PkgConfig::cmocka
	PkgConfig::liburing)
set_target_properties(test_board_device PROPERTIES RUNTIME_OUTPUT_DIRECTORY
	${CMAKE_BINARY_DIR}/tests)
sluice_script(test_board_absent LABEL conformance SCRIPT ${SLUICE_TEST_DIR}/test_board_absent.sh)
