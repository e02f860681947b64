/**
 * io/file.c -- whole-file work, done so that a crash leaves all or nothing.
 *
 * WHAT  Making folders, writing, renaming, reading, hashing, walking.
 * WHY   A file is there for good only when its bytes and its name are both
 *       on the disk: fsync of the file, then of the folder.
 * DESIGN
 *   - Every function works through EINTR and short reads and writes.
 *   - After a failed fsync the bytes are unknown: the temporary file goes,
 *     nothing is retried.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	CHUNK = 64 * 1024,
	WALK_DEPTH_MAX = 32,
	TRIES_MAX = 100,
	SHA256_LEN = 32,
};

static int open_file(const char *path, int flags, int *fd)
{
	do
		*fd = open(path, flags | O_CLOEXEC, 0640);
	while (*fd < 0 && errno == EINTR);
	return *fd < 0 ? errno : 0;
}

/** Like read(2), through EINTR.  Returns 0 or an errno. */
static int read_some(int fd, void *data, size_t cap, size_t *len)
{
	ssize_t n;

	do
		n = read(fd, data, cap);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	*len = (size_t)n;
	return 0;
}

static int sync_fd(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc && errno == EINTR);
	return rc ? errno : 0;
}

int file_sync_dir(const char *path)
{
	int fd;
	int err = open_file(path, O_RDONLY | O_DIRECTORY, &fd);

	if (err)
		return err;
	err = sync_fd(fd);
	close(fd);
	return err;
}

/** Cut `path` to the folder it is in: "a/b" -> "a", "b" -> ".". */
static void to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		str_copy(path, 2, ".");
	else if (slash == path)
		slash[1] = 0;
	else
		*slash = 0;
}

static int sync_parent(const char *path)
{
	char parent[PATH_MAX];

	if (!str_copy(parent, sizeof(parent), path))
		return ENAMETOOLONG;
	to_parent(parent);
	return file_sync_dir(parent);
}

static int make_dir(const char *path)
{
	struct stat st;

	if (!mkdir(path, 0750))
		return sync_parent(path);
	if (errno != EEXIST)
		return errno;
	if (stat(path, &st))
		return errno;
	return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

int file_mkdirs(const char *path)
{
	char part[PATH_MAX];
	size_t len;
	int err = 0;

	if (!*path)
		return ENOENT;
	if (!str_copy(part, sizeof(part), path))
		return ENAMETOOLONG;
	len = strlen(part);
	while (len > 1 && part[len - 1] == '/')
		part[--len] = 0;
	for (char *p = part + 1; *p && !err; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = 0;
		err = make_dir(part);
		*p = '/';
	}
	return err ? err : make_dir(part);
}

int file_write_all(int fd, const void *data, size_t len, int64_t offset)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			return EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

/* Some file systems (NFS, FUSE) know no RENAME_NOREPLACE; link(2) refuses an
 * existing name just the same. */
int file_rename_new(const char *from, const char *to)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	if (link(from, to))
		return errno;
	return unlink(from) ? errno : 0;
}

int file_read(const char *path, struct buf *b)
{
	uint8_t chunk[4096];
	size_t len = 0;
	int fd;
	int err = open_file(path, O_RDONLY, &fd);

	if (err)
		return err;
	buf_clear(b);
	do {
		err = read_some(fd, chunk, sizeof(chunk), &len);
		if (err)
			break;
		buf_append(b, chunk, len);
		err = buf_err(b);
	} while (!err && len);
	close(fd);
	mem_wipe(chunk, sizeof(chunk)); /* it may have been a key */
	return err;
}

/** Open a new file beside `path`; its name goes to `name`. */
static int open_temporary(const char *path, char *name, size_t cap, int *fd)
{
	static _Atomic unsigned number;
	int err = EEXIST;

	for (int i = 0; i < TRIES_MAX && err == EEXIST; i++) {
		unsigned mine = atomic_fetch_add(&number, 1);
		int len = snprintf(name, cap, "%s.%d-%u.tmp", path,
				   (int)getpid(), mine);

		if (len < 0 || (size_t)len >= cap)
			return ENAMETOOLONG;
		err = open_file(name, O_WRONLY | O_CREAT | O_EXCL, fd);
	}
	return err;
}

int file_write_durable(const char *path, const void *data, size_t len)
{
	char name[PATH_MAX];
	int fd;
	int err = open_temporary(path, name, sizeof(name), &fd);

	if (err)
		return err;
	err = file_write_all(fd, data, len, 0);
	if (!err)
		err = sync_fd(fd);
	if (close(fd) && !err && errno != EINTR)
		err = errno;
	if (!err && rename(name, path))
		err = errno;
	if (err) {
		unlink(name);
		return err;
	}
	return sync_parent(path);
}

static int hash_fd(int fd, EVP_MD_CTX *md, uint8_t *chunk, int64_t *total)
{
	size_t len = 0;
	int err;

	*total = 0;
	do {
		err = read_some(fd, chunk, CHUNK, &len);
		if (err)
			return err;
		if (EVP_DigestUpdate(md, chunk, len) != 1)
			return ENOMEM;
		*total += (int64_t)len;
	} while (len);
	return 0;
}

