# SPDX-License-Identifier: MIT
foreach(noun plan tally half)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c LINK scan)
endforeach()
foreach(noun ledger reconcile)
	sluice_test(test_${noun} LABEL unit
		SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c ${SLUICE_TEST_DIR}/ledger_fixture.c LINK scan)
endforeach()
