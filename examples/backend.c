/**
 * examples/backend.c -- the backend of an app: takes the callbacks of a
 * recorder, keeps each event once, and says what it knows.
 *
 * usage:  TAPEOP_KEYS=KEY[,KEY...] backend PORT APP FILE [DIALECT[,DIALECT...]]
 *
 *   PORT      to listen at on 127.0.0.1; 0: any (the line on stdout says it)
 *   APP       the app's number
 *   FILE      where events are kept, one a line; made when it is not there
 *   DIALECT   gme, live, trtc, standard; left out: any that a key fits
 *
 * build:  cc -o backend examples/backend.c $(pkg-config --cflags --libs tapeop)
 *
 * WHAT    The five steps that docs/callbacks.md asks for, in their order:
 *         verify the raw bytes, look whether the event was seen, keep it
 *         (on the disk: fsync), answer, and only then work on it.  Steps 1
 *         and 4 are libtapeop's.
 * DESIGN  One connection at a time, blocking sockets, so that nothing here is
 *         about anything else.  What a stranger can do is bounded all the
 *         same: 16 KiB of header, TAPEOP_BODY_LEN_MAX of body, 10 s for both
 *         together.  A real backend has an HTTP server and a database with a
 *         UNIQUE index in the place of the two halves around handle().
 */
/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include <tapeop.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAD_MAX = 16384, /* request line and headers [bytes] */
	HEADERS_MAX = 64,
	KEYS_MAX = 8,
	KEY_TEXT_MAX = 127, /* of an event [bytes]: a line of the file */
	REQUEST_MS = 10000
};

/** The whole state of the backend. */
struct backend {
	struct tapeop_app app;
	const char *keys[KEYS_MAX];
	FILE *kept;
	/* Keys of all kept events: a database's index, in a real one. */
	char (*seen)[KEY_TEXT_MAX + 1];
	size_t n_seen, cap_seen;
};

static int64_t now_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what is kept -------------------------------------------------------- */

static int is_seen(const struct backend *b, const char *key)
{
	for (size_t i = 0; i < b->n_seen; i++) {
		if (!strcmp(b->seen[i], key))
			return 1;
	}
	return 0;
}

static int remember(struct backend *b, const char *key)
{
	if (b->n_seen == b->cap_seen) {
		size_t cap = b->cap_seen ? b->cap_seen * 2 : 64;
		void *more = realloc(b->seen, cap * sizeof(*b->seen));

		if (!more)
			return ENOMEM;
		b->seen = more;
		b->cap_seen = cap;
	}
	snprintf(b->seen[b->n_seen++], sizeof(*b->seen), "%s", key);
	return 0;
}

static volatile sig_atomic_t stopped;

/** Durable when this returns 0: only then may the sender hear "ok".  After a
 *  failure nobody knows what the file has, so the program ends. */
static int keep(struct backend *b, const struct tapeop_callback *c)
{
	int err = remember(b, c->key);

	if (err)
		return err;
	if (fprintf(b->kept,
		    "%s %s %s task=%s room=%s user=%s seq=%" PRId64 " file=%s "
		    "files=%zu\n",
		    c->key, tapeop_dialect_name(c->dialect), c->kind_name,
		    c->task_id, c->room, c->user, c->seq, c->file,
		    c->n_files) < 0 ||
	    fflush(b->kept) || fsync(fileno(b->kept))) {
		stopped = 1;
		return errno ? errno : EIO;
	}
	return 0;
}

/** A new file is durable when its folder is. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY) : -1;
	int err = fd < 0 || fsync(fd) ? errno : 0;

	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

/** What was kept before a restart. */
static int load(struct backend *b, const char *path)
{
	char line[8192];
	long whole = 0;

	b->kept = fopen(path, "a+");
	if (!b->kept)
		return errno;
	while (fgets(line, sizeof(line), b->kept) && strchr(line, '\n')) {
		size_t len = strcspn(line, " \n");

		if (len <= KEY_TEXT_MAX) {
			line[len] = 0;
			if (remember(b, line))
				return ENOMEM;
		}
		whole = ftell(b->kept);
	}
	/* Half a line is what a crash left: it was not answered, and comes
	 * again. */
	if (ftruncate(fileno(b->kept), whole))
		return errno;
	return sync_folder(path);
}

/* ---- one callback: this is what a backend is about ------------------------ */

/**
 * Deal with a request; writes the answer's JSON and returns its HTTP status.
 */
