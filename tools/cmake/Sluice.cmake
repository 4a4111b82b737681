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
# What an assertion says names a file of this tree, wherever the tree lay.
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
# With a sanitizer's code in between, gcc's warnings on flow and sizes are often wrong.
if(SLUICE_WERROR AND NOT (SLUICE_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU"))
	add_compile_options(-Werror)
endif()
if(SLUICE_SANITIZE)
	add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()

# The package that installed files belong to, unless they say otherwise.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME sluice)

# The public headers, <sluice/...>.
add_library(sluice_headers INTERFACE)
target_include_directories(sluice_headers INTERFACE ${CMAKE_SOURCE_DIR}/include)

# sluice_pkg(<target> <pkg-config module>): an imported library, once.
function(sluice_pkg target module)
	if(NOT TARGET PkgConfig::${target})
		pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${module})
	endif()
endfunction()

# libsystemd, the one library that may be missing.
pkg_check_modules(systemd IMPORTED_TARGET GLOBAL libsystemd)
set(SLUICE_SYSTEMD ${systemd_FOUND})

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
	# What a library asks a program for by name (argp_program_version) must be visible to it.
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin
		C_VISIBILITY_PRESET default)
	install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# What every test finds in its environment; a sanitizer that finds something ends the process.
set(SLUICE_TEST_ENVIRONMENT
	SLUICE_BIN=${CMAKE_BINARY_DIR}/bin
	SLUICE_BUILD=${CMAKE_BINARY_DIR}
	SLUICE_SOURCE=${CMAKE_SOURCE_DIR}
	SLUICE_SANITIZED=${SLUICE_SANITIZE}
	ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
	UBSAN_OPTIONS=print_stacktrace=1
	TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/tsan.supp:halt_on_error=1)

# Whoever starts servers and daemons has the machine to itself, so that the deadlines it tests
# are its own.
set(SLUICE_SERIAL_LABELS integration bench vm)

# sluice_register(<name> <label> <timeout in s> <short>): what all kinds of test have in common.
function(sluice_register name label timeout short)
	set(labels ${label})
	if(short)
		list(APPEND labels short)
	endif()
	set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout}
		SKIP_RETURN_CODE 77 ENVIRONMENT "${SLUICE_TEST_ENVIRONMENT}")
	if(label IN_LIST SLUICE_SERIAL_LABELS)
		set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
	endif()
endfunction()

# Stops the configuration when a list names what the function does not know.
macro(sluice_check_arguments name)
	if(arg_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "${name}: what is ${arg_UNPARSED_ARGUMENTS}?")
	endif()
endmacro()

# sluice_test(<name> LABEL unit SOURCES ... LINK ... [WRAP malloc ...] [TIMEOUT s] [ARGS ...]
#             [SHORT])
# A test program, registered with its label; exit code 77 is a visible skip, whose reason is the
# last line it prints. SHORT: an integration test that the sanitizer rows run too.
function(sluice_test name)
	cmake_parse_arguments(arg "SHORT" "LABEL;TIMEOUT" "SOURCES;LINK;WRAP;ARGS" ${ARGN})
	sluice_check_arguments(${name})
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
	sluice_register(${name} ${arg_LABEL} ${arg_TIMEOUT} ${arg_SHORT})
endfunction()

# sluice_script(<name> LABEL integration SCRIPT <file> [TIMEOUT s] [ARGS ...] [SHORT])
# A test that is a bash script, with the same environment and the same promises.
function(sluice_script name)
	cmake_parse_arguments(arg "SHORT" "LABEL;TIMEOUT;SCRIPT" "ARGS" ${ARGN})
	sluice_check_arguments(${name})
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 60)
	endif()
	add_test(NAME ${name} COMMAND bash ${arg_SCRIPT} ${arg_ARGS})
	sluice_register(${name} ${arg_LABEL} ${arg_TIMEOUT} ${arg_SHORT})
endfunction()

# sluice_fuzz(<name> SOURCES ... LINK ... CORPUS <folder>): a parser of foreign bytes. Its corpus
# is replayed as a test. With clang and SLUICE_FUZZ=ON it is a libFuzzer program, which goes on
# from the corpus, by default always along the same path.
option(SLUICE_FUZZ "Build libFuzzer programs (clang only)" OFF)
set(SLUICE_FUZZ_ARGS "-runs=20000;-seed=1;-max_total_time=20" CACHE STRING "Given to each fuzzer")
if(SLUICE_FUZZ)
	if(NOT SLUICE_SANITIZE)
		message(FATAL_ERROR "SLUICE_FUZZ without SLUICE_SANITIZE would find little")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
function(sluice_fuzz name)
	cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINK" ${ARGN})
	sluice_check_arguments(${name})
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} Threads::Threads)
	if(SLUICE_FUZZ)
		set(finds ${CMAKE_BINARY_DIR}/fuzz/${name})
		file(MAKE_DIRECTORY ${finds})
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		set(args ${SLUICE_FUZZ_ARGS} -artifact_prefix=${finds}/ -rss_limit_mb=4096 -timeout=10
			-error_exitcode=1 -timeout_exitcode=1 ${finds})
	else()
		target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay.c)
	endif()
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	add_test(NAME ${name} COMMAND ${name} ${args} ${arg_CORPUS})
	sluice_register(${name} fuzz 900 OFF)
endfunction()
