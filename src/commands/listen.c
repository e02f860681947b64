/**
 * commands/listen.c -- `tapeop listen`: follow a server's log of events, and
 * forward each to a backend under development.
 *
 * WHAT    Reads GET /v1/events from a cursor; POSTs each event as a callback,
 *         one after another; writes the cursor down when it was taken.
 * WHY     A backend on a laptop is told what happens on a server that cannot
 *         reach it, and misses nothing while either of them, or this command,
 *         is away.
 * DESIGN
 *   - Blocking, one thing at a time: the order is the log's.
 *   - An event that the backend does not take ends the stream: no connection
 *     is held while it is tried again, and the server keeps the rest.
 *   - The cursor file says what was taken: after a kill in between, one event
 *     comes twice, none is left out.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "commands/posting.h"
#include "io/io.h"
#include "wire/json_text.h"
#include "wire/sse.h"

static const char help[] =
	"usage: tapeop listen [--forward URL] [options]\n"
	"\n"
	"Follow the events of a server and send each to a backend under\n"
	"development as a signed callback: in order, one after another, and "
	"again\n"
	"until it is taken.  Prints a line an event.\n"
	"\n"
	"  --forward URL      where the backend listens; without: only print\n"
	"  --dialect D        standard (default), gme, live or trtc\n"
	"  --key KEY          env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                     see; needed by gme and standard\n"
	"  --encoding E       gme: base64 (default) or hex\n"
	"  --extended         gme, live, trtc: with all that is known, as "
	"Extended\n"
	"  --verdict V        what counts as success: status (any 2xx) or body "
	"(200\n"
	"                     with ActionStatus OK; the default of live)\n"
	"  --cursor FILE      remember here how far it came, and go on from "
	"there\n"
	"  --from WHERE       where there is no cursor yet: now (default), "
	"start (all\n"
	"                     that is still there), or behind the event of "
	"this "
	"id\n"
	"  --app ID, --room R, --task TASK\n"
	"                     only events of these\n"
	"  --kinds LIST       only these events: "
	"started,completed,...\n" CLIENT_HELP "\n"
	"Example: tapeop listen --forward http://127.0.0.1:3000/hook --dialect "
	"gme\n"
	"                       --key env:KEY --cursor listen.cursor\n";

enum {
	PATH_MAX_BYTES = 4096,
	BLOCK_MAX = 1024 * 1024,
	AGAIN_FIRST_MS = 500,
	AGAIN_MAX_MS = 30000
};

/** A server that lives sends something every 15 s. */
static const int64_t silence_us = 40 * (int64_t)CLOCK_US_PER_S;

struct listen {
	struct client client;
	struct posting posting;
	const char *app, *room, *task, *kinds, *from, *cursor_file;
	bool has_cursor;
	uint64_t cursor; /* up to here all was taken */
	struct sse_reader reader;
	bool connected;
	char *waiting; /* an event that was not taken yet: its block's data */
	uint64_t waiting_id;
	unsigned attempts; /* made for it */
	int again_ms;	   /* the next wait, for the backend or the server */
	bool failed;	   /* end; it was said why */
};

/* ---- the cursor ------------------------------------------------------------- */

static int read_cursor(struct listen *l)
{
	const char *path = l->cursor_file;
	struct buf b;
	int err;
	bool bad;

	if (!path)
		return EXIT_DONE;
	buf_init(&b, 64);
	err = file_read(path, &b);
	if (!err && b.len && b.data[b.len - 1] == '\n')
		b.data[--b.len] = 0;
	bad = !err && (strlen(buf_str(&b)) != b.len ||
		       str_to_u64(buf_str(&b), &l->cursor));
	buf_fini(&b);
	if (err == ENOENT)
		return EXIT_DONE;
	if (bad || err == EMSGSIZE)
		return client_fail(&l->client, EXIT_FAILED,
				   "--cursor: %s is not a file of this "
				   "command: name another, or move it away",
				   path);
	if (err)
		return client_fail(&l->client, EXIT_FAILED, "--cursor: %s: %s",
				   path, strerror(err));
	l->has_cursor = true;
	return EXIT_DONE;
}

