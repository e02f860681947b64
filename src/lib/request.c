/** lib/request.c -- a request of the caller's, taken in with care. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "lib/inside.h"

enum { STRUCT_MAX = 4096 /* [bytes]: no struct of a caller is longer */ };

bool lib_copy_in(void *to, size_t len, size_t least, const void *from)
{
	size_t size;

	if (!from)
		return false;
	memcpy(&size, from, sizeof(size));
	if (size < least || size > STRUCT_MAX)
		return false;
	for (size_t i = len; i < size; i++) {
		if (((const char *)from)[i])
			return false;
	}
	memset(to, 0, len);
	memcpy(to, from, size < len ? size : len);
	return true;
}

/* ---- queries ---- */

/**
 * Decode the next character of a name or value, which ends at '&', and a name
 * also at '='.  *at moves on.  Returns it, 0 at the end, -1 when it cannot be.
 */
static int next_char(const char **at, bool is_name)
{
	const char *p = *at;
	int high, low;

	if (!*p || *p == '&' || (is_name && *p == '='))
		return 0;
	*at = p + 1;
	if (*p == '+')
		return ' ';
	if (*p != '%')
		return (unsigned char)*p;
	high = str_hex_value(p[1]);
	low = high < 0 ? -1 : str_hex_value(p[2]);
	if (low < 0 || high + low == 0)
		return -1;
	*at = p + 3;
	return high * 16 + low;
}

/** Read a name and tell whether it is `name`; false also sets *bad. */
static bool next_is(const char **at, const char *name, bool *bad)
{
	bool same = true;
	int c;

	while ((c = next_char(at, true)) > 0) {
		same = same && *name && (unsigned char)*name == c;
		name += same;
	}
	*bad = c < 0;
	return !*bad && same && !*name;
}

/** Read a value into `out` (NULL: nowhere); *fits: with its NUL. */
static enum tapeop_error next_value(const char **at, char *out, size_t cap,
				    bool *fits)
{
	size_t n = 0;
	int c;

	*fits = cap > 0;
	if (**at == '=')
		++*at;
	while ((c = next_char(at, false)) > 0) {
		if (n + 1 >= cap)
			*fits = false;
		else if (out)
			out[n++] = (char)c;
	}
	if (out && *fits)
		out[n] = 0;
	return c < 0 ? TAPEOP_MALFORMED : TAPEOP_OK;
}

/** `copy`: room for any value; the caller's is written at the end only. */
static enum tapeop_error find(const char *query, const char *name, char *copy,
			      size_t cap)
{
	bool found = false, all_fits = true, fits, bad;

	while (*query) {
		bool is_it = next_is(&query, name, &bad);

		if (bad || (is_it && found))
			return TAPEOP_MALFORMED;
		if (next_value(&query, is_it ? copy : NULL, cap, &fits))
			return TAPEOP_MALFORMED;
		if (is_it)
			all_fits = fits;
		found = found || is_it;
		query += *query == '&';
	}
	if (!found)
		return TAPEOP_ABSENT;
	return all_fits ? TAPEOP_OK : TAPEOP_NO_SPACE;
}

enum tapeop_error tapeop_query(const char *query, const char *name, char *out,
			       size_t cap)
{
	char copy[TAPEOP_QUERY_LEN_MAX + 1];
	enum tapeop_error e;

	if (!name || !out || !cap)
		return TAPEOP_BAD_ARGUMENT;
	if (!query)
		return TAPEOP_ABSENT;
	query += *query == '?';
	if (strnlen(query, TAPEOP_QUERY_LEN_MAX + 1) > TAPEOP_QUERY_LEN_MAX)
		return TAPEOP_TOO_LARGE;
	e = find(query, name, copy, cap < sizeof(copy) ? cap : sizeof(copy));
	if (!e)
		memcpy(out, copy, strlen(copy) + 1);
	return e;
}

