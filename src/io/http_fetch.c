/** io/http_fetch.c -- one blocking request, for commands of the user. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "io/http_client.h"
#include "io/inside.h"

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_append(b, data, size * n);
	return buf_err(b) ? CURL_WRITEFUNC_ERROR : size * n;
}

static int errno_of(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	default:
		return EIO;
	}
}

static int setup(CURL *easy, const struct http_call *call,
		 struct curl_slist *fields, char *error, struct buf *answer)
{
	const long ms = (long)(call->timeout_us / CLOCK_US_PER_MS) + 1;
	int err = http_curl_setup(easy, call, fields, error);
	bool ok = !err;

	ok &= !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	ok &= !curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	ok &= !curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms);
	ok &= !curl_easy_setopt(easy, CURLOPT_USERAGENT, "tapeop");
	return ok ? 0 : ENOMEM;
}

static int perform(CURL *easy, const struct http_call *call, const char *error,
		   struct buf *answer, struct err *e)
{
	char text[160];
	CURLcode code = curl_easy_perform(easy);

	if (code == CURLE_OK)
		return 0;
	if (buf_err(answer))
		return err_set(e, buf_err(answer), "answer",
			       "the answer is longer than %zu bytes",
			       answer->max);
	http_curl_error(easy, code, error, text, sizeof(text));
	return err_set(e, errno_of(code), "url", "%.80s: %s", call->url, text);
}

int http_fetch(const struct http_call *call, int *status, struct buf *answer,
	       struct err *e)
{
	struct curl_slist *fields = NULL;
	char error[CURL_ERROR_SIZE];
	CURL *easy = NULL;
	long code = 0;
	int err = http_url_check(call->url, e);

	assert(!call->connect_only);
	if (!err)
		err = http_call_check(call, e);
	if (err)
		return err;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return err_set(e, ENOMEM, "", "out of memory");
	http_ignore_sigpipe();
	easy = curl_easy_init();
	fields = http_call_fields(call);
	err = easy && fields ? setup(easy, call, fields, error, answer)
			     : ENOMEM;
	if (err) {
		err = err_set(e, err, "", "out of memory");
		goto out;
	}
	err = perform(easy, call, error, answer, e);
	if (!err) {
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
		*status = (int)code;
	}
out:
	curl_slist_free_all(fields);
	if (easy)
		curl_easy_cleanup(easy);
	curl_global_cleanup();
	return err;
}
