/**
 * commands/publish.c -- `tapeop publish`: a sound file speaks in a room, in
 * real time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/publish.h"
#include "commands/rtp_sender.h"
#include "commands/screen.h"
#include "wire/event.h"

static const char help[] =
	"usage: tapeop publish FILE --app ID --room ROOM --user USER "
	"[options]\n"
	"       tapeop publish FILE --to ADDRESS:PORT [--loop]\n"
	"\n"
	"Let a sound file speak in a room, in real time.  FILE is Ogg Opus\n"
	"(sent as it is) or WAV (PCM, 16 bit, 8 to 48 kHz, mono or stereo).\n"
	"\n"
	"  --app ID       the app's id\n"
	"  --room ROOM    the room to join; it comes to be with its first "
	"user\n"
	"  --user USER    who speaks\n"
	"  --server URL   the server (env TAPEOP_SERVER, else\n"
	"                 http://127.0.0.1:8080)\n"
	"  --token TOKEN  its admin token: env:NAME, file:PATH or the text\n"
	"                 itself (env:TAPEOP_ADMIN_TOKEN, if that is set)\n"
	"  --to ADDR      send RTP to this address and port, ask no server\n"
	"  --via VIA      rtp (whip is not there yet)\n"
	"  --loop         begin again at the end, until Ctrl-C\n"
	"  --leave        leave the room at the end (so it is unless --stay)\n"
	"  --stay         leave the input at the server when it ends\n"
	"  -h, --help\n";

enum {
	FILE_MAX = 1 << 30, /* bytes */
	BAR_US = 100 * CLOCK_US_PER_MS,
	TELL_US = 10 * CLOCK_US_PER_S, /* between lines, no terminal */
	SETTLE_US = CLOCK_US_PER_S,
	LOOK_US = 50 * CLOCK_US_PER_MS,
	BAR_MIN = 8, /* columns */
	BAR_MAX = 60,
	NAME_MAX_COLUMNS = 20,
	LONG_US = 100 * CLOCK_US_PER_S, /* from here on in minutes */
	TIME_TEXT = 24
};

