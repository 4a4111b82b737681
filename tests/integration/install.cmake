# SPDX-License-Identifier: MIT
sluice_script(test_install LABEL integration SCRIPT ${SLUICE_TEST_DIR}/test_install.sh
	ARGS ${PROJECT_VERSION} TIMEOUT 120)
sluice_script(test_manual LABEL integration SCRIPT ${SLUICE_TEST_DIR}/test_manual.sh)
