/** control/control.c -- routes of the native API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "wire/sig.h"

enum { MAX_CONNECTIONS = 1000, HEADER_US = 10 * 1000 * 1000 };

struct route {
	const char *method;
	const char *path; /* "{}" stands for a part */
	void (*handle)(struct call *c);
	bool open; /* without authorization */
};

static const struct route routes[] = {
	{"GET", "/", root_show, true},
	{"GET", "/healthz", health_show, true},
	{"GET", "/readyz", ready_show, true},
	{"GET", "/metrics", metrics_show, false},
	{"GET", "/v1/rooms", rooms_list, false},
	{"POST", "/v1/apps/{}/rooms/{}/inputs", inputs_add, false},
	{"GET", "/v1/inputs/{}", inputs_show, false},
	{"PATCH", "/v1/inputs/{}", inputs_change, false},
	{"DELETE", "/v1/inputs/{}", inputs_remove, false},
	{"POST", "/v1/apps/{}/rooms/{}/tasks", tasks_start, false},
	{"GET", "/v1/tasks", tasks_list, false},
	{"GET", "/v1/tasks/{}", tasks_show, false},
	{"PATCH", "/v1/tasks/{}", tasks_change, false},
	{"DELETE", "/v1/tasks/{}", tasks_stop, false},
	{"GET", "/v1/tasks/{}/segments", segments_list, false},
	{"GET", "/v1/segments/{}/audio", segments_audio, false},
	{"GET", "/v1/apps/{}/endpoints", endpoints_list, false},
	{"GET", "/v1/deliveries", deliveries_list, false},
	{"GET", "/v1/deliveries/{}", deliveries_show, false},
	{"POST", "/v1/deliveries/replay", deliveries_replay, false},
	{"POST", "/v1/deliveries/{}/replay", deliveries_replay_one, false},
};

/* ---- finding the route ----------------------------------------------------- */

enum match { MATCH_NO, MATCH_YES, MATCH_BAD };

/**
 * Match the raw path against a pattern; "{}" parts are decoded into `c`.
 * MATCH_BAD: it fits, but a part is too long or badly escaped.
 */
static enum match match_path(const char *pattern, const char *path,
			     struct call *c)
{
	unsigned n = 0;
	bool bad = false;

	while (*pattern && *path) {
		if (!strncmp(pattern, "{}", 2)) {
			size_t len = strcspn(path, "/");

			if (!len)
				return MATCH_NO;
			bad |= http_decode(path, len, c->parts[n++],
					   CALL_PART_MAX) != 0;
			pattern += 2;
			path += len;
		} else if (*pattern++ != *path++) {
			return MATCH_NO;
		}
	}
	if (*pattern || *path)
		return MATCH_NO;
	return bad ? MATCH_BAD : MATCH_YES;
}

static const struct route *find_route(struct call *c, bool *bad_part,
				      char *methods, size_t cap)
{
	const char *method = c->request->method;
	size_t len = 0;

	if (!strcmp(method, "HEAD"))
		method = "GET";
	methods[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		enum match m =
			match_path(routes[i].path, c->request->raw_path, c);

		if (m == MATCH_NO)
			continue;
		if (!strcmp(routes[i].method, method)) {
			*bad_part = m == MATCH_BAD;
			return &routes[i];
		}
		len += (size_t)snprintf(methods + len, cap - len, "%s%s",
					len ? ", " : "", routes[i].method);
	}
	return NULL;
}

/* ---- the body ---------------------------------------------------------------- */

/** Read the body as JSON; answers 400 itself. */
static bool read_body(struct call *c)
{
	const struct http_request *r = c->request;
	json_error_t e;

	if (!r->body_len)
		return true;
	c->body = json_loadb((const char *)r->body, r->body_len,
			     JSON_REJECT_DUPLICATES, &e);
	if (c->body)
		return true;
	call_problem(c, 400, "", "the body is not JSON: %.120s (line %d)",
		     e.text, e.line);
	return false;
}

static void on_gone(void *arg)
{
	struct call *c = arg;

	c->request = NULL;
}

static struct call *make_call(struct control *control, struct http_request *r)
{
	struct call *c = mem_zalloc(sizeof(*c));
	char text[ADDR_TEXT_MAX];
	char *end;

	if (!c)
		return NULL;
	c->control = control;
	c->request = r;
	addr_write(&r->peer, text);
	end = strrchr(text, ':');
	if (end)
		*end = 0;
	str_copy(c->client_ip, sizeof(c->client_ip), text);
	return c;
}

static void dispatch(struct call *c)
{
	const struct route *route;
	char methods[64];
	bool bad_part = false;

	route = find_route(c, &bad_part, methods, sizeof(methods));
	if ((!route || !route->open) && !auth_permits(c))
		return;
	if (!route && methods[0]) {
		call_problem(c, 405, "", "permitted here: %s", methods);
		return;
	}
	if (!route) {
		call_problem(c, 404, "", "there is nothing at %.200s",
			     c->request->path);
		return;
	}
	if (bad_part) {
		call_problem(c, 400, "path",
			     "a part of the path has over %d bytes or a bad "
			     "escape",
			     ID_MAX);
		return;
	}
	if (read_body(c))
		route->handle(c);
}

static void on_request(struct http_request *r, void *arg)
{
	static const char none[] = "{\"status\":503}";
	struct http_answer busy = {
		.status = 503,
		.content_type = "application/problem+json",
		.body = none,
		.body_len = sizeof(none) - 1,
	};
	struct call *c = make_call(arg, r);

	counter_add(COUNT_http_requests, 1);
	if (!c) {
		http_reply(r, &busy);
		return;
	}
	http_on_gone(r, on_gone, c);
	dispatch(c);
}

static void on_refused(int status, void *arg)
{
	(void)status;
	(void)arg;
	counter_add(COUNT_http_refused, 1);
}

/* ---- opening ------------------------------------------------------------------- */

int control_open(struct loop *loop, struct rooms *rooms, struct notify *notify,
		 struct store *store, const struct control_config *config,
		 struct control **out, struct err *e)
{
	struct http_server_config http = {
		.n_listen = config->n_listen,
		.max_body = config->max_body,
		.max_connections = MAX_CONNECTIONS,
		.header_us = HEADER_US,
		.refused = on_refused,
	};
	struct control *c = mem_zalloc(sizeof(*c));
	char text[ADDR_TEXT_MAX];
	int err;

	if (!c)
		return err_set(e, ENOMEM, "", "out of memory");
	c->loop = loop;
	c->rooms = rooms;
	c->notify = notify;
	c->store = store;
	c->has_token = config->admin_token != NULL;
	err = c->has_token
		      ? sig_sha256(config->admin_token,
				   strlen(config->admin_token), c->token_hash)
		      : 0;
	memcpy(http.listen, config->listen,
	       config->n_listen * sizeof(http.listen[0]));
	if (!err)
		err = http_server_open(loop, &http, on_request, c, &c->server);
	if (err) {
		err_set(e, err, "http.listen", "cannot listen on %s: %s",
			addr_write(&config->listen[0], text), strerror(err));
		mem_free(c);
		return err;
	}
	*out = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	http_server_close(c->server);
	mem_free(c);
}

void control_addr(const struct control *c, size_t i, struct addr *out)
{
	http_server_addr(c->server, i, out);
}
