# SPDX-License-Identifier: MIT
set(flow ${SLUICE_TEST_DIR}/flow.c ${SLUICE_TEST_DIR}/result.c
	${CMAKE_SOURCE_DIR}/tests/support/etcd.c ${CMAKE_SOURCE_DIR}/tests/support/reference.c)
sluice_pkg(hdf5 hdf5-serial)
foreach(name flow)
	sluice_test(test_${name} LABEL integration TIMEOUT 300
		SOURCES ${SLUICE_TEST_DIR}/test_${name}.c ${flow} LINK scan model PkgConfig::hdf5)
	add_dependencies(test_${name} sluiced sluice-aggregator sluice-counter sluice-merge sluice-board sluice)
endforeach()
