# SPDX-License-Identifier: MIT
foreach(noun plan tally half ledger)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c LINK scan)
endforeach()
