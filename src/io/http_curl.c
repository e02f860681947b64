/**
 * io/http_curl.c -- how every request of ours is put to libcurl.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/inside.h"

enum { METHOD_MAX = 16, DNS_CACHE_S = 600, FIELD_MAX = 8192 };

void http_ignore_sigpipe(void)
{
	struct sigaction old;

	if (!sigaction(SIGPIPE, NULL, &old) && old.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

static int field_check(const char *field, struct err *e)
{
	size_t name = strspn(field, HTTP_TOKEN);

	if (name == 0 || field[name] != ':')
		return err_set(e, EINVAL, "fields",
			       "a header field is written as Name: value");
	if (strlen(field) > FIELD_MAX)
		return err_set(e, EINVAL, "fields",
			       "a header field has at most %d bytes",
			       FIELD_MAX);
	for (const char *p = field + name; *p; p++) {
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return err_set(e, EINVAL, "fields",
				       "no control characters are permitted in "
				       "%.*s",
				       (int)name, field);
	}
	return 0;
}

int http_call_check(const struct http_call *call, struct err *e)
{
	size_t len = strlen(call->method);
	int err = 0;

	if (len == 0 || len > METHOD_MAX ||
	    call->method[strspn(call->method, HTTP_TOKEN)])
		return err_set(e, EINVAL, "method", "not an HTTP method");
	for (size_t i = 0; i < call->n_fields && !err; i++)
		err = field_check(call->fields[i], e);
	return err;
}

static bool has_field(const struct http_call *call, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < call->n_fields; i++) {
		if (!strncasecmp(call->fields[i], name, len) &&
		    call->fields[i][len] == ':')
			return true;
	}
	return false;
}

static bool field_add(struct curl_slist **list, const char *field)
{
	const char *value = strchr(field, ':') + 1;
	char empty[256];
	struct curl_slist *longer;

	/* "Name:" would take the field out; "Name;" sends it empty */
	if (value[strspn(value, " \t")] == '\0' &&
	    str_copy(empty, sizeof(empty), field)) {
		snprintf(strchr(empty, ':'), 2, ";");
		field = empty;
	}
	longer = curl_slist_append(*list, field);
	if (longer)
		*list = longer;
	return longer != NULL;
}

struct curl_slist *http_call_fields(const struct http_call *call)
{
	/* no waiting for "100 Continue": a body is small */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	struct curl_slist *longer;

	if (!list)
		return NULL;
	if (!has_field(call, "Content-Type")) {
		longer = curl_slist_append(list, "Content-Type:");
		if (!longer)
			goto out;
		list = longer;
	}
	for (size_t i = 0; i < call->n_fields; i++) {
		if (!field_add(&list, call->fields[i]))
			goto out;
	}
	return list;
out:
	curl_slist_free_all(list);
	return NULL;
}

/* CUSTOMREQUEST alone would leave libcurl with the rules of another method
 * about bodies, so the kind is chosen first. */
static bool method_setup(CURL *easy, const struct http_call *call)
{
	const bool body = call->body_len > 0 || !strcmp(call->method, "POST") ||
			  !strcmp(call->method, "PUT");
	bool ok = true;

	if (!strcmp(call->method, "HEAD"))
		return !curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (body) {
		ok &= !curl_easy_setopt(easy, CURLOPT_POST, 1L);
		ok &= !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					(curl_off_t)call->body_len);
		ok &= !curl_easy_setopt(
			easy, CURLOPT_POSTFIELDS,
			call->body_len > 0 ? (const char *)call->body : "");
	} else {
		ok &= !curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	return ok &&
	       !curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

int http_curl_setup(CURL *easy, const struct http_call *call,
		    struct curl_slist *fields, char *error)
{
	bool ok = method_setup(easy, call);

	error[0] = '\0';
	ok &= !curl_easy_setopt(easy, CURLOPT_URL, call->url);
	ok &= !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
	ok &= !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	ok &= !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	ok &= !curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
	ok &= !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	ok &= !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	ok &= !curl_easy_setopt(easy, CURLOPT_PROXY, "");
	ok &= !curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	ok &= !curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	/* HTTP/2 of 7.88 fails under load, and one dead connection would take
	 * many deliveries with it */
	ok &= !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
				(long)CURL_HTTP_VERSION_1_1);
	ok &= !curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT,
				(long)DNS_CACHE_S);
	if (call->ca_file)
		ok &= !curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
	if (call->connect_only)
		ok &= !curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	return ok ? 0 : ENOMEM;
}

static void os_error(CURL *easy, const char *else_text, char *out, size_t cap)
{
	char text[96] = "";
	long code = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &code);
	if (code != 0) {
		/* the GNU form returns the text */
		const char *s = strerror_r((int)code, text, sizeof(text));

		snprintf(out, cap, "%s", s);
		if (out[0] >= 'A' && out[0] <= 'Z')
			out[0] = (char)(out[0] - 'A' + 'a');
	} else {
		snprintf(out, cap, "%s", else_text);
	}
}

int http_curl_errno(CURLcode code)
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
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return ECONNRESET;
	default:
		return EIO;
	}
}

void http_curl_error(CURL *easy, CURLcode code, const char *error, char *out,
		     size_t cap)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		os_error(easy, "cannot connect", out, cap);
		break;
	case CURLE_GOT_NOTHING:
		snprintf(out, cap, "connection closed without an answer");
		break;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		os_error(easy, error[0] ? error : "connection lost", out, cap);
		break;
	case CURLE_PARTIAL_FILE:
		snprintf(out, cap,
			 "connection closed in the middle of the "
			 "answer");
		break;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		snprintf(out, cap, "the answer is not HTTP");
		break;
	default:
		snprintf(out, cap, "%s",
			 error[0] ? error : curl_easy_strerror(code));
		break;
	}
	for (char *p = out; *p; p++) {
		if ((unsigned char)*p < ' ')
			*p = ' ';
	}
}
