/** test/unit/io_http_tls_test.c -- the HTTP server behind TLS. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "tempdir.h"
#include "tls_aid.h"

enum { MAX_BODY = 1000, BIG = 4 << 20, FILES = 12 };

#define HELLO "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
#define HOLD  "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"

/* What all tests share: files that are made once. */
static char dir[TEMPDIR_CAP];
static struct pair ca, first, second, expired, stranger;
static SSL_CTX *client_tls;

static char *at(const char *name)
{
	static char paths[FILES][TEMPDIR_PATH_CAP];
	static size_t next;
	char *path = paths[next++ % FILES];

	snprintf(path, TEMPDIR_PATH_CAP, "%s/%s", dir, name);
	return path;
}

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct addr addr;
	struct http_request *held;
	struct http_stream *stream;
	int gone, stream_gone, handled, refused;
	int64_t handshakes; /* failed at the beginning */
};

static void on_gone(void *arg)
{
	struct fixture *f = arg;

	f->gone++;
	f->held = NULL;
}

static void on_stream_gone(void *arg)
{
	struct fixture *f = arg;

	f->stream_gone++;
	f->stream = NULL;
}

static void on_refused(int status, const struct addr *peer, void *arg)
{
	struct fixture *f = arg;

	assert_true(addr_is_loopback(peer));
	f->refused = status;
}

static void reply_bytes(struct http_request *r, const void *body, size_t len)
{
	http_reply(r, &(struct http_answer){.status = 200,
					    .content_type = "text/plain",
					    .body = body,
					    .body_len = len});
}

/* A pattern that shows where a byte belongs. */
static uint8_t *big_make(void)
{
	uint8_t *big = malloc(BIG);

	assert_non_null(big);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i % 251);
	return big;
}

static void on_request(struct http_request *r, void *arg)
{
	struct fixture *f = arg;

	f->handled++;
	assert_true(addr_is_loopback(&r->peer));
	assert_true(addr_port(&r->peer) > 0);
	if (!strcmp(r->path, "/hold")) {
		f->held = r;
		http_on_gone(r, on_gone, f);
	} else if (!strcmp(r->path, "/stream")) {
		f->stream = http_reply_stream(r, on_stream_gone, f);
	} else if (!strcmp(r->path, "/big")) {
		uint8_t *big = big_make();

		reply_bytes(r, big, BIG);
		free(big);
	} else {
		reply_bytes(r, r->body, r->body_len);
	}
}

static struct http_tls_config tls_files(const char *cert, const char *key)
{
	return (struct http_tls_config){.cert_file = at(cert),
					.key_file = at(key)};
}

static struct http_server_config config_make(void)
{
	struct http_server_config c = {.n_listen = 1,
				       .max_body = MAX_BODY,
				       .max_connections = 50,
				       .header_us = 5 * CLOCK_US_PER_S,
				       .refused = on_refused,
				       .tls = tls_files("first", "first.key")};

	assert_int_equal(addr_parse("127.0.0.1:0", &c.listen[0]), 0);
	return c;
}

static void fixture_open(struct fixture *f, struct http_server_config config)
{
	memset(f, 0, sizeof(*f));
	f->handshakes = counter_get(COUNT_http_handshakes_failed);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(
		http_server_open(f->loop, &config, on_request, f, &f->server),
		0);
	http_server_addr(f->server, 0, &f->addr);
}

static void fixture_close(struct fixture *f)
{
	http_server_close(f->server);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
}

static void assert_failed(const struct fixture *f, int n)
{
	assert_int_equal(
		counter_get(COUNT_http_handshakes_failed) - f->handshakes, n);
}

static void turn_for(struct fixture *f, int64_t us)
{
	int64_t end_us = clock_now_us() + us;

	while (clock_now_us() < end_us)
		loop_turn(f->loop, 1000);
}

