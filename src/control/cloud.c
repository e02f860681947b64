/**
 * control/cloud.c -- the Tencent Cloud API v3 on /: who asks, and the answer.
 *
 * ORDER  signature -> action and version -> parameters -> app and action of
 *        the key -> limit -> the action.  Nothing of a request is looked into
 *        before its signature is good, but what the signature needs.
 * WHY    It is protected by its signatures alone: whoever has a key may ask
 *        from any machine, under any host name.
 *        An error is answered with status 200, as the vendor's SDKs want it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cloud.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- answers --------------------------------------------------------------- */

void cloud_free(struct cloud *cloud)
{
	if (!cloud)
		return;
	json_decref(cloud->root);
	json_decref(cloud->infos);
	mem_free(cloud->files);
	mem_free(cloud);
}

/** One line a call: who, what, and what came of it. */
static void audit(const struct call *c, const char *result)
{
	const struct cloud *x = c->cloud;
	char task[24] = "-";

	if (x->task)
		snprintf(task, sizeof(task), "%" PRIu64, x->task);
	log_info("cloud key=%s app=%" PRIu32 " action=%s task=%s result=%s "
		 "request=%s from=%s",
		 x->key_id[0] ? x->key_id : "-", x->q.app,
		 x->action[0] ? x->action : "-", task, result, x->request_id,
		 c->client_ip);
}

static void send_response(struct call *c, json_t *response)
{
	if (response)
		json_object_set_new(response, "RequestId",
				    json_string(c->cloud->request_id));
	call_reply(c, 200,
		   response ? json_pack("{s:o}", "Response", response) : NULL);
}

void cloud_reply(struct call *c, json_t *response)
{
	audit(c, response ? "ok" : "InternalError");
	send_response(c, response);
}

static void send_error(struct call *c, const struct cloud_error *e)
{
	send_response(c, json_pack("{s:{s:s, s:s}}", "Error", "Code", e->code,
				   "Message", e->text));
}

void cloud_fail(struct call *c, const struct cloud_error *e)
{
	audit(c, e->code);
	send_error(c, e);
}

void cloud_error(struct call *c, const char *code, const char *fmt, ...)
{
	char text[CLOUD_TEXT_MAX];
	struct cloud_error e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cloud_refuse(&e, code, "%s", text);
	cloud_fail(c, &e);
}

void cloud_internal(struct call *c, const struct err *e)
{
	cloud_error(
		c, e->code == ENOSPC ? "ResourceInsufficient" : "InternalError",
		"%s.", e->text[0] ? e->text : strerror(e->code));
}

void cloud_lists(const struct cloud_request *q, struct subscription *out)
{
	const struct cloud_users *from = q->allow.n ? &q->allow : &q->block;

	*out = (struct subscription){.allow = q->allow.n > 0, .n = from->n};
	static_assert((int)CLOUD_USERS_MAX <= (int)SUBSCRIBE_MAX, "they fit");
	memcpy(out->users, from->ids, from->n * sizeof(from->ids[0]));
}

/* ---- who asks --------------------------------------------------------------- */

/** The signature is not good. */
static bool refuse(struct call *c, const char *code, const char *text)
{
	counter_add(COUNT_http_refused, 1);
	cloud_limit_peer_failed(c->control->limits, c->client_ip,
				clock_now_us());
	cloud_error(c, code, "%s", text);
	return false;
}

static bool refuse_fault(struct call *c, enum tc3_fault fault)
{
	return refuse(c, tc3_fault_code(fault), tc3_fault_text(fault));
}

static const struct cloud_key *find_key(struct call *c, const char *secret_id)
{
	const struct cloud_key *key =
		cloud_key_find(c->control->keys, secret_id);

	str_copy(c->cloud->key_id, sizeof(c->cloud->key_id), secret_id);
	if (!key)
		refuse(c, "AuthFailure.SecretIdNotFound",
		       "There is no such SecretId; keys are declared under "
		       "apps[].api_keys in the configuration.");
	else
		c->cloud->q.app = key->app;
	return key;
}

static const char *get_header(const char *name, void *arg)
{
	return http_header(arg, name);
}

