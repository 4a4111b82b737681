# SPDX-License-Identifier: MIT
# What tests/bench/run calls, and a test that it works.
function(sluice_bench name)
	cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
	sluice_check_arguments(${name})
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} Threads::Threads)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()

sluice_pkg(zmq libzmq)
sluice_bench(bench_link SOURCES ${SLUICE_TEST_DIR}/bench.c ${SLUICE_TEST_DIR}/bench_link.c
	${SLUICE_TEST_DIR}/bench_plain.c ${SLUICE_TEST_DIR}/bench_sluice.c
	LINK acquire PkgConfig::zmq)
sluice_bench(bench_count SOURCES ${SLUICE_TEST_DIR}/bench.c ${SLUICE_TEST_DIR}/bench_count.c
	LINK consume model)
add_library(bench_shim MODULE ${SLUICE_TEST_DIR}/bench_shim.c)
target_link_libraries(bench_shim PRIVATE ${CMAKE_DL_LIBS})
set_target_properties(bench_shim PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)

sluice_script(test_bench LABEL bench SCRIPT ${SLUICE_TEST_DIR}/test_bench.sh TIMEOUT 180)
sluice_script(test_driver_rows LABEL bench SCRIPT ${SLUICE_TEST_DIR}/test_driver_rows.sh)
