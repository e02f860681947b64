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
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "commands/posting.h"
#include "io/io.h"
#include "notify/notify.h"

static const char help[] =
	"usage: tapeop trigger EVENT --dialect D --to URL [options]\n"
	"\n"
	"Send an event to a backend under development: made up, with "
	"realistic\n"
	"values, signed as a real one, but without the Tapeop- headers.  "
	"Prints what\n"
	"the backend answered.\n"
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
	"  --app ID          default: 1400000000\n"
	"  --room R          default: lobby\n"
	"  --user U          default: alice; 0 is the mix\n"
	"  --task ID         a new one each time; the same one again is the "
	"same event\n"
	"  --seq N           SeqNo of the segment (default: 0)\n"
	"  --extended        gme, live, trtc: with all that is known, as "
	"Extended\n"
	"  --verdict V       what counts as success: status (any 2xx) or body "
	"(200\n"
	"                    with ActionStatus OK; the default of live)\n"
	"  --print           print the request and send nothing\n"
	"  -h, --help\n"
	"\n"
	"Example: tapeop trigger story --dialect gme --key env:KEY \\\n"
	"           --to http://127.0.0.1:3000/recording\n"
	"\n"
	"Exit codes: 0 accepted, 1 not accepted or failed, 2 usage.\n";

struct trigger {
	struct trigger_story story;
	struct posting posting;
	const char *task, *seq;
	bool print;
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
	t->posting.url = url;
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
		if (callback_has(t->posting.style.dialect, t->kinds[i]))
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
	if (!t->posting.url)
		return usage("--to is missing: the URL of the backend", NULL);
	code = posting_check(&t->posting);
	if (!code)
		code = choose_kinds(t, argv[optind]);
	return code ? code : check_story(t);
}

/** Returns -1 to go on, or the exit code. */
static int read_options(struct trigger *t, int argc, char **argv)
{
	const struct client_option options[] = {
		{.name = "dialect", .value = &t->posting.dialect},
		{.name = "to", .take = set_to},
		{.name = "key", .value = &t->posting.key},
		{.name = "encoding", .value = &t->posting.encoding},
		{.name = "app", .take = set_app},
		{.name = "room", .value = &t->story.room},
		{.name = "user", .value = &t->story.user},
		{.name = "task", .value = &t->task},
		{.name = "seq", .value = &t->seq},
		{.name = "extended", .flag = &t->posting.style.extended},
		{.name = "verdict", .value = &t->posting.verdict},
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

/** Say how the backend answered.  Returns the exit code. */
static int tell(enum event_kind kind, const struct posting_result *r)
{
	const char *name = event_kind_name(kind);

	if (!r->status) {
		fprintf(stderr, "tapeop trigger: %s: %s\n", name, r->why);
		return EXIT_FAILED;
	}
	printf("%s %s: HTTP %d in %" PRId64 " ms%s%s\n", name,
	       r->ok ? "accepted" : "NOT accepted", r->status,
	       r->took_us / CLOCK_US_PER_MS, r->shown[0] ? ": " : "", r->shown);
	if (r->why[0])
		printf("  %s\n", r->why);
	return r->ok ? EXIT_DONE : EXIT_FAILED;
}

static int trigger_one(const struct trigger *t, enum event_kind kind)
{
	struct posting_result r;
	struct event_file file;
	struct event e;
	int err;

	if (kind == EVENT_TEST) /* just as a server's */
		notify_write_test(t->posting.style.dialect, t->story.app,
				  clock_unix_ms(), &e);
	else
		trigger_event(&t->story, kind, &file, &e);
	if (t->print)
		err = posting_print(&t->posting, &e);
	else
		err = posting_send(&t->posting, &e, 0, &r);
	if (err) {
		fprintf(stderr, "tapeop trigger: %s\n", strerror(err));
		return EXIT_FAILED;
	}
	return t->print ? EXIT_DONE : tell(kind, &r);
}

int command_trigger(int argc, char **argv)
{
	struct trigger t = {
		.story = {.app = 1400000000, .room = "lobby", .user = "alice"},
		.posting = {.command = "trigger"},
		.seq = "0",
	};
	int code = read_options(&t, argc, argv);

	if (code < 0) {
		code = EXIT_DONE;
		/* A story goes on after a refusal, as a server would. */
		for (size_t i = 0; i < t.n_kinds; i++)
			code |= trigger_one(&t, t.kinds[i]);
	}
	posting_fini(&t.posting);
	return code;
}
