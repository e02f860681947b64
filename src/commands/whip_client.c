/** commands/whip_client.c -- the HTTP of a sender by WHIP. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/whip_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "commands/client.h"
#include "wire/sdp.h"

enum {
	URL_MAX = 8192,
	FIELD_MAX = 8192, /* a ticket has up to 6144 bytes */
	TOLD_MAX = 300,	  /* of what a server says */
	REDIRECTS_MAX = 5
};

int whip_client_init(struct whip_client *w)
{
	buf_init(&w->session, URL_MAX);
	return http_session_new(NULL, NULL, false, &w->http);
}

void whip_client_fini(struct whip_client *w)
{
	http_session_free(w->http);
	w->http = NULL;
	buf_fini(&w->session);
}

/** One call; the ticket goes along where it belongs. */
static int ask(struct whip_client *w, const char *method, const char *url,
	       const char *body, int *status, struct buf *answer, struct err *e)
{
	/* the URL of a session is a secret */
	const struct client told = {
		.server = w->url,
		.option = strcmp(w->option, "--server") ? w->option : NULL};
	struct http_call call = {.method = method,
				 .url = url,
				 .body = body,
				 .body_len = body ? strlen(body) : 0,
				 .timeout_us = CLIENT_WAIT_US};
	const char *fields[3];
	struct buf bearer;
	int err;

	buf_init_secret(&bearer, FIELD_MAX);
	if (body) {
		fields[call.n_fields++] = "Content-Type: application/sdp";
		fields[call.n_fields++] = "Accept: application/sdp";
	}
	if (w->ticket && http_url_is_same_origin(url, w->url)) {
		buf_printf(&bearer, "Authorization: Bearer %s", w->ticket);
		fields[call.n_fields++] = buf_str(&bearer);
	}
	call.fields = fields;
	err = buf_err(&bearer)
		      ? err_set(e, EMSGSIZE, "ticket", "--ticket is too long")
		      : http_session_send(w->http, &call, NULL, status, answer,
					  e);
	buf_fini(&bearer);
	return client_no_answer(&told, CLIENT_WAIT_US, err, e);
}

/* ---- what is answered ---------------------------------------------------------- */

/** What a server says: `detail` of a problem (RFC 9457), or its first line. */
static void read_words(const struct buf *answer, char out[TOLD_MAX])
{
	json_t *json = json_loadb(buf_str(answer), answer->len, 0, NULL);
	const char *detail = client_text(json, "detail");
	const char *text = buf_str(answer);

	if (detail[0])
		snprintf(out, TOLD_MAX, ": %s", detail);
	else if (!json && text[0] && text[0] != '<')
		snprintf(out, TOLD_MAX, ": %.*s", (int)strcspn(text, "\r\n"),
			 text);
	else
		out[0] = 0;
	client_clean(out);
	json_decref(json);
}

static int refused(const struct whip_client *w, const char *url, int status,
		   const struct buf *answer, struct err *e)
{
	char words[TOLD_MAX];

	read_words(answer, words);
	if (status == 401 || status == 403)
		return err_set(e, EACCES, "ticket", "%.100s answered %d%s; %s",
			       url, status, words,
			       w->ticket ? "give another --ticket, or --key"
					 : "give a ticket of the user with "
					   "--ticket, or with --key the app's "
					   "secret_key to make one");
	if (status == 404 || status == 405)
		return err_set(e, EPROTO, w->option,
			       "%.100s answered %d%s; is this a WHIP endpoint "
			       "(%s)?",
			       url, status, words, w->option);
	return err_set(e, EINVAL, "", "%.100s answered %d%s", url, status,
		       words);
}

/** Is it the media type, whatever its parameters? */
static bool is_sdp(const char *type)
{
	static const char sdp[] = "application/sdp";

	return type && !strncasecmp(type, sdp, sizeof(sdp) - 1) &&
	       strchr(" \t;", type[sizeof(sdp) - 1]);
}

static int take_session(struct whip_client *w, const char *url, struct err *e)
{
	const char *location = http_session_field(w->http, "Location");
	struct err why;

	if (!location)
		return err_set(e, EPROTO, w->option,
			       "%.100s answered 201 without a Location: that "
			       "is no WHIP endpoint (%s)",
			       url, w->option);
	if (http_url_resolve(url, location, &w->session, &why))
		return err_set(e, EPROTO, w->option,
			       "%.100s answered with the Location %.100s: %s",
			       url, location, why.text);
	if (!is_sdp(http_session_field(w->http, "Content-Type")))
		return err_set(e, EPROTO, w->option,
			       "%.100s answered 201, but not with "
			       "application/sdp: that is no WHIP endpoint (%s)",
			       url, w->option);
	return 0;
}

/** Where to ask instead: into `to`. */
static int redirect(const struct whip_client *w, const char *url, int status,
		    struct buf *to, struct err *e)
{
	const char *location = http_session_field(w->http, "Location");
	struct err why;

	if (!location || http_url_resolve(url, location, to, &why))
		return err_set(e, EPROTO, w->option,
			       "%.100s answered %d without a Location", url,
			       status);
	if (!http_url_is_same_origin(buf_str(to), w->url))
		return err_set(e, EPROTO, w->option,
			       "%.100s sends us to another server; if it may "
			       "have the ticket, give --to %.200s",
			       url, buf_str(to));
	return 0;
}

/* ---- the session ----------------------------------------------------------------- */

int whip_client_post(struct whip_client *w, const char *offer,
		     struct buf *answer, struct err *e)
{
	struct buf url, next;
	int status = 0, err = 0;

	buf_init(&url, URL_MAX);
	buf_init(&next, URL_MAX);
	buf_puts(&url, w->url);
	for (int i = 0; i <= REDIRECTS_MAX && !err; i++) {
		err = ask(w, "POST", buf_str(&url), offer, &status, answer, e);
		if (err || (status != 307 && status != 308))
			break;
		err = redirect(w, buf_str(&url), status, &next, e);
		buf_clear(&url);
		buf_puts(&url, buf_str(&next));
		buf_clear(&next);
	}
	if (!err)
		err = status == 201
			      ? take_session(w, buf_str(&url), e)
			      : refused(w, buf_str(&url), status, answer, e);
	buf_fini(&url);
	buf_fini(&next);
	return err;
}

int whip_client_leave(struct whip_client *w, struct err *e)
{
	struct buf answer;
	int status = 0, err = 0;

	if (!w->session.len)
		return 0;
	buf_init(&answer, SDP_TEXT_MAX);
	err = ask(w, "DELETE", buf_str(&w->session), NULL, &status, &answer, e);
	if (!err && status / 100 != 2 && status != 404 && status != 410)
		err = refused(w, w->url, status, &answer, e);
	buf_fini(&answer);
	return err;
}
