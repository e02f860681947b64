/**
 * control/whip.c -- users come by WebRTC: WHIP (RFC 9725).
 *
 *	POST   /whip/{app}/{room}/{user}   an offer -> 201, the answer, Location
 *	PATCH  <Location>                  candidates -> 204; ICE restart -> 200
 *	DELETE <Location>                  the user leaves
 *
 * WHO   POST wants a ticket of that user (UserSig) as its Bearer, or the admin
 *       token, or the cookie of a login.  Without either it is answered as everything else is where there
 *       is no admin token: only to this machine itself.  The Location holds 288
 *       random bits, so who knows it is who got it, or was told by them: no
 *       ticket is asked for there, and a page can leave although its ticket
 *       has expired.
 * WEB   Pages of `http.allowed_origins`, of this server itself and, where the
 *       loopback rule lets the request in, of this machine may ask (CORS).
 *       Others are refused before anything is looked at.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/counters.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "control/cloud.h"
#include "wire/sdp.h"

enum { ETAG_CAP = 48, ANSWER_CAP = SDP_TEXT_MAX + 4096 };

static const char sdp_type[] = "application/sdp";
static const char frag_type[] = "application/trickle-ice-sdpfrag";

/* ---- web pages -------------------------------------------------------------- */

static bool is_listed(const char *origins, const char *origin)
{
	const size_t len = strlen(origin);
	const char *at = origins;

	if (!strcmp(origins, "*"))
		return true;
	for (; *at; at += strcspn(at, " "), at += *at == ' ') {
		size_t n = strcspn(at, " ");

		if ((n == len && !memcmp(at, origin, len)) ||
		    (n == 1 && *at == '*'))
			return true;
	}
	return false;
}

/** A page that this very server has served, whatever its name. */
static bool is_own(const struct call *c, const char *origin)
{
	const char *host = http_header(c->request, "Host");
	const char *at = strstr(origin, "://");

	return host && at && !strcasecmp(at + 3, host);
}

/** Let its page read the answer; answers 403 itself when it may not ask. */
static bool check_origin(struct call *c)
{
	const char *origin = http_header(c->request, "Origin");

	call_field(c, "Vary", "Origin");
	if (!origin)
		return true;
	if (!is_listed(c->control->origins, origin) && !is_own(c, origin) &&
	    (c->control->n_tokens || http_why_not_local(c->request))) {
		counter_add(COUNT_http_refused, 1);
		call_problem(c, 403, "Origin",
			     "pages of %.200s may not send here: have it in "
			     "http.allowed_origins",
			     origin);
		return false;
	}
	call_field(c, "Access-Control-Allow-Origin", origin);
	call_field(c, "Access-Control-Expose-Headers",
		   "Location, ETag, Link, Accept-Patch, Retry-After");
	return true;
}

static void answer_options(struct call *c, const char *methods,
			   const char *accepts, const char *type)
{
	struct buf nothing;

	if (!check_origin(c))
		return;
	call_field(c, "Allow", methods);
	call_field(c, accepts, type);
	if (http_header(c->request, "Access-Control-Request-Method")) {
		call_field(c, "Access-Control-Allow-Methods", methods);
		call_field(c, "Access-Control-Allow-Headers",
			   "Authorization, Content-Type, If-Match");
		call_field(c, "Access-Control-Max-Age", "86400");
	}
	buf_init(&nothing, 1);
	call_text(c, 204, NULL, &nothing);
}

void whip_options(struct call *c)
{
	answer_options(c, "OPTIONS, POST", "Accept-Post", sdp_type);
}

void whip_session_options(struct call *c)
{
	answer_options(c, "OPTIONS, PATCH, DELETE", "Accept-Patch", frag_type);
}

/* ---- who --------------------------------------------------------------------- */

