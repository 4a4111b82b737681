/* SPDX-License-Identifier: MIT */
/* Replays a fuzzer's corpus without libFuzzer: every file of every folder that is named. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *in = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long size;

	if (!in)
		return -errno;
	if (fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0 || fseek(in, 0, SEEK_SET) != 0) {
		(void)fclose(in);
		return -EIO;
	}
	/* Exactly as large as the input, so that a sanitizer sees one byte too far. */
	bytes = malloc(size > 0 ? (size_t)size : 1);
	if (!bytes || fread(bytes, 1, (size_t)size, in) != (size_t)size) {
		free(bytes);
		(void)fclose(in);
		return -EIO;
	}
	(void)fclose(in);
	(void)LLVMFuzzerTestOneInput(bytes, (size_t)size);
	free(bytes);
	return 0;
}

static int replay_folder(const char *folder, unsigned int *files)
{
	char path[4096];
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int ret = 0;

	if (!dir)
		return -errno;
	while (ret == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		ret = replay_file(path);
		(*files)++;
	}
	(void)closedir(dir);
	return ret;
}

int main(int argc, char **argv)
{
	unsigned int files = 0;

	for (int i = 1; i < argc; i++) {
		const int ret = replay_folder(argv[i], &files);

		if (ret < 0) {
			(void)fprintf(stderr, "%s: cannot replay: %s\n", argv[i],
				      strerrordesc_np(-ret));
			return EXIT_FAILURE;
		}
	}
	printf("%u inputs replayed\n", files);
	return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
