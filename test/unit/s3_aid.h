/**
 * test/unit/s3_aid.h -- an S3 store that a test tells what to answer.
 *
 * It is a process of its own, so that a test may run out of memory and fork;
 * what both look at is in memory that they share.  It keeps what is put, in
 * parts too, and answers as S3 does, but for what `rules` say.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_S3_AID_H
#define TEST_UNIT_S3_AID_H

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/io.h"
#include "wire/sig.h"
#include "wire/xml.h"

/* Needs cmocka.h before it. */

enum {
	FAKE_OBJECTS = 24,
	FAKE_BYTES = 32 * 1024,
	FAKE_PARTS = 8,
	FAKE_RULES = 8,
	FAKE_LOG = 64 * 1024
};

struct fake_object {
	char path[512]; /* "/bucket/key", "": none */
	char sha256[65];
	char type[32];
	uint8_t data[FAKE_BYTES];
	size_t len;
	char etag[48];
};

/** An answer in the place of the right one. */
struct fake_rule {
	const char *method; /* NULL: none.  HEAD is GET here */
	const char *has;    /* in "path?query" */
	int from, to;	    /* the times it matches, from 1; to 0: for ever */
	int status;	    /* 0: nothing comes, ever; -1: the right one */
	const char *code, *message;
	const char *body; /* instead of those */
	/* in the right one */
	const char *etag;
	const char *sse;
	size_t extra; /* bytes that an object has more */
	bool late;    /* it is done, and answered so all the same */
	int n;	      /* the fake's */
};

struct fake {
	uint16_t port;
	pid_t pid;
	struct fake_rule rules[FAKE_RULES];
	struct fake_object objects[FAKE_OBJECTS];
	/* the one upload in parts */
	char upload_path[512];
	char upload_sha256[65];
	uint8_t parts[FAKE_PARTS][FAKE_BYTES];
	size_t part_len[FAKE_PARTS];
	unsigned page;	    /* keys of a listing, 0: all */
	char log[FAKE_LOG]; /* "PUT /bucket/key?query\n", .. */
};

/* ---- the process ------------------------------------------------------------ */

static struct fake_object *fake_find(struct fake *f, const char *path)
{
	for (size_t i = 0; i < FAKE_OBJECTS; i++) {
		if (!strcmp(f->objects[i].path, path))
			return &f->objects[i];
	}
	return NULL;
}

static void fake_md5(const void *data, size_t len, char hex[33])
{
	uint8_t md5[16];
	size_t n = 0;

	if (!EVP_Q_digest(NULL, "MD5", NULL, data, len, md5, &n))
		_exit(9);
	sig_hex(md5, sizeof(md5), hex);
}

static void fake_put(struct fake *f, const char *path, const void *data,
		     size_t len, const char *sha256)
{
	struct fake_object *o = fake_find(f, path);

	if (!o)
		o = fake_find(f, "");
	if (!o || len > FAKE_BYTES)
		_exit(8);
	snprintf(o->path, sizeof(o->path), "%s", path);
	snprintf(o->sha256, sizeof(o->sha256), "%s", sha256);
	memcpy(o->data, data, len);
	o->len = len;
	fake_md5(data, len, o->etag);
}

struct fake_answer {
	int status;
	struct http_field fields[6];
	size_t n;
	struct buf body;
};

static void fake_field(struct fake_answer *a, const char *name,
		       const char *value)
{
	if (value && *value)
		a->fields[a->n++] = (struct http_field){name, value};
}

static const char *fake_header(const struct http_request *r, const char *name)
{
	const char *value = http_header(r, name);

	return value ? value : "";
}

static void fake_error(struct fake_answer *a, int status, const char *code)
{
	a->status = status;
	buf_printf(&a->body,
		   "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code>"
		   "<Message>no</Message></Error>",
		   code);
}

/** Every key that begins so, page by page; the token is where to go on. */
static void fake_list(struct fake *f, struct http_request *r,
		      struct fake_answer *a)
{
	const char *prefix = http_query(r, "prefix");
	const char *token = http_query(r, "continuation-token");
	int64_t from = 0;
	unsigned n = 0;

