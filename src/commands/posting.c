/** commands/posting.c -- send a callback as a server would. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/posting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "io/io.h"
#include "wire/quote.h"

enum { ANSWER_MAX = 64 * 1024, FIELDS_MAX = 16, EXTRA_MAX = 64 };

/* ---- options ---------------------------------------------------------------- */

static int usage(const struct posting *p, const char *why, const char *value)
{
	fprintf(stderr, "tapeop %s: %s%s%s; see tapeop %s --help\n", p->command,
		why, value ? ": " : "", value ? value : "", p->command);
	return EXIT_USAGE;
}

static int read_secret(struct posting *p)
{
	struct err e;
	int code;

	if (!p->key) {
		if (p->style.dialect == DIALECT_GME ||
		    p->style.dialect == DIALECT_STANDARD)
			return usage(p, "this dialect needs --key", NULL);
		return EXIT_DONE;
	}
	code = client_secret(p->command, "--key", p->key, &p->secret);
	if (code)
		return code;
	if (callback_key_check(p->style.dialect, p->secret, &e))
		return usage(p, "--key", e.text);
	if (p->style.dialect == DIALECT_STANDARD &&
	    !callback_key_signs(p->secret))
		return usage(p,
			     "--key: whpk_ verifies only; sign with whsk_ or "
			     "whsec_",
			     NULL);
	p->style.key = p->secret;
	return EXIT_DONE;
}

static int check_words(struct posting *p)
{
	p->by_body = p->style.dialect == DIALECT_LIVE;
	if (p->verdict && !strcmp(p->verdict, "body"))
		p->by_body = true;
	else if (p->verdict && !strcmp(p->verdict, "status"))
		p->by_body = false;
	else if (p->verdict)
		return usage(p, "--verdict must be status or body", p->verdict);
	if (p->encoding && p->style.dialect != DIALECT_GME)
		return usage(p, "--encoding is for --dialect gme only", NULL);
	if (p->encoding && !strcmp(p->encoding, "hex"))
		p->style.encoding = SIGNATURE_HEX;
	else if (p->encoding && strcmp(p->encoding, "base64"))
		return usage(p, "--encoding must be base64 or hex",
			     p->encoding);
	return EXIT_DONE;
}

int posting_check(struct posting *p)
{
	int code;

	if (!p->dialect || !dialect_parse(p->dialect, &p->style.dialect))
		return usage(p, "--dialect must be gme, live, trtc or standard",
			     p->dialect);
	p->style.key = "";
	p->style.url = p->url;
	code = check_words(p);
	return code ? code : read_secret(p);
}

void posting_fini(struct posting *p)
{
	mem_free_secret(p->secret);
	p->secret = NULL;
}

/* ---- sending ---------------------------------------------------------------- */

/** Header lines for http_call. */
struct fields {
	const char *at[FIELDS_MAX];
	size_t n;
	char extra[3][EXTRA_MAX];
};

static void add_number(struct fields *f, unsigned i, const char *name,
		       uint64_t value)
{
	snprintf(f->extra[i], sizeof(f->extra[i]), "%s: %" PRIu64, name, value);
	f->at[f->n++] = f->extra[i];
}

/** Cut "Name: value\n" lines where they stand, and add ours. */
static void gather_fields(struct fields *f, char *lines, const struct event *e,
			  unsigned attempt)
{
	char *rest;

	for (char *line = strtok_r(lines, "\n", &rest);
	     line && f->n < FIELDS_MAX - ARRAY_LEN(f->extra);
	     line = strtok_r(NULL, "\n", &rest))
		f->at[f->n++] = line;
	if (!attempt)
		return;
	add_number(f, 0, "Tapeop-Event-Id", e->id);
	add_number(f, 1, "Tapeop-Sequence", e->task_seq);
	add_number(f, 2, "Tapeop-Attempt", attempt);
}

static void judge(const struct posting *p, const struct buf *answer,
		  struct posting_result *r)
{
	r->ok = r->status >= 200 && r->status < 300;
	if (p->by_body)
		r->ok = r->status == 200 &&
			callback_answer_is_ok(answer->data, answer->len, r->why,
					      sizeof(r->why));
	if (r->ok)
		r->why[0] = 0;
	quote_line(r->shown, sizeof(r->shown), buf_str(answer));
	client_clean(r->shown);
}

static int send_it(const struct posting *p, const struct event *e,
		   const struct callback_request *request, unsigned attempt,
		   struct posting_result *r)
{
	char *lines =
		mem_strndup(buf_str(&request->fields), request->fields.len);
	struct fields f = {.n = 0};
	struct http_call call = {
		.method = "POST",
		.url = buf_str(&request->url),
		.fields = f.at,
		.body = request->body.data,
		.body_len = request->body.len,
		.timeout_us = POSTING_WAIT_US,
		.allow_private = true, /* typed by whoever started us */
	};
	int64_t began_us = clock_now_us();
	struct buf answer;
	struct err err = {0};

	if (!lines)
		return ENOMEM;
	gather_fields(&f, lines, e, attempt);
	call.n_fields = f.n;
	buf_init(&answer, ANSWER_MAX);
	if (http_fetch(&call, &r->status, &answer, &err))
		str_copy(r->why, sizeof(r->why), err.text);
	else
		judge(p, &answer, r);
	r->took_us = clock_now_us() - began_us;
	buf_fini(&answer);
	mem_free(lines);
	return 0;
}

int posting_send(const struct posting *p, const struct event *e,
		 unsigned attempt, struct posting_result *result)
{
	struct callback_request request;
	int err;

	*result = (struct posting_result){0};
	callback_request_init(&request);
	err = callback_render(&p->style, e, clock_unix_ms(), &request);
	if (!err)
		err = send_it(p, e, &request, attempt, result);
	callback_request_fini(&request);
	return err;
}

int posting_print(const struct posting *p, const struct event *e)
{
	struct callback_request r;
	int err;

	callback_request_init(&r);
	err = callback_render(&p->style, e, clock_unix_ms(), &r);
	if (!err)
		printf("POST %s\n%s\n%s\n", buf_str(&r.url), buf_str(&r.fields),
		       buf_str(&r.body));
	callback_request_fini(&r);
	return err;
}
