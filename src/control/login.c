/** control/login.c -- the admin token for browsers: told once, then a cookie. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/call.h"
#include "control/cloud.h"

enum { COOKIE_CAP = 160 };

/** Does the browser talk TLS, with us or with a proxy before us? */
static bool is_secure(const struct http_request *r)
{
	const char *proto = http_header(r, "X-Forwarded-Proto");

	return r->is_tls || (proto && !strcasecmp(proto, "https"));
}

/** The header that sets the cookie to `value`, "" takes it away. */
static void set_cookie(struct call *c, const char *value, char out[COOKIE_CAP])
{
	snprintf(out, COOKIE_CAP,
		 SESSION_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
		 value, value[0] ? "" : "; Max-Age=0",
		 is_secure(c->request) ? "; Secure" : "");
	c->extra = (struct http_field){"Set-Cookie", out};
}

void login_show(struct call *c)
{
	bool needs = c->control->n_tokens > 0;
	const char *why = needs ? NULL : http_why_not_local(c->request);

	call_reply(c, 200,
		   json_pack("{s:b, s:b, s:s}", "needs_token", needs,
			     "logged_in", needs ? auth_is_known(c) : !why,
			     "why", why ? why : ""));
}

/** May this client try a token?  Answers itself when not. */
static bool may_try(struct call *c)
{
	if (!c->control->n_tokens) {
		call_problem(c, 409, "",
			     "there is no http.admin_token to log in with");
		return false;
	}
	if (!auth_is_own_page(c->request, false)) {
		counter_add(COUNT_http_refused, 1);
		call_problem(c, 403, "", "another site's page may not log in");
		return false;
	}
	if (limit_login_is_over(c->control->limits, c->client_ip,
				clock_now_us())) {
		counter_add(COUNT_http_refused, 1);
		c->extra = (struct http_field){"Retry-After", "3"};
		call_problem(c, 429, "",
			     "too many wrong tokens came from %s: wait some "
			     "seconds",
			     c->client_ip);
		return false;
	}
	return true;
}

static void refuse(struct call *c)
{
	counter_add(COUNT_http_refused, 1);
	limit_login_failed(c->control->limits, c->client_ip, clock_now_us());
	log_warn("login from %s: refused, it is not http.admin_token",
		 c->client_ip);
	call_problem(c, 401, "token", "token: is not http.admin_token");
}

/** What was sent as the token; answers itself when there is none. */
static bool read_token(struct call *c, const char **token)
{
	static const char *const keys[] = {"token", NULL};
	static const char what[] = "http.admin_token, 1 to 4096 bytes";
	size_t len;

	if (!call_keys(c, keys) || !call_string(c, "token", what, true, token))
		return false;
	len = strlen(*token);
	if (len > 0 && len <= SECRET_MAX)
		return true;
	call_problem(c, 400, "token", "token: must be %s", what);
	return false;
}

void login_begin(struct call *c)
{
	char text[SESSION_TEXT_CAP], cookie[COOKIE_CAP];
	const char *token;
	int err;

	if (!read_token(c, &token) || !may_try(c))
		return;
	if (!auth_is_token(c->control, token)) {
		refuse(c);
		return;
	}
	session_end(&c->control->sessions, http_header(c->request, "Cookie"));
	err = session_open(&c->control->sessions, clock_now_us(), text);
	if (err) {
		call_error(c, &(struct err){.code = err});
		return;
	}
	log_info("login from %s: taken", c->client_ip);
	set_cookie(c, text, cookie);
	call_reply(c, 200, json_pack("{s:b}", "logged_in", 1));
	mem_wipe(text, sizeof(text));
	mem_wipe(cookie, sizeof(cookie));
}

void login_end(struct call *c)
{
	char cookie[COOKIE_CAP];

	if (!auth_is_own_page(c->request, true)) {
		counter_add(COUNT_http_refused, 1);
		call_problem(c, 403, "", "another site's page may not log out");
		return;
	}
	session_end(&c->control->sessions, http_header(c->request, "Cookie"));
	call_streams_stop(c->control);
	set_cookie(c, "", cookie);
	call_reply(c, 200, json_pack("{s:b}", "logged_in", 0));
}