/** NULL: it was answered. */
static const struct cloud_key *check_v3(struct call *c)
{
	struct tc3_request r = {
		.method = c->request->method,
		.path = c->request->raw_path,
		.query = c->request->raw_query,
		.header = get_header,
		.header_arg = c->request,
		.body = c->request->body,
		.len = c->request->body_len,
		.now_unix_s = clock_unix_ms() / 1000,
	};
	const struct cloud_key *key;
	struct tc3_auth auth;
	enum tc3_fault fault = tc3_parse(&r, &auth);

	if (fault) {
		refuse_fault(c, fault);
		return NULL;
	}
	key = find_key(c, auth.secret_id);
	if (!key)
		return NULL;
	fault = tc3_verify(&r, &auth, key->secret_key);
	if (fault == TC3_SIGNATURE_WRONG && key->previous_secret_key)
		fault = tc3_verify(&r, &auth, key->previous_secret_key);
	if (!fault)
		return key;
	refuse_fault(c, fault);
	return NULL;
}

/* ---- parameters of v1 --------------------------------------------------------- */

/** Each name once. */
static int put_flat(const char *name, const char *value, void *arg)
{
	json_t *text;

	if (json_object_get(arg, name))
		return EEXIST;
	text = json_string(value);
	/* not UTF-8 */
	return text && !json_object_set_new(arg, name, text) ? 0 : EINVAL;
}

static json_t *read_flat(struct call *c)
{
	const struct http_request *r = c->request;
	json_t *flat = json_object();
	int err = flat ? 0 : ENOMEM;

	if (!err && !strcmp(r->method, "GET"))
		err = http_query_each(r, put_flat, flat);
	else if (!err)
		err = http_form_each((const char *)r->body, r->body_len,
				     put_flat, flat);
	if (!err)
		return flat;
	json_decref(flat);
	if (err == EEXIST)
		refuse_fault(c, TC3_V1_PARAMETER_TWICE);
	else
		refuse(c, err == ENOMEM ? "InternalError" : "InvalidParameter",
		       err == ENOMEM ? "Out of memory."
				     : "The parameters must be name=value with "
				       "'&' between them, at most 256, in "
				       "UTF-8.");
	return NULL;
}

static const struct cloud_key *verify_v1(struct call *c,
					 const struct tc3_v1_request *r)
{
	const struct cloud_key *key;
	struct tc3_v1_auth auth;
	enum tc3_fault fault = tc3_v1_parse(r, &auth);

	if (fault) {
		refuse_fault(c, fault);
		return NULL;
	}
	key = find_key(c, auth.secret_id);
	if (!key)
		return NULL;
	fault = tc3_v1_verify(r, &auth, key->secret_key);
	if (fault == TC3_SIGNATURE_WRONG && key->previous_secret_key)
		fault = tc3_v1_verify(r, &auth, key->previous_secret_key);
	if (!fault)
		return key;
	refuse_fault(c, fault);
	return NULL;
}

/** The parameters, as they came, are in `flat`.  NULL: it was answered. */
static const struct cloud_key *check_v1(struct call *c, json_t *flat)
{
	const char *host = http_header(c->request, "Host");
	struct tc3_v1_request r = {
		.method = c->request->method,
		.host = host ? host : "",
		.path = c->request->raw_path,
		.now_unix_s = clock_unix_ms() / 1000,
	};
	struct tc3_parameter *list =
		mem_zalloc_n(json_object_size(flat) + 1, sizeof(*list));
	const struct cloud_key *key;
	const char *name;
	json_t *value;

	if (!list) {
		refuse_fault(c, TC3_NO_MEMORY);
		return NULL;
	}
	json_object_foreach(flat, name, value)
	{
		list[r.n++] =
			(struct tc3_parameter){name, json_string_value(value)};
	}
	r.parameters = list;
	key = verify_v1(c, &r);
	mem_free(list);
	return key;
}

/* ---- what is asked ------------------------------------------------------------- */

struct asked {
	const char *version, *action; /* or NULL */
	bool is_form;
};

static bool refuse_bad(struct call *c, const char *text)
{
	cloud_error(c, "InvalidParameter", "%s", text);
	return false;
}

