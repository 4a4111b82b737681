# SPDX-License-Identifier: MIT
sluice_test(test_etcd_json LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_etcd_json.c LINK directory)
sluice_test(test_watch_view LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_watch_view.c LINK directory)
sluice_test(test_directory_args LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_directory_args.c
	LINK directory)
