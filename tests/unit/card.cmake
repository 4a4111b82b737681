# SPDX-License-Identifier: MIT
foreach(noun card_command card_engine card_input card_interrupt)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c
		${SLUICE_TEST_DIR}/card_host.c LINK model)
endforeach()
foreach(noun guest control card_server)
	sluice_test(test_${noun} LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_${noun}.c LINK model)
endforeach()