static int put_nested(const char *name, const char *value, void *arg)
{
	return cloud_form_put(arg, name, value);
}

static bool refuse_form(struct call *c, int err)
{
	if (err == ENOMEM) {
		cloud_error(c, "InternalError", "Out of memory.");
		return false;
	}
	return refuse_bad(c, err == EEXIST
				     ? "A parameter is there twice."
				     : "Names of parameters must be words with "
				       "'.' between them, and values UTF-8.");
}

/** Those of v1 that are no action's. */
static bool is_common(const char *name)
{
	static const char *const names[] = {
		"Action",	   "Version",	    "Region",	"Timestamp",
		"Nonce",	   "Token",	    "SecretId", "Signature",
		"SignatureMethod", "RequestClient", "Language",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

static bool take_flat(struct call *c, json_t *flat)
{
	const char *name;
	json_t *value;
	int err = 0;

	json_object_foreach(flat, name, value)
	{
		if (!err && !is_common(name))
			err = cloud_form_put(c->cloud->root, name,
					     json_string_value(value));
	}
	return err ? refuse_form(c, err) : true;
}

/** Is the body said to be of this type, whatever comes behind a ';'? */
static bool is_of_type(const struct http_request *r, const char *type)
{
	const char *field = http_header(r, "Content-Type");
	const size_t len = strlen(type);

	return field && !strncasecmp(field, type, len) &&
	       (!field[len] || strchr("; \t", field[len]));
}

static bool take_json(struct call *c)
{
	static const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	const struct http_request *r = c->request;
	const char *text = (const char *)r->body;
	json_error_t e;
	json_t *root;

	if (!is_of_type(r, "application/json"))
		return refuse_bad(c, "Content-Type must be application/json "
				     "with this signature.");
	root = json_loadb(text, r->body_len, flags, &e);
	if (!root && json_error_code(&e) == json_error_numeric_overflow)
		root = json_loadb(text, r->body_len,
				  flags | JSON_DECODE_INT_AS_REAL, &e);
	if (!root) {
		cloud_error(c, "InvalidParameter",
			    "The body is not JSON: %.120s (line %d).", e.text,
			    e.line);
		return false;
	}
	json_decref(c->cloud->root);
	c->cloud->root = root;
	return true;
}

static bool take_v3(struct call *c, struct asked *a)
{
	int err;

	a->action = http_header(c->request, "X-TC-Action");
	a->version = http_header(c->request, "X-TC-Version");
	a->is_form = !strcmp(c->request->method, "GET");
	if (!a->is_form)
		return take_json(c);
	err = http_query_each(c->request, put_nested, c->cloud->root);
	return err ? refuse_form(c, err) : true;
}

/* ---- may it ask that? ----------------------------------------------------------- */

static bool permits(struct call *c, const struct cloud_key *key)
{
	const struct cloud_request *q = &c->cloud->q;
	const char *code = cloud_action_is_trtc(q->action)
				   ? "AuthFailure.UnauthorizedOperation"
				   : "UnauthorizedOperation";

	if (!(key->actions >> q->action & 1)) {
		cloud_error(c, code,
			    "The key %s may not call %s (its actions: in the "
			    "configuration).",
			    key->secret_id, cloud_action_name(q->action));
		return false;
	}
	if (q->app != key->app) {
		cloud_error(c, code, "%s: the key %s is of another app.",
			    cloud_action_is_trtc(q->action) ||
					    q->action ==
						    CLOUD_DESCRIBE_ROOM_INFO
				    ? "SdkAppId"
				    : "BizId",
			    key->secret_id);
		return false;
	}
	if (cloud_limit_call(c->control->limits, key->app, q->action,
			     clock_now_us()))
		return true;
	cloud_error(c, "RequestLimitExceeded",
		    "%s: at most %d calls a second; try again in a moment.",
		    cloud_action_name(q->action), CLOUD_CALLS_S);
	return false;
}

static void carry_out(struct call *c, const struct cloud_key *key)
{
	static void (*const handlers[CLOUD_ACTION_N])(struct call * c) = {
		[CLOUD_START_RECORD] = cloud_start_record,
		[CLOUD_STOP_RECORD] = cloud_stop_record,
		[CLOUD_MODIFY_RECORD_INFO] = cloud_modify_record_info,
		[CLOUD_DESCRIBE_RECORD_INFO] = cloud_describe_record_info,
		[CLOUD_DESCRIBE_TASK_INFO] = cloud_describe_task_info,
		[CLOUD_DESCRIBE_ROOM_INFO] = cloud_describe_room_info,
		[CLOUD_DESCRIBE_RECORDING] = cloud_describe_recording,
		[CLOUD_MODIFY_RECORDING] = cloud_modify_recording,
		[CLOUD_DELETE_RECORDING] = cloud_delete_recording,
	};
	const struct cloud_request *q = &c->cloud->q;

	c->cloud->task = q->task;
	if (q->action == CLOUD_CREATE_RECORDING)
		cloud_create_recording(c, key);
	else
		handlers[q->action](c);
}

static void do_asked(struct call *c, const struct cloud_key *key,
		     const struct asked *asked)
{
	struct cloud *x = c->cloud;
	enum cloud_action action;
	struct cloud_request q;
	struct cloud_error e;

	if (!cloud_find(asked->version, asked->action, &action, &e)) {
		cloud_fail(c, &e);
		return;
	}
	str_copy(x->action, sizeof(x->action), cloud_action_name(action));
	if (!cloud_read(action, x->root, asked->is_form, &q, &e)) {
		cloud_fail(c, &e);
		return;
	}
	x->q = q;
	if (permits(c, key))
		carry_out(c, key);
}

/* ---- beginning ------------------------------------------------------------------- */

/** RFC 9562, version 4. */
static void make_request_id(char out[CLOUD_REQUEST_ID_CAP])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		memset(b, 0, sizeof(b)); /* it only names the request */
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, CLOUD_REQUEST_ID_CAP,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
		 b[10], b[11], b[12], b[13], b[14], b[15]);
}

