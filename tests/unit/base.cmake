# SPDX-License-Identifier: MIT
foreach(noun error crc32c spsc numa config config_refused)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c LINK base)
endforeach()
sluice_test(test_parse LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_parse.c LINK base
	WRAP strtod strtod_l)
sluice_test(test_config_file LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_config_file.c LINK base
	WRAP open fstat malloc free read close)
sluice_test(test_log LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_log.c LINK base WRAP write)
sluice_pkg(numa numa)
sluice_test(test_arena LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_arena.c
	LINK base PkgConfig::numa
	WRAP mmap munmap mbind madvise mlock move_pages numa_available)
