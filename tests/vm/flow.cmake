# SPDX-License-Identifier: MIT
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
sluice_pkg(hdf5 hdf5-serial)
sluice_pkg(jansson jansson)

# From two cards to counted electrons, through the programs as they are installed. The module is
# driver.cmake's; guest_flow.c knows the cards' numbers.
sluice_vm_program(guest_flow
	SOURCES ${SLUICE_TEST_DIR}/guest_flow.c
		${CMAKE_SOURCE_DIR}/tests/integration/result.c
		${CMAKE_SOURCE_DIR}/tests/support/reference.c
	LINK scan model PkgConfig::hdf5 PkgConfig::jansson)

set(flow_programs sluiced sluice-aggregator sluice-counter sluice-merge sluice guest_flow)
list(TRANSFORM flow_programs PREPEND "$<TARGET_FILE:" OUTPUT_VARIABLE flow_files)
list(TRANSFORM flow_files APPEND ">")
set(flow_card "exec ${SLUICE_TEST_DIR}/board_card $<TARGET_FILE:sluice-board> --sectors=2 \
--rows=24 --columns=96 --pixel=u16 --seed=11 --distinct=16")
sluice_vm(vm_flow SCRIPT ${SLUICE_TEST_DIR}/guest_flow.sh
	TESTS loads list starts wrong_node rings_on_nodes scan counters_are_the_cards
		named_losses scan_after_losses counter_jump scan_after_jump removal
		scan_after_removal ends log
	PROGRAMS ${flow_files} KO ${CMAKE_BINARY_DIR}/vm/module/sluice.ko NEEDS driver_module
	CARDS "0:2:${flow_card} --sector=0" "1:2:${flow_card} --sector=1"
	HUGE 8 NODE_MIB 512 DEADLINE 180)
