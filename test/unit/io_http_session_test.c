/** test/unit/io_http_session_test.c -- blocking requests with bodies from
 *  files.  What they are for is tested in upload_s3_test.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "oom.h"
#include "tempdir.h"

enum { STALL_US = 30 * 1000 * 1000, SEEN_MAX = 4096 };

/** What a server, a process of its own, has seen. */
struct seen {
	uint16_t port;
	int n;
	uint16_t peer; /* port of the last client */
	char method[16];
	char field[64]; /* X-Field */
	uint8_t body[SEEN_MAX];
	size_t body_len;
};

struct rig {
	struct seen *seen;
	pid_t pid;
	char dir[TEMPDIR_CAP];
	char url[64];
	int fd; /* a file of ten digits */
	struct http_session *session;
	struct buf answer;
	struct err e;
	int status;
};

static void on_gone(void *arg)
{
	(void)arg;
}

static void handle(struct http_request *r, void *arg)
{
	static const struct http_field fields[] = {{"X-Some", "thing"},
						   {"Location", "/other"}};
	const char *field = http_header(r, "X-Field");
	struct seen *s = arg;

	if (!strcmp(r->path, "/hang")) {
		http_on_gone(r, on_gone, NULL);
		return;
	}
	s->n++;
	s->peer = addr_port(&r->peer);
	snprintf(s->method, sizeof(s->method), "%s", r->method);
	snprintf(s->field, sizeof(s->field), "%s", field ? field : "");
	s->body_len = r->body_len < SEEN_MAX ? r->body_len : SEEN_MAX;
	memcpy(s->body, r->body, s->body_len);
	http_reply(r, &(struct http_answer){
			      .status = strcmp(r->path, "/moved") ? 200 : 302,
			      .content_type = "text/plain",
			      .fields = fields,
			      .n_fields = 2,
			      .body = "0123456789",
			      .body_len = 10});
}

static void serve(struct seen *s, int ready)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = SEEN_MAX,
					    .max_connections = 16,
					    .header_us = STALL_US};
	struct http_server *server;
	struct loop *loop;
	struct addr at;

	mem_fail_after(-1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (loop_new(&loop) || addr_parse("127.0.0.1:0", &config.listen[0]) ||
	    http_server_open(loop, &config, handle, s, &server))
		_exit(2);
	http_server_addr(server, 0, &at);
	s->port = addr_port(&at);
	if (write(ready, "", 1) != 1)
		_exit(2);
	for (;;)
		loop_turn(loop, 1000000);
}

static void set_up(struct rig *r, const _Atomic bool *stops)
{
	int ready[2];
	char byte;

	*r = (struct rig){0};
	r->seen = mmap(NULL, sizeof(*r->seen), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->seen, MAP_FAILED);
	assert_int_equal(pipe(ready), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (!r->pid)
		serve(r->seen, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u/",
		 (unsigned)r->seen->port);
	tempdir_make(r->dir);
	put_file(tempdir_path(r->dir, "f"), "0123456789", 10);
	r->fd = open(tempdir_path(r->dir, "f"), O_RDONLY | O_CLOEXEC);
	assert_true(r->fd >= 0);
	buf_init(&r->answer, 100);
	assert_int_equal(http_session_new(stops, NULL, false, &r->session), 0);
}

static void tear_down(struct rig *r)
{
	http_session_free(r->session);
	buf_fini(&r->answer);
	close(r->fd);
	assert_true(r->pid > 0);
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	munmap(r->seen, sizeof(*r->seen));
	tempdir_remove(r->dir);
}

static int ask(struct rig *r, const char *method, const char *path,
	       const struct http_file *file)
{
	static const char *const fields[] = {"X-Field: value"};
	char url[128];
	struct http_call call = {.method = method,
				 .url = url,
				 .fields = fields,
				 .n_fields = 1,
				 .timeout_us = STALL_US};

	snprintf(url, sizeof(url), "%s%s", r->url, path);
	return http_session_send(r->session, &call, file, &r->status,
				 &r->answer, &r->e);
}

static void a_part_of_a_file_is_the_body(void **state)
{
	struct rig r;
	uint16_t peer;

	(void)state;
	set_up(&r, NULL);
	assert_int_equal(ask(&r, "PUT", "", &(struct http_file){r.fd, 3, 5}),
			 0);
	assert_int_equal(r.status, 200);
	assert_string_equal(buf_str(&r.answer), "0123456789");
	assert_string_equal(r.seen->method, "PUT");
	assert_string_equal(r.seen->field, "value");
	assert_int_equal(r.seen->body_len, 5);
	assert_memory_equal(r.seen->body, "34567", 5);
	/* The next one has none, and takes the same connection. */
	peer = r.seen->peer;
	assert_int_equal(ask(&r, "DELETE", "", NULL), 0);
	assert_string_equal(r.seen->method, "DELETE");
	assert_int_equal(r.seen->body_len, 0);
	assert_int_equal(r.seen->peer, peer);
	/* An empty part. */
	assert_int_equal(ask(&r, "PUT", "", &(struct http_file){r.fd, 10, 0}),
			 0);
	assert_int_equal(r.seen->body_len, 0);
	assert_string_equal(r.seen->method, "PUT");
	tear_down(&r);
}

static void fields_of_the_answer_are_there(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, NULL);
	assert_int_equal(ask(&r, "HEAD", "", NULL), 0);
	assert_int_equal(r.answer.len, 0);
	assert_string_equal(http_session_field(r.session, "x-some"), "thing");
	assert_string_equal(http_session_field(r.session, "Content-Length"),
			    "10");
	assert_null(http_session_field(r.session, "x-none"));
	assert_true(http_session_date(r.session) > 1600000000);
	tear_down(&r);
}

