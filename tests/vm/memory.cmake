# SPDX-License-Identifier: MIT
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
sluice_pkg(numa numa)
sluice_vm_program(test_node_memory SOURCES ${SLUICE_TEST_DIR}/test_node_memory.c
	LINK ring base PkgConfig::numa WRAP mbind)
set(tests test_node_memory test_arena test_numa test_source_device test_source_file
	test_source_socket)
list(TRANSFORM tests PREPEND "$<TARGET_FILE:" OUTPUT_VARIABLE programs)
list(TRANSFORM programs APPEND ">")
sluice_vm(vm_memory SCRIPT ${SLUICE_TEST_DIR}/guest_memory.sh
	TESTS node_memory arena numa source_device source_file source_socket
	PROGRAMS ${programs} HUGE 32 NODE_MIB 512)
