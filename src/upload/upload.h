/**
 * upload/upload.h -- finished segments -> storage.  Knows no audio.
 *
 * A storage is a folder of this machine or an S3 bucket, behind one interface.
 *
 * Local: the file is linked into the storage directory (copied when that is
 * another file system), the directory synced, and only then `done` is called.
 * S3: the object is sent, its checksum compared with what the store answers,
 * and then looked at once more.  The spool's copy is removed by the caller
 * after it committed.  Doing any of it again after a crash is harmless: what
 * is there with the same length and hash counts as success, and nothing of
 * other contents is ever replaced.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_UPLOAD_H
#define UPLOAD_UPLOAD_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "io/io.h"

/** They are on disk: only ever added to. */
enum upload_kind { UPLOAD_LOCAL, UPLOAD_S3, UPLOAD_KIND_N };

/** A bucket and who may write to it. */
struct upload_s3 {
	const char *endpoint; /* "https://s3.eu-central-1.amazonaws.com"; NULL
				 or "": there is none */
	const char *region;   /* "eu-central-1" */
	const char *bucket;
	const char *prefix; /* before every name, with its '/' at the end, or
			       "" */
	const char *access_key;
	const char *secret_key;
	bool path_style; /* the bucket is in the path, not in the host name */
	bool is_foreign; /* who named it is not who runs this server */
	bool is_public;	 /* it may have global addresses only */
};

/** Where files go: a value.  What it points at lives as long as whoever has
 *  it. */
struct upload_place {
	enum upload_kind kind;
	const char *dir; /* of kind local; absolute */
	struct upload_s3 s3;
};

/** Copy a bucket with all that it points at.  Returns 0 or ENOMEM. */
MUST_CHECK int upload_place_copy(const struct upload_s3 *s3,
				 struct upload_place **out);
/** Free such a copy; its secrets are wiped.  NULL is fine. */
void upload_place_free(struct upload_place *place);
/** The same bucket, with the same keys and prefix? */
bool upload_s3_is(const struct upload_s3 *a, const struct upload_s3 *b);
/** Append it as JSON, with its secrets, but not how far it is trusted.
 *  Returns 0 or an errno of `out`. */
MUST_CHECK int upload_s3_write(const struct upload_s3 *s3, struct buf *out);
/** Read what upload_s3_write wrote.  Returns 0, EBADMSG or ENOMEM. */
MUST_CHECK int upload_s3_parse(const char *text, struct upload_place **out);

struct upload_config {
	const char *spool_dir;
	int64_t retry_first_us; /* 1 s, doubles to retry_max_us */
	int64_t retry_max_us;	/* 60 s */
	/* what upload_open makes ends what it does soon after this is true;
	 * NULL: never */
	const _Atomic bool *stops;
	/* S3; each 0: what is said */
	int64_t stall_us;	/* so long nearly nothing may move: 60 s */
	int64_t multipart_from; /* [bytes] longer is sent in parts: 64 MiB */
	int64_t part_len;	/* [bytes] 16 MiB; more when there would be over
				   10,000 of them */
};

struct upload;

/** One thing to store; copied. */
struct upload_item {
	uint64_t segment; /* its row */
	const char *name; /* below spool and storage */
	int64_t len;
	const char *sha256; /* "" when not known: not compared */
	int64_t since_ms;   /* wall time from which on it waits; 0: now */
	/* where to; copied with its prefix.  All else that it points at lives
	 * until upload_free has returned, also behind upload_move.  Places that
	 * differ in their prefix only are one, for who takes turns */
	const struct upload_place *place;
	void *user; /* the caller's, in the result */
};

struct upload_result {
	uint64_t segment;
	int err;	  /* 0: confirmed; else this attempt failed and
			      will be tried again */
	unsigned attempt; /* from 1 */
	const char *text; /* what failed */
	/* its stable code, "" when there is no error:
	 *  file_missing       the spool's is gone
	 *  file_damaged       it is not what was recorded
	 *  name_taken         by other contents
	 *  disk_full          no room
	 *  address_private    the store's address is not a global one
	 *  access_denied      403; permissions
	 *  bucket_missing     404, NoSuchBucket
	 *  clock_skew         our clock is wrong in the eyes of the store
	 *  store_busy         503, 429, SlowDown; too slow
	 *  connection_lost    no connection, or it broke
	 *  tls_failed         the store is not who it should be
	 *  checksum_mismatch  what arrived is not what was sent
	 *  storage_error      all else */
	const char *reason;
	void *user; /* of the item */
};
typedef void(upload_fn)(const struct upload_result *r, void *arg);

/** Thread: the loop's; the work is done on threads of its own. */
MUST_CHECK int upload_new(struct loop *loop, const struct upload_config *config,
			  upload_fn *fn, void *arg, struct upload **out);
/** Stop; what is not confirmed is found again by its row at start.  `fn` is
 *  not called any more.  Waits for the attempts that are under way; turn the
 *  loop once more before it is freed.  NULL is fine; not inside `fn`. */
