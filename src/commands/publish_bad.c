/** commands/publish_bad.c -- the options that make a bad network. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/publish_bad.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum kind {
	PERCENT, /* into parts of IMPAIR_WHOLE */
	NUMBER,
	DELAY, /* a time; a bare number is milliseconds */
	SPAN,  /* AT,LEN */
	PAUSE, /* AT,LEN or nothing */
	POINT, /* AT */
	FLAG
};

#define SECOND ((int64_t)CLOCK_US_PER_S)
#define HOUR   (3600 * SECOND)
#define AT_MAX (24 * HOUR)

enum {
	PERCENT_PART = IMPAIR_WHOLE / 100,
	PERCENT_DIGITS = 4, /* behind the point, as many as parts can show */
	RED_PT_MIN = 35,    /* Chromium's 63 is not of the dynamic ones */
	PT_RTCP_FIRST = 64, /* as RTP these look like RTCP, RFC 5761 */
	PT_DYNAMIC = 96,
	PT_MAX = 127,
	TEXT_MAX = 64,
	TIME_TEXT_MAX = 24,
	NAME_COLUMNS = 18, /* of the help */
	HELP_COLUMNS = 79
};

#define IN(member) offsetof(struct publish_bad, member)

static const struct bad {
	const char *name, *arg;
	enum kind kind;
	size_t at;	  /* of its bad_number or spans */
	int64_t min, max; /* of a span: its length */
	const char *text;
} table[] = {
	{"loss", "P", PERCENT, IN(loss), 0, IMPAIR_WHOLE,
	 "lose P percent of the packets, by chance"},
	{"loss-every", "N", NUMBER, IN(loss_every), 1, 1000000,
	 "lose each Nth packet"},
	{"burst-loss", "N", NUMBER, IN(burst_loss), 1, 1000,
	 "--loss comes in bursts of N packets on average"},
	{"reorder", "P", PERCENT, IN(reorder), 0, IMPAIR_WHOLE,
	 "let 1 to 4 packets overtake P percent of them"},
	{"duplicate", "P", PERCENT, IN(duplicate), 0, IMPAIR_WHOLE,
	 "send P percent twice"},
	{"delay", "MS", DELAY, IN(delay), 0, 10 * SECOND,
	 "all leave so much later"},
	{"jitter", "MS", DELAY, IN(jitter), 0, 10 * SECOND,
	 "and up to so much more, each by chance"},
	{"stall", "AT,LEN", SPAN, IN(stalls), 1000, 60 * SECOND,
	 "nothing leaves for LEN, then all of it at once"},
	{"drift", "PPM", NUMBER, IN(drift), -MIC_DRIFT_MAX, MIC_DRIFT_MAX,
	 "the sender's clock runs so much fast"},
	{"freeze", "AT,LEN", SPAN, IN(freezes), 1000, HOUR,
	 "its clock, numbers and sound stand still for LEN"},
	{"mute", "AT,LEN", SPAN, IN(mutes), 1000, HOUR,
	 "it sends nothing for LEN; its clock goes on"},
	{"dtx", "[AT,LEN]", PAUSE, IN(pauses), 1000, HOUR,
	 "tiny packets each 400 ms (no AT,LEN: when quiet)"},
	{"ssrc-change", "AT", POINT, IN(changes), 0, AT_MAX,
	 "from there on another SSRC and other numbers"},
	{"seq", "N", NUMBER, IN(seq), 0, UINT16_MAX,
	 "first sequence number, else by chance"},
	{"ts", "N", NUMBER, IN(ts), 0, UINT32_MAX,
	 "first time stamp, else by chance"},
	{"red", "N", NUMBER, IN(red), 0, RTP_BUILD_RED_MAX,
	 "send the sound of N packets before, too (RED)"},
	{"red-pt", "PT", NUMBER, IN(red_pt), RED_PT_MIN, PT_MAX,
	 "payload type of RED, else 63"},
	{"pt", "PT", NUMBER, IN(pt), PT_DYNAMIC, PT_MAX,
	 "payload type of Opus, else 111"},
	{"audio-level", "ID", NUMBER, IN(audio_level), 1, 14,
	 "tell how loud it is, in the extension of that id"},
	{"no-return", NULL, FLAG, IN(no_return), 0, 0,
	 "send from a port that is closed to answers"},
	{"rtcp", NULL, FLAG, IN(rtcp), 0, 0,
	 "send reports each 5 s, and show those that come"},
	{"seed", "N", NUMBER, IN(seed), 0, UINT32_MAX,
	 "the same chances, SSRC and numbers each time"},
};

