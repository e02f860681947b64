/**
 * receive/page.c -- what the receiver shows to a person: a page without a
 * framework, whose files are built in, and the recordings that it draws.
 *
 * Everything on the page comes from strangers.  The page itself puts text in
 * as text only; should it ever fail to, the policy below lets no script run
 * and nothing be fetched but from here.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/page.h"

#include <string.h>

#include "base/assets.h"
#include "base/str.h"
#include "receive/private.h"
#include "wire/json_text.h"

enum {
	LIMIT = 1000,
	LIMIT_MAX = 10000,
	SEGMENTS_MAX = 1000000,
	TEXT_MAX = 256 << 20
};

static const struct http_field page_fields[] = {
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; "
	 "img-src 'self'; connect-src 'self'; base-uri 'none'; "
	 "form-action 'none'; frame-ancestors 'none'; "
	 "require-trusted-types-for 'script'"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Cache-Control", "no-cache"},
};

static const struct page_file {
	const char *path, *asset, *type;
} files[] = {
	{"/", "console/receive/index.html", "text/html; charset=utf-8"},
	{"/receive.css", "console/receive/receive.css",
	 "text/css; charset=utf-8"},
	{"/receive.mjs", "console/receive/receive.mjs",
	 "text/javascript; charset=utf-8"},
	{"/shared/look.css", "console/shared/look.css",
	 "text/css; charset=utf-8"},
	{"/shared/elements.mjs", "console/shared/elements.mjs",
	 "text/javascript; charset=utf-8"},
	{"/shared/icon.svg", "console/shared/icon.svg", "image/svg+xml"},
};

bool page_reply_file(struct http_request *r)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const struct asset *asset;

		if (strcmp(r->path, files[i].path) != 0)
			continue;
		asset = asset_find(files[i].asset);
		if (!asset)
			return false;
		http_reply(r, &(struct http_answer){
				      .status = 200,
				      .content_type = files[i].type,
				      .fields = page_fields,
				      .n_fields = ARRAY_LEN(page_fields),
				      .body = asset->data,
				      .body_len = asset->len,
			      });
		return true;
	}
	return false;
}

/* ---- recordings --------------------------------------------------------------- */

/** Is a parameter, where it is there, a number from 1 to `max`? */
static bool read_size(const struct http_request *r, const char *name,
		      int64_t max, size_t *out)
{
	const char *text = http_query(r, name);
	int64_t value;

	if (!text)
		return true;
	if (str_to_i64(text, 1, max, &value))
		return false;
	*out = (size_t)value;
	return true;
}

/** NULL, or what is wrong. */
static const char *read_view(const struct http_request *r,
			     struct recordings_view *v)
{
	const char *app = http_query(r, "app");
	const char *running = http_query(r, "running");
	const char *why = NULL;
	int64_t value = 0;

	if (!read_size(r, "limit", LIMIT_MAX, &v->limit))
		why = "limit must be a number, 1 to 10000";
	else if (!read_size(r, "segments", SEGMENTS_MAX, &v->max_segments))
		why = "segments must be a number, 1 to 1000000";
	if (!why && app && str_to_i64(app, 1, UINT32_MAX, &value))
		why = "app must be a number, 1 to 4294967295";
	if (!why && running && strcmp(running, "0") && strcmp(running, "1"))
		why = "running must be 1, or 0 for those that are not";
	v->app = value;
	if (running)
		v->which = running[0] == '1' ? VIEW_RUNNING : VIEW_OTHERS;
	v->room = http_query(r, "room");
	v->task = http_query(r, "task");
	v->search = http_query(r, "search");
	return why;
}

void page_reply_recordings(struct http_request *r,
			   struct recordings *recordings)
{
	struct recordings_view view = {.limit = LIMIT};
	const char *why = read_view(r, &view);
	struct buf text;
	json_t *all;

	if (why) {
		reply_problem(r, 400, why);
		return;
	}
	all = recordings_json(recordings, &view);
	buf_init(&text, TEXT_MAX);
	if (!json_text_write(all, &text))
		reply_text(r, 200, "application/json", buf_str(&text));
	else
		reply_problem(r, 503, "out of memory");
	buf_fini(&text);
	json_decref(all);
}
