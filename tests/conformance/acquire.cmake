# SPDX-License-Identifier: MIT
# The source is the test's own: daemon/source is not linked, since nothing asks for it.
sluice_test(test_outlet LABEL conformance
	SOURCES ${SLUICE_TEST_DIR}/test_outlet.c ${CMAKE_SOURCE_DIR}/tests/support/acquire_rig.c
	LINK acquire
	WRAP link_sender_open link_sender_close link_send)