static_assert(ARRAY_LEN(table) == PUBLISH_BAD_N, "one each");

static struct bad_number *number_of(struct publish_bad *b, const struct bad *o)
{
	return (struct bad_number *)(void *)((char *)b + o->at);
}

static struct spans *spans_of(struct publish_bad *b, const struct bad *o)
{
	return (struct spans *)(void *)((char *)b + o->at);
}

/* ---- ranges ------------------------------------------------------------------ */

/** "500ms", "60s", "1h" */
static const char *write_us(int64_t us, char text[TIME_TEXT_MAX])
{
	const int64_t unit = us && us % HOUR == 0 ? HOUR
			     : us % SECOND == 0	  ? SECOND
						  : CLOCK_US_PER_MS;

	snprintf(text, TIME_TEXT_MAX, "%lld%s", (long long)(us / unit),
		 unit == HOUR	  ? "h"
		 : unit == SECOND ? "s"
				  : "ms");
	return text;
}

/** "0 to 100"; "" for a flag. */
static const char *write_range(const struct bad *o, char text[TEXT_MAX])
{
	const int64_t part = o->kind == PERCENT ? PERCENT_PART : 1;
	const bool is_span = o->kind == SPAN || o->kind == PAUSE;
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];

	if (o->kind == FLAG)
		text[0] = 0;
	else if (o->kind == PERCENT || o->kind == NUMBER)
		snprintf(text, TEXT_MAX, "%lld to %lld",
			 (long long)(o->min / part),
			 (long long)(o->max / part));
	else
		snprintf(text, TEXT_MAX, "%s%s to %s", is_span ? "LEN " : "",
			 write_us(o->min, from), write_us(o->max, to));
	return text;
}

static int refuse(const struct bad *o, const char *value, struct err *e)
{
	static const char *const what[] = {
		[PERCENT] = "a percentage",
		[NUMBER] = "a whole number",
		[DELAY] = "a time like 120ms",
		[SPAN] = "two times AT,LEN like 3s,500ms",
		[PAUSE] = "two times AT,LEN like 3s,500ms",
		[POINT] = "a time like 3s",
	};
	char range[TEXT_MAX];
	const bool is_span = o->kind == SPAN || o->kind == PAUSE;

	write_range(o, range);
	return err_set(e, EINVAL, o->name, "--%s must be %s%s%s: %.40s",
		       o->name, what[o->kind],
		       is_span ? ", AT up to 24h, " : " from ", range, value);
}

/* ---- values ------------------------------------------------------------------- */

/** "2", "2.5", "0.01%" into parts of IMPAIR_WHOLE. */
static int read_percent(const char *text, int64_t *parts)
{
	char digits[TEXT_MAX];
	size_t whole = strspn(text, "0123456789");
	size_t part = 0;
	const char *end = text + whole;

	if (*end == '.') {
		part = strspn(end + 1, "0123456789");
		end += 1 + part;
		if (!part)
			return EINVAL;
	}
	if (!whole || whole > 3 || part > PERCENT_DIGITS ||
	    (*end && strcmp(end, "%") != 0))
		return EINVAL;
	snprintf(digits, sizeof(digits), "%.*s%.*s%.*s", (int)whole, text,
		 (int)part, text + whole + (part ? 1 : 0),
		 (int)(PERCENT_DIGITS - part), "0000");
	return str_to_i64(digits, 0, INT64_MAX, parts);
}

static int read_delay(const char *text, int64_t *us)
{
	int64_t ms;

	if (str_to_i64(text, 0, AT_MAX / CLOCK_US_PER_MS, &ms))
		return str_to_duration_us(text, us);
	*us = ms * CLOCK_US_PER_MS;
	return 0;
}

static int read_span(const struct bad *o, const char *text, struct span *out)
{
	const char *comma = strchr(text, ',');
	char at[TEXT_MAX];

	if (o->kind == POINT) {
		out->len_us = 0;
		return str_to_duration_us(text, &out->at_us) ||
		       out->at_us > AT_MAX;
	}
	if (!comma || (size_t)(comma - text) >= sizeof(at))
		return EINVAL;
	memcpy(at, text, (size_t)(comma - text));
	at[comma - text] = 0;
	return str_to_duration_us(at, &out->at_us) || out->at_us > AT_MAX ||
	       str_to_duration_us(comma + 1, &out->len_us) ||
	       out->len_us < o->min || out->len_us > o->max;
}

