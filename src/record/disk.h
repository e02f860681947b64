/**
 * record/disk.h -- the system calls of one file being recorded.
 *
 * Private to record/.  Everything here blocks; no threads, no callbacks.
 * Fault injection (base/crash.h): points file.open.before, file.open.after,
 * file.write, file.sync, file.rename.before, file.rename.after and
 * file.dirsync; faults file.open, file.write, file.sync, file.rename and
 * file.dirsync.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_DISK_H
#define RECORD_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <openssl/evp.h>

#include "base/attr.h"
#include "record/record.h"

#define DISK_PART ".part"

struct disk_file {
	char *path; /* <spool>/<name> */
	char *part; /* <spool>/<name>.part */
	char *dir;  /* the directory of both */
	/* what it opens with: a head, then a placeholder */
	uint8_t *first;
	size_t head_len, placeholder_len;
	size_t silent_len; /* bytes of a silent MP3 frame in `first`; 0: gaps
			      are not filled */
	int fd;		   /* -1: not open */
	int64_t len;	   /* head and sound written [bytes]; the placeholder is
			      none */
	int err;	   /* of the write that killed it, or 0 */
	EVP_MD_CTX *sha;   /* of the first `len` bytes */
	const char *what;  /* the step that failed last */
};

/** Paths and memory; nothing on disk.  Returns 0 or ENOMEM. */
MUST_CHECK int disk_init(struct disk_file *d, const char *spool_dir,
			 const char *name, const struct track_opening *opening);
/** Close the descriptor, free.  What is on disk stays. */
void disk_fini(struct disk_file *d);

/**
 * Make the .part with its placeholder, durable.
 * Returns 0 or an errno, then nothing new is on disk.
 */
MUST_CHECK int disk_open(struct disk_file *d);

/**
 * Write behind the sound so far; `iov` is used up.  After an error the file
 * is dead (d->err) and cut to what is known to be written: MP3 to whole frames.
 */
MUST_CHECK int disk_write(struct disk_file *d, struct iovec *iov, int n);

/** As disk_write with `len` bytes of silence, in whole MP3 frames; of Ogg
 *  nothing is written. */
MUST_CHECK int disk_fill(struct disk_file *d, uint64_t len);

/**
 * Cut to the sound, sync, give it its name.
 *
 * frames   in: of all that was written; 0: not known, or its end is missing.
 *          Then, or when the file is dead, it is salvaged.  Out: what it plays
 * hex      out: the hash
 */
MUST_CHECK int disk_finish(struct disk_file *d, uint64_t *frames, char hex[65]);

/** Close the descriptor, if it is open. */
void disk_close(struct disk_file *d);

/** The second half of disk_finish, also for recovery: fdatasync `fd`,
 *  rename part -> path (never over a file), fsync dir. */
MUST_CHECK int disk_publish(int fd, const char *part, const char *path,
			    const char *dir, const char **what);

#endif
