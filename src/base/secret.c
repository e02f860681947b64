/** base/secret.c -- secrets as a person writes them: env:, file:, literal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static const char env_prefix[] = "env:";
static const char file_prefix[] = "file:";

/** Read all of `fd`, at most `cap` bytes.  Returns 0 or an errno. */
static int read_all(int fd, char *data, size_t cap, size_t *len)
{
	*len = 0;
	while (*len < cap) {
		ssize_t n = read(fd, data + *len, cap - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

/** Copy what was found, without the newlines at its end. */
static int finish(const char *data, size_t len, const char *where, char **out,
		  struct err *e)
{
	while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
		len--;
	if (!len)
		return err_set(e, EINVAL, "", "%s is empty", where);
	if (len > SECRET_MAX)
		return err_set(e, EINVAL, "", "%s has more than %d bytes",
			       where, SECRET_MAX);
	if (memchr(data, 0, len))
		return err_set(e, EINVAL, "", "%s has a NUL byte in it", where);
	*out = mem_strndup(data, len);
	return *out ? 0 : err_set(e, ENOMEM, "", "out of memory");
}

static int read_env(const char *name, char **out, struct err *e)
{
	const char *value = getenv(name);
	char where[128];

	if (!value)
		return err_set(e, ENOENT, "",
			       "the environment variable %.100s is not set",
			       name);
	str_copy(where, sizeof(where), "the environment variable ");
	str_copy(where + strlen(where), sizeof(where) - strlen(where), name);
	return finish(value, strlen(value), where, out, e);
}

static int read_file(const char *path, char **out, struct err *e)
{
	/* One more than a secret with its newline may have, to notice. */
	char data[SECRET_MAX + 3];
	char where[160] = "the file ";
	size_t len = 0;
	int err;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "", "the file %.150s: %s", path,
			       strerror(errno));
	err = read_all(fd, data, sizeof(data), &len);
	close(fd);
	str_copy(where + strlen(where), sizeof(where) - strlen(where), path);
	if (err)
		err_set(e, err, "", "%s: %s", where, strerror(err));
	else
		err = finish(data, len, where, out, e);
	mem_wipe(data, sizeof(data));
	return err;
}

enum secret_kind secret_kind(const char *spec, const char **name)
{
	if (str_starts_with(spec, env_prefix)) {
		*name = spec + strlen(env_prefix);
		return SECRET_ENV;
	}
	if (str_starts_with(spec, file_prefix)) {
		*name = spec + strlen(file_prefix);
		return SECRET_FILE;
	}
	*name = "";
	return SECRET_LITERAL;
}

int secret_read(const char *spec, char **out, bool *literal, struct err *e)
{
	const char *name;
	enum secret_kind kind = secret_kind(spec, &name);

	*literal = kind == SECRET_LITERAL;
	if (kind != SECRET_LITERAL && !*name)
		return err_set(
			e, EINVAL, "",
			"%s has nothing behind it: must be a secret: env:NAME, "
			"file:PATH, or the text itself",
			spec);
	if (kind == SECRET_ENV)
		return read_env(name, out, e);
	if (kind == SECRET_FILE)
		return read_file(name, out, e);
	if (strlen(spec) > SECRET_MAX)
		return err_set(e, EINVAL, "", "has more than %d bytes",
			       SECRET_MAX);
	*out = mem_strdup(spec);
	return *out ? 0 : err_set(e, ENOMEM, "", "out of memory");
}