/* Turn until `*what` is `wanted`. */
static void turn_until(struct fixture *f, const int *what, int wanted)
{
	int64_t end_us = clock_now_us() + TLS_PATIENCE_US;

	while (*what != wanted && clock_now_us() < end_us)
		loop_turn(f->loop, 1000);
	assert_int_equal(*what, wanted);
}

static bool client_open(struct client *c, struct fixture *f,
			const struct pair *self)
{
	*c = (struct client){.loop = f->loop};
	client_connect(c, NULL, &f->addr);
	return client_shake(c, client_tls, self);
}

static void say(struct client *c, const char *text)
{
	client_say(c, text, strlen(text));
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in: %s", part, text);
}

static void assert_serves(struct fixture *f)
{
	struct client c;

	assert_true(client_open(&c, f, NULL));
	say(&c, HELLO);
	assert_has(client_hear(&c, "\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
	client_close(&c);
}

/* ---- files ---------------------------------------------------------------- */

static void start_says_which_file_and_what_is_wrong(void **state)
{
	const struct {
		const char *cert, *key, *ca;
		const char *file, *says;
		int err;
	} rows[] = {
		{"none", "first.key", NULL, "none", "No such file", ENOENT},
		{"first", "none", NULL, "none", "No such file", ENOENT},
		{"first", "first.key", "none", "none", "No such file", ENOENT},
		{".", "first.key", NULL, "certificate", "not a file", EINVAL},
		{"text", "first.key", NULL, "text", "not PEM", EINVAL},
		{"first", "text", NULL, "text", "not PEM", EINVAL},
		{"first", "first", NULL, "key", "not PEM", EINVAL},
		{"first", "first.key", "text", "text", "not PEM", EINVAL},
		{"first", "second.key", NULL, "second.key", "does not belong",
		 EINVAL},
		{"first", "rsa.key", NULL, "rsa.key", "does not belong",
		 EINVAL},
		{"first", "locked.key", NULL, "locked.key", "encrypted",
		 EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_server_config config = config_make();
		struct http_server *server = NULL;
		struct err e = {.code = 1};
		struct loop *loop;

		config.tls = tls_files(rows[i].cert, rows[i].key);
		if (rows[i].ca)
			config.tls.client_ca_file = at(rows[i].ca);
		config.why_not_tls = &e;
		assert_int_equal(loop_new(&loop), 0);
		assert_int_equal(http_server_open(loop, &config, on_request,
						  NULL, &server),
				 rows[i].err);
		assert_null(server);
		assert_int_equal(e.code, rows[i].err);
		assert_has(e.text, rows[i].file);
		assert_has(e.text, rows[i].says);
		loop_free(loop);
	}
}

static void start_needs_a_key_with_the_certificate(void **state)
{
	struct http_server_config config = config_make();
	struct http_server *server;
	struct loop *loop;
	struct err e;

	(void)state;
	config.tls.key_file = NULL;
	config.why_not_tls = &e;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(
		http_server_open(loop, &config, on_request, NULL, &server),
		EINVAL);
	assert_has(e.text, "its key is missing");
	loop_free(loop);
}

static void on_line(enum log_level level, const char *line, void *arg)
{
	char *lines = arg;

	assert_int_equal(level, LOG_WARN);
	strncat(lines, line, 1000 - strlen(lines));
}

static void start_warns_of_dates_and_of_a_key_that_all_can_read(void **state)
{
	struct http_server_config config = config_make();
	char lines[1024] = "";
	struct fixture f;

	(void)state;
	log_set_sink(on_line, lines);
	fixture_open(&f, config);
	fixture_close(&f);
	assert_string_equal(lines, "");
	config.tls = tls_files("expired", "open.key");
	fixture_open(&f, config);
	log_set_sink(NULL, NULL);
	assert_has(lines, "open.key can be read by everybody");
	assert_has(lines, "expired expired: 2");
	assert_serves(&f);
	fixture_close(&f);
}

static long serial_seen(struct fixture *f)
{
	struct client c;
	X509 *cert;
	long serial;

	assert_true(client_open(&c, f, NULL));
	cert = SSL_get1_peer_certificate(c.ssl);
	assert_non_null(cert);
	serial = ASN1_INTEGER_get(X509_get0_serialNumber(cert));
	X509_free(cert);
	client_close(&c);
	return serial;
}

static void reload_is_for_new_handshakes_and_a_fault_changes_nothing(
	void **state)
{
	const struct http_tls_config broken = tls_files("first", "second.key");
	const struct http_tls_config none = {0};
	const struct http_tls_config next = tls_files("second", "second.key");
	struct client old;
	struct fixture f;
	struct err e;

	(void)state;
	fixture_open(&f, config_make());
	assert_true(client_open(&old, &f, NULL));
	assert_int_equal(serial_seen(&f), 1);
	assert_int_equal(http_server_reload_tls(f.server, &broken, &e), EINVAL);
	assert_has(e.text, "does not belong");
	assert_int_equal(http_server_reload_tls(f.server, &none, &e), EINVAL);
	assert_has(e.text, "while running");
	assert_int_equal(serial_seen(&f), 1);
	assert_int_equal(http_server_reload_tls(f.server, &next, &e), 0);
	assert_int_equal(serial_seen(&f), 2);
	say(&old, HELLO);
	assert_has(client_hear(&old, "\r\n\r\n"), " 200 OK\r\n");
	client_close(&old);
	fixture_close(&f);
}

static void plain_server_begins_no_tls(void **state)
{
	struct http_server_config config = config_make();
	const struct http_tls_config next = config.tls;
	struct fixture f;
	struct err e;

	(void)state;
	config.tls = (struct http_tls_config){0};
	fixture_open(&f, config);
	assert_int_equal(http_server_reload_tls(f.server, &next, &e), EINVAL);
	fixture_close(&f);
}

/* ---- handshakes ------------------------------------------------------------- */

static void versions_before_1_2_are_refused(void **state)
{
	static const int versions[] = {TLS1_1_VERSION, TLS1_2_VERSION,
				       TLS1_3_VERSION};
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
		struct client c = {.loop = f.loop};

		SSL_CTX_set_security_level(tls, 0);
		SSL_CTX_set_min_proto_version(tls, versions[i]);
		SSL_CTX_set_max_proto_version(tls, versions[i]);
		client_connect(&c, NULL, &f.addr);
		assert_int_equal(client_shake(&c, tls, NULL), i > 0);
		client_close(&c);
		SSL_CTX_free(tls);
	}
	turn_for(&f, 10000);
	assert_failed(&f, 1);
	fixture_close(&f);
}

static void client_must_show_a_certificate_of_the_ca(void **state)
{
	struct http_server_config config = config_make();
	const struct {
		const struct pair *self;
		bool served;
	} rows[] = {{NULL, false},
		    {&stranger, false},
		    {&expired, false},
		    {&first, true}};
	struct fixture f;
	int failed = 0;

	(void)state;
	config.tls.client_ca_file = at("ca");
	fixture_open(&f, config);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct client c;

		/* in TLS 1.3 the client learns of it with the first answer */
		if (client_open(&c, &f, rows[i].self)) {
			say(&c, HELLO);
			(void)client_hear(&c, "\r\n\r\n");
		}
		assert_int_equal(!strncmp(buf_str(&c.got), "HTTP/1.1 200", 12),
				 rows[i].served);
		failed += !rows[i].served;
		client_close(&c);
		assert_failed(&f, failed);
		assert_int_equal(f.handled, rows[i].served);
	}
	fixture_close(&f);
}

static void handshake_that_stands_still_is_cut_and_costs_nothing(void **state)
{
	/* the first bytes of a hello */
	static const char some[] = "\x16\x03\x01\x02\x00\x01\x00";
	struct http_server_config config = config_make();
	struct loop_stats before, after;
	struct client half, silent;
	struct fixture f;
	int64_t end_us;
	char byte;

	(void)state;
	config.header_us = CLOCK_US_PER_S;
	fixture_open(&f, config);
	half = (struct client){.loop = f.loop};
	client_connect(&half, NULL, &f.addr);
	assert_int_equal(send(half.fd, some, sizeof(some) - 1, 0),
			 sizeof(some) - 1);
	silent = (struct client){.loop = f.loop};
	client_connect(&silent, NULL, &f.addr);
	assert_serves(&f);
	turn_for(&f, 20000);
	loop_stats(f.loop, &before);
	end_us = clock_now_us() + 100000;
	while (clock_now_us() < end_us)
		loop_turn(f.loop, 100000);
	loop_stats(f.loop, &after);
	assert_in_range(after.turns - before.turns, 1, 60);
	end_us = clock_now_us() + TLS_PATIENCE_US;
	while ((recv(half.fd, &byte, 1, MSG_DONTWAIT) < 0 ||
		recv(silent.fd, &byte, 1, MSG_DONTWAIT) < 0) &&
	       clock_now_us() < end_us)
		loop_turn(f.loop, 5000);
	assert_failed(&f, 2);
	client_close(&half);
	client_close(&silent);
	fixture_close(&f);
}

static void plain_http_is_told_to_speak_https(void **state)
{
	struct client c;
	struct fixture f;
	char text[1024] = "";
	int64_t end_us = clock_now_us() + TLS_PATIENCE_US;
	size_t len = 0;
	ssize_t n = -1;

	(void)state;
	fixture_open(&f, config_make());
	c = (struct client){.loop = f.loop};
	client_connect(&c, NULL, &f.addr);
	assert_int_equal(send(c.fd, HELLO, strlen(HELLO), 0), strlen(HELLO));
	while (n != 0 && clock_now_us() < end_us) {
		loop_turn(f.loop, 1000);
		n = recv(c.fd, text + len, sizeof(text) - 1 - len,
			 MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	}
	assert_has(text, "HTTP/1.1 400 Bad Request\r\n");
	assert_has(text, "speaks HTTPS only");
	client_close(&c);
	assert_failed(&f, 1);
	fixture_close(&f);
}

static void looking_whether_somebody_listens_is_no_failure(void **state)
{
	struct client c;
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	c = (struct client){.loop = f.loop};
	client_connect(&c, NULL, &f.addr);
	loop_turn(f.loop, 1000);
	client_close(&c);
	assert_serves(&f);
	assert_failed(&f, 0);
	fixture_close(&f);
}

/* ---- bytes ------------------------------------------------------------------ */

static void requests_follow_each_other_on_a_connection(void **state)
{
	struct client c;
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	assert_true(client_open(&c, &f, NULL));
	for (int i = 1; i <= 3; i++) {
		say(&c, "POST /x HTTP/1.1\r\nHost: x\r\n"
			"Content-Length: 4\r\n\r\nabcd");
		assert_has(client_hear(&c, "abcd"), "Content-Length: 4\r\n");
		buf_clear(&c.got);
		assert_int_equal(f.handled, i);
	}
	client_close(&c);
	fixture_close(&f);
}

static void big_answer_waits_for_a_slow_reader(void **state)
{
	struct client c;
	struct fixture f;
	uint8_t *big = big_make();
	const char *got;

	(void)state;
	fixture_open(&f, config_make());
	assert_true(client_open(&c, &f, NULL));
	say(&c, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	turn_for(&f, 50000); /* what there is room for is on its way */
	assert_serves(&f);
	got = strstr(client_hear(&c, NULL), "\r\n\r\n");
	assert_non_null(got);
	got += 4;
	assert_int_equal(c.got.len - (size_t)(got - buf_str(&c.got)), BIG);
	assert_memory_equal(got, big, BIG);
	client_close(&c);
	free(big);
	fixture_close(&f);
}

static void body_over_the_limit_is_told_in_the_midst_of_it(void **state)
{
	static const char chunk[] = "400\r\n";
	static char bytes[0x402];
	struct client c;
	struct fixture f;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	bytes[0x400] = '\r';
	bytes[0x401] = '\n';
	fixture_open(&f, config_make());
	assert_true(client_open(&c, &f, NULL));
	say(&c, "POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 8; i++) {
		client_say(&c, chunk, sizeof(chunk) - 1);
		client_say(&c, bytes, sizeof(bytes));
	}
	assert_has(client_hear(&c, NULL), "HTTP/1.1 413 ");
	assert_int_equal(f.refused, 413);
	assert_int_equal(f.handled, 0);
	client_close(&c);
	fixture_close(&f);
}

static void request_that_does_not_end_in_time_is_told(void **state)
{
	struct http_server_config config = config_make();
	struct client c;
	struct fixture f;

	(void)state;
	config.header_us = CLOCK_US_PER_S;
	fixture_open(&f, config);
	assert_true(client_open(&c, &f, NULL));
	say(&c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx");
	assert_has(client_hear(&c, NULL), "HTTP/1.1 408 ");
	assert_int_equal(f.refused, 408);
	client_close(&c);
	fixture_close(&f);
}

static void client_that_has_said_all_is_answered(void **state)
{
	struct client c;
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	for (int with_notify = 0; with_notify < 2; with_notify++) {
		assert_true(client_open(&c, &f, NULL));
		say(&c, HOLD);
		if (with_notify)
			assert_true(SSL_shutdown(c.ssl) >= 0);
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		turn_until(&f, &f.handled, with_notify + 1);
		turn_for(&f, 20000);
		assert_int_equal(f.gone, 0);
		reply_bytes(f.held, "late", 4);
		assert_has(client_hear(&c, NULL), "late");
		client_close(&c);
	}
	fixture_close(&f);
}

static void client_that_breaks_off_is_noticed(void **state)
{
	const struct linger at_once = {.l_onoff = 1};
	struct client c;
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	assert_true(client_open(&c, &f, NULL));
	say(&c, HOLD);
	turn_until(&f, &f.handled, 1);
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once,
				    sizeof(at_once)),
			 0);
	client_close(&c);
	turn_until(&f, &f.gone, 1);
	/* of a stream, also one that just closes */
	assert_true(client_open(&c, &f, NULL));
	say(&c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	(void)client_hear(&c, ":\n\n");
	client_close(&c);
	turn_until(&f, &f.stream_gone, 1);
	fixture_close(&f);
}

static void what_was_answered_goes_out_before_the_server_closes(void **state)
{
	struct client c;
	struct fixture f;

	(void)state;
	fixture_open(&f, config_make());
	assert_true(client_open(&c, &f, NULL));
	say(&c, HOLD);
	turn_until(&f, &f.handled, 1);
	reply_bytes(f.held, "bye", 3);
	http_server_close(f.server);
	assert_has(client_hear(&c, NULL), "\r\n\r\nbye");
	client_close(&c);
	loop_turn(f.loop, 0);
	loop_free(f.loop);
}

static void handshakes_count_against_an_address(void **state)
{
	struct http_server_config config = config_make();
	struct client silent[2], refused, other;
	struct fixture f;
	struct addr from;

	(void)state;
	config.max_per_address = 2;
	config.limit_loopback = true;
	fixture_open(&f, config);
	for (int i = 0; i < 2; i++) {
		silent[i] = (struct client){.loop = f.loop};
		client_connect(&silent[i], NULL, &f.addr);
	}
	turn_for(&f, 10000);
	assert_false(client_open(&refused, &f, NULL));
	client_close(&refused);
	assert_int_equal(addr_parse("127.0.0.2:0", &from), 0);
	other = (struct client){.loop = f.loop};
	client_connect(&other, &from, &f.addr);
	assert_true(client_shake(&other, client_tls, NULL));
	client_close(&other);
	client_close(&silent[0]);
	turn_for(&f, 10000);
	assert_serves(&f);
	client_close(&silent[1]);
	fixture_close(&f);
}

/* ---- without memory --------------------------------------------------------- */

static void live_without_memory(int64_t n)
{
	struct http_server_config config = config_make();
	struct fixture f = {0};
	struct client c;

	assert_int_equal(loop_new(&f.loop), 0);
	mem_fail_after(n);
	if (!http_server_open(f.loop, &config, on_request, &f, &f.server)) {
		http_server_addr(f.server, 0, &f.addr);
		for (int i = 0; i < 2; i++) {
			if (client_open(&c, &f, NULL)) {
				say(&c, "GET /a HTTP/1.1\r\nHost: x\r\n"
					"Connection: close\r\n\r\n");
				(void)client_hear(&c, NULL);
			}
			client_close(&c);
		}
	}
	http_server_close(f.server);
	loop_turn(f.loop, 0);
	loop_free(f.loop);
}

static void server_survives_every_failed_allocation(void **state)
{
	int64_t n = 0;

	(void)state;
	do
		live_without_memory(n++);
	while (mem_fail_happened());
	mem_fail_after(-1);
	assert_in_range(n, 5, 200);
}

static void rsa_key_write(const char *path)
{
	struct pair p = {.key = EVP_RSA_gen(2048)};

	assert_non_null(p.key);
	key_write(&p, path, NULL, 0600);
	EVP_PKEY_free(p.key);
}

static int make_files(void **state)
{
	FILE *text;

	(void)state;
	tempdir_make(dir);
	ca = pair_make("ca", 10, NULL, 0, TLS_DAY_S);
	first = pair_make("first", 1, &ca, 0, TLS_DAY_S);
	second = pair_make("second", 2, &ca, 0, TLS_DAY_S);
	expired = pair_make("expired", 3, &ca, -2 * TLS_DAY_S, -TLS_DAY_S);
	stranger = pair_make("stranger", 4, NULL, 0, TLS_DAY_S);
	cert_write(&ca, at("ca"));
	cert_write(&first, at("first"));
	cert_write(&second, at("second"));
	cert_write(&expired, at("expired"));
	key_write(&first, at("first.key"), NULL, 0600);
	key_write(&first, at("locked.key"), "password", 0600);
	key_write(&second, at("second.key"), NULL, 0600);
	key_write(&expired, at("open.key"), NULL, 0644);
	rsa_key_write(at("rsa.key"));
	text = fopen(at("text"), "w");
	assert_non_null(text);
	fputs("neither a certificate nor a key\n", text);
	fclose(text);
	client_tls = SSL_CTX_new(TLS_client_method());
	assert_non_null(client_tls);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	SSL_CTX_free(client_tls);
	pair_free(&ca);
	pair_free(&first);
	pair_free(&second);
	pair_free(&expired);
	pair_free(&stranger);
	tempdir_remove(dir);
	return 0;
}

static int64_t live;

static int count_live(void **state)
{
	(void)state;
	live = mem_live();
	return 0;
}

static int leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(mem_live(), live);
	return 0;
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, count_live, leaves_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(start_says_which_file_and_what_is_wrong),
		T(start_needs_a_key_with_the_certificate),
		T(start_warns_of_dates_and_of_a_key_that_all_can_read),
		T(reload_is_for_new_handshakes_and_a_fault_changes_nothing),
		T(plain_server_begins_no_tls),
		T(versions_before_1_2_are_refused),
		T(client_must_show_a_certificate_of_the_ca),
		T(handshake_that_stands_still_is_cut_and_costs_nothing),
		T(plain_http_is_told_to_speak_https),
		T(looking_whether_somebody_listens_is_no_failure),
		T(requests_follow_each_other_on_a_connection),
		T(big_answer_waits_for_a_slow_reader),
		T(body_over_the_limit_is_told_in_the_midst_of_it),
		T(request_that_does_not_end_in_time_is_told),
		T(client_that_has_said_all_is_answered),
		T(client_that_breaks_off_is_noticed),
		T(what_was_answered_goes_out_before_the_server_closes),
		T(handshakes_count_against_an_address),
		T(server_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