struct publish {
	const char *path;
	const char *name; /* of the file, without its folder */
	struct publish_room room;
	bool has_to, repeat, stay;
	struct addr to;
	struct buf file;
	struct screen screen;
	struct loop *loop;
	struct rtp_sender *sender;
	struct timer progress;
	struct rtp_sender_stats sent; /* when it has ended */
	bool interrupted;
	int err; /* of the network */
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop publish: %s%s%s; see tapeop publish --help\n",
		why, value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

static int failed(const char *what, const char *why)
{
	fprintf(stderr, "tapeop publish: %s: %s\n", what, why);
	return EXIT_FAILED;
}

/* ---- options --------------------------------------------------------------- */

static int set_app(void *arg, const char *text)
{
	struct publish *p = arg;

	return client_app("publish", text, &p->room.app);
}

static int set_id(const char **to, const char *field, const char *text)
{
	struct err e;

	if (event_id_check(text, field, &e))
		return usage(e.text, NULL);
	*to = text;
	return EXIT_DONE;
}

static int set_room(void *arg, const char *text)
{
	struct publish *p = arg;

	return set_id(&p->room.room, "--room", text);
}

static int set_user(void *arg, const char *text)
{
	struct publish *p = arg;

	return set_id(&p->room.user, "--user", text);
}

static int set_to(void *arg, const char *text)
{
	struct publish *p = arg;

	if (addr_parse(text, &p->to) || !addr_port(&p->to))
		return usage("--to must be an address with a port, like "
			     "127.0.0.1:41000",
			     text);
	p->has_to = true;
	return EXIT_DONE;
}

static int set_server(void *arg, const char *url)
{
	struct publish *p = arg;
	struct err e;

	if (http_url_check(url, &e))
		return usage("--server", e.text);
	p->room.client.server = url;
	return EXIT_DONE;
}

static int set_via(void *arg, const char *text)
{
	(void)arg;
	if (!strcmp(text, "whip"))
		return usage("--via whip is not there yet; use --via rtp",
			     NULL);
	if (strcmp(text, "rtp") != 0)
		return usage("--via must be rtp", text);
	return EXIT_DONE;
}

static int check_options(struct publish *p, int argc, char **argv)
{
	const struct publish_room *r = &p->room;
	const char *slash;

	if (optind >= argc)
		return usage("FILE is required", NULL);
	if (optind + 1 < argc)
		return usage("only one FILE can be sent", argv[optind + 1]);
	p->path = argv[optind];
	slash = strrchr(p->path, '/');
	p->name = slash ? slash + 1 : p->path;
	if (p->has_to && (r->app || r->room || r->user || r->client.token))
		return usage("--to asks no server: --app, --room, --user and "
			     "--token do not go with it",
			     NULL);
	if (!p->has_to && (!r->app || !r->room || !r->user))
		return usage("--app, --room and --user are required (or --to)",
			     NULL);
	return -1;
}

/** Returns -1 to go on, or the exit code. */
static int read_options(struct publish *p, int argc, char **argv)
{
	bool leave = false;
	const struct client_option options[] = {
		{.name = "app", .take = set_app},
		{.name = "room", .take = set_room},
		{.name = "user", .take = set_user},
		{.name = "server", .take = set_server},
		{.name = "token", .value = &p->room.client.token},
		{.name = "to", .take = set_to},
		{.name = "via", .take = set_via},
		{.name = "loop", .flag = &p->repeat},
		{.name = "leave", .flag = &leave},
		{.name = "stay", .flag = &p->stay},
	};
	int code = client_read_options(argc, argv, help, options,
				       ARRAY_LEN(options), p);

	if (code < 0 && leave && p->stay)
		return usage("--leave or --stay, not both", NULL);
	return code < 0 ? check_options(p, argc, argv) : code;
}

/* ---- progress ------------------------------------------------------------------ */

/** "12.3", or "2:03" from a hundred seconds on. */
static const char *write_time(int64_t us, bool is_long, char text[TIME_TEXT])
{
	int64_t s = us / CLOCK_US_PER_S;

	if (is_long)
		snprintf(text, TIME_TEXT, "%lld:%02lld", (long long)(s / 60),
			 (long long)(s % 60));
	else
		snprintf(text, TIME_TEXT, "%.1f", (double)us / CLOCK_US_PER_S);
	return text;
}

/** " 12.3 / 63.0 s  615 packets" */
static void write_numbers(const struct rtp_sender_stats *st, struct buf *out)
{
	const bool is_long = st->round_us >= LONG_US;
	char at[TIME_TEXT], all[TIME_TEXT];

	buf_printf(out, "%s / %s%s", write_time(st->round_sent_us, is_long, at),
		   write_time(st->round_us, is_long, all), is_long ? "" : " s");
	if (st->round)
		buf_printf(out, "  round %llu",
			   (unsigned long long)st->round + 1);
	buf_printf(out, "  %llu packets", (unsigned long long)st->packets);
}

static void draw_progress(struct publish *p, const struct rtp_sender_stats *st)
{
	struct screen *sc = &p->screen;
	const size_t width = screen_width(sc) - 1;
	size_t name = strlen(p->name);
	struct buf numbers, line;
	size_t rest;

	buf_init(&numbers, SCREEN_LINE_MAX);
	buf_init(&line, SCREEN_LINE_MAX);
	write_numbers(st, &numbers);
	if (name > NAME_MAX_COLUMNS)
		name = NAME_MAX_COLUMNS;
	rest = width > numbers.len + 2 ? width - numbers.len - 2 : 0;
	if (rest >= name + 2 + BAR_MIN) {
		screen_cut(p->name, name, &line);
		buf_puts(&line, "  ");
		rest -= name + 2;
	}
	if (rest > BAR_MAX)
		rest = BAR_MAX;
	if (rest >= BAR_MIN) {
		screen_bar(sc,
			   (double)st->round_sent_us /
				   (double)(st->round_us ? st->round_us : 1),
			   rest, &line);
		buf_puts(&line, "  ");
	}
	screen_cut(buf_str(&numbers), numbers.len < width ? numbers.len : width,
		   &line);
	screen_live(sc, buf_str(&line));
	buf_fini(&line);
	buf_fini(&numbers);
}

static void on_ended(int err, void *arg)
{
	struct publish *p = arg;

	p->err = err;
	loop_stop(p->loop);
}

static int64_t progress_us(const struct publish *p)
{
	return p->screen.is_terminal ? BAR_US : TELL_US;
}

static void on_progress(struct timer *t, int64_t now_us)
{
	struct publish *p = CONTAINER_OF(t, struct publish, progress);
	struct rtp_sender_stats st;
	struct buf numbers;

	rtp_sender_stats(p->sender, &st);
	if (p->screen.is_terminal) {
		draw_progress(p, &st);
	} else {
		buf_init(&numbers, SCREEN_LINE_MAX);
		write_numbers(&st, &numbers);
		screen_say(&p->screen, "%s", buf_str(&numbers));
		buf_fini(&numbers);
	}
	if (timer_start(t, p->loop, now_us + progress_us(p), on_progress))
		on_ended(ENOMEM, p);
}

/* ---- sending --------------------------------------------------------------------- */

static void on_signal(int signo, void *arg)
{
	struct publish *p = arg;

	(void)signo;
	p->interrupted = true;
	loop_stop(p->loop);
}

static int read_file(struct publish *p)
{
	int err = file_read(p->path, &p->file);

	if (err == EMSGSIZE)
		return failed(p->path, "over 1 GiB");
	return err ? failed(p->path, strerror(err)) : EXIT_DONE;
}

static int make_sender(struct publish *p)
{
	static const struct rtp_sender_events events = {.ended = on_ended};
	const struct rtp_sender_config c = {
		.data = p->file.data, .len = p->file.len, .repeat = p->repeat};
	int err = rtp_sender_new(p->loop, &c, &events, p, &p->sender);

	if (err == EBADMSG)
		return failed(p->path,
			      "neither Ogg Opus nor WAV (PCM, 16 bit, 8 to "
			      "48 kHz, mono or stereo); ffmpeg -i FILE -c:a "
			      "libopus NEW.opus makes one");
	return err ? failed(p->path, strerror(err)) : EXIT_DONE;
}

/** Send until the end, an error or a signal. */
static int send_all(struct publish *p)
{
	char text[ADDR_TEXT_MAX];
	int err = rtp_sender_start(p->sender, &p->to, clock_now_us());

	if (!err)
		err = timer_start(&p->progress, p->loop,
				  clock_now_us() + progress_us(p), on_progress);
	if (!err) {
		loop_run(p->loop);
		err = p->err;
	}
	timer_stop(&p->progress);
	rtp_sender_stats(p->sender, &p->sent);
	rtp_sender_free(p->sender);
	p->sender = NULL;
	screen_live(&p->screen, "");
	return err ? failed(addr_write(&p->to, text), strerror(err))
		   : EXIT_DONE;
}

/* ---- telling ----------------------------------------------------------------------- */

static void tell_begin(struct publish *p)
{
	struct rtp_sender_stats st;
	char length[TIME_TEXT], to[ADDR_TEXT_MAX];
	const bool is_ogg = !memcmp(p->file.data, "OggS", 4);

	rtp_sender_stats(p->sender, &st);
	write_time(st.round_us, st.round_us >= LONG_US, length);
	addr_write(&p->to, to);
	if (p->has_to)
		screen_say(&p->screen, "%s, %s%s of %s, is sent to %s", p->name,
			   length, st.round_us >= LONG_US ? "" : " s",
			   is_ogg ? "Ogg Opus" : "WAV", to);
	else
		screen_say(&p->screen,
			   "%s, %s%s of %s, is %s in room %s (input %s, %s)",
			   p->name, length, st.round_us >= LONG_US ? "" : " s",
			   is_ogg ? "Ogg Opus" : "WAV", p->room.user,
			   p->room.room, p->room.input, to);
}

static void tell_end(struct publish *p)
{
	const struct publish_room *r = &p->room;
	const struct rtp_sender_stats *st = &p->sent;
	char length[TIME_TEXT];
	struct buf b;

	buf_init(&b, SCREEN_LINE_MAX);
	buf_printf(&b, "%s%s%s in %llu packets",
		   p->interrupted ? "interrupted: sent " : "sent ",
		   write_time(st->sent_us, st->sent_us >= LONG_US, length),
		   st->sent_us >= LONG_US ? "" : " s",
		   (unsigned long long)st->packets);
	if (r->left || (p->stay && !p->has_to))
		buf_printf(&b, "; the server took %llu of them",
			   (unsigned long long)r->taken);
	if (st->skipped)
		buf_printf(&b, "; %llu were too large and left out",
			   (unsigned long long)st->skipped);
	if (st->dropped)
		buf_printf(&b, "; %llu were lost here",
			   (unsigned long long)st->dropped);
	screen_say(&p->screen, "%s", buf_str(&b));
	if (p->stay && !p->has_to)
		screen_say(&p->screen,
			   "input %s stays; `tapeop rooms --remove %s --server "
			   "%s` removes it",
			   r->input, r->input, r->client.server);
	buf_fini(&b);
}

/* ---- running ------------------------------------------------------------------------- */

/** Give the server time to count what is on its way: until it has all, or
 *  nothing came for a while. */
static void wait_until_taken(struct publish *p)
{
	int64_t deadline_us = clock_now_us() + SETTLE_US;
	uint64_t taken = 0;
	struct err e;

	while (clock_now_us() < deadline_us && !publish_look(&p->room, &e) &&
	       p->room.taken < p->sent.packets) {
		if (p->room.taken > taken)
			deadline_us = clock_now_us() + SETTLE_US;
		taken = p->room.taken;
		loop_turn(p->loop, LOOK_US);
	}
}

/** Returns an exit code. */
static int leave(struct publish *p)
{
	struct err e;

	wait_until_taken(p);
	if (p->stay || !publish_leave(&p->room, &e))
		return EXIT_DONE;
	fprintf(stderr, "tapeop publish: input %s may still be there: %s\n",
		p->room.input, e.text);
	return EXIT_FAILED;
}

/** The file is read and understood: join, speak, leave. */
static int speak(struct publish *p)
{
	struct err e;
	int code;

	if (!p->has_to && publish_join(&p->room, &p->to, &e)) {
		fprintf(stderr, "tapeop publish: %s\n", e.text);
		return EXIT_FAILED;
	}
	tell_begin(p);
	code = send_all(p);
	if (!p->has_to && leave(p))
		code = EXIT_FAILED;
	tell_end(p);
	/* With --loop there is no other end. */
	if (p->interrupted && !p->repeat)
		code = EXIT_FAILED;
	return code;
}

static int run(struct publish *p)
{
	static const int signos[] = {SIGTERM, SIGINT};
	struct signals *signals = NULL;
	int err = loop_new(&p->loop);
	int code;

	if (!err)
		err = signals_open(p->loop, signos, ARRAY_LEN(signos),
				   on_signal, p, &signals);
	code = err ? failed("cannot start", strerror(err)) : make_sender(p);
	if (!code)
		code = speak(p);
	rtp_sender_free(p->sender);
	signals_close(signals);
	loop_free(p->loop);
	return code;
}

int command_publish(int argc, char **argv)
{
	struct publish p = {.room = {.client = {.command = "publish"}}};
	int code = read_options(&p, argc, argv);

	if (code >= 0)
		return code;
	buf_init(&p.file, FILE_MAX);
	screen_init(&p.screen, stdout);
	code = read_file(&p);
	if (!code)
		code = client_open(&p.room.client);
	if (!code)
		code = run(&p);
	client_close(&p.room.client);
	screen_fini(&p.screen);
	buf_fini(&p.file);
	return code;
}
