/**
 * io/http_request.c -- the request line in parts, decoded once, by us.
 *
 * WHY  libmicrohttpd decodes the path before anyone can split it, so that a
 *      %2F in a room's name becomes a '/'.  It also lets an encoded NUL cut
 *      a string short.  So only the line as sent is used.  And it takes
 *      heads whose body another program would find elsewhere.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/inside.h"

int http_decode_form(const char *in, size_t len, char *out, size_t cap,
		     bool plus)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (c == '%') {
			bool whole = len - i > 2;
			int hi = whole ? str_hex_value(in[i + 1]) : -1;
			int lo = whole ? str_hex_value(in[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return EINVAL;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (!c)
			return EINVAL;
		if (n + 1 >= cap)
			return ERANGE;
		out[n++] = c;
	}
	if (n >= cap)
		return ERANGE;
	out[n] = '\0';
	return 0;
}

int http_decode(const char *in, size_t len, char *out, size_t cap)
{
	return http_decode_form(in, len, out, cap, false);
}

/* One "name=value" into `out`; both strings with their NUL.
 * Returns the bytes used, or 0 when it is malformed. */
static size_t param_parse(const char *text, size_t len, char *out, size_t cap,
			  struct http_param *param)
{
	const char *eq = memchr(text, '=', len);
	size_t name_len = eq ? (size_t)(eq - text) : len;
	size_t at;

	if (http_decode_form(text, name_len, out, cap, true))
		return 0;
	param->name = out;
	at = strlen(out) + 1;
	param->value = out + at;
	if (!eq) {
		if (at >= cap)
			return 0;
		out[at] = '\0';
		return at + 1;
	}
	if (http_decode_form(eq + 1, len - name_len - 1, out + at, cap - at,
			     true))
		return 0;
	return at + strlen(out + at) + 1;
}

/** Decoded names and values. */
struct form {
	char *text;
	struct http_param *params;
	size_t n;
};

static void form_fini(struct form *f)
{
	mem_free(f->params);
	mem_free(f->text);
}

/** What is allocated is the caller's, also on failure. */
static int form_parse(const char *text, size_t len, struct form *f)
{
	/* each part needs at most its own length and two NULs */
	const size_t cap = len * 2 + 3;
	const char *const end = text + len;
	size_t n = 1, at = 0;

	for (const char *p = text; p < end; p++)
		n += *p == '&';
	if (n > HTTP_MAX_PARAMS)
		return EINVAL;
	f->text = mem_zalloc(cap);
	f->params = mem_zalloc_n(n, sizeof(*f->params));
	if (!f->text || !f->params)
		return ENOMEM;
	while (text < end) {
		const char *amp = memchr(text, '&', (size_t)(end - text));
		size_t part = (size_t)((amp ? amp : end) - text);
		size_t used;

		if (part > 0) {
			used = param_parse(text, part, f->text + at, cap - at,
					   &f->params[f->n]);
			if (used == 0)
				return EINVAL;
			at += used;
			f->n++;
		}
		text += part + (amp != NULL);
	}
	return 0;
}

static int query_parse(struct http_incoming *in, const char *query)
{
	struct form f = {0};
	int err = form_parse(query, strlen(query), &f);

	in->query = f.text;
	in->params = f.params;
	in->n_params = f.n;
	return err;
}

int http_form_each(const char *body, size_t len,
		   int (*fn)(const char *name, const char *value, void *arg),
		   void *arg)
{
	struct form f = {0};
	int err = form_parse(body, len, &f);

	for (size_t i = 0; i < f.n && !err; i++)
		err = fn(f.params[i].name, f.params[i].value, arg);
	form_fini(&f);
	return err;
}

int http_incoming_parse(struct http_incoming *in)
{
	char *mark = strchr(in->raw, '?');
	size_t len;
	int err;

	if (in->raw[0] != '/')
		return EINVAL;
	if (mark)
		*mark = '\0';
	in->pub.raw_path = in->raw;
	in->pub.raw_query = mark ? mark + 1 : "";
	len = strlen(in->raw);
	in->path = mem_zalloc(len + 1);
	if (!in->path)
		return ENOMEM;
	err = http_decode(in->raw, len, in->path, len + 1);
	if (err)
		return err;
	in->pub.path = in->path;
	return mark ? query_parse(in, mark + 1) : 0;
}

