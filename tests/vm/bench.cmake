# SPDX-License-Identifier: MIT
# The rows of tests/bench/run that need a guest. One card has blocks of 16 KiB, the other the
# smallest.
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
sluice_pkg(liburing liburing)

add_executable(guest_bench ${SLUICE_TEST_DIR}/guest_bench.c)
target_link_libraries(guest_bench PRIVATE firmware_iface PkgConfig::liburing)
set_target_properties(guest_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

set(card "exec ${SLUICE_TEST_DIR}/board_card $<TARGET_FILE:sluice-board> --distinct=8 --sectors=2")
sluice_vm(vm_bench SCRIPT ${SLUICE_TEST_DIR}/guest_bench.sh
	TESTS loads cost rate reads polled interrupts log
	PROGRAMS $<TARGET_FILE:guest_bench>
	KO ${CMAKE_BINARY_DIR}/vm/module/sluice.ko NEEDS driver_module
	CARDS "0:2:${card} --sector=0 --rows=96 --columns=85"
		"1:2:${card} --sector=1 --rows=8 --columns=8"
	HUGE 32 NODE_MIB 512 DEADLINE 180)

add_test(NAME vm_bench_table COMMAND bash ${SLUICE_TEST_DIR}/../bench/test_driver_rows.sh
	${CMAKE_BINARY_DIR}/vm/vm_bench)
sluice_register(vm_bench_table vm 60 OFF)
set_tests_properties(vm_bench_table PROPERTIES FIXTURES_REQUIRED vm_bench)