static int take_span(struct publish_bad *b, const struct bad *o,
		     const char *value, struct err *e)
{
	struct spans *to = spans_of(b, o);
	struct span span;

	if (read_span(o, value, &span))
		return refuse(o, value, e);
	if (to->n == SPANS_MAX)
		return err_set(e, EINVAL, o->name, "--%s at most %d times",
			       o->name, SPANS_MAX);
	to->at[to->n++] = span;
	return 0;
}

static int take_number(struct publish_bad *b, const struct bad *o,
		       const char *value, struct err *e)
{
	struct bad_number *to = number_of(b, o);
	int64_t n = 0;
	int err = o->kind == PERCENT ? read_percent(value, &n)
		  : o->kind == DELAY ? read_delay(value, &n)
				     : str_to_i64(value, o->min, o->max, &n);

	if (err || n < o->min || n > o->max)
		return refuse(o, value, e);
	*to = (struct bad_number){.given = true, .n = n};
	return 0;
}

int publish_bad_take(struct publish_bad *b, int val, const char *value,
		     const char *next, bool *took_next, struct err *e)
{
	const struct bad *o;
	struct span span;

	assert(val >= PUBLISH_BAD_FIRST &&
	       val < PUBLISH_BAD_FIRST + PUBLISH_BAD_N);
	o = &table[val - PUBLISH_BAD_FIRST];
	*took_next = false;
	if (o->kind == FLAG) {
		number_of(b, o)->given = true;
		return 0;
	}
	if (o->kind == PAUSE && !value) {
		*took_next = next && !read_span(o, next, &span);
		if (*took_next)
			return take_span(b, o, next, e);
		b->dtx.given = true;
		return 0;
	}
	if (!value)
		return refuse(o, "", e);
	if (o->kind == SPAN || o->kind == PAUSE || o->kind == POINT)
		return take_span(b, o, value, e);
	return take_number(b, o, value, e);
}

/* ---- together ------------------------------------------------------------------ */

static bool is_rtcp_type(int64_t pt)
{
	return pt >= PT_RTCP_FIRST && pt < PT_DYNAMIC;
}

int publish_bad_for_whip(struct publish_bad *b, struct err *e)
{
	if (b->no_return.given)
		return err_set(e, EINVAL, "no-return",
			       "--no-return does not go with --via whip: "
			       "checks and handshakes have answers");
	if (!b->red.given)
		b->red = (struct bad_number){.given = true, .n = 1};
	if (!b->audio_level.given)
		b->audio_level = (struct bad_number){.given = true, .n = 1};
	return 0;
}

int publish_bad_check(const struct publish_bad *b, struct err *e)
{
	const int64_t pt = b->pt.given ? b->pt.n : RTP_BUILD_OPUS_TYPE;

	if (b->burst_loss.given && !b->loss.n)
		return err_set(e, EINVAL, "burst-loss",
			       "--burst-loss needs --loss");
	if (b->burst_loss.given &&
	    b->loss.n * (b->burst_loss.n + 1) > b->burst_loss.n * IMPAIR_WHOLE)
		return err_set(e, EINVAL, "loss",
			       "--loss must be at most %lld with --burst-loss "
			       "%lld: one packet passes between two bursts",
			       (long long)(100 * b->burst_loss.n /
					   (b->burst_loss.n + 1)),
			       (long long)b->burst_loss.n);
	if (b->red_pt.given && !b->red.n)
		return err_set(e, EINVAL, "red-pt", "--red-pt needs --red");
	if (is_rtcp_type(b->red_pt.n))
		return err_set(e, EINVAL, "red-pt",
			       "--red-pt must not be 64 to 95: that is RTCP");
	if (b->red_pt.given && b->red_pt.n == pt)
		return err_set(e, EINVAL, "red-pt",
			       "--red-pt must not be the type of Opus, %lld",
			       (long long)pt);
	if (b->no_return.given && b->rtcp.given)
		return err_set(e, EINVAL, "no-return",
			       "--no-return hears no reports: --rtcp does not "
			       "go with it");
	return 0;
}

void publish_bad_options(struct option *out)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		out[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].kind == FLAG    ? no_argument
				   : table[i].kind == PAUSE ? optional_argument
							    : required_argument,
			.val = PUBLISH_BAD_FIRST + (int)i,
		};
}

