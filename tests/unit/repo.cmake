# SPDX-License-Identifier: MIT
# Tests on the tree itself, and on the checks that make them.
foreach(check spdx words size layers thirdparty registered)
	add_test(NAME tree_${check}
		COMMAND ${CMAKE_SOURCE_DIR}/tools/dev/lint --build ${CMAKE_BINARY_DIR} ${check})
	sluice_register(tree_${check} unit 60 OFF)
endforeach()
sluice_script(test_example LABEL unit SCRIPT ${SLUICE_TEST_DIR}/test_example.sh)
sluice_script(test_lint LABEL unit SCRIPT ${SLUICE_TEST_DIR}/test_lint.sh)
sluice_script(test_install_deps LABEL unit SCRIPT ${SLUICE_TEST_DIR}/test_install_deps.sh)
sluice_script(test_results LABEL unit SCRIPT ${SLUICE_TEST_DIR}/test_results.sh)
