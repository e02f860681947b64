/** commands/trigger.c -- `tapeop trigger`: send a made-up event to a backend,
 *  signed as a real one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/trigger.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "io/io.h"
#include "wire/callback.h"
#include "wire/quote.h"

static const char help[] =
	"usage: tapeop trigger EVENT --dialect D --to URL [options]\n"
	"\n"
	"Send an event to a backend under development: made up, with "
	"realistic\n"
	"values, signed as a real one.  Prints what the backend answered.\n"
	"\n"
	"  EVENT             started, completed, uploaded, task_started,\n"
	"                    task_stopped, upload_started, upload_stopped,\n"
	"                    files_ready, upload_failing, task_failed,\n"
	"                    input_lost, no_audio, disk_low or test; also by "
	"the\n"
	"                    dialect's name or number (segment.started, 305).\n"
	"                    story: a whole recording, in order\n"
	"  --dialect D       gme, live, trtc or standard\n"
	"  --to URL          where the backend listens\n"
	"  --key KEY         env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                    see; needed by gme and standard\n"
	"  --encoding E      gme: base64 (default) or hex\n"
	"  --app ID          1400000000\n"
	"  --room R          lobby\n"
	"  --user U          alice; 0 is the mix\n"
	"  --task ID         a new one each time; the same one again is the "
	"same event\n"
	"  --seq N           SeqNo of the segment (0)\n"
	"  --extended        with the richer fields\n"
	"  --verdict V       status or body: what counts as success (live: "
	"body)\n"
	"  --print           print the request and send nothing\n"
	"  -h, --help\n"
	"\n"
	"Exit codes: 0 accepted, 1 not accepted or failed, 2 usage.\n";

enum { ANSWER_MAX = 64 * 1024, FIELDS_MAX = 16, SHOWN_MAX = 200 };

static const int64_t timeout_us = 10 * (int64_t)CLOCK_US_PER_S;

struct trigger {
	struct trigger_story story;
	struct callback_style style;
	const char *dialect, *to, *key, *encoding, *task, *seq, *verdict;
	char *secret; /* owned */
	bool by_body, print;
	enum event_kind kinds[TRIGGER_STORY_MAX];
	size_t n_kinds;
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop trigger: %s%s%s; see tapeop trigger --help\n",
		why, value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

/* ---- options ---------------------------------------------------------------- */

static int set_app(void *arg, const char *text)
{
	struct trigger *t = arg;

	return client_app("trigger", text, &t->story.app);
}

static int set_to(void *arg, const char *url)
{
	struct trigger *t = arg;
	struct err e;

	if (http_url_check(url, &e))
		return usage("--to", e.text);
	t->to = url;
	return EXIT_DONE;
}

static int read_secret(struct trigger *t)
{
	struct err e;
	bool literal;

	if (!t->key) {
		if (t->style.dialect == DIALECT_GME ||
		    t->style.dialect == DIALECT_STANDARD)
			return usage("this dialect needs --key", NULL);
		return EXIT_DONE;
	}
	if (secret_read(t->key, &t->secret, &literal, &e))
		return usage("--key", e.text);
	if (literal)
		fputs("tapeop trigger: warning: others can see a key on the "
		      "command line; use env:NAME or file:PATH\n",
		      stderr);
	if (callback_key_check(t->style.dialect, t->secret, &e))
		return usage("--key", e.text + strlen("key: "));
	if (t->style.dialect == DIALECT_STANDARD &&
	    !callback_key_signs(t->secret))
		return usage("--key: whpk_ verifies only; sign with whsk_ or "
			     "whsec_",
			     NULL);
	t->style.key = t->secret;
	return EXIT_DONE;
}

static int check_words(struct trigger *t)
{
	t->by_body = t->style.dialect == DIALECT_LIVE;
	if (t->verdict && !strcmp(t->verdict, "body"))
		t->by_body = true;
	else if (t->verdict && !strcmp(t->verdict, "status"))
		t->by_body = false;
	else if (t->verdict)
		return usage("--verdict must be status or body", t->verdict);
	if (t->encoding && t->style.dialect != DIALECT_GME)
		return usage("--encoding is for --dialect gme only", NULL);
	if (t->encoding && !strcmp(t->encoding, "hex"))
		t->style.encoding = SIGNATURE_HEX;
	else if (t->encoding && strcmp(t->encoding, "base64"))
		return usage("--encoding must be base64 or hex", t->encoding);
	return EXIT_DONE;
}

static int check_story(struct trigger *t)
{
	struct err e;
	int64_t seq;

	if (event_id_check(t->story.room, "--room", &e) ||
	    event_id_check(t->story.user, "--user", &e))
		return usage(e.text, NULL);
	if (str_to_i64(t->seq, 0, UINT32_MAX, &seq))
		return usage("--seq must be a whole number", t->seq);
	t->story.seq = (uint32_t)seq;
	t->story.task = trigger_task_id(clock_unix_ms());
	if (t->task && (str_to_u64(t->task, &t->story.task) || !t->story.task ||
			t->story.task > INT64_MAX))
		return usage("--task must be a number from 1 to 2^63 - 1",
			     t->task);
	return EXIT_DONE;
}

/** Keep what the dialect has a word for. */
static int choose_kinds(struct trigger *t, const char *name)
{
	size_t n = 0;

	if (!strcmp(name, "story"))
		t->n_kinds = trigger_story(t->kinds);
	else if (trigger_kind(name, &t->kinds[0]))
		t->n_kinds = 1;
	else
		return usage("there is no event", name);
	for (size_t i = 0; i < t->n_kinds; i++) {
		if (callback_has(t->style.dialect, t->kinds[i]))
			t->kinds[n++] = t->kinds[i];
	}
	t->n_kinds = n;
	if (!n)
		return usage("this dialect has no word for", name);
	return EXIT_DONE;
}