/* ---- requests ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/** strcasecmp, but for the locale of the program that we are in. */
static bool is_same_word(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

static const char *header(const struct tapeop_request *r, const char *name)
{
	const char *value = NULL;

	if (r->header) {
		value = r->header(r->header_arg, name);
	} else {
		for (size_t i = 0; !value && i < r->n_headers; i++) {
			const struct tapeop_header *h = &r->headers[i];

			if (h->name && is_same_word(h->name, name))
				value = h->value;
		}
	}
	return value ? value : "";
}

enum tapeop_error lib_request_param(const struct lib_request *q,
				    const char *name, char *out, size_t cap,
				    const struct lib_why *why)
{
	enum tapeop_error e = tapeop_query(q->r.query, name, out, cap);

	switch (e) {
	case TAPEOP_ABSENT:
		out[0] = 0;
		return TAPEOP_OK;
	case TAPEOP_NO_SPACE:
		return lib_say(why, TAPEOP_MALFORMED,
			       "%s in the URL must have at most %zu bytes",
			       name, cap - 1);
	case TAPEOP_MALFORMED:
		return lib_say(why, e,
			       "the URL's query cannot be decoded, or has %s "
			       "more than once: give it as it came, undecoded",
			       name);
	case TAPEOP_TOO_LARGE:
		return lib_say(why, e,
			       "the URL's query must have at most %d bytes",
			       TAPEOP_QUERY_LEN_MAX);
	default:
		return e;
	}
}

enum tapeop_error lib_request_open(const struct tapeop_request *from,
				   struct lib_request *to,
				   const struct lib_why *why)
{
	struct tapeop_request *r = &to->r;

	memset(to, 0, sizeof(*to));
	if (!lib_copy_in(r, sizeof(*r), LIB_REQUEST_FIRST, from))
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "request is NULL or its size is wrong: begin "
			       "with TAPEOP_REQUEST_INIT");
	if ((!r->body && r->body_len) || (!r->headers && r->n_headers))
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "request: body or headers is NULL with a length "
			       "that is not 0");
	if (r->body_len > TAPEOP_BODY_LEN_MAX)
		return lib_say(why, TAPEOP_TOO_LARGE,
			       "the body must have at most %d bytes, has %zu",
			       TAPEOP_BODY_LEN_MAX, r->body_len);
	if (!r->body)
		r->body = "";
	to->signature = header(r, "Signature");
	to->trtc_sign = header(r, "Sign");
	to->sdk_app_id = header(r, "SdkAppId");
	to->webhook_id = header(r, "webhook-id");
	to->webhook_timestamp = header(r, "webhook-timestamp");
	to->webhook_signature = header(r, "webhook-signature");
	return lib_request_param(to, "CallbackCommand", to->command,
				 sizeof(to->command), why);
}

bool lib_request_dialect(const struct lib_request *q, enum dialect *d)
{
	struct callback_marks marks = {
		.signature = q->signature,
		.sign = q->trtc_sign,
		.sdk_app_id = q->sdk_app_id,
		.webhook_id = q->webhook_id,
		.command = q->command,
	};

	return callback_recognise(&marks, d);
}

enum tapeop_error lib_request_app(const struct lib_request *q, enum dialect d,
				  uint32_t *app, const struct lib_why *why)
{
	bool in_url = d == DIALECT_LIVE;
	const char *name =
		in_url ? "SdkAppid in the URL" : "the header SdkAppId";
	const char *text = q->sdk_app_id;
	char param[16] = "";
	int64_t value;

	if (in_url) {
		enum tapeop_error e = lib_request_param(q, "SdkAppid", param,
							sizeof(param), why);

		if (e)
			return e;
		text = param;
	}
	if (!text[0])
		return lib_say(why, TAPEOP_ABSENT, "%s is missing", name);
	if (str_to_i64(text, 1, UINT32_MAX, &value))
		return lib_say(why, TAPEOP_MALFORMED,
			       "%s must be a number from 1 to %u", name,
			       UINT32_MAX);
	*app = (uint32_t)value;
	return TAPEOP_OK;
}

enum tapeop_error tapeop_recognise(const struct tapeop_request *request,
				   enum tapeop_dialect *dialect)
{
	const struct lib_why nobody = {0};
	struct lib_request q;
	enum tapeop_error e;
	enum dialect d;

	if (!dialect)
		return TAPEOP_BAD_ARGUMENT;
	e = lib_request_open(request, &q, &nobody);
	if (e)
		return e;
	if (!lib_request_dialect(&q, &d))
		return TAPEOP_NO_DIALECT;
	*dialect = lib_dialect_out(d);
	return TAPEOP_OK;
}
