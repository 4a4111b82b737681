# SPDX-License-Identifier: MIT
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
set(card "exec ${SLUICE_TEST_DIR}/board_card $<TARGET_FILE:sluice-board> --rows=16 --columns=64 \
--distinct=8 --sectors=2 --sector=0")
sluice_vm(vm_vectors SCRIPT ${SLUICE_TEST_DIR}/guest_vectors.sh
	TESTS loads fixed polled removes
	PROGRAMS $<TARGET_FILE:guest_driver> KO ${CMAKE_BINARY_DIR}/vm/module/sluice.ko
	NEEDS driver_module
	CARDS "0:2:${card}"
	APPEND pci=nomsi
	HUGE 32 NODE_MIB 512 DEADLINE 120)
