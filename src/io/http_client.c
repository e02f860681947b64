/**
 * io/http_client.c -- requests that go out: one deadline, one answer.
 *
 * WHAT  A call resolves its host (or not: an address), has every address
 *       vetted, hands libcurl the request pinned to them, and ends once.
 * WHY   An endpoint's URL comes from a customer: it must not reach into our
 *       network, hold a slot, or fill our memory.
 * DESIGN
 *   - Two pools: calls that may and that may not go to private addresses
 *     share neither connections nor libcurl's own cache of names.
 *   - Pinned by CURLOPT_RESOLVE, which each call sets anew before it starts
 *     (the entry lives in its pool's cache, the newest counts), and checked
 *     a second time on the real address when the socket is opened.
 *   - The deadline is a timer of ours from the first moment, so waiting for
 *     a name counts.
 *   - `done` runs at the end of a turn, never inside libcurl or a send, so
 *     it may send, cancel and free whatever it likes.
 *
 *   RESOLVING -> RUNNING -> ENDED -> done
 *        \___________________/  refused, not found, deadline, stopped
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/inside.h"

enum {
	IDLE_HANDLES = 32, /* easy handles kept for re-use */
	RETRY_AFTER_MAX_S = 30 * 24 * 3600,
	CONNECTION_AGE_MIN_S = 60,
};

struct http_client {
	struct loop *loop;
	struct http_client_config config;
	char *user_agent;
	struct http_dns *dns;
	struct http_pool pools[2]; /* [1]: private addresses permitted */
	struct link transfers;	   /* RESOLVING and RUNNING */
	struct link ended;	   /* done is to be called at the turn's end */
	struct link telling;	   /* ... in this turn */
	CURL *idle[IDLE_HANDLES];
	size_t n_idle;
	struct later later;
	bool queued;  /* `later` is */
	bool stopped; /* http_client_free was called */
};

struct http_transfer {
	struct link link;
	struct http_client *client;
	struct http_pool *pool;
	http_done_fn *done;
	void *arg;
	struct http_call call; /* its pointers are ours */
	char *url_text;
	char *method;
	char *ca_file;
	uint8_t *body;
	struct http_url url;
	struct curl_slist *fields;
	struct curl_slist *resolve;
	struct http_lookup lookup;
	struct http_addrs addrs;
	CURL *easy; /* NULL: not RUNNING */
	struct timer deadline;
	int64_t began_us;
	int64_t started_us; /* handed to libcurl */
	bool again;	    /* was sent a second time */
	struct buf answer;
	char *taken[HTTP_TAKE_MAX];
	struct http_result result;
	char error[CURL_ERROR_SIZE];
};

/* ---- the end of a call -------------------------------------------------- */

static void easy_give_back(struct http_client *c, CURL *easy)
{
	curl_easy_reset(easy);
	if (c->n_idle < IDLE_HANDLES && !c->stopped)
		c->idle[c->n_idle++] = easy;
	else
		curl_easy_cleanup(easy);
}

/* Take it from wherever it is; nothing calls it back after this. */
static void detach(struct http_transfer *t)
{
	timer_stop(&t->deadline);
	http_dns_forget(&t->lookup);
	list_remove(&t->link);
	if (!t->easy)
		return;
	(void)curl_multi_remove_handle(t->pool->multi, t->easy);
	easy_give_back(t->client, t->easy);
	t->easy = NULL;
}

static void transfer_free(struct http_transfer *t)
{
	detach(t);
	curl_slist_free_all(t->fields);
	curl_slist_free_all(t->resolve);
	buf_fini(&t->answer);
	for (size_t i = 0; i < HTTP_TAKE_MAX; i++)
		mem_free(t->taken[i]);
	mem_free(t->body);
	mem_free(t->ca_file);
	mem_free(t->method);
	mem_free(t->url_text);
	mem_free(t);
}

static void tell(struct http_transfer *t)
{
	list_remove(&t->link);
	t->result.body = (const uint8_t *)buf_str(&t->answer);
	t->result.body_len = t->answer.len;
	t->done(&t->result, t->arg);
	transfer_free(t);
}