static int read_from(struct listen *l)
{
	const char *from = l->from ? l->from : "now";

	if (l->has_cursor || !strcmp(from, "now"))
		return EXIT_DONE;
	l->has_cursor = true;
	if (!strcmp(from, "start"))
		return EXIT_DONE;
	if (!str_to_u64(from, &l->cursor) && l->cursor <= INT64_MAX)
		return EXIT_DONE;
	return client_usage(&l->client,
			    "--from must be now, start or the id of an event, "
			    "is %.40s",
			    from);
}

/** All up to `id` was taken; durably, when there is a file. */
static int move_cursor(struct listen *l, uint64_t id)
{
	char text[32];
	int err = 0;

	if (l->has_cursor && l->cursor == id)
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64 "\n", id);
	if (l->cursor_file)
		err = file_write_durable(l->cursor_file, text, strlen(text));
	if (err) {
		client_fail(&l->client, 0, "--cursor: %s: %s", l->cursor_file,
			    strerror(err));
		l->failed = true;
		return err;
	}
	l->has_cursor = true;
	l->cursor = id;
	return 0;
}

/* ---- one event ---------------------------------------------------------------- */

/** What the log says of an event that its callback in `standard` does not. */
static void read_origin(const char *data, struct event *e)
{
	json_t *root = json_loads(data, 0, NULL);

	str_copy(e->client_ip, sizeof(e->client_ip),
		 client_text(root, "client_ip"));
	str_copy(e->platform, sizeof(e->platform),
		 client_text(root, "platform"));
	json_decref(root);
}

/** What became of an event. */
struct outcome {
	const char *left_out; /* NULL, or why it was not sent */
	bool sent;
	struct posting_result r;
	unsigned attempt;
	int again_ms; /* not taken */
};

static void print_json(uint64_t id, const char *data, const struct outcome *o)
{
	json_t *line =
		json_pack("{s:o, s:o?}", "id", json_sprintf("%" PRIu64, id),
			  "event", json_loads(data, 0, NULL));

	if (line && o->left_out)
		json_object_set_new(line, "left_out", json_string(o->left_out));
	if (line && o->sent)
		json_object_set_new(
			line, "forward",
			json_pack("{s:b, s:i, s:I, s:i, s:s, s:I}", "ok",
				  (int)o->r.ok, "status", o->r.status, "ms",
				  (json_int_t)(o->r.took_us / CLOCK_US_PER_MS),
				  "attempt", (int)o->attempt, "error", o->r.why,
				  "again_ms", (json_int_t)o->again_ms));
	(void)client_print(line);
	json_decref(line);
}

static void write_answer(const struct outcome *o, struct buf *line)
{
	const struct posting_result *r = &o->r;

	if (o->left_out)
		buf_printf(line, "  left out: %s", o->left_out);
	if (!o->sent)
		return;
	if (r->status)
		buf_printf(line, "  HTTP %d in %" PRId64 " ms", r->status,
			   r->took_us / CLOCK_US_PER_MS);
	if (!r->ok && r->why[0])
		buf_printf(line, "  %s", r->why);
	else if (!r->ok && r->shown[0])
		buf_printf(line, "  %s", r->shown);
	if (!r->ok)
		buf_printf(line, "; attempt %u, again in %.1f s", o->attempt,
			   o->again_ms / 1000.0);
}

static void print_line(uint64_t id, const char *type, const struct event *e,
		       const struct outcome *o)
{
	char time[CLIENT_WORD_MAX];
	struct buf line;

	buf_init(&line, 4096);
	buf_printf(&line, "%s  %" PRIu64 "  %s", client_time(e->unix_ms, time),
		   id, type);
	if (e->task)
		buf_printf(&line, "  task %" PRIu64 " #%" PRIu64, e->task,
			   e->task_seq);
	if (e->room[0])
		buf_printf(&line, "  %s", e->room);
	if (event_is_of_segment(e->kind))
		buf_printf(&line, "/%s %" PRIu32, e->user, e->seq);
	write_answer(o, &line);
	client_say("%s", buf_str(&line));
	buf_fini(&line);
}