static void a_redirection_is_an_answer(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, NULL);
	assert_int_equal(ask(&r, "GET", "moved", NULL), 0);
	assert_int_equal(r.status, 302);
	assert_int_equal(r.seen->n, 1);
	tear_down(&r);
}

static void what_cannot_be_done_is_told(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, NULL);
	/* The file is shorter than it was. */
	assert_int_equal(ask(&r, "PUT", "", &(struct http_file){r.fd, 8, 5}),
			 EBADMSG);
	assert_int_equal(ask(&r, "PUT", "", &(struct http_file){-1, 0, 5}),
			 EBADF);
	assert_non_null(strstr(r.e.text, "cannot be read"));
	assert_int_equal(r.seen->n, 0);
	buf_fini(&r.answer);
	buf_init(&r.answer, 9);
	assert_int_equal(ask(&r, "GET", "", NULL), EMSGSIZE);
	snprintf(r.url, sizeof(r.url), "http://127.0.0.1:1/");
	assert_int_equal(ask(&r, "GET", "", NULL), ECONNREFUSED);
	snprintf(r.url, sizeof(r.url), "ftp://127.0.0.1/");
	assert_int_equal(ask(&r, "GET", "", NULL), EINVAL);
	assert_int_equal(ask(&r, "G T", "", NULL), EINVAL);
	/* And it goes on. */
	snprintf(r.url, sizeof(r.url), "http://127.0.0.1:%u/",
		 (unsigned)r.seen->port);
	buf_fini(&r.answer);
	buf_init(&r.answer, 10);
	assert_int_equal(ask(&r, "GET", "", NULL), 0);
	tear_down(&r);
}

static void it_ends_when_it_shall_stop(void **state)
{
	_Atomic bool stops = true;
	struct rig r;

	(void)state;
	set_up(&r, &stops);
	assert_int_equal(ask(&r, "GET", "hang", NULL), ECANCELED);
	tear_down(&r);
}

static struct rig *swept;

static void ask_without_memory(void)
{
	struct http_session *session = NULL;
	struct rig *r = swept;

	r->session = NULL;
	if (!http_session_new(NULL, NULL, false, &session)) {
		r->session = session;
		if (!ask(r, "PUT", "", &(struct http_file){r->fd, 3, 5}))
			assert_memory_equal(r->seen->body, "34567", 5);
	}
	http_session_free(session);
	buf_fini(&r->answer);
	r->session = NULL;
}

static void without_memory_it_says_so(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, NULL);
	http_session_free(r.session);
	swept = &r;
	OOM_SWEEP(ask_without_memory);
	tear_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_of_a_file_is_the_body),
		cmocka_unit_test(fields_of_the_answer_are_there),
		cmocka_unit_test(a_redirection_is_an_answer),
		cmocka_unit_test(what_cannot_be_done_is_told),
		cmocka_unit_test(it_ends_when_it_shall_stop),
		cmocka_unit_test(without_memory_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