void publish_bad_help(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct bad *o = &table[i];
		const int left = HELP_COLUMNS - NAME_COLUMNS - 3;
		char name[TEXT_MAX], range[TEXT_MAX];

		snprintf(name, sizeof(name), "--%s %s", o->name,
			 o->arg ? o->arg : "");
		write_range(o, range);
		buf_printf(out, "  %-*s %s", NAME_COLUMNS, name, o->text);
		if (!range[0])
			buf_putc(out, '\n');
		else if ((int)(strlen(o->text) + strlen(range)) + 3 <= left)
			buf_printf(out, " (%s)\n", range);
		else
			buf_printf(out, "\n  %-*s (%s)\n", NAME_COLUMNS, "",
				   range);
	}
}

/* ---- for the sender -------------------------------------------------------------- */

static int choose_seed(const struct publish_bad *b, uint64_t *seed)
{
	uint32_t random;

	*seed = (uint64_t)b->seed.n;
	if (b->seed.given)
		return 0;
	/* 32 bits: short enough to be typed in again. */
	if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
		return EIO;
	*seed = random;
	return 0;
}

int publish_bad_apply(const struct publish_bad *b, struct rtp_sender_config *c)
{
	c->net = (struct impair_config){
		.loss = (uint32_t)b->loss.n,
		.burst = (uint32_t)b->burst_loss.n,
		.loss_every = (uint32_t)b->loss_every.n,
		.reorder = (uint32_t)b->reorder.n,
		.duplicate = (uint32_t)b->duplicate.n,
		.delay_us = b->delay.n,
		.jitter_us = b->jitter.n,
		.stalls = b->stalls,
	};
	c->mic = (struct mic_config){
		.drift_ppm = (int)b->drift.n,
		.freezes = b->freezes,
		.mutes = b->mutes,
		.pauses = b->pauses,
		.has_dtx = b->dtx.given,
		.n_changes = b->changes.n,
	};
	for (size_t i = 0; i < b->changes.n; i++)
		c->mic.change_us[i] = b->changes.at[i].at_us;
	c->form = (struct rtp_form){
		.pt = (uint8_t)b->pt.n,
		.red = (uint8_t)b->red.n,
		.red_pt = (uint8_t)b->red_pt.n,
		.level_id = (uint8_t)b->audio_level.n,
	};
	c->has_seed = b->seed.given;
	c->has_seq = b->seq.given;
	c->seq = (uint16_t)b->seq.n;
	c->has_ts = b->ts.given;
	c->ts = (uint32_t)b->ts.n;
	c->no_return = b->no_return.given;
	c->rtcp = b->rtcp.given;
	return choose_seed(b, &c->net.seed);
}

/* ---- telling ------------------------------------------------------------------------ */

static void tell_net(const struct impair_config *c,
		     const struct impair_stats *st, struct buf *out)
{
	buf_printf(out,
		   "network: of %llu packets %llu lost, %llu reordered, %llu "
		   "duplicated, %llu stalled",
		   (unsigned long long)st->put, (unsigned long long)st->lost,
		   (unsigned long long)st->reordered,
		   (unsigned long long)st->duplicated,
		   (unsigned long long)st->stalled);
	if (st->overflowed)
		buf_printf(out, ", %llu too many under way",
			   (unsigned long long)st->overflowed);
	if (st->waiting)
		buf_printf(out, ", %llu still under way",
			   (unsigned long long)st->waiting);
	if (c->loss || c->reorder || c->duplicate || c->jitter_us)
		buf_printf(out, "; --seed %llu", (unsigned long long)c->seed);
	buf_putc(out, '\n');
}

static void tell_sender(const struct rtp_sender_stats *st, struct buf *out)
{
	buf_printf(out,
		   "sender: %llu packets not sent, %llu tiny ones, %lld ms "
		   "frozen, %llu SSRCs\n",
		   (unsigned long long)st->silent, (unsigned long long)st->tiny,
		   (long long)(st->frozen_us / CLOCK_US_PER_MS),
		   (unsigned long long)st->streams);
}

void publish_bad_tell(const struct rtp_sender_config *c,
		      const struct rtp_sender_stats *st, struct buf *out)
{
	if (impair_is_wanted(&c->net))
		tell_net(&c->net, &st->net, out);
	if (st->silent || st->tiny || st->frozen_us || st->streams > 1)
		tell_sender(st, out);
}