static bool begin(struct call *c)
{
	struct cloud *x = mem_zalloc(sizeof(*x));
	struct err e = {.code = ENOMEM};

	if (x)
		x->root = json_object();
	if (!x || !x->root) {
		cloud_free(x);
		call_error(c, &e);
		return false;
	}
	make_request_id(x->request_id);
	c->cloud = x;
	return true;
}

static void serve_v3(struct call *c)
{
	const struct cloud_key *key = check_v3(c);
	struct asked asked = {0};

	if (key && take_v3(c, &asked))
		do_asked(c, key, &asked);
}

static void serve_v1(struct call *c)
{
	json_t *flat = read_flat(c);
	const struct cloud_key *key = flat ? check_v1(c, flat) : NULL;
	struct asked asked = {.is_form = true};

	if (key && take_flat(c, flat)) {
		asked.action =
			json_string_value(json_object_get(flat, "Action"));
		asked.version =
			json_string_value(json_object_get(flat, "Version"));
		do_asked(c, key, &asked);
	}
	json_decref(flat);
}

static bool is_v3(const struct http_request *r)
{
	return http_header(r, "Authorization") ||
	       http_header(r, "X-TC-Action") ||
	       http_header(r, "X-TC-Timestamp");
}

bool cloud_is_meant(const struct http_request *r)
{
	return http_header(r, "X-TC-Action") || http_query(r, "Action");
}

void cloud_serve(struct call *c)
{
	const struct http_request *r = c->request;

	if (!begin(c))
		return;
	if (!c->control->keys->n)
		refuse(c, "AuthFailure.SecretIdNotFound",
		       "No app has a key; keys are declared under "
		       "apps[].api_keys in the configuration.");
	else if (cloud_limit_peer_is_over(c->control->limits, c->client_ip,
					  clock_now_us()))
		send_error(c, &(struct cloud_error){
				      "RequestLimitExceeded",
				      "Too many requests of this address had "
				      "no good signature; try again in a "
				      "moment."});
	else if (is_v3(r))
		serve_v3(c);
	else if (!strcmp(r->method, "GET") ||
		 is_of_type(r, "application/x-www-form-urlencoded"))
		serve_v1(c);
	else
		refuse_fault(c, TC3_AUTHORIZATION_MISSING);
}
