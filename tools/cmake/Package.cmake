# SPDX-License-Identifier: MIT
# Debian packages, by `cpack` in the build folder:
#   sluice        programs, library, man pages, udev rules, units, examples
#   sluice-dev    headers and what a program is linked with
#   sluice-dkms   the driver's sources, which DKMS builds for each kernel
# Which of them has a file is said where it is installed, by its COMPONENT.

# The driver with the contracts inside its folder, where its Kbuild looks for them first. DKMS takes
# the version from the folder's name and wants the same in dkms.conf.
set(dkms src/${PROJECT_NAME}-${PROJECT_VERSION})
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS driver/dkms.conf)
file(READ driver/dkms.conf text)
string(REGEX REPLACE "PACKAGE_VERSION=[^\n]*" "PACKAGE_VERSION=\"${PROJECT_VERSION}\"" text
	"${text}")
file(STRINGS driver/pci.c version REGEX "MODULE_VERSION")
if(NOT version MATCHES "\"${PROJECT_VERSION}\"")
	message(FATAL_ERROR "driver/pci.c: ${version}; the project's version is ${PROJECT_VERSION}")
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/package/dkms.conf CONTENT "${text}" @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/dkms.conf DESTINATION ${dkms} COMPONENT dkms)
install(DIRECTORY driver/ DESTINATION ${dkms} COMPONENT dkms
	FILES_MATCHING PATTERN "*.[ch]" PATTERN Kbuild PATTERN Makefile)
install(DIRECTORY firmware-iface DESTINATION ${dkms} COMPONENT dkms
	FILES_MATCHING PATTERN "*.h" PATTERN model EXCLUDE PATTERN golden EXCLUDE)
install(FILES include/sluice/block.h include/sluice/le.h include/sluice/uapi.h
	DESTINATION ${dkms}/include/sluice COMPONENT dkms)

# What only a package has: what Debian asks of each, and the folder of the configuration.
foreach(component sluice dev dkms)
	set(package sluice-${component})
	string(REPLACE sluice-sluice sluice package ${package})
	install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}
		RENAME copyright COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
install(CODE [[
	if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND NOT "$ENV{DESTDIR}" STREQUAL "")
		file(MAKE_DIRECTORY "$ENV{DESTDIR}/etc/sluice")
	endif()
]])

foreach(script postinst prerm)
	configure_file(${CMAKE_CURRENT_LIST_DIR}/package/sluice-dkms/${script}.in
		${CMAKE_BINARY_DIR}/package/sluice-dkms/${script} @ONLY
		FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
			WORLD_READ WORLD_EXECUTE)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sluice)
# Each package has its own.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_PACKAGE_VENDOR Sluice)
set(CPACK_PACKAGE_CONTACT "Sluice <root@localhost>" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_INSTALL_PREFIX /usr)
# The prefix that files written at installation name is then /usr, not the staging folder.
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
	GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL sluice dev dkms)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(version ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(package ${CMAKE_CURRENT_LIST_DIR}/package)

set(CPACK_DEBIAN_SLUICE_PACKAGE_NAME sluice)
set(CPACK_DEBIAN_SLUICE_DESCRIPTION
"carries detector frames from readout boards to compute nodes
The daemons that read the boards of a detector and bring their frames to
compute nodes, the program that counts electrons in them, and the tools.
Each frame is delivered, or named as lost with its cause.")
set(CPACK_DEBIAN_SLUICE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_SLUICE_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_SLUICE_PACKAGE_RECOMMENDS "udev")
set(CPACK_DEBIAN_SLUICE_PACKAGE_SUGGESTS "sluice-dkms, etcd-server")
set(CPACK_DEBIAN_SLUICE_PACKAGE_CONTROL_EXTRA
	${package}/sluice/postinst ${package}/sluice/prerm ${package}/sluice/postrm
	${package}/sluice/triggers)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME sluice-dev)
set(CPACK_DEBIAN_DEV_DESCRIPTION
"write a consumer of detector frames
Headers and the link library of libsluice-consumer, by which a program joins
a group of consumers, takes frames and acknowledges them.")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "sluice (= ${version})")

set(CPACK_DEBIAN_DKMS_PACKAGE_NAME sluice-dkms)
set(CPACK_DEBIAN_DKMS_DESCRIPTION
"driver of the readout boards, in source
The kernel module that gives each readout board its device, /dev/sluice0 and
on. DKMS builds it for every kernel that is installed with its headers.")
set(CPACK_DEBIAN_DKMS_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DKMS_PACKAGE_SECTION kernel)
set(CPACK_DEBIAN_DKMS_PACKAGE_DEPENDS "dkms (>= 3.0)")
set(CPACK_DEBIAN_DKMS_PACKAGE_RECOMMENDS "linux-headers-generic | linux-headers, sluice")
set(CPACK_DEBIAN_DKMS_PACKAGE_CONTROL_EXTRA
	${CMAKE_BINARY_DIR}/package/sluice-dkms/postinst
	${CMAKE_BINARY_DIR}/package/sluice-dkms/prerm)

include(CPack)
