/** base/assets.h -- files that are built into the binary. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ASSETS_H
#define BASE_ASSETS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The source behind this header is made at build time: tools/embed turns each
 * file of assets/ and console/ into an array.  To add one, put it there.
 */

/** One embedded file. */
struct asset {
	const char *name;    /* "demo/alice.opus", "console/index.html" */
	const uint8_t *data; /* len bytes, and a 0 byte behind them */
	size_t len;	     /* [bytes] */
};

/**
 * Find an embedded file.
 *
 * name   path below assets/ ("demo/alice.opus"), or with its folder for what
 *        lies in console/ ("console/index.html")
 *
 * Returns the file, which lives as long as the program, or NULL.
 *
 * Thread: any, never blocks.
 */
const struct asset *asset_find(const char *name);

#endif
