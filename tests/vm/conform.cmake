# SPDX-License-Identifier: MIT
# The clauses of the firmware interface, asked of the emulated card through the driver.
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
set(card "exec ${SLUICE_TEST_DIR}/board_card $<TARGET_FILE:sluice-board> --rows=16 --columns=64 \
--distinct=8 --sectors=2")
sluice_vm(vm_conform SCRIPT ${SLUICE_TEST_DIR}/guest_conform.sh
	TESTS conforms
	PROGRAMS $<TARGET_FILE:test_board_device> KO ${CMAKE_BINARY_DIR}/vm/module/sluice.ko NEEDS driver_module
	CARDS "0:2:${card} --sector=0"
	HUGE 8 NODE_MIB 512 DEADLINE 240)