int file_sha256(const char *path, char hex[65], int64_t *len)
{
	uint8_t *chunk = mem_zalloc(CHUNK);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sum[SHA256_LEN];
	int64_t total = 0;
	int fd = -1;
	int err = ENOMEM;

	if (!chunk || !md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		goto out;
	err = open_file(path, O_RDONLY, &fd);
	if (!err)
		err = hash_fd(fd, md, chunk, &total);
	if (!err && EVP_DigestFinal_ex(md, sum, NULL) != 1)
		err = ENOMEM;
	if (err)
		goto out;
	for (int i = 0; i < SHA256_LEN; i++)
		snprintf(hex + (ptrdiff_t)i * 2, 3, "%02x", sum[i]);
	*len = total;
out:
	if (fd >= 0)
		close(fd);
	EVP_MD_CTX_free(md);
	mem_free(chunk);
	return err;
}

/** Feed a part of a file to both; md5 may be NULL. */
static int digest_part(int fd, int64_t offset, int64_t len, EVP_MD_CTX *sha256,
		       EVP_MD_CTX *md5)
{
	uint8_t *chunk = mem_zalloc(CHUNK);
	int err = chunk ? 0 : ENOMEM;

	while (!err && len > 0) {
		size_t want = len < CHUNK ? (size_t)len : CHUNK;
		ssize_t n = pread(fd, chunk, want, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			err = n ? errno : EBADMSG;
		else if (EVP_DigestUpdate(sha256, chunk, (size_t)n) != 1 ||
			 (md5 && EVP_DigestUpdate(md5, chunk, (size_t)n) != 1))
			err = ENOMEM;
		offset += n;
		len -= n;
	}
	mem_free(chunk);
	return err;
}

int file_digest(int fd, int64_t offset, int64_t len, struct file_digest *out)
{
	EVP_MD_CTX *sha256 = EVP_MD_CTX_new();
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	uint8_t sum[SHA256_LEN];
	int err = ENOMEM;

	if (!sha256 || !md5 ||
	    EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1)
		goto out;
	*out = (struct file_digest){0};
	out->has_md5 = EVP_DigestInit_ex(md5, EVP_md5(), NULL) == 1;
	err = digest_part(fd, offset, len, sha256, out->has_md5 ? md5 : NULL);
	if (!err &&
	    (EVP_DigestFinal_ex(sha256, sum, NULL) != 1 ||
	     (out->has_md5 && EVP_DigestFinal_ex(md5, out->md5, NULL) != 1)))
		err = ENOMEM;
	for (int i = 0; !err && i < SHA256_LEN; i++)
		snprintf(out->sha256 + (ptrdiff_t)i * 2, 3, "%02x", sum[i]);
out:
	EVP_MD_CTX_free(sha256);
	EVP_MD_CTX_free(md5);
	return err;
}

int file_free_bytes(const char *path, int64_t *bytes)
{
	struct statvfs fs;
	int rc;

	do
		rc = statvfs(path, &fs);
	while (rc && errno == EINTR);
	if (rc)
		return errno;
	*bytes = (int64_t)(fs.f_bavail * fs.f_frsize);
	return 0;
}

/* ---- walking ----------------------------------------------------------- */

struct walk {
	struct buf path;
	int depth;
	int (*fn)(const char *path, void *arg);
	void *arg;
};

static int walk_dir(struct walk *w);

/** Deal with the entry that w->path now names. */
static int walk_entry(struct walk *w)
{
	const char *path = buf_str(&w->path);
	struct stat st;
	int err;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : errno; /* gone meanwhile */
	if (S_ISREG(st.st_mode))
		return w->fn(path, w->arg);
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (w->depth == WALK_DEPTH_MAX)
		return ELOOP;
	w->depth++;
	err = walk_dir(w);
	w->depth--;
	return err;
}

static int walk_dir(struct walk *w)
{
	size_t len = w->path.len;
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	dir = opendir(buf_str(&w->path));
	if (!dir)
		return errno == ENOENT ? 0 : errno;
	while (!err) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			err = errno;
			break;
		}
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		buf_printf(&w->path, "/%s", entry->d_name);
		err = buf_err(&w->path);
		if (!err)
			err = walk_entry(w);
		w->path.len = len;
		if (w->path.data)
			w->path.data[len] = 0;
	}
	closedir(dir);
	return err;
}

int file_walk(const char *dir, int (*fn)(const char *path, void *arg),
	      void *arg)
{
	struct walk w = {.fn = fn, .arg = arg};
	int err;

	buf_init(&w.path, PATH_MAX);
	buf_puts(&w.path, dir);
	err = buf_err(&w.path);
	if (!err)
		err = walk_dir(&w);
	buf_fini(&w.path);
	return err;
}

void file_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_warn("file limit stays at %llu: %s",
			 (unsigned long long)limit.rlim_cur, strerror(errno));
}