void upload_free(struct upload *u);

/** Store it; `fn` is called after every attempt, the last time with err 0.
 *  Attempts never end: EEXIST (other contents are stored under this name)
 *  waits for a person.  `fn` may add items.
 *  Returns 0 or ENOMEM. */
MUST_CHECK int upload_add(struct upload *u, const struct upload_item *item);

/** Forget an item that waits for its next attempt, by its `user`.  Returns
 *  false when there is none: it is being attempted.  Thread: the loop's. */
MUST_CHECK bool upload_cancel(struct upload *u, const void *user);

/** What was to go to `from` goes to `to` (its keys have changed, its prefix has
 *  not), from the next attempt of each on.  Nothing goes to `to` yet.
 *  Thread: the loop's. */
void upload_move(struct upload *u, const struct upload_place *from,
		 const struct upload_place *to);

/** How it is going. */
struct upload_status {
	size_t pending;	   /* items that are not confirmed yet */
	int64_t bytes;	   /* of those */
	int64_t oldest_ms; /* wall time from which on the oldest waits; 0: none */
	int64_t bytes_s;   /* sent in a second, smoothed */
};
/** Thread: the loop's. */
void upload_status(const struct upload *u, struct upload_status *out);

/** Items that are not confirmed yet. */
size_t upload_pending(const struct upload *u);

/**
 * Write the URL of a file that is stored, with its NUL: "file:///..", or that
 * of the object, which only who may read the bucket can get.
 *
 * What does not fit is "": not known.
 */
void upload_location(const struct upload_place *place, const char *name,
		     char *out, size_t cap);

/** Write where the URLs of a bucket begin, "https://host:port", with its NUL;
 *  of a folder, and when it does not fit, "". */
void upload_origin(const struct upload_place *place, char *out, size_t cap);

/** The limit of upload_presign [s]. */
enum { UPLOAD_PRESIGN_MAX_S = 604800 };

/**
 * Append the URL of an object by which anybody can GET it, with Range.
 *
 * place      of kind S3
 * expires_s  how long, 1..UPLOAD_PRESIGN_MAX_S
 *
 * Returns 0 or an errno of `out`.  Asks nobody.
 */
MUST_CHECK int upload_presign(const struct upload_place *place,
			      const char *name, int64_t expires_s,
			      struct buf *out);

/** Is it a place that files can be put to?  Its settings are checked, nobody
 *  is asked.  Returns 0 or EINVAL with `err`, whose field is the setting. */
MUST_CHECK int upload_s3_check(const struct upload_s3 *s3, struct err *err);

/** Remove the spool's copy after the commit, with what is known of its upload,
 *  and directories that are empty then.  ENOENT is success. */
MUST_CHECK int upload_drop_spool(const struct upload_config *config,
				 const char *name);

/** Behind the name of a spool's file: what is known of its upload in parts. */
#define UPLOAD_STATE_SUFFIX ".upload"

/* ---- at once --------------------------------------------------------------- */

/* Everything here blocks.  Errors are an errno, with `err` filled. */

/** A storage that is open: for one thread at a time. */
struct upload_storage;

/** Open a place; it and `config` must live as long.  Returns 0 or ENOMEM. */
MUST_CHECK int upload_open(const struct upload_config *config,
			   const struct upload_place *place,
			   struct upload_storage **out);
/** NULL is fine. */
void upload_close(struct upload_storage *s);

/** A text beside the files (a manifest). */
struct upload_text {
	const char *name; /* without a folder */
	const char *mark; /* part of its name, and of no others than its own
			     in earlier versions */
	const void *data;
	size_t len;
};

/**
 * Store a text in each of these folders of the storage, which are made: whole
 * or not at all; durable when it returns 0.  Earlier versions of the same name
 * are replaced.  Local: those of other names go, and the copies are one file
 * where links are known; in a bucket upload_drop_folder removes them.
 * May be repeated, also after a crash inside it.
 * Fault injection (base/crash.h): point upload.text after each folder, fault
 * upload.text.
 */
MUST_CHECK int upload_put_text(struct upload_storage *s,
			       const struct upload_text *text,
			       const char *const *folders, size_t n,
			       struct err *err);

/** Remove the file of a segment, wherever it is; none is success.  Durable
 *  after upload_drop_folder of its folder.  Fault: upload.erase. */
MUST_CHECK int upload_erase(struct upload_storage *s, const char *name,
			    struct err *err);

/**
 * Make removals from a folder durable, with a text's: what has `mark` in its
 * name goes, but for the name `keep` (NULL: none is kept).  A folder that is
 * empty then goes, too.  None is success.
 */
MUST_CHECK int upload_drop_folder(struct upload_storage *s, const char *folder,
				  const char *mark, const char *keep,
				  struct err *err);

/** Can it be written to?  Puts a small object, looks at it and removes it. */
MUST_CHECK int upload_try(struct upload_storage *s, struct err *err);

/** The stable code of an errno from here, as in upload_result. */
const char *upload_reason(int err);

#endif
