# SPDX-License-Identifier: MIT
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
sluice_pkg(liburing liburing)

set(module ${CMAKE_BINARY_DIR}/vm/module)
add_test(NAME vm_driver_module COMMAND ${SLUICE_TEST_DIR}/driver_module
	--headers ${CMAKE_BINARY_DIR}/vm/cache/headers --out ${module})
sluice_register(vm_driver_module vm 300 OFF)
set_tests_properties(vm_driver_module PROPERTIES FIXTURES_REQUIRED vm_fetch
	FIXTURES_SETUP driver_module)
add_test(NAME vm_driver_sparse COMMAND ${SLUICE_TEST_DIR}/driver_module
	--headers ${CMAKE_BINARY_DIR}/vm/cache/headers --out ${module}_sparse --sparse)
sluice_register(vm_driver_sparse vm 300 OFF)
set_tests_properties(vm_driver_sparse PROPERTIES FIXTURES_REQUIRED vm_fetch)
add_test(NAME vm_driver_style COMMAND ${SLUICE_TEST_DIR}/driver_style
	--cache ${CMAKE_BINARY_DIR}/vm/cache/style)
sluice_register(vm_driver_style vm 300 OFF)
set_tests_properties(vm_driver_style PROPERTIES FIXTURES_REQUIRED vm_fetch)

add_executable(guest_driver ${SLUICE_TEST_DIR}/guest_driver.c ${SLUICE_TEST_DIR}/guest_reader.c)
target_include_directories(guest_driver PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(guest_driver PRIVATE model firmware_iface PkgConfig::liburing)
set_target_properties(guest_driver PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

set(card "exec ${SLUICE_TEST_DIR}/board_card $<TARGET_FILE:sluice-board> --rows=16 --columns=64 \
--distinct=8 --sectors=2")
sluice_vm(vm_driver SCRIPT ${SLUICE_TEST_DIR}/guest_driver.sh
	TESTS loads abi sync vector uring uring_vector sqpoll aio fixed huge misaligned polled
		before_arm stop nonblock prbs two_boards fault_length fault_twice fault_lost
		fault_dma fault_descriptor fault_internal fault_link fault_silent hang_stop
		hang_reset killed_fixed killed_uring killed_aio killed_sqpoll killed_sync
		killed_polled killed_armed chaos pages_given_back sleep slot_reset unbind_under_load
		surprise_removal reloads starved refuses log
	PROGRAMS $<TARGET_FILE:guest_driver> KO ${module}/sluice.ko NEEDS driver_module
	CARDS "0:2:${card} --sector=0" "1:2:${card} --sector=1"
	HUGE 32 NODE_MIB 512 DEADLINE 240)
