/** control/control.c -- routes of the native API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "control/cloud.h"
#include "wire/sig.h"

enum { MAX_CONNECTIONS = 1000, HEADER_US = 10 * 1000 * 1000 };

enum route_flags {
	OPEN = 1,  /* without authorization; of a query nothing is read */
	QUERY = 2, /* its handler looks at the query */
	BODY = 4,  /* its handler looks at the body, which is JSON */
	RAW = 8	   /* its handler reads query and body by itself */
};

struct route {
	const char *method;
	const char *path; /* "{}" stands for a part, a "*" at the end for all
			     that follows */
	void (*handle)(struct call *c);
	unsigned flags;
};

static const struct route routes[] = {
	{"GET", "/", root_show, OPEN},
	{"POST", "/", cloud_serve, OPEN | RAW},
	{"GET", "/console/*", console_show, OPEN},
	{"GET", "/v1/login", login_show, OPEN},
	{"POST", "/v1/login", login_begin, OPEN | BODY},
	{"DELETE", "/v1/login", login_end, OPEN},
	{"GET", "/healthz", health_show, OPEN},
	{"GET", "/readyz", ready_show, OPEN},
	{"GET", "/metrics", metrics_show, 0},
	{"GET", "/v1/rooms", rooms_list, 0},
	{"POST", "/v1/apps/{}/rooms/{}/inputs", inputs_add, BODY},
	{"GET", "/v1/inputs/{}", inputs_show, 0},
	{"PATCH", "/v1/inputs/{}", inputs_change, BODY},
	{"DELETE", "/v1/inputs/{}", inputs_remove, 0},
	{"POST", "/v1/apps/{}/rooms/{}/tasks", tasks_start, BODY},
	{"GET", "/v1/tasks", tasks_list, QUERY},
	{"GET", "/v1/tasks/{}", tasks_show, 0},
	{"PATCH", "/v1/tasks/{}", tasks_change, BODY},
	{"DELETE", "/v1/tasks/{}", tasks_stop, 0},
	{"GET", "/v1/tasks/{}/segments", segments_list, QUERY},
	{"GET", "/v1/segments/{}/audio", segments_audio, 0},
	{"GET", "/v1/segments/{}/waveform", segments_waveform, 0},
	{"DELETE", "/v1/recordings", recordings_erase, QUERY},
	{"GET", "/v1/apps", apps_list, 0},
	{"POST", "/v1/apps", apps_make, BODY},
	{"GET", "/v1/apps/{}", apps_show, 0},
	{"PATCH", "/v1/apps/{}", apps_change, BODY},
	{"DELETE", "/v1/apps/{}", apps_remove, 0},
	{"POST", "/v1/apps/{}/keys", app_keys_rotate, BODY},
	{"POST", "/v1/apps/{}/keys/reveal", app_keys_reveal, BODY},
	{"DELETE", "/v1/apps/{}/keys/previous", app_keys_end, 0},
	{"POST", "/v1/apps/{}/api_keys", api_keys_make_one, BODY},
	{"PATCH", "/v1/apps/{}/api_keys/{}", api_keys_change, BODY},
	{"DELETE", "/v1/apps/{}/api_keys/{}", api_keys_revoke, 0},
	{"POST", "/whip/{}/{}/{}", whip_join, OPEN | RAW},
	{"OPTIONS", "/whip/{}/{}/{}", whip_options, OPEN | RAW},
	{"PATCH", "/whip/sessions/{}", whip_change, OPEN | RAW},
	{"DELETE", "/whip/sessions/{}", whip_leave, OPEN | RAW},
	{"OPTIONS", "/whip/sessions/{}", whip_session_options, OPEN | RAW},
	{"POST", "/v1/apps/{}/tickets", tickets_make, BODY},
	{"GET", "/v1/apps/{}/endpoints", endpoints_list, 0},
	{"POST", "/v1/apps/{}/endpoints", endpoints_make, BODY},
	{"GET", "/v1/endpoints", endpoints_list_all, QUERY},
	{"GET", "/v1/endpoints/{}", endpoints_show, 0},
	{"PATCH", "/v1/endpoints/{}", endpoints_change, BODY},
	{"DELETE", "/v1/endpoints/{}", endpoints_remove, 0},
	{"POST", "/v1/endpoints/{}/test", endpoints_test, BODY},
	{"GET", "/v1/events", events_follow, QUERY},
	{"GET", "/v1/live", live_follow, QUERY},
	{"GET", "/v1/deliveries", deliveries_list, QUERY},
	{"GET", "/v1/deliveries/{}", deliveries_show, 0},
	{"POST", "/v1/deliveries/replay", deliveries_replay, BODY},
	{"POST", "/v1/deliveries/{}/replay", deliveries_replay_one, BODY},
};