static int handle(struct backend *b, const struct tapeop_request *r,
		  char answer[TAPEOP_ANSWER_MAX])
{
	enum tapeop_dialect dialect = TAPEOP_DIALECT_NONE;
	struct tapeop_callback *c = NULL;
	char why[TAPEOP_WHY_MAX];
	enum tapeop_error e;
	int repeated = 0;

	e = tapeop_accept(r, &b->app, now_ms(CLOCK_REALTIME), &c, why,
			  sizeof(why));
	if (!e) {
		repeated = is_seen(b, c->key);
		if (!repeated && keep(b, c)) {
			e = TAPEOP_NO_MEMORY; /* 503: it comes again */
			snprintf(why, sizeof(why), "it cannot be kept now");
		}
	}
	/* The answer's form is that of what the request looks like. */
	(void)tapeop_recognise(r, &dialect);
	if (tapeop_answer(dialect, e, why, answer, TAPEOP_ANSWER_MAX))
		answer[0] = 0;
	if (e)
		printf("refused: %s: %s\n", tapeop_error_name(e), why);
	else
		printf("%s %s %s\n", repeated ? "repeated" : "new",
		       c->kind_name, c->task_id);
	fflush(stdout);
	tapeop_callback_free(c);
	return tapeop_http_status(e);
}

/* ---- a very small HTTP server -------------------------------------------- */

/** A request while it is read. */
struct incoming {
	int fd;
	int64_t end_ms; /* monotonic: when patience ends */
	char head[HEAD_MAX + 1];
	size_t len;	 /* of all that was read into `head` */
	size_t head_len; /* of the head, with the empty line */
	char *body;
	size_t body_len;
	struct tapeop_header headers[HEADERS_MAX];
	size_t n_headers;
	const char *query;
};

/** Read at most `cap` bytes; 0: nothing more comes, or not in time. */
static size_t read_some(struct incoming *in, char *to, size_t cap)
{
	struct pollfd p = {.fd = in->fd, .events = POLLIN};
	int64_t left = in->end_ms - now_ms(CLOCK_MONOTONIC);
	ssize_t n;

	if (left <= 0 || poll(&p, 1, (int)left) <= 0)
		return 0;
	n = recv(in->fd, to, cap, 0);
	return n > 0 ? (size_t)n : 0;
}

/** The head, up to the empty line; 0, or the status to answer. */
static int read_head(struct incoming *in)
{
	for (;;) {
		char *end;
		size_t n;

		in->head[in->len] = 0;
		end = strstr(in->head, "\r\n\r\n");
		if (end) {
			in->head_len = (size_t)(end - in->head) + 4;
			end[2] = 0; /* the last header keeps its \r\n */
			return 0;
		}
		if (strlen(in->head) < in->len)
			return 400; /* a NUL in it */
		if (in->len == HEAD_MAX)
			return 431;
		n = read_some(in, in->head + in->len, HEAD_MAX - in->len);
		if (!n)
			return 408;
		in->len += n;
	}
}

static const char *header(const struct incoming *in, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < in->n_headers; i++) {
		if (strcasecmp(in->headers[i].name, name))
			continue;
		if (value)
			return ""; /* twice: no number, so it is refused */
		value = in->headers[i].value;
	}
	return value;
}

/** Split the head where it stands; 0, or the status to answer. */
static int parse_head(struct incoming *in)
{
	char *line = in->head;
	char *end = strstr(line, "\r\n");
	char *target, *version, *mark;

	*end = 0;
	if (strncmp(line, "POST ", 5))
		return 405;
	target = line + 5;
	version = strchr(target, ' ');
	if (*target != '/' || !version || strncmp(version, " HTTP/1.", 8))
		return 400;
	*version = 0;
	mark = strchr(target, '?');
	in->query = mark ? mark + 1 : "";
	for (line = end + 2; *line; line = end + 2) {
		struct tapeop_header *h = &in->headers[in->n_headers];
		char *colon = strchr(line, ':');

		end = strstr(line, "\r\n");
		if (!end || !colon || colon > end || colon == line ||
		    in->n_headers == HEADERS_MAX)
			return 400;
		*end = 0;
		*colon++ = 0;
		h->name = line;
		h->value = colon + strspn(colon, " \t");
		in->n_headers++;
	}
	return 0;
}

