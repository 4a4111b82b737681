# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_config SOURCES ${SLUICE_TEST_DIR}/fuzz_config.c LINK base
	CORPUS ${SLUICE_TEST_DIR}/corpus/config)
target_include_directories(fuzz_config PRIVATE ${CMAKE_SOURCE_DIR}/tests)
