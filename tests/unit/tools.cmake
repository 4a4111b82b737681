# SPDX-License-Identifier: MIT
sluice_script(test_list LABEL unit SCRIPT ${SLUICE_TEST_DIR}/test_list.sh)
