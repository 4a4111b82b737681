# SPDX-License-Identifier: MIT
sluice_test(test_counter LABEL integration SHORT
	SOURCES ${SLUICE_TEST_DIR}/test_counter.c ${SLUICE_TEST_DIR}/counter_fixture.c
	LINK consume scan link directory base)
add_dependencies(test_counter sluice-counter example_consumer)
