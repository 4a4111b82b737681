# SPDX-License-Identifier: MIT
sluice_test(test_card_fault LABEL fault SOURCES ${SLUICE_TEST_DIR}/test_card_fault.c
	${SLUICE_TEST_DIR}/../unit/card_host.c LINK model)