static void on_later(struct later *later)
{
	struct http_client *c = CONTAINER_OF(later, struct http_client, later);

	if (!c->stopped)
		list_take(&c->ended, &c->telling);
	while (!list_is_empty(&c->telling))
		tell(CONTAINER_OF(list_first(&c->telling), struct http_transfer,
				  link));
	c->queued = false;
	if (c->stopped) {
		mem_free(c);
	} else if (!list_is_empty(&c->ended)) {
		c->queued = true;
		loop_later(c->loop, &c->later, on_later);
	}
}

/* Its result is filled in: call done at the end of this turn. */
static void end(struct http_transfer *t)
{
	struct http_client *c = t->client;

	t->result.total_us = loop_now_us(c->loop) - t->began_us;
	detach(t);
	list_append(&c->ended, &t->link);
	if (c->queued)
		return;
	c->queued = true;
	loop_later(c->loop, &c->later, on_later);
}

static void end_with(struct http_transfer *t, const char *text)
{
	t->result.status = 0;
	(void)str_copy(t->result.error, sizeof(t->result.error), text);
	end(t);
}

static void on_deadline(struct timer *timer, int64_t now_us)
{
	struct http_transfer *t =
		CONTAINER_OF(timer, struct http_transfer, deadline);
	const char *where = "looking up the host";
	curl_off_t connected = 0, first = 0;
	char text[128];

	(void)now_us;
	if (t->easy) {
		(void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T,
					&connected);
		(void)curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T,
					&first);
		where = first	    ? "reading the answer"
			: connected ? "waiting for the answer"
				    : "connecting";
	}
	snprintf(text, sizeof(text), "timed out after %lld ms, %s",
		 (long long)(t->call.timeout_us / CLOCK_US_PER_MS), where);
	t->result.timed_out = true;
	end_with(t, text);
}

/* ---- the answer --------------------------------------------------------- */

/* libcurl's write callback: keep the first 64 KiB, then stop it. */
static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	size_t len = size * n;
	size_t room = t->answer.max - t->answer.len;

	if (len > room) {
		t->result.body_cut = true;
		len = room;
	}
	buf_append(&t->answer, data, len);
	return buf_err(&t->answer) || t->result.body_cut ? CURL_WRITEFUNC_ERROR
							 : len;
}

/* RFC 9110 section 10.2.3: seconds or a date. */
static int64_t retry_after_us(CURL *easy)
{
	const int64_t max_s = RETRY_AFTER_MAX_S;
	struct curl_header *h;
	int64_t s;
	int err;

	if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &h))
		return -1;
	err = str_to_i64(h->value, 0, max_s, &s);
	if (err == ERANGE)
		s = h->value[0] == '-' ? 0 : max_s;
	if (err == EINVAL) {
		time_t date = curl_getdate(h->value, NULL);

		if (date == (time_t)-1)
			return -1;
		s = (int64_t)date - clock_unix_ms() / 1000;
	}
	if (s < 0)
		s = 0;
	return (s < max_s ? s : max_s) * CLOCK_US_PER_S;
}

/* A field's value without what is around it; of an empty one libcurl leaves
 * the end of its line. */
static char *copy_value(const char *value)
{
	const char *const space = " \t\r\n";
	size_t len;

	value += strspn(value, space);
	len = strlen(value);
	while (len && strchr(space, value[len - 1]))
		len--;
	return mem_strndup(value, len);
}

/* Copy the fields that are wanted: they go with the easy handle. */
static int take_fields(struct http_transfer *t)
{
	for (size_t i = 0; i < HTTP_TAKE_MAX; i++) {
		struct curl_header *h;

		if (!t->call.take[i] ||
		    curl_easy_header(t->easy, t->call.take[i], 0, CURLH_HEADER,
				     -1, &h))
			continue;
		t->taken[i] = copy_value(h->value);
		if (!t->taken[i])
			return ENOMEM;
		t->result.taken[i] = t->taken[i];
	}
	return 0;
}