static void refuse_ticket(struct call *c, int status, const char *why)
{
	counter_add(COUNT_http_refused, 1);
	if (status == 401)
		c->extra = (struct http_field){
			"WWW-Authenticate", "Bearer error=\"invalid_token\""};
	call_problem(c, status, "Authorization", "%s", why);
}

static bool check_ticket(struct call *c, uint32_t app, const char *ticket)
{
	const struct app_key *key = app_key_find(c->control->keys, app);
	struct err why = {0};
	char text[512];

	if (!key || !key->key) {
		refuse_ticket(c, 403,
			      "tickets of this app cannot be checked: it has "
			      "no secret_key in the configuration");
		return false;
	}
	switch (auth_check_ticket(key->key, key->previous, app, c->parts[2],
				  ticket, &why)) {
	case USERSIG_OK:
		return true;
	case USERSIG_NO_MEMORY:
		call_error(c, &(struct err){.code = ENOMEM});
		return false;
	case USERSIG_OTHER_APP:
	case USERSIG_OTHER_USER:
		snprintf(text, sizeof(text), "UserSig: %s", why.text);
		refuse_ticket(c, 403, text);
		return false;
	case USERSIG_NOT_BASE64:
		snprintf(text, sizeof(text),
			 "neither a ticket (%s) nor http.admin_token",
			 why.text);
		refuse_ticket(c, 401, text);
		return false;
	default:
		snprintf(text, sizeof(text), "UserSig: %s", why.text);
		refuse_ticket(c, 401, text);
		return false;
	}
}

/** May this user come?  Without a ticket only this machine may ask, and only
 *  where there is no admin token. */
static bool is_permitted(struct call *c, uint32_t *app)
{
	const char *field = http_header(c->request, "Authorization");
	const bool has_bearer = field && !strncasecmp(field, "Bearer ", 7);
	const bool is_admin = auth_is_known(c);
	const char *why = NULL;

	if (!has_bearer && !is_admin)
		why = c->control->n_tokens ? "the request brings no ticket"
					   : http_why_not_local(c->request);
	if (why) {
		counter_add(COUNT_http_refused, 1);
		c->extra = (struct http_field){"WWW-Authenticate", "Bearer"};
		call_problem(c, 401, "Authorization",
			     "%s; it needs `Authorization: Bearer <UserSig>` "
			     "of the user",
			     why);
		return false;
	}
	if (!call_app(c, c->parts[0], app) ||
	    !call_name(c, c->parts[1], "room") ||
	    !call_name(c, c->parts[2], "user"))
		return false;
	return !has_bearer || is_admin || check_ticket(c, *app, field + 7);
}

/* ---- what comes in -------------------------------------------------------------- */

/** Is it the media type, whatever its parameters? */
static bool is_type(const char *field, const char *type)
{
	const size_t len = strlen(type);

	return field && !strncasecmp(field, type, len) &&
	       strchr(" \t;", field[len]);
}

/** May the answer be of this type?  (q=0 is nobody's wish.) */
static bool accepts(const struct call *c, const char *type)
{
	const char *at = http_header(c->request, "Accept");

	if (!at || !*at)
		return true;
	for (; *at; at += strcspn(at, ","), at += *at == ',') {
		at += strspn(at, " \t");
		if (!strncmp(at, "*/*", 3) ||
		    !strncasecmp(at, "application/*", 13) ||
		    !strncasecmp(at, type, strlen(type)))
			return true;
	}
	return false;
}

static bool check_body(struct call *c, const char *type)
{
	if (!is_type(http_header(c->request, "Content-Type"), type)) {
		call_problem(c, 415, "Content-Type", "Content-Type: must be %s",
			     type);
		return false;
	}
	if (c->request->body_len > SDP_TEXT_MAX) {
		call_problem(c, 413, "", "the body: at most %d bytes",
			     SDP_TEXT_MAX);
		return false;
	}
	return true;
}

static void refuse_sdp(struct call *c, const struct err *e)
{
	call_problem(c, e->code == ENOTSUP ? 422 : 400, e->field, "%s",
		     e->text);
}