static int forward(struct listen *l, const struct event *e, struct outcome *o)
{
	int err;

	if (!callback_has(l->posting.style.dialect, e->kind)) {
		o->left_out = "the dialect has no word for it";
		return 0;
	}
	err = posting_send(&l->posting, e, ++l->attempts, &o->r);
	if (err == EMSGSIZE) {
		o->left_out = "too large";
		return 0;
	}
	if (err) {
		client_fail(&l->client, 0, "%s", strerror(err));
		l->failed = true;
		return err;
	}
	o->sent = true;
	o->attempt = l->attempts;
	o->again_ms = o->r.ok ? 0 : l->again_ms;
	return o->r.ok ? 0 : EAGAIN;
}

/** Returns 0, EAGAIN (the backend has not taken it) or what ends the command. */
static int take(struct listen *l, uint64_t id, const char *data)
{
	struct outcome o = {0};
	struct callback c;
	struct err e = {0};
	int err = callback_parse(DIALECT_STANDARD, data, strlen(data), &c, &e);

	if (err) {
		client_fail(&l->client, 0, "event %" PRIu64 " left out: %s", id,
			    e.text);
		return err == ENOMEM ? err : move_cursor(l, id);
	}
	read_origin(data, &c.event);
	if (l->posting.url)
		err = forward(l, &c.event, &o);
	if (!l->failed && l->client.json)
		print_json(id, data, &o);
	else if (!l->failed)
		print_line(id, callback_type_name(c.event.kind), &c.event, &o);
	event_fini(&c.event);
	if (fflush(stdout))
		l->failed = true; /* whoever read it has gone */
	if (l->failed)
		return EIO;
	return err ? err : move_cursor(l, id);
}

/* ---- the stream ---------------------------------------------------------------- */

static void say_following(struct listen *l, const char *id)
{
	if (l->connected)
		return;
	l->connected = true;
	if (!l->client.json)
		client_fail(&l->client, 0, "following %s behind event %s",
			    l->client.server, id);
}

static int on_block(const struct sse_block *block, void *arg)
{
	struct listen *l = arg;
	uint64_t id;
	int err;

	if (str_to_u64(block->id, &id))
		return EPROTO;
	say_following(l, block->id);
	if (!block->data)
		return move_cursor(l, id);
	if (!strcmp(block->name, "cut")) {
		client_fail(&l->client, 0, "the server has cut us off: %s",
			    block->data);
		return 0;
	}
	if (!strcmp(block->name, "gone")) {
		client_fail(&l->client, 0,
			    "events are missing, which were removed: %s",
			    block->data);
		return 0;
	}
	if (l->has_cursor && id <= l->cursor)
		return 0;
	l->again_ms = AGAIN_FIRST_MS;
	l->attempts = 0;
	err = take(l, id, block->data);
	if (err != EAGAIN)
		return err;
	l->waiting_id = id;
	l->waiting = mem_strdup(block->data);
	return l->waiting ? EAGAIN : ENOMEM;
}

static int on_data(const void *data, size_t len, void *arg)
{
	struct listen *l = arg;

	return sse_read(&l->reader, data, len, on_block, l);
}

static void write_path(const struct listen *l, struct buf *path)
{
	char after[32];
	const struct client_filter filters[] = {
		{"after", l->has_cursor ? after : NULL},
		{"app", l->app},
		{"room", l->room},
		{"task", l->task},
		{"kinds", l->kinds},
	};

	snprintf(after, sizeof(after), "%" PRIu64, l->cursor);
	client_write_query("/v1/events", filters, ARRAY_LEN(filters), path);
	if (!buf_err(path))
		path->data[--path->len] = 0; /* the last '&' or '?' */
}

