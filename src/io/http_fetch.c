/** io/http_fetch.c -- blocking requests, for commands of the user. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "io/http_client.h"
#include "io/inside.h"

enum { SHOWN_MAX = 80 };

/** Where the answer goes. */
struct target {
	CURL *easy;
	http_data_fn *fn; /* of a 200; NULL: all goes to `answer` */
	void *arg;
	struct buf *answer;
	int err;	    /* of fn */
	int64_t silence_us; /* with `fn`: how long nothing may come */
	int64_t last_us;    /* when something came, or fn was done with it */
	bool silent;	    /* ended for that */
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct target *t = arg;
	long status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->fn && status == 200) {
		t->err = t->fn(data, size * n, t->arg);
		t->last_us = clock_now_us();
	} else {
		buf_append(t->answer, data, size * n);
	}
	return t->err || buf_err(t->answer) ? CURL_WRITEFUNC_ERROR : size * n;
}

/** libcurl calls this at least once a second.  Its own low-speed limit is of
 *  bytes a second, and a stream that only shows it is alive sends fewer. */
static int on_progress(void *arg, curl_off_t to_come, curl_off_t came,
		       curl_off_t to_go, curl_off_t went)
{
	struct target *t = arg;

	(void)to_come;
	(void)came;
	(void)to_go;
	(void)went;
	t->silent = clock_now_us() - t->last_us > t->silence_us;
	return t->silent;
}

/** For all of it, or for each byte of an answer that has no limit. */
static bool setup_time(struct target *t, int64_t timeout_us)
{
	const long ms = (long)(timeout_us / CLOCK_US_PER_MS) + 1;
	bool ok;

	if (!t->fn)
		return !curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, ms);
	t->silence_us = timeout_us;
	t->last_us = clock_now_us();
	ok = !curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
	return ok;
}

static int setup(struct target *t, const struct http_call *call,
		 struct curl_slist *fields, char *error)
{
	int err = http_curl_setup(t->easy, call, fields, error);
	bool ok = !err;

	ok &= setup_time(t, call->timeout_us);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_data);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	ok &= !curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "tapeop");
	return ok ? 0 : ENOMEM;
}

/** Of a URL in a message: what is behind '?' may be a secret. */
static int shown_len(const char *url)
{
	size_t len = strcspn(url, "?#");

	return len < SHOWN_MAX ? (int)len : SHOWN_MAX;
}

static int perform(struct target *t, const struct http_call *call,
		   const char *error, struct err *e)
{
	char text[160];
	CURLcode code = curl_easy_perform(t->easy);

	if (code == CURLE_OK)
		return 0;
	if (t->err)
		return err_set(e, t->err, "answer", "%s", strerror(t->err));
	if (buf_err(t->answer))
		return err_set(e, buf_err(t->answer), "answer",
			       "the answer is longer than %zu bytes",
			       t->answer->max);
	if (t->silent)
		return err_set(e, ETIMEDOUT, "url",
			       "%.*s: nothing came for %lld ms",
			       shown_len(call->url), call->url,
			       (long long)(t->silence_us / CLOCK_US_PER_MS));
	http_curl_error(t->easy, code, error, text, sizeof(text));
	return err_set(
		e,
		code == CURLE_PEER_FAILED_VERIFICATION ? EPROTO
						       : http_curl_errno(code),
		"url", "%.*s: %s", shown_len(call->url), call->url, text);
}

int http_fetch_each(const struct http_call *call, http_data_fn *fn, void *arg,
		    int *status, struct buf *answer, struct err *e)
{
	struct target t = {.fn = fn, .arg = arg, .answer = answer};
	struct curl_slist *fields = NULL;
	char error[CURL_ERROR_SIZE];
	long code = 0;
	struct http_url url;
	int err = http_url_parse(call->url, &url, e);

	assert(!call->connect_only);
	if (!err)
		err = http_call_check(call, e);
	if (err)
		return err;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return err_set(e, ENOMEM, "", "out of memory");
	http_ignore_sigpipe();
	t.easy = curl_easy_init();
	fields = http_call_fields(call);
	err = t.easy && fields ? setup(&t, call, fields, error) : ENOMEM;
	if (err) {
		err = err_set(e, err, "", "out of memory");
		goto out;
	}
	err = perform(&t, call, error, e);
	if (!err) {
		(void)curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &code);
		*status = (int)code;
	}
out:
	curl_slist_free_all(fields);
	if (t.easy)
		curl_easy_cleanup(t.easy);
	curl_global_cleanup();
	return err;
}

int http_fetch(const struct http_call *call, int *status, struct buf *answer,
	       struct err *e)
{
	return http_fetch_each(call, NULL, NULL, status, answer, e);
}