/** An errno of rooms, as a status of WHIP. */
static void refuse_join(struct call *c, const struct err *e)
{
	if (e->code != EAGAIN && e->code != EDQUOT) {
		call_error(c, e);
		return;
	}
	call_field(c, "Retry-After", "5");
	call_problem(c, e->code == EAGAIN ? 503 : 429, e->field, "%s", e->text);
}

/* ---- what is answered -------------------------------------------------------------- */

static void write_etag(const struct input_info *in, char out[ETAG_CAP])
{
	snprintf(out, ETAG_CAP, "\"%" PRIu64 "-%u\"", in->id, in->whip.turn);
}

/** Our end of the session, as SDP has it. */
struct local {
	struct sdp_local sdp;
	struct sdp_ice ice;
	struct sdp_candidate candidates[WHIP_ADDRESSES_MAX];
};

static void make_local(const struct input_info *in, struct local *l)
{
	*l = (struct local){0};
	str_copy(l->ice.ufrag, sizeof(l->ice.ufrag), in->whip.ice->ufrag);
	str_copy(l->ice.pwd, sizeof(l->ice.pwd), in->whip.ice->pwd);
	for (size_t i = 0; i < in->whip.n_addresses; i++)
		l->candidates[i] =
			(struct sdp_candidate){in->whip.addresses[i], in->port};
	l->sdp = (struct sdp_local){
		.session_id = in->id,
		.ice = &l->ice,
		.fingerprint = in->whip.fingerprint,
		.candidates = l->candidates,
		.n_candidates = in->whip.n_addresses,
	};
}

static void send_sdp(struct call *c, int status, const char *type,
		     const struct input_info *in, const struct buf *text)
{
	char etag[ETAG_CAP];

	write_etag(in, etag);
	call_field(c, "ETag", etag);
	call_text(c, status, type, text);
}

static void on_joined(const struct err *e, const struct input_info *in,
		      void *arg)
{
	struct call *c = arg;
	char location[128];
	struct local local;
	struct buf text;

	if (e->code) {
		refuse_join(c, e);
		return;
	}
	make_local(in, &local);
	buf_init_secret(&text, ANSWER_CAP);
	(void)!sdp_answer_write(c->offer, &local.sdp, &text);
	snprintf(location, sizeof(location), "/whip/sessions/%s", in->whip.key);
	call_field(c, "Location", location);
	call_field(c, "Accept-Patch", frag_type);
	send_sdp(c, 201, sdp_type, in, &text);
	buf_fini(&text);
	mem_wipe(&local, sizeof(local));
}

/** Read the offer into the call; answers itself when that cannot be. */
static bool read_offer(struct call *c)
{
	const char *body = (const char *)c->request->body;
	struct err e = {0};
	int err;

	c->offer = mem_zalloc(sizeof(*c->offer));
	if (!c->offer) {
		(void)err_no_memory(&e);
		call_error(c, &e);
		return false;
	}
	err = sdp_offer_parse(body, c->request->body_len, c->offer, &e);
	if (err)
		refuse_sdp(c, &e);
	return !err;
}

void whip_join(struct call *c)
{
	struct whip_wish wish = {.room = c->parts[1],
				 .user = c->parts[2],
				 .client_ip = c->client_ip};

	if (!check_origin(c) || !is_permitted(c, &wish.app) ||
	    !check_body(c, sdp_type))
		return;
	if (!accepts(c, sdp_type)) {
		call_problem(c, 406, "Accept", "the answer is %s", sdp_type);
		return;
	}
	if (!read_offer(c))
		return;
	wish.remote_ufrag = c->offer->ice.ufrag;
	wish.fingerprint = c->offer->fingerprint;
	wish.opus_pt = c->offer->opus_pt;
	wish.red_pt = c->offer->red_pt;
	wish.audio_level_ext = c->offer->level_ext;
	rooms_whip_join(c->control->rooms, &wish, on_joined, c);
}