static void take_info(struct http_transfer *t)
{
	int64_t before_us = t->started_us - t->began_us;
	struct http_result *r = &t->result;
	curl_off_t connect = 0, tls = 0, first = 0;
	long status = 0, connects = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
	(void)curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connect);
	(void)curl_easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &tls);
	(void)curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
	r->status = (int)status;
	r->reused = connects == 0 && status > 0;
	r->connect_us = before_us + (tls > connect ? tls : connect);
	r->first_byte_us = before_us + first;
	r->retry_after_us = retry_after_us(t->easy);
}

static int start(struct http_transfer *t);

/* Did a connection that was kept open turn out dead, before a byte of the
 * answer came?  Then the server never saw the request, or ids dedupe it. */
static bool is_stale_connection(struct http_transfer *t, CURLcode code)
{
	long connects = 1, head = 1;

	if (t->again || (code != CURLE_GOT_NOTHING &&
			 code != CURLE_RECV_ERROR && code != CURLE_SEND_ERROR))
		return false;
	(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
	(void)curl_easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &head);
	return connects == 0 && head == 0 && t->answer.len == 0;
}

static void on_ended(CURL *easy, CURLcode code)
{
	struct http_transfer *t = NULL;
	char text[128];

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
	assert(t && t->easy == easy);
	if (is_stale_connection(t, code)) {
		t->again = true;
		(void)curl_multi_remove_handle(t->pool->multi, easy);
		easy_give_back(t->client, easy);
		t->easy = NULL;
		if (start(t))
			end_with(t, "out of memory");
		return;
	}
	take_info(t);
	if (take_fields(t)) {
		end_with(t, "out of memory");
		return;
	}
	if (code == CURLE_OK || (t->result.body_cut && t->result.status > 0)) {
		end(t);
		return;
	}
	if (t->addrs.refused)
		(void)str_copy(text, sizeof(text), t->addrs.text);
	else if (buf_err(&t->answer))
		(void)str_copy(text, sizeof(text), "out of memory");
	else
		http_curl_error(easy, code, t->error, text, sizeof(text));
	t->result.refused_address = t->addrs.refused;
	t->result.untrusted = code == CURLE_PEER_FAILED_VERIFICATION;
	end_with(t, text);
}

/* ---- the beginning ------------------------------------------------------ */

/* libcurl is about to open a socket: the last look at where it goes. */
static curl_socket_t on_open(void *arg, curlsocktype purpose,
			     struct curl_sockaddr *to)
{
	struct http_transfer *t = arg;
	struct addr a = {.len = to->addrlen};
	bool pinned = false;

	if (purpose != CURLSOCKTYPE_IPCXN || to->addrlen > sizeof(a.any))
		return CURL_SOCKET_BAD;
	memcpy(&a.any, &to->addr, to->addrlen);
	for (size_t i = 0; i < t->addrs.n && !pinned; i++) {
		addr_set_port(&t->addrs.addrs[i], addr_port(&a));
		pinned = addr_is_equal(&t->addrs.addrs[i], &a);
	}
	if (!t->call.allow_private)
		http_addrs_vet(&t->addrs, t->url.host, &a);
	if (!pinned && !t->addrs.refused) {
		t->addrs.refused = true;
		(void)str_copy(t->addrs.text, sizeof(t->addrs.text),
			       "the connection was to go to an address that "
			       "was not vetted");
	}
	if (t->addrs.refused)
		return CURL_SOCKET_BAD;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* "+host:port:address,address": '+' lets the entry expire. */
static int pin(struct http_transfer *t)
{
	struct curl_slist *list;
	struct buf b;
	int err;

	if (t->url.literal)
		return 0;
	buf_init(&b, HTTP_HOST_MAX + 16 + HTTP_MAX_ADDRS * ADDR_TEXT_MAX);
	buf_printf(&b, "+%s:%u:", t->url.host, (unsigned)t->url.port);
	for (size_t i = 0; i < t->addrs.n; i++) {
		struct addr a = t->addrs.addrs[i];
		char text[ADDR_TEXT_MAX];

		addr_set_port(&a, 0);
		addr_write(&a, text);
		if (strrchr(text, ':'))
			*strrchr(text, ':') = '\0'; /* the port */
		buf_printf(&b, "%s%s", i > 0 ? "," : "", text);
	}
	err = buf_err(&b);
	list = err ? NULL : curl_slist_append(NULL, buf_str(&b));
	buf_fini(&b);
	if (!list)
		return ENOMEM;
	curl_slist_free_all(t->resolve);
	t->resolve = list;
	return 0;
}

static CURL *easy_take(struct http_client *c)
{
	return c->n_idle > 0 ? c->idle[--c->n_idle] : curl_easy_init();
}

static int setup(struct http_transfer *t)
{
	struct http_client *c = t->client;
	int64_t now_us = loop_now_us(c->loop);
	int64_t left_us = t->began_us + t->call.timeout_us - now_us;
	int64_t age_s = c->config.dns_ttl_us / CLOCK_US_PER_S;
	int err = http_curl_setup(t->easy, &t->call, t->fields, t->error);
	bool ok = true;

	if (err)
		return err;
	if (age_s < CONNECTION_AGE_MIN_S)
		age_s = CONNECTION_AGE_MIN_S;
	ok &= !curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_data);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_USERAGENT, c->user_agent);
	/* half of it for the first address when there are several */
	ok &= !curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS,
				(long)(left_us / CLOCK_US_PER_MS + 1));
	/* a pinned address is not kept alive for ever by its connection */
	ok &= !curl_easy_setopt(t->easy, CURLOPT_MAXLIFETIME_CONN, (long)age_s);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT,
				t->again ? 1L : 0L);
	if (t->resolve)
		ok &= !curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
	return ok ? 0 : ENOMEM;
}

