# SPDX-License-Identifier: MIT
set(reference ${SLUICE_TEST_DIR}/../support/reference.c)
sluice_test(test_count LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_count.c ${reference} LINK consume)
# One run per kernel: one that this processor lacks is a visible skip.
foreach(kernel portable wide avx2 avx512)
	add_test(NAME test_count_${kernel} COMMAND test_count ${kernel})
	sluice_register(test_count_${kernel} unit 60 OFF)
endforeach()
sluice_test(test_threshold LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_threshold.c LINK consume m)
sluice_test(test_part LABEL unit SOURCES ${SLUICE_TEST_DIR}/test_part.c LINK consume
	WRAP writev calloc)
sluice_pkg(hdf5 hdf5-serial)
sluice_pkg(png libpng)
foreach(name test_merge test_merge_file)
	sluice_test(${name} LABEL unit
		SOURCES ${SLUICE_TEST_DIR}/${name}.c ${SLUICE_TEST_DIR}/merge_fixture.c
		LINK consume_merge PkgConfig::hdf5 PkgConfig::png)
endforeach()
add_dependencies(test_merge sluice-merge)