static void wait_ms(int ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/** Wait, each time longer. */
static void wait_again(struct listen *l)
{
	wait_ms(l->again_ms);
	l->again_ms *= 2;
	if (l->again_ms > AGAIN_MAX_MS)
		l->again_ms = AGAIN_MAX_MS;
}

/** Will the server say the same for ever? */
static bool is_refusal(int status)
{
	return status >= 300 && status < 500 && status != 408 && status != 429;
}

/** Or is it no matter of the server at all? */
static bool is_final(int err)
{
	return err == EPROTO || err == EMSGSIZE || err == EINVAL;
}

/** Follow until the stream ends.  Returns -1 to go on, or the exit code. */
static int follow(struct listen *l)
{
	struct buf path;
	struct err e = {0};
	int status = 0;
	int err;

	buf_init(&path, PATH_MAX_BYTES);
	sse_init(&l->reader, BLOCK_MAX);
	write_path(l, &path);
	err = buf_err(&path);
	if (err)
		err_set(&e, err, "", "the filters are too long");
	else
		err = client_follow(&l->client, buf_str(&path), silence_us,
				    on_data, l, &status, &e);
	sse_fini(&l->reader);
	buf_fini(&path);
	if (l->failed)
		return EXIT_FAILED;
	if (l->waiting)
		return -1;
	if (l->connected)
		l->again_ms = AGAIN_FIRST_MS;
	l->connected = false;
	if (err && status == 409 && l->cursor_file)
		return client_fail(&l->client, EXIT_FAILED,
				   "%s: its cursor %" PRIu64
				   " is of another database; to begin anew "
				   "(--from), move that file away",
				   l->cursor_file, l->cursor);
	if (err && (is_refusal(status) || is_final(err)))
		return client_fail(&l->client, EXIT_FAILED, "%s", e.text);
	client_fail(&l->client, 0, "%s; again in %.1f s",
		    err ? e.text : "the server ended the stream",
		    l->again_ms / 1000.0);
	wait_again(l);
	return -1;
}

/** Send what waits again.  Returns as follow. */
static int send_again(struct listen *l)
{
	int err;

	wait_again(l);
	err = take(l, l->waiting_id, l->waiting);
	if (err == EAGAIN)
		return -1;
	mem_free(l->waiting);
	l->waiting = NULL;
	l->again_ms = AGAIN_FIRST_MS;
	return err ? EXIT_FAILED : -1;
}

static int run(struct listen *l)
{
	int code = -1;

	l->again_ms = AGAIN_FIRST_MS;
	while (code < 0)
		code = l->waiting ? send_again(l) : follow(l);
	mem_free(l->waiting);
	return code;
}

/* ---- options ------------------------------------------------------------------- */

static int check(struct listen *l)
{
	struct posting *p = &l->posting;
	uint32_t app;
	struct err e;
	int code;

	if (l->client.n_args)
		return client_usage(&l->client, "unexpected argument: %.40s",
				    l->client.args[0]);
	if (!p->url && (p->dialect || p->key || p->encoding || p->verdict ||
			p->style.extended))
		return client_usage(&l->client,
				    "--dialect, --key, --encoding, --verdict "
				    "and --extended go with --forward");
	if (p->url && http_url_check(p->url, &e))
		return client_usage(&l->client, "--forward: %s", e.text);
	if (l->app && client_app("listen", l->app, &app))
		return EXIT_USAGE;
	if (p->url && !p->dialect)
		p->dialect = "standard";
	code = p->url ? posting_check(p) : EXIT_DONE;
	if (!code)
		code = read_cursor(l);
	return code ? code : read_from(l);
}

int command_listen(int argc, char **argv)
{
	struct listen l = {.posting = {.command = "listen"}};
	const struct client_option options[] = {
		{.name = "forward", .value = &l.posting.url},
		{.name = "dialect", .value = &l.posting.dialect},
		{.name = "key", .value = &l.posting.key},
		{.name = "encoding", .value = &l.posting.encoding},
		{.name = "extended", .flag = &l.posting.style.extended},
		{.name = "verdict", .value = &l.posting.verdict},
		{.name = "cursor", .value = &l.cursor_file},
		{.name = "from", .value = &l.from},
		{.name = "app", .value = &l.app},
		{.name = "room", .value = &l.room},
		{.name = "task", .value = &l.task},
		{.name = "kinds", .value = &l.kinds},
	};
	int code = client_init(&l.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0)
		code = check(&l);
	else
		goto out;
	if (!code)
		code = run(&l);
out:
	posting_fini(&l.posting);
	client_close(&l.client);
	return code;
}