/* Hand it to libcurl; `t->addrs` are vetted. */
static int start(struct http_transfer *t)
{
	struct http_client *c = t->client;
	int err = pin(t);

	if (err)
		return err;
	t->easy = easy_take(c);
	if (!t->easy)
		return ENOMEM;
	t->started_us = loop_now_us(c->loop);
	err = setup(t);
	if (!err && curl_multi_add_handle(t->pool->multi, t->easy))
		err = ENOMEM;
	if (err) {
		easy_give_back(c, t->easy);
		t->easy = NULL;
	}
	return err;
}

/* The addresses, or why not, are known. */
static void go(struct http_transfer *t, const struct http_addrs *addrs)
{
	t->addrs = *addrs;
	if (addrs->n == 0) {
		t->result.refused_address = addrs->refused;
		t->result.not_found = !addrs->refused;
		end_with(t, addrs->text);
	} else if (start(t)) {
		end_with(t, "out of memory");
	}
}

static void on_resolved(struct http_lookup *lookup,
			const struct http_addrs *addrs)
{
	go(CONTAINER_OF(lookup, struct http_transfer, lookup), addrs);
}

static int resolve(struct http_transfer *t)
{
	const struct http_addrs *known = NULL;
	struct http_addrs own = {0};
	int err;

	if (t->url.literal) {
		own.n = 1;
		own.addrs[0] = t->url.addr;
		if (!t->call.allow_private)
			http_addrs_vet(&own, NULL, &t->url.addr);
		if (own.refused)
			own.n = 0;
		go(t, &own);
		return 0;
	}
	t->lookup.fn = on_resolved;
	err = http_dns_ask(t->client->dns, t->url.host, t->call.allow_private,
			   &t->lookup, &known);
	if (!err && known)
		go(t, known);
	return err;
}

static int copy_call(struct http_transfer *t, const struct http_call *call)
{
	t->call = *call;
	t->url_text = mem_strdup(call->url);
	t->method = mem_strdup(call->method);
	t->ca_file = mem_strdup(call->ca_file);
	t->fields = http_call_fields(call);
	if (!t->url_text || !t->method || !t->fields ||
	    (call->ca_file && !t->ca_file))
		return ENOMEM;
	if (call->body_len > 0) {
		t->body = mem_zalloc(call->body_len);
		if (!t->body)
			return ENOMEM;
		memcpy(t->body, call->body, call->body_len);
	}
	t->call.url = t->url_text;
	t->call.method = t->method;
	t->call.ca_file = t->ca_file;
	t->call.body = t->body;
	t->call.fields = NULL;
	t->call.n_fields = 0;
	return 0;
}