void http_incoming_free(struct http_incoming *in)
{
	if (!in)
		return;
	if (in->response)
		MHD_destroy_response(in->response);
	buf_fini(&in->body);
	mem_free(in->params);
	mem_free(in->query);
	mem_free(in->path);
	mem_free(in->raw);
	mem_free(in);
}

/* Headers that must come once at most: two of them is how requests are
 * smuggled past a proxy (RFC 9112 section 6.3, RFC 9110 section 7.2). */
struct head {
	unsigned hosts;
	unsigned lengths;
	unsigned codings;
	bool odd; /* a name that is none */
};

/* "Content-Length : 2" is not a Content-Length to
 * libmicrohttpd, but may be one to a proxy before us. */
static bool is_token(const char *name)
{
	return *name && !name[strspn(name, HTTP_TOKEN)];
}

/* libmicrohttpd appends a folded line to the name before it. */
static bool is_longer(const char *name, const char *than)
{
	size_t len = strlen(than);

	return !strncasecmp(name, than, len) && name[len];
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind,
				 const char *name, const char *value)
{
	struct head *h = cls;

	(void)kind;
	(void)value;
	h->hosts += !strcasecmp(name, "Host");
	h->lengths += !strcasecmp(name, "Content-Length");
	h->codings += !strcasecmp(name, "Transfer-Encoding");
	h->odd |= !is_token(name) || is_longer(name, "Content-Length") ||
		  is_longer(name, "Transfer-Encoding");
	return MHD_YES;
}

const char *http_head_fault(const struct http_incoming *in, bool *body,
			    uint64_t *len)
{
	const char *length = http_header(&in->pub, "Content-Length");
	const char *coding = http_header(&in->pub, "Transfer-Encoding");
	struct head head = {0};

	MHD_get_connection_values(in->mhd, MHD_HEADER_KIND, on_header, &head);
	*len = 0;
	*body = head.odd || head.lengths + head.codings > 0;
	if (head.hosts > 1 || head.lengths + head.codings > 1)
		return "Host, Content-Length or Transfer-Encoding came more "
		       "than once";
	if (head.odd)
		return "a header field has no proper name, or is folded";
	if (coding && strcasecmp(coding, "chunked") != 0)
		return "Transfer-Encoding must be chunked";
	if (length && str_to_u64(length, len))
		return "Content-Length is not a number";
	return NULL;
}

static const struct http_incoming *incoming_of(const struct http_request *r)
{
	static_assert(offsetof(struct http_incoming, pub) == 0,
		      "the public part comes first");
	return (const void *)r;
}

const char *http_header(const struct http_request *r, const char *name)
{
	const struct http_incoming *in = incoming_of(r);

	return MHD_lookup_connection_value(in->mhd, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *r, const char *name)
{
	const struct http_incoming *in = incoming_of(r);

	for (size_t i = 0; i < in->n_params; i++) {
		if (!strcmp(in->params[i].name, name))
			return in->params[i].value;
	}
	return NULL;
}

int http_query_each(const struct http_request *r,
		    int (*fn)(const char *name, const char *value, void *arg),
		    void *arg)
{
	const struct http_incoming *in = incoming_of(r);
	int err = 0;

	for (size_t i = 0; i < in->n_params && !err; i++)
		err = fn(in->params[i].name, in->params[i].value, arg);
	return err;
}

struct query_check {
	const char *const *keys;
	uint32_t seen; /* a bit each */
	char *bad;
};

static int check_param(const char *name, const char *value, void *arg)
{
	struct query_check *q = arg;

	(void)value;
	for (unsigned i = 0; q->keys[i]; i++) {
		assert(i < 32);
		if (strcmp(name, q->keys[i]) != 0)
			continue;
		str_copy(q->bad, 64, name);
		if (q->seen >> i & 1)
			return EEXIST;
		q->seen |= 1U << i;
		return 0;
	}
	str_copy(q->bad, 64, name);
	return EINVAL;
}

int http_query_check(const struct http_request *r, const char *const *keys,
		     char bad[64])
{
	struct query_check q = {.keys = keys, .bad = bad};

	return http_query_each(r, check_param, &q);
}
