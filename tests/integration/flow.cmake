# SPDX-License-Identifier: MIT
# The whole flow, as processes.
sluice_pkg(hdf5 hdf5-serial)
set(flow_sources ${SLUICE_TEST_DIR}/flow.c ${SLUICE_TEST_DIR}/result.c
	${CMAKE_SOURCE_DIR}/tests/support/etcd.c ${CMAKE_SOURCE_DIR}/tests/support/reference.c)
set(flow_programs sluiced sluice-aggregator sluice-counter sluice-merge sluice-board sluice)

sluice_test(test_flow LABEL integration TIMEOUT 300 SHORT
	SOURCES ${SLUICE_TEST_DIR}/test_flow.c ${flow_sources} LINK scan model directory PkgConfig::hdf5)
sluice_test(test_flow_recorded LABEL integration TIMEOUT 120
	SOURCES ${SLUICE_TEST_DIR}/test_flow_recorded.c ${flow_sources}
	LINK scan model directory PkgConfig::hdf5)
sluice_test(test_flow_death LABEL integration TIMEOUT 300
	SOURCES ${SLUICE_TEST_DIR}/test_flow_death.c ${flow_sources}
	LINK scan model directory PkgConfig::hdf5)
add_dependencies(test_flow_death ${flow_programs})
add_dependencies(test_flow ${flow_programs})
add_dependencies(test_flow_recorded ${flow_programs})
add_test(NAME test_flow_merlin COMMAND test_flow_recorded merlin)
sluice_register(test_flow_merlin integration 120 OFF)

sluice_script(test_quickstart LABEL integration TIMEOUT 300
	SCRIPT ${SLUICE_TEST_DIR}/test_quickstart.sh ARGS ${CMAKE_BINARY_DIR})
