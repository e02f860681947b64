/**
 * io/http_reply.c -- answers: bytes, files with ranges, refusals.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

static void add_field(struct MHD_Response *response, const char *name,
		      const char *value)
{
	if (!MHD_add_response_header(response, name, value))
		log_error("http answer field=%s left out: not a valid field",
			  name);
}

static struct MHD_Response *response_copy(const void *body, size_t len)
{
	static char nothing[1];
	union {
		const void *in;
		void *copied; /* libmicrohttpd only reads it: MUST_COPY */
	} bytes = {.in = len > 0 ? body : nothing};
	struct MHD_Response *response = MHD_create_response_from_buffer(
		len, bytes.copied, MHD_RESPMEM_MUST_COPY);

	if (response)
		add_field(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static const char *title_of(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 416:
		return "Range Not Satisfiable";
	default:
		return status < 500 ? "Refused" : "Service Unavailable";
	}
}

/* The details are ours, so nothing in them needs JSON escapes. */
static int problem_write(unsigned status, const char *detail, char *out,
			 size_t cap)
{
	return snprintf(out, cap,
			"{\"type\":\"about:blank\",\"title\":\"%s\","
			"\"status\":%u,\"detail\":\"%s\"}\n",
			title_of(status), status, detail);
}

struct MHD_Response *http_problem(unsigned status, const char *detail)
{
	struct MHD_Response *response;
	char body[512];
	int len = problem_write(status, detail, body, sizeof(body));

	assert(len > 0 && (size_t)len < sizeof(body));
	response = response_copy(body, (size_t)len);
	if (response)
		add_field(response, "Content-Type", "application/problem+json");
	return response;
}

size_t http_problem_raw(unsigned status, const char *detail, char *out,
			size_t cap)
{
	char body[512];
	int len = problem_write(status, detail, body, sizeof(body));
	int n = snprintf(out, cap,
			 "HTTP/1.1 %u %s\r\n"
			 "Content-Type: application/problem+json\r\n"
			 "X-Content-Type-Options: nosniff\r\n"
			 "Content-Length: %d\r\n"
			 "Connection: close\r\n\r\n%s",
			 status, title_of(status), len, body);

	assert(n > 0 && (size_t)n < cap);
	return (size_t)n;
}

void http_incoming_answer(struct http_incoming *in)
{
	assert(!in->answered);
	in->answered = true;
	if (!in->response)
		in->dead = true; /* no memory: the connection is closed */
	http_incoming_resume(in);
}

void http_reply(struct http_request *r, const struct http_answer *a)
{
	struct http_incoming *in = CONTAINER_OF(r, struct http_incoming, pub);

	assert(a->status >= 200 && a->status <= 599);
	in->status = (unsigned)a->status;
	in->response =
		response_copy(a->body, a->content_type ? a->body_len : 0);
	if (in->response && a->content_type)
		add_field(in->response, "Content-Type", a->content_type);
	for (size_t i = 0; in->response && i < a->n_fields; i++)
		add_field(in->response, a->fields[i].name, a->fields[i].value);
	http_incoming_answer(in);
}

/* ---- files -------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_PART, RANGE_BAD };

/* "-n": the last n bytes. */
static enum range suffix_parse(const char *text, int64_t size, int64_t *from,
			       int64_t *len)
{
	int64_t n;

	if (str_to_i64(text, 0, INT64_MAX, &n))
		return RANGE_NONE;
	if (n == 0 || size == 0)
		return RANGE_BAD;
	*len = n < size ? n : size;
	*from = size - *len;
	return RANGE_PART;
}

/* "bytes=a-b", "bytes=a-", "bytes=-n".  Anything that is not one range of
 * bytes is as if it was not there (RFC 9110 section 14.2). */
static enum range range_parse(const char *text, int64_t size, int64_t *from,
			      int64_t *len)
{
	char first[24] = "", last[24];
	const char *dash;
	int64_t a, b = size - 1;

	if (!text || !str_starts_with(text, "bytes="))
		return RANGE_NONE;
	text += strlen("bytes=");
	dash = strchr(text, '-');
	if (!dash || (size_t)(dash - text) >= sizeof(first) ||
	    !str_copy(last, sizeof(last), dash + 1))
		return RANGE_NONE;
	if (dash == text)
		return suffix_parse(last, size, from, len);
	memcpy(first, text, (size_t)(dash - text));
	if (str_to_i64(first, 0, INT64_MAX, &a))
		return RANGE_NONE;
	if (last[0] && (str_to_i64(last, 0, INT64_MAX, &b) || b < a))
		return RANGE_NONE;
	if (a >= size)
		return RANGE_BAD;
	*from = a;
	*len = (b < size ? b + 1 : size) - a;
	return RANGE_PART;
}

static void reply_problem(struct http_incoming *in, unsigned status,
			  const char *detail)
{
	in->status = status;
	in->response = http_problem(status, detail);
}

static void reply_part(struct http_incoming *in, int fd, int64_t size,
		       const char *content_type)
{
	int64_t from = 0, len = size;
	enum range range = RANGE_NONE;
	char text[80];

	/* of a HEAD it means nothing (RFC 9110 section 14.2) */
	if (!strcmp(in->pub.method, "GET") && !in->is_head)
		range = range_parse(http_header(&in->pub, "Range"), size, &from,
				    &len);
	if (range == RANGE_BAD) {
		close(fd);
		reply_problem(in, 416, "the range starts behind the end");
		snprintf(text, sizeof(text), "bytes */%lld", (long long)size);
		if (in->response)
			add_field(in->response, "Content-Range", text);
		return;
	}
	in->status = range == RANGE_PART ? 206 : 200;
	in->response = MHD_create_response_from_fd_at_offset64(
		(uint64_t)len, fd, (uint64_t)from);
	if (!in->response) {
		close(fd);
		return;
	}
	add_field(in->response, "X-Content-Type-Options", "nosniff");
	add_field(in->response, "Accept-Ranges", "bytes");
	add_field(in->response, "Content-Type", content_type);
	if (range == RANGE_PART) {
		snprintf(text, sizeof(text), "bytes %lld-%lld/%lld",
			 (long long)from, (long long)(from + len - 1),
			 (long long)size);
		add_field(in->response, "Content-Range", text);
	}
}

void http_reply_file(struct http_request *r, int fd, const char *content_type)
{
	struct http_incoming *in = CONTAINER_OF(r, struct http_incoming, pub);
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		reply_problem(in, 503, "the file cannot be read");
	} else {
		reply_part(in, fd, st.st_size, content_type);
	}
	http_incoming_answer(in);
}