static int check(struct trigger *t, int argc, char **argv)
{
	int code;

	if (optind >= argc)
		return usage("EVENT is missing: started, 305, story, ...",
			     NULL);
	if (optind + 1 < argc)
		return usage("unexpected argument", argv[optind + 1]);
	if (!t->dialect || !dialect_parse(t->dialect, &t->style.dialect))
		return usage("--dialect must be gme, live, trtc or standard",
			     t->dialect);
	if (!t->to)
		return usage("--to is missing: the URL of the backend", NULL);
	t->style.url = t->to;
	code = choose_kinds(t, argv[optind]);
	if (!code)
		code = check_words(t);
	if (!code)
		code = check_story(t);
	return code ? code : read_secret(t);
}

/** Returns -1 to go on, or the exit code. */
static int read_options(struct trigger *t, int argc, char **argv)
{
	const struct client_option options[] = {
		{.name = "dialect", .value = &t->dialect},
		{.name = "to", .take = set_to},
		{.name = "key", .value = &t->key},
		{.name = "encoding", .value = &t->encoding},
		{.name = "app", .take = set_app},
		{.name = "room", .value = &t->story.room},
		{.name = "user", .value = &t->story.user},
		{.name = "task", .value = &t->task},
		{.name = "seq", .value = &t->seq},
		{.name = "extended", .flag = &t->style.extended},
		{.name = "verdict", .value = &t->verdict},
		{.name = "print", .flag = &t->print},
	};
	int code = client_read_options(argc, argv, help, options,
				       ARRAY_LEN(options), t);

	if (code >= 0)
		return code;
	code = check(t, argc, argv);
	return code ? code : -1;
}

/* ---- sending ---------------------------------------------------------------- */

static void print_request(const struct callback_request *r)
{
	printf("POST %s\n%s\n%s\n", buf_str(&r->url), buf_str(&r->fields),
	       buf_str(&r->body));
}

/** Cut "Name: value\n" lines where they stand.  Returns how many. */
static size_t cut_fields(char *lines, const char *fields[FIELDS_MAX])
{
	size_t n = 0;
	char *rest;

	for (char *line = strtok_r(lines, "\n", &rest); line && n < FIELDS_MAX;
	     line = strtok_r(NULL, "\n", &rest))
		fields[n++] = line;
	return n;
}

/** Say how the backend answered.  Returns the exit code. */
static int judge(const struct trigger *t, enum event_kind kind, int status,
		 const struct buf *answer, int64_t took_us)
{
	char shown[SHOWN_MAX], why[160] = "";
	bool ok = status >= 200 && status < 300;

	if (t->by_body)
		ok = status == 200 &&
		     callback_answer_is_ok(answer->data, answer->len, why,
					   sizeof(why));
	quote_line(shown, sizeof(shown), buf_str(answer));
	client_clean(shown);
	printf("%s %s: HTTP %d in %" PRId64 " ms%s%s\n", event_kind_name(kind),
	       ok ? "accepted" : "NOT accepted", status,
	       took_us / CLOCK_US_PER_MS, shown[0] ? ": " : "", shown);
	if (!ok && why[0])
		printf("  %s\n", why);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int send_it(const struct trigger *t, enum event_kind kind,
		   const struct callback_request *r)
{
	char *lines = mem_strndup(buf_str(&r->fields), r->fields.len);
	const char *fields[FIELDS_MAX];
	struct http_call call = {
		.method = "POST",
		.url = buf_str(&r->url),
		.fields = fields,
		.body = r->body.data,
		.body_len = r->body.len,
		.timeout_us = timeout_us,
		.allow_private = true, /* typed by whoever started us */
	};
	int64_t began_us = clock_now_us();
	struct buf answer;
	struct err e = {0};
	int status = 0;
	int err = ENOMEM;

	buf_init(&answer, ANSWER_MAX);
	if (lines) {
		call.n_fields = cut_fields(lines, fields);
		err = http_fetch(&call, &status, &answer, &e);
	}
	if (err)
		fprintf(stderr, "tapeop trigger: %s: %s\n",
			event_kind_name(kind), e.code ? e.text : strerror(err));
	else
		err = judge(t, kind, status, &answer,
			    clock_now_us() - began_us);
	mem_free(lines);
	buf_fini(&answer);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int trigger_one(const struct trigger *t, enum event_kind kind)
{
	struct callback_request r;
	struct event_file file;
	struct event e;
	int code = EXIT_DONE;
	int err;

	trigger_event(&t->story, kind, &file, &e);
	callback_request_init(&r);
	err = callback_render(&t->style, &e, clock_unix_ms(), &r);
	if (err) {
		fprintf(stderr, "tapeop trigger: %s\n", strerror(err));
		code = EXIT_FAILED;
	} else if (t->print) {
		print_request(&r);
	} else {
		code = send_it(t, kind, &r);
	}
	callback_request_fini(&r);
	return code;
}

int command_trigger(int argc, char **argv)
{
	struct trigger t = {
		.story = {.app = 1400000000, .room = "lobby", .user = "alice"},
		.style = {.key = ""},
		.seq = "0",
	};
	int code = read_options(&t, argc, argv);

	if (code < 0) {
		code = EXIT_DONE;
		/* A story goes on after a refusal, as a server would. */
		for (size_t i = 0; i < t.n_kinds; i++)
			code |= trigger_one(&t, t.kinds[i]);
	}
	mem_free_secret(t.secret);
	return code;
}