	if (token && str_to_i64(token, 0, FAKE_OBJECTS, &from))
		_exit(4);
	buf_puts(&a->body, "<ListBucketResult>");
	for (size_t i = (size_t)from; i < FAKE_OBJECTS; i++) {
		const char *path = f->objects[i].path;
		const char *key = *path ? strchr(path + 1, '/') : NULL;

		if (!key || !str_starts_with(key + 1, prefix))
			continue;
		if (f->page && n++ == f->page) {
			buf_printf(&a->body,
				   "<NextContinuationToken>%zu"
				   "</NextContinuationToken>",
				   i);
			break;
		}
		buf_printf(&a->body, "<Contents><Key>%s</Key></Contents>",
			   key + 1);
	}
	buf_puts(&a->body, "</ListBucketResult>");
}

static void fake_complete(struct fake *f, struct fake_answer *a)
{
	uint8_t all[FAKE_BYTES];
	size_t len = 0;

	for (size_t i = 0; i < FAKE_PARTS; i++) {
		memcpy(all + len, f->parts[i], f->part_len[i]);
		len += f->part_len[i];
	}
	fake_put(f, f->upload_path, all, len, f->upload_sha256);
	f->upload_path[0] = 0;
	buf_puts(&a->body,
		 "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag>"
		 "</CompleteMultipartUploadResult>");
}

static void fake_part(struct fake *f, struct http_request *r,
		      struct fake_answer *a)
{
	static char etag[48];
	int64_t n = 0;

	if (str_to_i64(http_query(r, "partNumber"), 1, FAKE_PARTS, &n) ||
	    r->body_len > FAKE_BYTES)
		_exit(7);
	memcpy(f->parts[n - 1], r->body, r->body_len);
	f->part_len[n - 1] = r->body_len;
	fake_md5(r->body, r->body_len, etag);
	fake_field(a, "ETag", etag);
}

static void fake_multipart(struct fake *f, struct http_request *r,
			   struct fake_answer *a)
{
	if (http_query(r, "uploads")) {
		memset(f->part_len, 0, sizeof(f->part_len));
		snprintf(f->upload_path, sizeof(f->upload_path), "%s", r->path);
		snprintf(f->upload_sha256, sizeof(f->upload_sha256), "%s",
			 fake_header(r, "x-amz-meta-sha256"));
		buf_puts(&a->body, "<R><UploadId>id&amp;1</UploadId></R>");
		return;
	}
	if (strcmp(f->upload_path, r->path) != 0 ||
	    strcmp(http_query(r, "uploadId"), "id&1") != 0)
		fake_error(a, 404, "NoSuchUpload");
	else if (!strcmp(r->method, "PUT"))
		fake_part(f, r, a);
	else if (!strcmp(r->method, "POST"))
		fake_complete(f, a);
	else
		f->upload_path[0] = 0;
}

static void fake_object(struct fake *f, struct http_request *r,
			struct fake_answer *a)
{
	struct fake_object *o = fake_find(f, r->path);

	if (!strcmp(r->method, "PUT")) {
		fake_put(f, r->path, r->body, r->body_len,
			 fake_header(r, "x-amz-meta-sha256"));
		o = fake_find(f, r->path);
		snprintf(o->type, sizeof(o->type), "%s",
			 fake_header(r, "content-type"));
		fake_field(a, "ETag", o->etag);
	} else if (!strcmp(r->method, "DELETE")) {
		if (o)
			o->path[0] = 0;
		a->status = 204;
	} else if (o) {
		fake_field(a, "ETag", o->etag);
		fake_field(a, "x-amz-meta-sha256", o->sha256);
		buf_append(&a->body, o->data, o->len);
	} else {
		fake_error(a, 404, "NoSuchKey");
	}
}

static void fake_right(struct fake *f, struct http_request *r,
		       struct fake_answer *a)
{
	a->status = 200;
	if (!strchr(r->path + 1, '/')) {
		if (http_query(r, "list-type"))
			fake_list(f, r, a);
	} else if (http_query(r, "uploads") || http_query(r, "uploadId")) {
		fake_multipart(f, r, a);
	} else {
		fake_object(f, r, a);
	}
}

static int fake_add_query(const char *name, const char *value, void *arg)
{
	char *line = arg;
	size_t len = strlen(line);

	snprintf(line + len, 1024 - len, "%s%s=%s",
		 strchr(line, '?') ? "&" : "?", name, value);
	return 0;
}