/* ---- the session --------------------------------------------------------------------- */

/** The session that the path names; answers 404 and 410 itself. */
static bool find(struct call *c, struct input_info *in)
{
	if (rooms_whip_find(c->control->rooms, c->parts[0], in))
		return true;
	if (rooms_whip_is_replaced(c->control->rooms, c->parts[0]))
		call_problem(c, 410, "",
			     "a newer session of the user has taken the place "
			     "of this one, which is over");
	else
		call_problem(c, 404, "",
			     "there is no such session: it has ended, or the "
			     "server was started anew; POST again to come "
			     "back");
	return false;
}

static void on_restarted(const struct err *e, const struct input_info *in,
			 void *arg)
{
	struct call *c = arg;
	struct local local;
	struct buf text;

	if (e->code) {
		call_error(c, e);
		return;
	}
	make_local(in, &local);
	buf_init_secret(&text, ANSWER_CAP);
	(void)!sdp_frag_write(c->answer_mid, &local.sdp, &text);
	send_sdp(c, 200, frag_type, in, &text);
	buf_fini(&text);
	mem_wipe(&local, sizeof(local));
}

/** Is the tag in the list, or the list "*", for any?  RFC 9725 writes that one
 *  in quotes. */
static bool is_matched(const char *list, const char *etag)
{
	const size_t len = strlen(etag);

	if (!strcmp(list, "*") || !strcmp(list, "\"*\""))
		return true;
	for (const char *at = list; *at; at += *at == ',') {
		at += strspn(at, " \t");
		if (!strncmp(at, etag, len) && strchr(" \t,", at[len]))
			return true;
		at += strcspn(at, ",");
	}
	return false;
}

/** Is the request about the session as it is now (or as it may be)?  Answers
 *  412 and 428 itself. */
static bool check_match(struct call *c, const struct input_info *in)
{
	const char *match = http_header(c->request, "If-Match");
	char etag[ETAG_CAP];

	write_etag(in, etag);
	if (match && is_matched(match, etag))
		return true;
	call_field(c, "ETag", etag);
	if (match)
		call_problem(c, 412, "If-Match",
			     "ICE was restarted: the session is %s now", etag);
	else
		call_problem(c, 428, "If-Match",
			     "If-Match: must be the ETag of the session, or * "
			     "to restart ICE");
	return false;
}

/** We learn the sender's address from its checks: candidates are no news. */
void whip_change(struct call *c)
{
	const char *body = (const char *)c->request->body;
	struct input_info in;
	struct sdp_frag frag;
	struct err e = {0};
	struct buf nothing;

	if (!check_origin(c) || !find(c, &in) || !check_body(c, frag_type) ||
	    !check_match(c, &in))
		return;
	if (sdp_frag_parse(body, c->request->body_len, &frag, &e)) {
		refuse_sdp(c, &e);
		return;
	}
	if (frag.ice.ufrag[0] && strcmp(frag.ice.ufrag, in.whip.remote_ufrag)) {
		str_copy(c->answer_mid, sizeof(c->answer_mid), frag.mid);
		rooms_whip_restart(c->control->rooms, c->parts[0],
				   frag.ice.ufrag, on_restarted, c);
		return;
	}
	buf_init(&nothing, 1);
	call_text(c, 204, NULL, &nothing);
}

static void on_left(const struct err *e, const struct input_info *in, void *arg)
{
	struct call *c = arg;
	struct buf nothing;

	(void)in;
	if (e->code) {
		call_error(c, e);
		return;
	}
	buf_init(&nothing, 1);
	call_text(c, 200, NULL, &nothing);
}

void whip_leave(struct call *c)
{
	struct input_info in;

	if (check_origin(c) && find(c, &in))
		rooms_input_remove(c->control->rooms, in.id, on_left, c);
}
