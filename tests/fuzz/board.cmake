# SPDX-License-Identifier: MIT
foreach(noun board board_fault)
	sluice_fuzz(fuzz_${noun} SOURCES ${SLUICE_TEST_DIR}/fuzz_${noun}.c LINK model
		CORPUS ${SLUICE_TEST_DIR}/corpus/${noun})
endforeach()
