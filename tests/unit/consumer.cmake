# SPDX-License-Identifier: MIT
function(consumer_test name)
	sluice_test(${name} LABEL unit
		SOURCES ${SLUICE_TEST_DIR}/${name}.c ${SLUICE_TEST_DIR}/consumer_fixture.c
		LINK consumer_static ${ARGN})
	target_include_directories(${name} PRIVATE ${CMAKE_BINARY_DIR}/view/consume)
endfunction()

consumer_test(test_consumer_absent WRAP pthread_create)
consumer_test(test_consumer_answer WRAP link_ack pthread_create)
consumer_test(test_consumer_flow)
consumer_test(test_consumer_frame)
consumer_test(test_consumer_member)
consumer_test(test_consumer_trouble)
consumer_test(test_consumer_open WRAP calloc eventfd pthread_create link_receiver_open
	link_receiver_close member_open member_close)
target_compile_definitions(test_consumer_open PRIVATE SLUICE_TEST_VERSION="${PROJECT_VERSION}")

sluice_test(test_counter_config LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_counter_config.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_config.c
	LINK consume member)
sluice_pkg(jansson jansson)
sluice_test(test_counter_scan LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_counter_scan.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_fit.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_half.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_sample.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_scan.c
	LINK consume member PkgConfig::jansson WRAP clock_gettime)
sluice_test(test_counter_sample LABEL unit
	SOURCES ${SLUICE_TEST_DIR}/test_counter_sample.c
		${CMAKE_SOURCE_DIR}/daemon/consume/counter_sample.c
	LINK consume member PkgConfig::jansson WRAP clock_gettime)