static struct fake_rule *fake_match(struct fake *f, const char *method,
				    const char *line)
{
	for (size_t i = 0; i < FAKE_RULES; i++) {
		struct fake_rule *u = &f->rules[i];

		if (!u->method || strcmp(u->method, method) != 0 ||
		    !strstr(line, u->has))
			continue;
		u->n++;
		if (u->n >= u->from && (!u->to || u->n <= u->to))
			return u;
	}
	return NULL;
}

static void fake_bend(const struct fake_rule *u, struct fake_answer *a)
{
	for (size_t i = 0; i < a->n && u->etag; i++) {
		if (!strcmp(a->fields[i].name, "ETag"))
			a->fields[i].value = u->etag;
	}
	fake_field(a, "x-amz-server-side-encryption", u->sse);
	for (size_t i = 0; i < u->extra; i++)
		buf_putc(&a->body, 'x');
	if (u->status < 0)
		return;
	a->status = u->status;
	buf_clear(&a->body);
	if (u->body)
		buf_puts(&a->body, u->body);
	else if (u->code)
		buf_printf(&a->body,
			   "<?xml version=\"1.0\"?>\n<Error xmlns=\"x\"><Code>"
			   "%s</Code>\n<Message>%s</Message></Error>",
			   u->code, u->message ? u->message : "no");
}

static void fake_gone(void *arg)
{
	(void)arg;
}

static void fake_handle(struct http_request *r, void *arg)
{
	struct fake *f = arg;
	struct fake_answer a = {.status = 200};
	const struct fake_rule *u;
	char line[1024];
	size_t used = strlen(f->log);

	snprintf(line, sizeof(line), "%s", r->path);
	(void)http_query_each(r, fake_add_query, line);
	snprintf(f->log + used, FAKE_LOG - used, "%s %s\n", r->method, line);
	u = fake_match(f, r->method, line);
	if (u && !u->status) {
		http_on_gone(r, fake_gone, NULL);
		return;
	}
	buf_init(&a.body, 1 << 20);
	if (!strstr(fake_header(r, "authorization"), "Signature="))
		fake_error(&a, 403, "AccessDenied");
	else if (!u || u->status < 0 || u->late)
		fake_right(f, r, &a);
	if (u)
		fake_bend(u, &a);
	http_reply(r, &(struct http_answer){.status = a.status,
					    .content_type = "application/xml",
					    .fields = a.fields,
					    .n_fields = a.n,
					    .body = a.body.data,
					    .body_len = a.body.len});
	buf_fini(&a.body);
}

static void fake_serve(struct fake *f, int ready)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1 << 20,
					    .max_connections = 64,
					    .header_us = 60 * 1000000};
	struct http_server *server;
	struct loop *loop;
	struct addr at;

	mem_fail_after(-1);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none */
	if (loop_new(&loop) || addr_parse("127.0.0.1:0", &config.listen[0]) ||
	    http_server_open(loop, &config, fake_handle, f, &server))
		_exit(6);
	http_server_addr(server, 0, &at);
	f->port = addr_port(&at);
	if (write(ready, "", 1) != 1)
		_exit(5);
	for (;;)
		loop_turn(loop, 1000000);
}

/* ---- the test's side -------------------------------------------------------- */

/** Before the test has threads. */
static struct fake *fake_start(void)
{
	struct fake *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	char byte;
	pid_t pid;

	assert_ptr_not_equal(f, MAP_FAILED);
	assert_int_equal(pipe(ready), 0);
	pid = fork(); /* both see *f: only the parent writes it down */
	assert_true(pid >= 0);
	if (!pid)
		fake_serve(f, ready[1]);
	f->pid = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return f;
}

static void fake_stop(struct fake *f)
{
	int status;

	assert_true(f->pid > 0);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, &status, 0);
	munmap(f, sizeof(*f));
}

/** How many requests have this in their line: "PUT /bucket/a". */
static int fake_count(const struct fake *f, const char *what)
{
	int n = 0;

	for (const char *at = strstr(f->log, what); at;
	     at = strstr(at + 1, what))
		n++;
	return n;
}

#endif