int http_client_send(struct http_client *c, const struct http_call *call,
		     http_done_fn *done, void *arg, struct err *e,
		     struct http_transfer **out)
{
	struct http_transfer *t;
	struct http_url url;
	int err;

	assert(loop_is_mine(c->loop));
	assert(call->timeout_us > 0);
	if (c->stopped)
		return err_set(e, ESHUTDOWN, "", "stopped");
	err = http_url_parse(call->url, &url, e);
	if (!err)
		err = http_call_check(call, e);
	if (err)
		return err;
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "", "out of memory");
	t->client = c;
	t->pool = &c->pools[call->allow_private];
	t->done = done;
	t->arg = arg;
	t->url = url;
	t->began_us = loop_now_us(c->loop);
	t->result.retry_after_us = -1;
	buf_init(&t->answer, HTTP_CLIENT_MAX_ANSWER);
	list_append(&c->transfers, &t->link);
	err = copy_call(t, call);
	if (!err)
		err = timer_start(&t->deadline, c->loop,
				  t->began_us + call->timeout_us, on_deadline);
	if (!err)
		err = resolve(t);
	if (err) {
		transfer_free(t);
		return err_set(e, ENOMEM, "", "out of memory");
	}
	*out = t;
	return 0;
}

void http_client_cancel(struct http_transfer *t)
{
	assert(loop_is_mine(t->client->loop));
	transfer_free(t);
}

/* ---- the client --------------------------------------------------------- */

int http_client_new(struct loop *loop, const struct http_client_config *config,
		    struct http_client **out)
{
	struct http_client *c;
	int err = ENOMEM;

	assert(loop_is_mine(loop));
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return ENOMEM;
	http_ignore_sigpipe();
	c = mem_zalloc(sizeof(*c));
	if (!c)
		goto out;
	c->loop = loop;
	c->config = *config;
	list_init(&c->transfers);
	list_init(&c->ended);
	list_init(&c->telling);
	c->user_agent = mem_strdup(config->user_agent);
	if (config->user_agent && !c->user_agent)
		goto out;
	err = http_dns_new(loop, config->workers, config->dns_ttl_us, &c->dns);
	for (size_t i = 0; i < ARRAY_LEN(c->pools) && !err; i++)
		err = http_pool_init(&c->pools[i], loop,
				     config->max_connections, on_ended);
	if (err)
		goto out;
	*out = c;
	return 0;
out:
	if (c) {
		for (size_t i = 0; i < ARRAY_LEN(c->pools); i++)
			http_pool_fini(&c->pools[i]);
		http_dns_free(c->dns);
		mem_free(c->user_agent);
		mem_free(c);
	}
	curl_global_cleanup();
	return err;
}

/* Move all that is under way to the end, as stopped. */
static void stop_all(struct http_client *c)
{
	while (!list_is_empty(&c->transfers)) {
		struct http_transfer *t = CONTAINER_OF(
			list_first(&c->transfers), struct http_transfer, link);

		t->result.total_us = loop_now_us(c->loop) - t->began_us;
		(void)str_copy(t->result.error, sizeof(t->result.error),
			       "stopped");
		detach(t);
		list_append(&c->ended, &t->link);
	}
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	assert(loop_is_mine(c->loop));
	assert(!c->stopped);
	c->stopped = true;
	stop_all(c);
	/* what ended in this turn keeps its own result, and comes first */
	while (!list_is_empty(&c->telling))
		tell(CONTAINER_OF(list_first(&c->telling), struct http_transfer,
				  link));
	while (!list_is_empty(&c->ended))
		tell(CONTAINER_OF(list_first(&c->ended), struct http_transfer,
				  link));
	while (c->n_idle > 0)
		curl_easy_cleanup(c->idle[--c->n_idle]);
	for (size_t i = 0; i < ARRAY_LEN(c->pools); i++)
		http_pool_fini(&c->pools[i]);
	http_dns_free(c->dns);
	mem_free(c->user_agent);
	curl_global_cleanup();
	/* otherwise on_later frees it: it is running, or will */
	if (!c->queued)
		mem_free(c);
}
