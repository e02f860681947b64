/** record/names.c -- what the files of recordings are called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/sig.h"

enum {
	PART_MAX = 200, /* bytes of a component; a file system allows 255 */
	HASH_LEN = 17,	/* '~' and 16 hex digits */
	HASH_BYTES = 8,
	ID_CAP = 3 * RECORD_NAME_ID_MAX + 1,
	MS_PER_S = 1000,
	S_PER_MIN = 60,
};

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/** Percent-encode an id into `out` (ID_CAP); returns `out`. */
static const char *encode(const char *id, char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	assert(strlen(id) <= RECORD_NAME_ID_MAX);
	for (const char *p = id; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (is_plain(*p) && !(p == id && c == '.')) {
			out[n++] = *p;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	out[n] = 0;
	return out;
}

/** Cut a component that is too long; '~' is in no encoded id, so a cut name
 *  equals none that was not cut. */
static void shorten(char *part)
{
	size_t len = strlen(part);
	size_t keep = PART_MAX - HASH_LEN;
	uint8_t sum[SIG_SHA256_LEN];

	if (len <= PART_MAX)
		return;
	/* It fails only when OpenSSL has no memory for its context; without
	 * the hash two names could be one. */
	if (sig_sha256(part, len, sum))
		assert(!"no memory for a hash");
	for (size_t back = 1; back <= 2; back++) {
		if (part[keep - back] == '%') {
			keep -= back; /* not through the middle of %XX */
			break;
		}
	}
	part[keep] = '~';
	sig_hex(sum, HASH_BYTES, part + keep + 1);
}

/** "2023-02-09-16-16-45" in the zone. */
static void write_stamp(int64_t unix_ms, int zone_minutes, char *out,
			size_t cap)
{
	int64_t s = unix_ms / MS_PER_S - (unix_ms % MS_PER_S < 0);
	time_t local = (time_t)(s + (int64_t)zone_minutes * S_PER_MIN);
	struct tm tm;

	if (!gmtime_r(&local, &tm))
		memset(&tm, 0, sizeof(tm)); /* a year that no int holds */
	if (!strftime(out, cap, "%Y-%m-%d-%H-%M-%S", &tm))
		out[0] = 0;
}

void record_name_write(const struct record_name *n, char *out, size_t cap)
{
	char room[ID_CAP];
	char user[ID_CAP];
	char dir[2 * ID_CAP + 16];
	char stamp[40];
	char again[16] = "";
	int len;

	/* only the mix is "0" */
	snprintf(dir, sizeof(dir), "%u_%s_%s", n->app, encode(n->room, room),
		 !n->is_mix && !strcmp(n->user, "0") ? "%30"
						     : encode(n->user, user));
	shorten(dir);
	write_stamp(n->start_ms, n->zone_minutes, stamp, sizeof(stamp));
	if (n->again)
		snprintf(again, sizeof(again), "_%u", n->seq);
	len = snprintf(out, cap, "%s/%s_%llu%s_audio.%s", dir, stamp,
		       (unsigned long long)n->task, again,
		       n->kind == TRACK_MP3 ? "mp3" : "ogg");
	assert(len > 0 && (size_t)len < cap);
}

void record_manifest_mark(uint64_t task, char *out, size_t cap)
{
	int len = snprintf(out, cap, "_%llu_manifest.json",
			   (unsigned long long)task);

	assert(len > 0 && (size_t)len < cap);
}

void record_manifest_name(uint64_t task, int64_t start_ms, int zone_minutes,
			  char *out, size_t cap)
{
	char stamp[40];
	char mark[64];
	int len;

	write_stamp(start_ms, zone_minutes, stamp, sizeof(stamp));
	record_manifest_mark(task, mark, sizeof(mark));
	len = snprintf(out, cap, "%s%s", stamp, mark);
	assert(len > 0 && (size_t)len < cap);
}
