# SPDX-License-Identifier: MIT
sluice_script(test_units LABEL integration SCRIPT ${SLUICE_TEST_DIR}/test_units.sh)
sluice_script(test_package LABEL integration SCRIPT ${SLUICE_TEST_DIR}/test_package.sh
	ARGS ${PROJECT_VERSION} TIMEOUT 120)
set_tests_properties(test_package PROPERTIES FIXTURES_SETUP packages)
foreach(part all module)
	sluice_script(test_package_install_${part} LABEL integration TIMEOUT 300
		SCRIPT ${SLUICE_TEST_DIR}/test_package_install.sh ARGS ${PROJECT_VERSION} ${part})
	set_tests_properties(test_package_install_${part} PROPERTIES FIXTURES_REQUIRED packages)
endforeach()