/* ---- finding the route ----------------------------------------------------- */

/** Match the raw path against a pattern; "{}" parts are decoded into `c`. */
static bool match_path(const char *pattern, const char *path, struct call *c)
{
	unsigned n = 0;

	while (*pattern && *path) {
		if (!strncmp(pattern, "{}", 2)) {
			size_t len = strcspn(path, "/");
			char *part = c->parts[n++];

			if (!len)
				return false;
			/* escapes are good: else it had not come here */
			if (http_decode(path, len, part, CALL_PART_MAX))
				part[0] = 0;
			pattern += 2;
			path += len;
		} else if (*pattern == '*') {
			return true;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return !*pattern && !*path;
}

/** NULL: none; then `methods` are those of the path, "" when there is none.
 *  is_open: whoever asks may know that; of a path's routes all are, or none. */
static const struct route *find_route(struct call *c, char *methods, size_t cap,
				      bool *is_open)
{
	const char *method = c->request->method; /* of HEAD: "GET" */
	size_t len = 0;

	methods[0] = 0;
	*is_open = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		bool get = !strcmp(routes[i].method, "GET");

		if (!match_path(routes[i].path, c->request->raw_path, c))
			continue;
		*is_open = routes[i].flags & OPEN;
		if (!strcmp(routes[i].method, method))
			return &routes[i];
		len += (size_t)snprintf(methods + len, cap - len, "%s%s%s",
					len ? ", " : "", routes[i].method,
					get ? ", HEAD" : "");
		assert(len < cap);
	}
	return NULL;
}

/* ---- the body ---------------------------------------------------------------- */

/** Read the body as JSON; answers 400 itself. */
static bool read_body(struct call *c)
{
	/* \u0000 is let in, so that the check of the field can name it */
	static const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	const struct http_request *r = c->request;
	const char *text = (const char *)r->body;
	json_error_t e;

	if (!r->body_len)
		return true;
	c->body = json_loadb(text, r->body_len, flags, &e);
	if (!c->body && json_error_code(&e) == json_error_numeric_overflow) {
		/* the same for a number that no integer holds */
		c->body = json_loadb(text, r->body_len,
				     flags | JSON_DECODE_INT_AS_REAL, &e);
		c->is_inexact = true;
	}
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

	if (!c)
		return NULL;
	c->control = control;
	c->request = r;
	str_copy(c->client_ip, sizeof(c->client_ip),
		 addr_write_host(&r->peer, text));
	return c;
}

/** Refuse what the route would not look at; answers 400 itself. */
static bool has_no_more(struct call *c, const struct route *route)
{
	static const char *const none[] = {NULL};

	if (c->request->body_len && !(route->flags & BODY)) {
		call_problem(c, 400, "", "no body is permitted here");
		return false;
	}
	return route->flags & (OPEN | QUERY) || call_query_keys(c, none);
}

static void dispatch(struct call *c)
{
	const struct route *route;
	char methods[64];
	bool is_open;

	route = find_route(c, methods, sizeof(methods), &is_open);
	if (!is_open && !auth_permits(c))
		return;
	if (!route && methods[0]) {
		c->extra = (struct http_field){"Allow", methods};
		call_problem(c, 405, "", "permitted here: %s", methods);
		return;
	}
	if (!route) {
		call_problem(c, 404, "", "there is nothing at %.200s",
			     c->request->path);
		return;
	}
	if (route->flags & RAW || (has_no_more(c, route) && read_body(c)))
		route->handle(c);
}

static void on_request(struct http_request *r, void *arg)
{
	static const char none[] = "{\"status\":503}\n";
	struct http_answer busy = {
		.status = 503,
		.content_type = "application/problem+json",
		.body = none,
		.body_len = sizeof(none) - 1,
	};
	struct call *c = make_call(arg, r);

	if (!c) {
		http_reply(r, &busy);
		return;
	}
	http_on_gone(r, on_gone, c);
	dispatch(c);
}

/* ---- opening ------------------------------------------------------------------- */

/** The folder as its users will look for it, from wherever they are. */
static char *absolute(const char *folder)
{
	char path[PATH_MAX];

	return mem_strdup(realpath(folder, path) ? path : folder);
}

void call_streams_stop(struct control *c)
{
	follow_stop(c->follow);
	live_stop(c->live);
}

static uint64_t mix(uint64_t sum, const char *text, uint64_t number)
{
	uint64_t parts[] = {sum, text ? map_hash(text, strlen(text)) : 0,
			    number};

	return map_hash(parts, sizeof(parts));
}

/** Of all that is shown of apps and endpoints, secrets apart. */
static uint64_t settings_hash(void *arg)
{
	const struct control *c = arg;
	struct notify_endpoint_info info;
	struct control_app app;
	uint64_t sum = 0;

	for (size_t i = 0; c->apps.at(i, &app, c->apps.owner); i++) {
		sum = mix(sum, app.shown, app.id);
		sum = mix(sum, NULL, (uint64_t)app.previous_until_ms);
		sum = mix(sum, NULL, app.is_kept);
	}
	for (size_t i = 0; notify_endpoint_at(c->notify, i, &info); i++) {
		sum = mix(sum, info.shown, info.id);
		sum = mix(sum, info.url, info.dialect);
		sum = mix(sum, info.name, info.is_kept * 2U + info.enabled);
	}
	return sum;
}

static void free_parts(struct control *c)
{
	follow_free(c->follow);
	live_free(c->live);
	control_keys_free(c->keys);
	mem_free(c->limits);
	mem_free(c->storage);
	mem_free(c->origins);
	mem_free(c);
}

int control_open(struct loop *loop, struct rooms *rooms, struct notify *notify,
		 struct store *store, const struct control_config *config,
		 struct control **out, struct err *e)
{
	size_t failed = 0;
	struct err why_not_tls = {0};
	struct http_server_config http = {
		.n_listen = config->n_listen,
		.max_body = config->max_body,
		.max_connections = MAX_CONNECTIONS,
		.header_us = HEADER_US,
		.failed = &failed,
		.tls = config->tls,
		.why_not_tls = &why_not_tls,
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
	c->apps = config->apps;
	c->storage = absolute(config->storage);
	c->limits = mem_zalloc(sizeof(*c->limits));
	console_policy(c->policy, config->media);
	c->origins = mem_strdup(config->origins ? config->origins : "");
	err = c->storage && c->limits && c->origins &&
			      !control_keys_new(NULL, 0, &c->keys)
		      ? follow_new(&(struct follow_config){.loop = loop,
							   .store = store,
							   .notify = notify},
				   &c->follow)
		      : ENOMEM;
	if (!err)
		err = live_new(&(struct live_config){.loop = loop,
						     .rooms = rooms,
						     .settings = settings_hash,
						     .arg = c},
			       &c->live);
	if (!err)
		err = control_set_tokens(c, config->admin_token,
					 config->previous_admin_token);
	memcpy(http.listen, config->listen,
	       config->n_listen * sizeof(http.listen[0]));
	if (!err)
		err = http_server_open(loop, &http, on_request, c, &c->server);
	if (err && why_not_tls.code) {
		*e = why_not_tls;
		free_parts(c);
		return err;
	}
	if (err) {
		err_set(e, err, "http.listen", "cannot listen on %s: %s",
			addr_write(&config->listen[failed], text),
			strerror(err));
		free_parts(c);
		return err;
	}
	*out = c;
	return 0;
}

int control_set_tokens(struct control *c, const char *token,
		       const char *previous)
{
	const char *const tokens[] = {token, previous};
	uint8_t hash[ARRAY_LEN(tokens)][SIG_SHA256_LEN];
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		int err;

		if (!tokens[i])
			continue;
		err = sig_sha256(tokens[i], strlen(tokens[i]), hash[n++]);
		if (err)
			return err;
	}
	assert(token || !previous);
	if (n == c->n_tokens &&
	    !memcmp(c->token_hash, hash, n * sizeof(hash[0])))
		return 0;
	memset(c->token_hash, 0, sizeof(c->token_hash));
	memcpy(c->token_hash, hash, n * sizeof(hash[0]));
	c->n_tokens = n;
	sessions_clear(&c->sessions);
	call_streams_stop(c);
	return 0;
}

int control_reload_tls(struct control *c, const struct http_tls_config *tls,
		       struct err *e)
{
	return tls->cert_file ? http_server_reload_tls(c->server, tls, e) : 0;
}

void control_take_keys(struct control *c, struct control_keys *keys)
{
	control_keys_free(c->keys);
	c->keys = keys;
}

void control_forget_app(struct control *c, uint32_t app)
{
	cloud_limit_forget(c->limits, app);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	call_streams_stop(c);
	http_server_close(c->server);
	free_parts(c);
}

void control_addr(const struct control *c, size_t i, struct addr *out)
{
	http_server_addr(c->server, i, out);
}
