# SPDX-License-Identifier: MIT
# libsluice-consumer, and the programs that are consumers.
set(consumer_sources consumer.c consumer_account.c consumer_answer.c consumer_member.c consumer_net.c
	consumer_run.c consumer_scan.c consumer_share.c consumer_take.c)
list(TRANSFORM consumer_sources PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)

# For tests, which look inside and let steps fail.
add_library(consumer_static STATIC ${consumer_sources})
target_include_directories(consumer_static PRIVATE ${CMAKE_BINARY_DIR}/view/consume)
target_compile_definitions(consumer_static PRIVATE SLUICE_VERSION="${PROJECT_VERSION}")
target_link_libraries(consumer_static PUBLIC sluice_headers member scan link directory control base
	PRIVATE Threads::Threads)

set(consumer_map ${CMAKE_CURRENT_SOURCE_DIR}/sluice_consumer.map)
add_library(sluice-consumer SHARED ${consumer_sources})
target_include_directories(sluice-consumer PRIVATE ${CMAKE_BINARY_DIR}/view/consume)
target_compile_definitions(sluice-consumer PRIVATE SLUICE_VERSION="${PROJECT_VERSION}")
target_link_libraries(sluice-consumer PUBLIC sluice_headers
	PRIVATE member scan link directory control base Threads::Threads)
target_link_options(sluice-consumer PRIVATE -Wl,--version-script=${consumer_map})
set_target_properties(sluice-consumer PROPERTIES
	VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}
	LINK_DEPENDS ${consumer_map}
	LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

install(TARGETS sluice-consumer LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT dev)
# Written when it is installed, as only then the prefix is known for good.
install(CODE "
	set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
	set(libdir \"${CMAKE_INSTALL_LIBDIR}\")
	set(includedir \"${CMAKE_INSTALL_INCLUDEDIR}\")
	set(version \"${PROJECT_VERSION}\")
	configure_file(\"${CMAKE_CURRENT_SOURCE_DIR}/sluice-consumer.pc.in\"
		\"${CMAKE_CURRENT_BINARY_DIR}/sluice-consumer.pc\" @ONLY)
	file(INSTALL \"${CMAKE_CURRENT_BINARY_DIR}/sluice-consumer.pc\"
		DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig\")
" COMPONENT dev)

# Seeing the library from outside only, as any consumer does.
sluice_program(sluice-counter
	SOURCES counter.c counter_config.c counter_fit.c counter_frame.c counter_half.c counter_sample.c
		counter_scan.c counter_work.c
	LINK sluice-consumer consume member scan base PkgConfig::jansson)
target_include_directories(sluice-counter PRIVATE ${CMAKE_BINARY_DIR}/view/consume)
set_target_properties(sluice-counter PROPERTIES
	INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

add_executable(example_consumer example_consumer.c)
target_link_libraries(example_consumer PRIVATE sluice-consumer)
set_target_properties(example_consumer PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
