# SPDX-License-Identifier: MIT
sluice_test(test_ring LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_ring.c LINK ring)
sluice_test(test_ring_open LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_ring_open.c LINK ring
	WRAP aligned_alloc free mmap munmap)
