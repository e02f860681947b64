/**
 * io/http_session.c -- blocking requests of one thread, one after another,
 * over connections that are kept; bodies come from files.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/http_client.h"
#include "io/inside.h"

enum { SLOW_BYTES_S = 1024, CONNECT_MS = 10 * 1000 };

struct http_session {
	/* fixed after new */
	const _Atomic bool *stops; /* or NULL */
	void (*sent)(int64_t bytes);
	bool is_public;
	CURL *easy;

	/* of the call under way */
	const struct http_file *file;
	struct buf *answer;
	int64_t at;	     /* of the file's part that was handed over */
	int64_t counted;     /* bytes told to `sent` */
	int err;	     /* of reading the file */
	struct addr refused; /* len 0: none; the last that was not global */
	bool was_tried;	     /* another one, which is global */
	char error[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls --------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct http_session *s = arg;

	buf_append(s->answer, data, size * n);
	return buf_err(s->answer) ? CURL_WRITEFUNC_ERROR : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_session *s = arg;
	const int64_t left = s->file->len - s->at;
	size_t want = size * n;
	ssize_t len;

	if ((int64_t)want > left)
		want = (size_t)left;
	if (!want)
		return 0;
	do
		len = pread(s->file->fd, data, want, s->file->offset + s->at);
	while (len < 0 && errno == EINTR);
	if (len <= 0) {
		s->err = len ? errno : EBADMSG; /* it has become shorter */
		return CURL_READFUNC_ABORT;
	}
	s->at += len;
	return (size_t)len;
}

/** A kept connection that turns out to be dead is replaced: begin anew. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_session *s = arg;

	if (origin != SEEK_SET || offset < 0 || offset > s->file->len)
		return CURL_SEEKFUNC_CANTSEEK;
	s->at = offset;
	return CURL_SEEKFUNC_OK;
}

/** Whatever a name has become meanwhile, this is where it would go. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose,
			       struct curl_sockaddr *at)
{
	struct http_session *s = arg;
	struct addr a = {.len = at->addrlen};

	(void)purpose;
	if (at->addrlen > sizeof(a.any))
		return CURL_SOCKET_BAD;
	memcpy(&a.any, &at->addr, at->addrlen);
	if (!addr_is_global(&a)) {
		s->refused = a;
		return CURL_SOCKET_BAD;
	}
	s->was_tried = true;
	return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

static bool is_stopping(const struct http_session *s)
{
	return s->stops && atomic_load_explicit(s->stops, memory_order_relaxed);
}

static int on_progress(void *arg, curl_off_t to_come, curl_off_t came,
		       curl_off_t to_go, curl_off_t went)
{
	struct http_session *s = arg;

	(void)to_come;
	(void)came;
	(void)to_go;
	if (s->sent && went > s->counted) {
		s->sent(went - s->counted);
		s->counted = went;
	}
	return is_stopping(s);
}

/* ---- one call ------------------------------------------------------------- */

static bool setup_body(struct http_session *s)
{
	CURL *easy = s->easy;
	bool ok = true;

	/* With fields libcurl would not seek when it begins anew. */
	ok &= !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
	ok &= !curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	ok &= !curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
				(curl_off_t)s->file->len);
	ok &= !curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body);
	ok &= !curl_easy_setopt(easy, CURLOPT_READDATA, s);
	ok &= !curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	ok &= !curl_easy_setopt(easy, CURLOPT_SEEKDATA, s);
	return ok;
}

static int setup(struct http_session *s, const struct http_call *call,
		 struct curl_slist *fields)
{
	CURL *easy = s->easy;
	bool ok = !http_curl_setup(easy, call, fields, s->error);

