# SPDX-License-Identifier: MIT
include(${SLUICE_TEST_DIR}/cmake/Vm.cmake)
sluice_vm(vm_harness SCRIPT ${SLUICE_TEST_DIR}/guest_harness.sh
	TESTS nodes huge_pages cards_on_nodes doorbell memory_is_seen unplug_and_plug
		refused_by_host shared_folder
	MODULES virtio_pci 9pnet_virtio 9p
	CARDS "0:2:exec ${SLUICE_TEST_DIR}/echo_card" "1:2:exec ${SLUICE_TEST_DIR}/echo_card"
	HUGE 32 NODE_MIB 512 SHARE)

# The harness itself, with guests that go wrong and with made-up results.
sluice_script(test_boot LABEL vm SCRIPT ${SLUICE_TEST_DIR}/test_boot.sh TIMEOUT 300)
sluice_script(test_verdict LABEL vm SCRIPT ${SLUICE_TEST_DIR}/test_verdict.sh TIMEOUT 120)
set_tests_properties(test_boot test_verdict PROPERTIES FIXTURES_REQUIRED vm_fetch)
