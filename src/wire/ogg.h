/**
 * wire/ogg.h -- pages of an Ogg Opus file: written, and found again in one
 * that was cut off by a crash.
 *
 * Source: RFC 3533 section 6 (pages), RFC 7845 (Opus in them).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_OGG_H
#define WIRE_OGG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	OGG_HEAD_LEN = 27, /* before the lacing values */
	OGG_LACING_MAX =
		255, /* lacing values of a page, of 255 bytes at most */
	OGG_PAGE_MAX = OGG_HEAD_LEN + OGG_LACING_MAX * 256,
	/* flags of a page */
	OGG_CONTINUED = 1, /* begins in the midst of a packet */
	OGG_FIRST = 2,	   /* of its stream */
	OGG_LAST = 4
};

struct ogg_page {
	size_t len;	  /* [bytes] all of it */
	size_t body;	  /* [bytes] before its body */
	int64_t granule;  /* frames decoded at its end */
	uint32_t serial;  /* of the stream */
	uint32_t seq;	  /* of the page, from 0 */
	uint8_t flags;	  /* OGG_... */
	uint8_t n_lacing; /* lacing values */
};

/**
 * Read the page at the start of `data` and check its sum.
 * Returns 0, ENODATA (so far a page, but cut short), EBADMSG.
 */
MUST_CHECK int ogg_page_parse(const uint8_t *data, size_t len,
			      struct ogg_page *out);

/** Write a page's first OGG_HEAD_LEN bytes; its lacing values and body come
 *  behind it, then ogg_page_seal.  `len` and `body` are not looked at. */
void ogg_page_begin(const struct ogg_page *page, uint8_t *out);

/** Put the sum into a page that is complete. */
void ogg_page_seal(uint8_t *page, size_t len);

/** What ogg_scan has seen so far; start with all zero. */
struct ogg_scan {
	uint64_t len;	   /* [bytes] of whole pages from the start */
	uint64_t head_len; /* [bytes] of the two header pages; 0: not there */
	uint64_t last_at;  /* where the last whole page begins */
	uint64_t n_pages;
	int64_t granule; /* of the last page */
	uint32_t serial, seq;
	uint16_t preskip; /* frames decoded before the first that counts */
	uint8_t channels; /* 1 or 2 */
	bool is_ended;	  /* the last page says so */
	bool is_broken;	  /* what follows `len` is no page of this file */
};

/**
 * Step over the whole pages at the start of `data`.
 *
 * A file is one stream of Opus: a page with OpusHead (mapping family 0), one
 * with OpusTags, pages of sound whose numbers and granule positions never go
 * back (pages may be missing).  What is anything else breaks the scan.
 * A file is scanned in pieces of OGG_PAGE_MAX or more, as with mp3_scan.
 *
 * Returns the bytes taken, 0 when broken or when less than a page is left.
 */
size_t ogg_scan(struct ogg_scan *s, const uint8_t *data, size_t len);

/** 48 kHz frames that the pages so far play. */
uint64_t ogg_scan_frames(const struct ogg_scan *s);

#endif
