/**
 * control/console.c -- the console at /: pages without a framework, whose
 * files are built in.
 *
 * WHY    The files tell nothing of the system: they are for everybody.  What
 *        they show they ask of the API, which looks at who asks.
 *        Names in the console come from strangers.  It puts them in as text
 *        only; should it ever fail to, the policy below lets no script run
 *        and nothing be fetched but from here; and sound from the bucket that
 *        finished files are in, where /v1/segments/{id}/audio redirects to.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/assets.h"
#include "base/str.h"
#include "control/call.h"
#include "control/cloud.h"
#include "wire/sig.h"

enum {
	TAG_BYTES = 12 /* of a SHA-256: an asset never changes but by release */
};

/** Can a policy name it?  "https://host:port" of names and IPv4 addresses, as
 *  in CSP Level 3 section 2.3.1. */
static bool is_source(const char *origin)
{
	return origin && origin[0] &&
	       !origin[strspn(origin, "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-:/")];
}

void console_policy(char out[CONSOLE_POLICY_CAP], const char *media)
{
	int n = snprintf(
		out, CONSOLE_POLICY_CAP,
		"default-src 'none'; script-src 'self'; style-src 'self'; "
		"img-src 'self' data:; connect-src 'self'; "
		"media-src 'self'%s%s; "
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
		"require-trusted-types-for 'script'",
		is_source(media) ? " " : "", is_source(media) ? media : "");

	assert(n > 0 && n < CONSOLE_POLICY_CAP);
}

static const char *type_of(const char *name)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"},
		{".svg", "image/svg+xml"},
	};
	const char *ending = strrchr(name, '.');

	for (size_t i = 0; ending && i < ARRAY_LEN(types); i++) {
		if (!strcmp(ending, types[i].ending))
			return types[i].type;
	}
	return "application/octet-stream";
}

/** "\"0123..\"": the same as long as the bytes are. */
static bool make_tag(const struct asset *a, char tag[2 * TAG_BYTES + 3])
{
	uint8_t hash[SIG_SHA256_LEN];
	size_t n = 1;

	if (sig_sha256(a->data, a->len, hash))
		return false;
	tag[0] = '"';
	for (unsigned i = 0; i < TAG_BYTES; i++)
		n += (size_t)snprintf(tag + n, 3, "%02x", hash[i]);
	tag[n] = '"';
	tag[n + 1] = 0;
	return true;
}

static void reply_asset(struct call *c, const struct asset *a)
{
	char tag[2 * TAG_BYTES + 3];
	const char *known = http_header(c->request, "If-None-Match");
	const struct http_field fields[] = {
		{"Content-Security-Policy", c->control->policy},
		{"Permissions-Policy", "microphone=(self), camera=()"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Cache-Control", "no-cache"},
		{"ETag", tag},
	};
	struct http_answer answer = {
		.status = 200,
		.content_type = type_of(a->name),
		.fields = fields,
		.n_fields = ARRAY_LEN(fields),
		.body = a->data,
		.body_len = a->len,
	};

	if (!make_tag(a, tag)) {
		call_problem(c, 503, "", "out of memory");
		return;
	}
	if (known && strstr(known, tag)) {
		answer.status = 304;
		answer.content_type = NULL;
	}
	http_reply(c->request, &answer);
	call_free(c);
}

void console_show(struct call *c)
{
	const char *path = c->request->path;
	char name[128];
	const struct asset *a = NULL;

	if (str_starts_with(path, "/console/app/") ||
	    str_starts_with(path, "/console/shared/")) {
		if (str_copy(name, sizeof(name), path + 1))
			a = asset_find(name);
	}
	if (a)
		reply_asset(c, a);
	else
		call_problem(c, 404, "", "there is nothing at %.200s", path);
}

void root_show(struct call *c)
{
	const struct asset *page = asset_find("console/app/index.html");

	assert(page); /* else the build is broken */
	if (cloud_is_meant(c->request))
		cloud_serve(c);
	else
		reply_asset(c, page);
}
