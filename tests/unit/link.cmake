# SPDX-License-Identifier: MIT
sluice_test(test_wire LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_wire.c LINK link)
