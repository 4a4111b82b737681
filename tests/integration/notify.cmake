# SPDX-License-Identifier: MIT
if(SLUICE_SYSTEMD)
	sluice_test(test_notify LABEL integration SOURCES ${SLUICE_TEST_DIR}/test_notify.c
		LINK base firmware_iface SHORT)
	add_dependencies(test_notify sluiced)
endif()
