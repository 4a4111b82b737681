# SPDX-License-Identifier: MIT
# How this house builds: one target per folder, and a target sees only what it links.
include(GNUInstallDirs)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(SLUICE_WERROR "Warnings are errors" ON)
set(SLUICE_SANITIZE "" CACHE STRING "address,undefined or thread: build everything with it")

# Assertions stay on in every build.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
	string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wpointer-arith -Wundef -Wvla -Wformat=2 -fno-common -fno-strict-aliasing
	-fstack-protector-strong)
if(SLUICE_WERROR)
	add_compile_options(-Werror)
endif()
if(SLUICE_SANITIZE)
	add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()

# The public headers, <sluice/...>.
add_library(sluice_headers INTERFACE)
target_include_directories(sluice_headers INTERFACE ${CMAKE_SOURCE_DIR}/include)

# sluice_pkg(<target> <pkg-config module>): an imported library, once.
function(sluice_pkg target module)
	if(NOT TARGET PkgConfig::${target})
		pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${module})
	endif()
endfunction()

# sluice_module(<folder> SOURCES ... LINK ...): the static library of daemon/<folder>, whose
# headers are <folder/...> for those who link it and for nobody else.
function(sluice_module name)
	cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
	add_library(${name} STATIC ${arg_SOURCES})
	set(view ${CMAKE_BINARY_DIR}/view/${name})
	file(MAKE_DIRECTORY ${view})
	file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${view}/${name} SYMBOLIC)
	target_include_directories(${name} PUBLIC ${view})
	target_link_libraries(${name} PUBLIC sluice_headers ${arg_LINK} PRIVATE ${arg_PRIVATE}
		Threads::Threads)
endfunction()

# sluice_program(<name> SOURCES ... LINK ...): an installed executable, in <build>/bin.
function(sluice_program name)
	cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
	add_executable(${name} ${arg_SOURCES})
	target_compile_definitions(${name} PRIVATE SLUICE_VERSION="${PROJECT_VERSION}")
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} Threads::Threads)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
	install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# sluice_test(<name> LABEL unit SOURCES ... LINK ... [WRAP malloc ...] [TIMEOUT s] [ARGS ...])
# A test program, registered with its label; exit code 77 is a visible skip.
function(sluice_test name)
	cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LINK;WRAP;ARGS" ${ARGN})
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 60)
	endif()
	sluice_pkg(cmocka cmocka)
	add_executable(${name} ${arg_SOURCES})
	target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} PkgConfig::cmocka
		Threads::Threads)
	foreach(symbol ${arg_WRAP})
		target_link_options(${name} PRIVATE -Wl,--wrap=${symbol})
	endforeach()
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
	set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
		SKIP_RETURN_CODE 77
		ENVIRONMENT "SLUICE_BIN=${CMAKE_BINARY_DIR}/bin;SLUICE_SOURCE=${CMAKE_SOURCE_DIR}")
endfunction()

# sluice_fuzz(<name> SOURCES ... LINK ... CORPUS <folder>): a parser of foreign bytes. With
# clang and SLUICE_FUZZ=ON it is a libFuzzer program; always, its corpus is replayed as a test.
option(SLUICE_FUZZ "Build libFuzzer programs (clang only)" OFF)
function(sluice_fuzz name)
	cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINK" ${ARGN})
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} Threads::Threads)
	if(SLUICE_FUZZ)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		set(runs -runs=0)
	else()
		target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay.c)
	endif()
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	add_test(NAME ${name} COMMAND ${name} ${runs} ${arg_CORPUS})
	set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
