# SPDX-License-Identifier: MIT
# How a guest session becomes tests; each tests/vm/<noun>.cmake begins by including this file.
include_guard(GLOBAL)

set(SLUICE_VM_TOOLS ${CMAKE_CURRENT_LIST_DIR}/..)

# Kernel, headers and busybox in <build>/vm/cache. What needs them before a session does, such as the
# build of a kernel module, says FIXTURES_REQUIRED vm_fetch.
add_test(NAME vm_fetch
	COMMAND ${SLUICE_VM_TOOLS}/fetch --to ${CMAKE_BINARY_DIR}/vm/cache)
sluice_register(vm_fetch vm 400 OFF)
set_tests_properties(vm_fetch PROPERTIES FIXTURES_SETUP vm_fetch)

# sluice_vm_program(<name> SOURCES ... LINK ... [WRAP ...]): a cmocka program for guests alone, which
# a session names under PROGRAMS; it is no test of this machine.
function(sluice_vm_program name)
	cmake_parse_arguments(arg "" "" "SOURCES;LINK;WRAP" ${ARGN})
	sluice_check_arguments(${name})
	sluice_pkg(cmocka cmocka)
	add_executable(${name} ${arg_SOURCES})
	target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
	target_link_libraries(${name} PRIVATE sluice_headers ${arg_LINK} PkgConfig::cmocka
		Threads::Threads)
	foreach(symbol ${arg_WRAP})
		target_link_options(${name} PRIVATE -Wl,--wrap=${symbol})
	endforeach()
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

# sluice_vm(<name> SCRIPT <file> TESTS <test>...
#           [PROGRAMS <file[=path]>...] [FILES <file=path>...] [MODULES <name>...] [KO <file>...]
#           [CARDS <node:vectors:command>...] [HUGE <n>] [NODE_MIB <n>] [SHARE] [DEADLINE <s>]
#           [SET <name=value>...] [APPEND <word>...] [ALLOW <pattern>...] [NEEDS <fixture>...])
# One guest session, named vm_..., and its tests: <name> runs it, <name>.<test> is one test in it,
# <name>.session is the session as such. README.md says what each word means. What is a target goes
# in as $<TARGET_FILE:target>.
function(sluice_vm name)
	cmake_parse_arguments(arg "SHARE" "SCRIPT;HUGE;NODE_MIB;DEADLINE"
		"TESTS;PROGRAMS;FILES;MODULES;KO;CARDS;SET;APPEND;ALLOW;NEEDS" ${ARGN})
	sluice_check_arguments(${name})
	if(NOT name MATCHES "^vm_[a-z0-9_]+$" OR NOT arg_SCRIPT OR NOT arg_TESTS)
		message(FATAL_ERROR "${name}: a name vm_..., SCRIPT and TESTS are needed")
	endif()
	foreach(option HUGE=0 NODE_MIB=1024 DEADLINE=120)
		string(REPLACE "=" ";" option ${option})
		list(GET option 0 word)
		if(NOT arg_${word})
			list(GET option 1 arg_${word})
		endif()
	endforeach()

	set(out ${CMAKE_BINARY_DIR}/vm/${name})
	set(words --deadline=${arg_DEADLINE} --huge=${arg_HUGE} --node-mib=${arg_NODE_MIB})
	if(arg_SHARE)
		list(APPEND words --share)
	endif()
	foreach(pair PROGRAMS=program FILES=file MODULES=module KO=ko CARDS=card SET=set APPEND=append)
		string(REPLACE "=" ";" pair ${pair})
		list(GET pair 0 list)
		list(GET pair 1 option)
		foreach(value IN LISTS arg_${list})
			list(APPEND words --${option}=${value})
		endforeach()
	endforeach()
	add_test(NAME ${name} COMMAND ${SLUICE_VM_TOOLS}/session run --build=${CMAKE_BINARY_DIR}
		--out=${out} --script ${arg_SCRIPT} ${words})
	math(EXPR timeout "${arg_DEADLINE} + 180")
	sluice_register(${name} vm ${timeout} OFF)
	set_tests_properties(${name} PROPERTIES FIXTURES_SETUP ${name}
		FIXTURES_REQUIRED "vm_fetch;${arg_NEEDS}")

	set(allow)
	foreach(value IN LISTS arg_ALLOW)
		list(APPEND allow --allow=${value})
	endforeach()
	add_test(NAME ${name}.session
		COMMAND ${SLUICE_VM_TOOLS}/session judge --out=${out} ${allow} --whole ${arg_TESTS})
	set(verdicts ${name}.session)
	foreach(test IN LISTS arg_TESTS)
		add_test(NAME ${name}.${test}
			COMMAND ${SLUICE_VM_TOOLS}/session judge --out=${out} --test=${test})
		list(APPEND verdicts ${name}.${test})
	endforeach()
	foreach(verdict IN LISTS verdicts)
		sluice_register(${verdict} vm 60 OFF)
		set_tests_properties(${verdict} PROPERTIES FIXTURES_REQUIRED ${name})
	endforeach()
endfunction()
