# SPDX-License-Identifier: MIT
sluice_fuzz(fuzz_etcd SOURCES ${SLUICE_TEST_DIR}/fuzz_etcd.c LINK directory
	CORPUS ${SLUICE_TEST_DIR}/corpus/etcd)
