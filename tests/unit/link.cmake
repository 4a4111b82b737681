# SPDX-License-Identifier: MIT
sluice_test(test_wire LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_wire.c LINK link)
sluice_test(test_link_clock LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_link_clock.c LINK link
	WRAP clock_gettime link_transport_find)
sluice_test(test_link_memory LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_link_memory.c LINK link
	WRAP malloc free mallopt)
sluice_pkg(zmq libzmq)
sluice_test(test_link_zmq_faults LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_link_zmq_faults.c
	LINK link PkgConfig::zmq
	WRAP calloc free zmq_ctx_new zmq_ctx_set zmq_ctx_term zmq_socket zmq_close zmq_setsockopt
		zmq_getsockopt zmq_bind zmq_connect zmq_msg_send)
