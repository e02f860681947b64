/** upload/storage.c -- what local folders and S3 have in common. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/storage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/mem.h"
#include "base/str.h"

const struct storage_ops *storage_ops(const struct upload_place *place)
{
	return place->kind == UPLOAD_S3 ? &s3_ops : &local_ops;
}

int storage_path(char *path, const char *dir, const char *name, const char *end)
{
	int len = snprintf(path, STORAGE_PATH_CAP, "%s/%s%s", dir, name, end);

	return len < 0 || len >= STORAGE_PATH_CAP ? ENAMETOOLONG : 0;
}

/* ---- errors ---------------------------------------------------------------- */

int storage_fail(struct err *err, int code, const char *what, const char *name)
{
	const char *why = strerrordesc_np(code);

	return err_set(err, code, "storage", "%s %.200s: %s", what, name,
		       why ? why : "?");
}

int storage_damaged(struct err *err, const char *name)
{
	return err_set(err, EBADMSG, "storage",
		       "%.200s in the spool is not what was recorded: length "
		       "or hash differ",
		       name);
}

int storage_taken(struct err *err, const char *name)
{
	return err_set(err, EEXIST, "storage",
		       "%.200s is stored already with other contents; move "
		       "that away",
		       name);
}

/** ENOENT is of the spool: the storage's folders are made. */
const char *upload_reason(int err)
{
	static const struct {
		int err;
		const char *reason;
	} reasons[] = {
		{0, ""},
		{ENOSPC, "disk_full"},
		{EDQUOT, "disk_full"},
		{EACCES, "access_denied"},
		{EPERM, "access_denied"},
		{EROFS, "access_denied"},
		{ENOENT, "file_missing"},
		{EBADMSG, "file_damaged"},
		{EEXIST, "name_taken"},
		{ENXIO, "bucket_missing"},
		{ETIME, "clock_skew"},
		{EAGAIN, "store_busy"},
		{ETIMEDOUT, "store_busy"},
		{ECONNREFUSED, "connection_lost"},
		{EHOSTUNREACH, "connection_lost"},
		{ECONNRESET, "connection_lost"},
		{EILSEQ, "checksum_mismatch"},
		{EPROTO, "tls_failed"},
		{EADDRNOTAVAIL, "address_private"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].err == err)
			return reasons[i].reason;
	}
	return "storage_error";
}

/* ---- the spool's side ------------------------------------------------------ */

int storage_drop(const char *dir, const char *name, const char *end)
{
	char path[STORAGE_PATH_CAP];
	int err = storage_path(path, dir, name, end);

	if (!err && unlink(path) && errno != ENOENT && errno != ENOTDIR)
		err = errno;
	return err;
}

int upload_drop_spool(const struct upload_config *config, const char *name)
{
	char path[STORAGE_PATH_CAP];
	size_t spool_len = strlen(config->spool_dir);
	char *slash;
	int err = storage_drop(config->spool_dir, name, UPLOAD_STATE_SUFFIX);

	if (!err)
		err = storage_drop(config->spool_dir, name, "");
	if (!err)
		err = storage_path(path, config->spool_dir, name, "");
	if (err)
		return err;
	/* Directories that are empty now; one that is not ends it. */
	for (;;) {
		slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) <= spool_len)
			return 0;
		*slash = 0;
		if (rmdir(path) && errno != ENOENT)
			return 0;
	}
}

int storage_settle_folder(const char *dir, const char *folder)
{
	char path[STORAGE_PATH_CAP];
	int err = storage_path(path, dir, folder, "");

	if (err)
		return err;
	if (!rmdir(path) || errno == ENOENT)
		return file_sync_dir(dir);
	return file_sync_dir(path);
}

/* ---- at once --------------------------------------------------------------- */

int upload_open(const struct upload_config *config,
		const struct upload_place *place, struct upload_storage **out)
{
	struct upload_storage *s = mem_zalloc(sizeof(*s));
	int err = s ? 0 : ENOMEM;

	if (err)
		return err;
	s->config = config;
	s->place = place;
	if (place->kind == UPLOAD_S3)
		err = http_session_new(config->stops, NULL, place->s3.is_public,
				       &s->session);
	if (err)
		mem_free(s);
	else
		*out = s;
	return err;
}

void upload_close(struct upload_storage *s)
{
	if (!s)
		return;
	http_session_free(s->session);
	mem_free(s);
}

int upload_put_text(struct upload_storage *s, const struct upload_text *text,
		    const char *const *folders, size_t n, struct err *err)
{
	return storage_ops(s->place)->put_text(s, text, folders, n, err);
}

int upload_erase(struct upload_storage *s, const char *name, struct err *err)
{
	static const char *const ends[] = {"", ".part", UPLOAD_STATE_SUFFIX};
	const char *spool = s->config->spool_dir;
	int code = crash_errno("upload.erase");

	if (code)
		return storage_fail(err, code, "cannot remove", name);
	code = storage_ops(s->place)->erase(s, name, err);
	if (code)
		return code;
	for (size_t i = 0; !code && i < ARRAY_LEN(ends); i++)
		code = storage_drop(spool, name, ends[i]);
	return code ? storage_fail(err, code, "cannot remove", name) : 0;
}

int upload_drop_folder(struct upload_storage *s, const char *folder,
		       const char *mark, const char *keep, struct err *err)
{
	int code =
		storage_ops(s->place)->drop_folder(s, folder, mark, keep, err);

	if (code)
		return code;
	code = storage_settle_folder(s->config->spool_dir, folder);
	return code ? storage_fail(err, code, "cannot tidy", folder) : 0;
}

int upload_try(struct upload_storage *s, struct err *err)
{
	return storage_ops(s->place)->try(s, err);
}

void upload_location(const struct upload_place *place, const char *name,
		     char *out, size_t cap)
{
	struct buf url;

	buf_init(&url, cap);
	storage_ops(place)->write_location(place, name, &url);
	if (!str_copy(out, cap, buf_err(&url) ? "" : buf_str(&url)))
		*out = 0;
	buf_fini(&url);
}
