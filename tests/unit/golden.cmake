# SPDX-License-Identifier: MIT
# The contract with the firmware: its golden vectors and its headers.
sluice_test(test_golden LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_golden.c ${SLUICE_TEST_DIR}/golden_file.c
	LINK model base firmware_iface)
sluice_test(test_registers LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_registers.c ${SLUICE_TEST_DIR}/golden_file.c
	LINK firmware_iface)
