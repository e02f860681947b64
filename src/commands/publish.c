/**
 * commands/publish.c -- `tapeop publish`: a sound file speaks in a room, in
 * real time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/commands.h"
#include "commands/publish.h"
#include "commands/publish_whip.h"
#include "commands/rtp_sender.h"
#include "commands/screen.h"

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
	TIME_TEXT = 24,
	RTP_MS = 48, /* RTP time */
	TOLD_MAX = 1024,
	URL_MAX = 8192,
	TICKET_MAX = 8192,
	/* What is on its way when a session ends is lost. */
	LINGER_US = 100 * CLOCK_US_PER_MS
};

struct publish {
	struct publish_wish wish;
	struct publish_room room;
	struct publish_whip *whip; /* NULL: by RTP, or over */
	struct buf url, ticket;	   /* of it */
	struct addr to;
	struct rtp_sender_config config;
	struct buf file;
	struct screen screen;
	struct loop *loop;
	struct rtp_sender *sender;
	struct timer progress;
	struct rtp_sender_stats sent; /* when it has ended */
	bool interrupted;
	int err;	  /* of the network */
	struct err fault; /* of the session by WHIP; code 0: none */
	bool is_reported; /* the receiver has said how much it misses: */
	int32_t missing;
};

static int failed(const char *what, const char *why)
{
	fprintf(stderr, "tapeop publish: %s%s%s\n", what, why ? ": " : "",
		why ? why : "");
	return EXIT_FAILED;
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
	size_t name = strlen(p->wish.name);
	struct buf numbers, line;
	size_t rest;

	buf_init(&numbers, SCREEN_LINE_MAX);
	buf_init(&line, SCREEN_LINE_MAX);
	write_numbers(st, &numbers);
	if (name > NAME_MAX_COLUMNS)
		name = NAME_MAX_COLUMNS;
	rest = width > numbers.len + 2 ? width - numbers.len - 2 : 0;
	if (rest >= name + 2 + BAR_MIN) {
		screen_cut(p->wish.name, name, &line);
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

static void on_report(const struct rtcp_block *b, void *arg)
{
	struct publish *p = arg;

	p->is_reported = true;
	p->missing = b->lost;
	if (!p->wish.bad.rtcp.given)
		return;
	screen_say(&p->screen,
		   "receiver: %.1f %% lost since its last report, %ld in all, "
		   "jitter %.1f ms",
		   b->fraction_lost / 2.56, (long)b->lost,
		   (double)b->jitter / RTP_MS);
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
	int err = file_read(p->wish.path, &p->file);

	if (err == EMSGSIZE)
		return failed(p->wish.path, "over 1 GiB");
	return err ? failed(p->wish.path, strerror(err)) : EXIT_DONE;
}

static int make_sender(struct publish *p)
{
	static const struct rtp_sender_events events = {.ended = on_ended,
							.report = on_report};
	struct rtp_sender_config *c = &p->config;
	int err;

	*c = (struct rtp_sender_config){.data = p->file.data,
					.len = p->file.len,
					.repeat = p->wish.repeat};
	err = publish_bad_apply(&p->wish.bad, c);
	if (p->wish.is_whip) {
		c->is_sealed = true;
		c->rtcp = true; /* as every WebRTC sender */
	}
	if (!err)
		err = rtp_sender_new(p->loop, c, &events, p, &p->sender);
	if (err == EBADMSG)
		return failed(p->wish.path,
			      "neither Ogg Opus nor WAV (PCM, 16 bit, 8 to "
			      "48 kHz, mono or stereo); ffmpeg -i FILE -c:a "
			      "libopus NEW.opus makes one");
	return err ? failed(p->wish.path, strerror(err)) : EXIT_DONE;
}

static int start_sender(struct publish *p)
{
	struct rtp_sender_way way;

	if (!p->whip)
		return rtp_sender_start(p->sender, &p->to, clock_now_us());
	way = publish_whip_way(p->whip);
	return rtp_sender_start_over(p->sender, &way, clock_now_us());
}

/** Send until the end, an error or a signal. */
static int send_all(struct publish *p)
{
	char text[ADDR_TEXT_MAX];
	int err = start_sender(p);

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
	if (p->fault.code)
		return failed(p->fault.text, NULL);
	return err ? failed(addr_write(&p->to, text), strerror(err))
		   : EXIT_DONE;
}

/* ---- telling ----------------------------------------------------------------------- */

/** "in room r (..)": where the sound goes. */
static void write_where(const struct publish *p, struct buf *out)
{
	const struct publish_wish *w = &p->wish;
	char to[ADDR_TEXT_MAX];

	addr_write(&p->to, to);
	if (w->has_to)
		buf_printf(out, "sent to %s", w->is_whip ? w->where : to);
	else
		buf_printf(out, "%s in room %s", w->user, w->room);
	if (w->is_whip)
		buf_printf(out, " (%s, %s%s)", to,
			   publish_whip_profile(p->whip),
			   publish_whip_form(p->whip)->red ? ", RED" : "");
	else if (!w->has_to)
		buf_printf(out, " (input %s, %s)", p->room.input, to);
}

static void tell_begin(struct publish *p)
{
	struct rtp_sender_stats st;
	char length[TIME_TEXT];
	const bool is_ogg = !memcmp(p->file.data, "OggS", 4);
	struct buf where;

	buf_init(&where, SCREEN_LINE_MAX);
	write_where(p, &where);
	rtp_sender_stats(p->sender, &st);
	write_time(st.round_us, st.round_us >= LONG_US, length);
	screen_say(&p->screen, "%s, %s%s of %s, is %s", p->wish.name, length,
		   st.round_us >= LONG_US ? "" : " s",
		   is_ogg ? "Ogg Opus" : "WAV", buf_str(&where));
	buf_fini(&where);
}

/** Does the input outlive us? */
static bool stays(const struct publish *p)
{
	return p->wish.stay && !p->wish.has_to;
}

/** What the receiver knows of it. */
static void write_taken(const struct publish *p, struct buf *out)
{
	if (!p->wish.is_whip && (p->room.left || stays(p)))
		buf_printf(out, "; the server took %llu of them",
			   (unsigned long long)p->room.taken);
	if (p->wish.is_whip && p->is_reported)
		buf_printf(out, "; by its last report %ld did not reach it",
			   (long)p->missing);
}

static void tell_end(struct publish *p)
{
	const struct publish_room *r = &p->room;
	const struct rtp_sender_stats *st = &p->sent;
	char length[TIME_TEXT];
	struct buf b, net;

	buf_init(&b, SCREEN_LINE_MAX);
	buf_init(&net, TOLD_MAX);
	buf_printf(&b, "%s%s%s in %llu packets",
		   p->interrupted ? "interrupted: sent " : "sent ",
		   write_time(st->sent_us, st->sent_us >= LONG_US, length),
		   st->sent_us >= LONG_US ? "" : " s",
		   (unsigned long long)st->packets);
	write_taken(p, &b);
	if (st->skipped)
		buf_printf(&b, "; %llu were too large and left out",
			   (unsigned long long)st->skipped);
	if (st->dropped)
		buf_printf(&b, "; %llu were lost here",
			   (unsigned long long)st->dropped);
	if (st->stood_us)
		buf_printf(&b, "; was held up here for %lld ms",
			   (long long)(st->stood_us / CLOCK_US_PER_MS));
	screen_say(&p->screen, "%s", buf_str(&b));
	publish_bad_tell(&p->config, st, &net);
	if (net.len)
		screen_say(&p->screen, "%.*s", (int)net.len - 1, buf_str(&net));
	if (stays(p))
		screen_say(&p->screen,
			   "input %s stays; `tapeop rooms --remove %s --server "
			   "%s` removes it",
			   r->input, r->input, r->client.server);
	buf_fini(&net);
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

/** Let what is on its way arrive. */
static void linger(struct publish *p)
{
	const int64_t until_us = clock_now_us() + LINGER_US;

	while (clock_now_us() < until_us)
		loop_turn(p->loop, LOOK_US);
}

/** Returns an exit code. */
static int leave(struct publish *p)
{
	struct err e;

	wait_until_taken(p);
	if (p->wish.stay || !publish_leave(&p->room, &e))
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

	p->room.level_id = p->config.form.level_id;
	p->room.red_pt = p->config.form.red ? p->config.form.red_pt : 0;
	p->room.opus_pt = p->config.form.pt;
	if (!p->wish.has_to && publish_join(&p->room, &p->to, &e)) {
		fprintf(stderr, "tapeop publish: %s\n", e.text);
		return EXIT_FAILED;
	}
	tell_begin(p);
	code = send_all(p);
	if (!p->wish.has_to && leave(p))
		code = EXIT_FAILED;
	tell_end(p);
	/* With --loop there is no other end. */
	if (p->interrupted && !p->wish.repeat)
		code = EXIT_FAILED;
	return code;
}

/* ---- by WHIP -------------------------------------------------------------------------- */

static void on_whip_connected(void *arg)
{
	struct publish *p = arg;

	loop_stop(p->loop);
}

static void on_whip_report(const uint8_t *data, size_t len, void *arg)
{
	struct publish *p = arg;

	if (p->sender)
		rtp_sender_take(p->sender, data, len);
}

static void on_whip_ended(const struct err *why, void *arg)
{
	struct publish *p = arg;

	p->fault = *why;
	loop_stop(p->loop);
}

/** Returns an exit code; p->whip is NULL unless it is EXIT_DONE. */
static int open_whip(struct publish *p)
{
	static const struct publish_whip_events events = {
		.connected = on_whip_connected,
		.report = on_whip_report,
		.ended = on_whip_ended,
	};
	struct rtp_sender_stats st;
	struct err e;
	int code;

	rtp_sender_stats(p->sender, &st);
	code = publish_find_ticket(&p->wish, &p->ticket);
	if (code)
		return code;
	if (publish_write_url(&p->wish, p->room.client.server, &p->url, &e) ||
	    publish_whip_open(
		    p->loop,
		    &(struct publish_whip_wish){
			    .url = buf_str(&p->url),
			    .option = p->wish.has_to ? "--to" : "--server",
			    .ticket =
				    p->ticket.len ? buf_str(&p->ticket) : NULL,
			    .form = p->config.form,
			    .ssrc = st.ssrc},
		    &events, p, &p->whip, &e))
		return failed(e.text, NULL);
	return EXIT_DONE;
}

/** The session is there: connect, and speak. */
static int speak_in_session(struct publish *p)
{
	int code;

	loop_run(p->loop);
	if (p->fault.code)
		return failed(p->fault.text, NULL);
	if (p->interrupted) {
		screen_say(&p->screen, "interrupted before it was connected");
		return EXIT_FAILED;
	}
	p->to = *publish_whip_peer(p->whip);
	rtp_sender_set_form(p->sender, publish_whip_form(p->whip));
	tell_begin(p);
	code = send_all(p);
	if (!p->fault.code)
		linger(p);
	tell_end(p);
	return p->interrupted && !p->wish.repeat ? EXIT_FAILED : code;
}

static int speak_by_whip(struct publish *p)
{
	int code = open_whip(p);
	struct err e;

	if (code)
		return code;
	code = speak_in_session(p);
	/* One that is over may be gone already, and so may the server. */
	if (publish_whip_leave(p->whip, &e) && !p->fault.code) {
		fprintf(stderr,
			"tapeop publish: the session may still be there: %s\n",
			e.text);
		code = EXIT_FAILED;
	}
	publish_whip_free(p->whip);
	p->whip = NULL;
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
		code = p->wish.is_whip ? speak_by_whip(p) : speak(p);
	rtp_sender_free(p->sender);
	signals_close(signals);
	loop_free(p->loop);
	return code;
}

int command_publish(int argc, char **argv)
{
	struct publish p = {.room = {.client = {.command = "publish"}}};
	const struct publish_wish *w = &p.wish;
	int code = publish_read_options(&p.wish, argc, argv);

	if (code >= 0)
		return code;
	p.to = w->to;
	p.room.app = w->app;
	p.room.room = w->room;
	p.room.user = w->user;
	p.room.client.server = w->server;
	if (!w->is_whip) /* there it is a ticket */
		p.room.client.token = w->token;
	buf_init(&p.file, FILE_MAX);
	buf_init(&p.url, URL_MAX);
	buf_init_secret(&p.ticket, TICKET_MAX);
	screen_init(&p.screen, stdout);
	code = read_file(&p);
	if (!code)
		code = client_open(&p.room.client);
	if (!code)
		code = run(&p);
	client_close(&p.room.client);
	screen_fini(&p.screen);
	buf_fini(&p.ticket);
	buf_fini(&p.url);
	buf_fini(&p.file);
	return code;
}