/** The body, as long as Content-Length says; 0, or the status to answer. */
static int read_body(struct incoming *in)
{
	const char *text = header(in, "Content-Length");
	size_t have = in->len - in->head_len;
	unsigned long want;

	if (header(in, "Transfer-Encoding"))
		return 501; /* tapeop always sends a length */
	if (!text)
		return 411;
	if (!*text || strlen(text) > 9 ||
	    strspn(text, "0123456789") != strlen(text))
		return 400;
	want = strtoul(text, NULL, 10);
	if (want > TAPEOP_BODY_LEN_MAX)
		return 413;
	if (have > want)
		return 400; /* two requests at once are not for here */
	in->body = malloc(want + 1);
	if (!in->body)
		return 503;
	memcpy(in->body, in->head + in->head_len, have);
	for (in->body_len = have; in->body_len < want;) {
		size_t n = read_some(in, in->body + in->body_len,
				     want - in->body_len);

		if (!n)
			return 408;
		in->body_len += n;
	}
	return 0;
}

static void write_answer(int fd, int status, const char *json)
{
	char text[TAPEOP_ANSWER_MAX + 256];
	size_t len, done = 0;

	snprintf(text, sizeof(text),
		 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
		 "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		 status, status == 200 ? "OK" : "Refused", strlen(json), json);
	len = strlen(text);
	while (done < len) {
		ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

/** Closing with unread bytes would reset the connection, and the answer with
 *  it: let the sender finish first, a little. */
static void finish(struct incoming *in)
{
	char rest[4096];
	size_t n = 1;

	shutdown(in->fd, SHUT_WR);
	for (int i = 0; n && i < 512; i++)
		n = read_some(in, rest, sizeof(rest));
	free(in->body);
}

static void serve_one(struct backend *b, int fd)
{
	struct incoming in = {.fd = fd,
			      .end_ms = now_ms(CLOCK_MONOTONIC) + REQUEST_MS};
	struct tapeop_request r = TAPEOP_REQUEST_INIT;
	char answer[TAPEOP_ANSWER_MAX] = "";
	int status;

	status = read_head(&in);
	if (!status)
		status = parse_head(&in);
	if (!status)
		status = read_body(&in);
	if (!status) {
		r.query = in.query;
		r.headers = in.headers;
		r.n_headers = in.n_headers;
		r.body = in.body;
		r.body_len = in.body_len;
		status = handle(b, &r, answer);
	}
	write_answer(fd, status, answer);
	finish(&in);
}

static int open_port(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&at, &len)) {
		perror("backend: cannot listen");
		return -1;
	}
	printf("listening on http://127.0.0.1:%d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

/* ---- settings ------------------------------------------------------------ */

/** "a,b" of the environment; the list is cut where it stands. */
static int read_keys(struct backend *b, char *list)
{
	char *rest;

	for (char *key = strtok_r(list, ",", &rest); key;
	     key = strtok_r(NULL, ",", &rest)) {
		if (b->app.n_keys == KEYS_MAX)
			return E2BIG;
		b->keys[b->app.n_keys++] = key;
	}
	b->app.keys = b->keys;
	return b->app.n_keys ? 0 : EINVAL;
}

static int read_dialects(struct backend *b, char *list)
{
	char *rest;

	for (char *name = strtok_r(list, ",", &rest); name;
	     name = strtok_r(NULL, ",", &rest)) {
		enum tapeop_dialect d = tapeop_dialect_parse(name);

		if (!d)
			return EINVAL;
		b->app.dialects |= TAPEOP_TAKE(d);
	}
	return 0;
}

static void on_stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/** Ctrl-C and SIGTERM interrupt accept() and end the loop. */
static void catch_stop(void)
{
	struct sigaction on = {.sa_handler = on_stop};

	sigaction(SIGINT, &on, NULL);
	sigaction(SIGTERM, &on, NULL);
}

int main(int argc, char **argv)
{
	struct backend b = {.app = TAPEOP_APP_INIT};
	char *keys = getenv("TAPEOP_KEYS");
	int listener, err;

	b.app.id = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	if (argc < 4 || argc > 5 || !b.app.id || !keys || read_keys(&b, keys) ||
	    (argc == 5 && read_dialects(&b, argv[4]))) {
		fputs("usage: TAPEOP_KEYS=KEY[,KEY...] backend PORT APP FILE "
		      "[DIALECT[,DIALECT...]]\n",
		      stderr);
		return 2;
	}
	err = load(&b, argv[3]);
	if (err) {
		fprintf(stderr, "backend: %s: %s\n", argv[3], strerror(err));
		free(b.seen);
		return 1;
	}
	catch_stop();
	listener = open_port((uint16_t)strtoul(argv[1], NULL, 10));
	while (listener >= 0 && !stopped) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		serve_one(&b, fd);
		close(fd);
	}
	fclose(b.kept);
	free(b.seen);
	return listener >= 0 ? 0 : 1;
}