	if (s->file)
		ok &= setup_body(s);
	ok &= !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
				(long)CONNECT_MS);
	ok &= !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
				(long)SLOW_BYTES_S);
	ok &= !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
				(long)(call->timeout_us / CLOCK_US_PER_S) + 1);
	ok &= !curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	ok &= !curl_easy_setopt(easy, CURLOPT_XFERINFODATA, s);
	ok &= !curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	ok &= !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	ok &= !curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
	ok &= !curl_easy_setopt(easy, CURLOPT_USERAGENT, "tapeop");
	if (s->is_public) {
		ok &= !curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
					on_socket);
		ok &= !curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, s);
	}
	return ok ? 0 : ENOMEM;
}

/** Who asks for this knows TLS apart. */
static int errno_of(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION ||
			       code == CURLE_SSL_CONNECT_ERROR
		       ? EPROTO
		       : http_curl_errno(code);
}

static int perform(struct http_session *s, const struct http_url *url,
		   struct err *e)
{
	char text[160];
	CURLcode code = curl_easy_perform(s->easy);

	if (code == CURLE_OK)
		return 0;
	if (is_stopping(s))
		return err_set(e, ECANCELED, "", "stopped");
	if (s->err)
		return err_set(e, s->err, "file", "the file cannot be read: %s",
			       strerrordesc_np(s->err));
	if (s->refused.len && !s->was_tried)
		return err_set(e, EADDRNOTAVAIL, "url",
			       "%s: the address %s is not a global one: %s",
			       url->host, addr_write_host(&s->refused, text),
			       addr_special(&s->refused));
	if (buf_err(s->answer))
		return err_set(e, buf_err(s->answer), "answer",
			       "the answer is longer than %zu bytes",
			       s->answer->max);
	http_curl_error(s->easy, code, s->error, text, sizeof(text));
	/* The path is the caller's: it may be long, and tells nothing here. */
	return err_set(e, errno_of(code), "url", "%s:%u: %s", url->host,
		       (unsigned)url->port, text);
}

int http_session_send(struct http_session *s, const struct http_call *call,
		      const struct http_file *file, int *status,
		      struct buf *answer, struct err *e)
{
	struct curl_slist *fields;
	struct http_url url;
	long code = 0;
	int err = http_url_parse(call->url, &url, e);

	assert(!call->connect_only && !(file && call->body_len));
	if (!err)
		err = http_call_check(call, e);
	if (err)
		return err;
	curl_easy_reset(s->easy); /* keeps the connections */
	buf_clear(answer);
	s->file = file;
	s->answer = answer;
	s->at = s->counted = 0;
	s->err = 0;
	s->refused.len = 0;
	s->was_tried = false;
	fields = http_call_fields(call);
	err = fields ? setup(s, call, fields) : ENOMEM;
	if (err)
		err_no_memory(e);
	else
		err = perform(s, &url, e);
	if (!err) {
		(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code);
		*status = (int)code;
	}
	/* They are not ours any more when the call is over. */
	(void)curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(fields);
	s->file = NULL;
	s->answer = NULL;
	return err;
}

const char *http_session_field(struct http_session *s, const char *name)
{
	struct curl_header *h = NULL;

	return curl_easy_header(s->easy, name, 0, CURLH_HEADER, -1, &h) ==
			       CURLHE_OK
		       ? h->value
		       : NULL;
}

int64_t http_session_date(struct http_session *s)
{
	const char *date = http_session_field(s, "Date");

	return date ? (int64_t)curl_getdate(date, NULL) : -1;
}

/* ---- public --------------------------------------------------------------- */

int http_session_new(const _Atomic bool *stops, void (*sent)(int64_t bytes),
		     bool is_public, struct http_session **out)
{
	struct http_session *s = mem_zalloc(sizeof(*s));

	if (!s)
		return ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		mem_free(s);
		return ENOMEM;
	}
	http_ignore_sigpipe();
	s->stops = stops;
	s->sent = sent;
	s->is_public = is_public;
	s->easy = curl_easy_init();
	if (!s->easy) {
		http_session_free(s);
		return ENOMEM;
	}
	*out = s;
	return 0;
}

void http_session_free(struct http_session *s)
{
	if (!s)
		return;
	if (s->easy)
		curl_easy_cleanup(s->easy);
	curl_global_cleanup();
	mem_free(s);
}
