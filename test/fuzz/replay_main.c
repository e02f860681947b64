/** test/fuzz/replay_main.c -- feed a corpus to a fuzz target, without clang. */
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: NAME [FILE|FOLDER]...
 *
 * Linked with each *_fuzz.c by plain gcc, so that `make test` proves that
 * every input that was once found stays harmless.  Each input lies in a
 * block of exactly its size: valgrind and a sanitizer see one byte too far.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned n_inputs;

static int replay_file(const char *path, size_t len)
{
	uint8_t *data = malloc(len ? len : 1);
	FILE *f = fopen(path, "rb");
	int err = 0;

	if (!data || !f || fread(data, 1, len, f) != len) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		err = EIO;
		goto out;
	}
	/* Named first: after a crash the last line says which input did it. */
	fprintf(stderr, "replay %s\n", path);
	(void)LLVMFuzzerTestOneInput(data, len);
	n_inputs++;
out:
	if (f)
		fclose(f);
	free(data);
	return err;
}

static int replay_path(const char *path);

static int replay_folder(const char *path)
{
	char sub[4096];
	struct dirent **list;
	int i, n, err = 0;

	n = scandir(path, &list, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return EIO;
	}
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.' && !err) {
			snprintf(sub, sizeof(sub), "%s/%s", path,
				 list[i]->d_name);
			err = replay_path(sub);
		}
		free(list[i]);
	}
	free(list);
	return err;
}

static int replay_path(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return EIO;
	}
	if (S_ISDIR(st.st_mode))
		return replay_folder(path);
	return replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (replay_path(argv[i]))
			return 1;
	if (n_inputs == 0) {
		fprintf(stderr, "%s: the corpus is empty\n", argv[0]);
		return 1;
	}
	printf("%u inputs\n", n_inputs);
	return 0;
}
