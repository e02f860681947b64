/** config/settings.c -- the tables of settings, and what each permits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/settings.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS(n)	 ((n) * (int64_t)1000)
#define S(n)	 ((n) * (int64_t)1000000)
#define H(n)	 S((n) * (int64_t)3600)
#define REQUIRED SETTING_REQUIRED
#define RELOAD	 SETTING_RELOAD

static_assert((int)SETTING_N <= SETTINGS_MAX &&
		      (int)RX_SETTING_N <= SETTINGS_MAX &&
		      (int)GROUP_N <= GROUPS_MAX &&
		      (int)RX_GROUP_N <= GROUPS_MAX,
	      "room for each table");

#define GROUP(id, up, name, what, most, words)      \
	[GROUP_ID_##id] = {.parent = GROUP_ID_##up, \
			   .key = (name),           \
			   .kind = GROUP_##what,    \
			   .max = (most),           \
			   .text = (words)},
#define SETTING(...)
const struct group groups[GROUP_N] = {
#include "config/settings.def"
};
static const struct group receive_groups[RX_GROUP_N] = {
#include "config/receive.def"
};
#undef GROUP
#undef SETTING

#define GROUP(...)
#define SETTING(id, of, name, what, preset, least, most, in, list, wants, \
		bits, show, words)                                        \
	[SET_##id] = {.group = GROUP_ID_##of,                             \
		      .key = (name),                                      \
		      .type = TYPE_##what,                                \
		      .def = (preset),                                    \
		      .min = (least),                                     \
		      .max = (most),                                      \
		      .unit = (in),                                       \
		      .names = (list),                                    \
		      .needs = (wants),                                   \
		      .flags = (bits),                                    \
		      .sample = (show),                                   \
		      .text = (words)},
const struct setting settings[SETTING_N] = {
#include "config/settings.def"
};
static const struct setting receive_settings[RX_SETTING_N] = {
#include "config/receive.def"
};
#undef GROUP
#undef SETTING

const struct table serve_table = {
	.command = "tapeop serve",
	.groups = groups,
	.n_groups = GROUP_N,
	.settings = settings,
	.n_settings = SETTING_N,
};

const struct table receive_table = {
	.command = "tapeop receive",
	.groups = receive_groups,
	.n_groups = RX_GROUP_N,
	.settings = receive_settings,
	.n_settings = RX_SETTING_N,
};

unsigned setting_find(const struct table *t, unsigned group, const char *key)
{
	for (unsigned i = 0; i < t->n_settings; i++) {
		if (t->settings[i].group == group &&
		    !strcmp(t->settings[i].key, key))
			return i;
	}
	return t->n_settings;
}

unsigned group_find(const struct table *t, unsigned parent, const char *key)
{
	for (unsigned i = GROUP_ROOT + 1; i < t->n_groups; i++) {
		if (t->groups[i].parent == parent &&
		    !strcmp(t->groups[i].key, key))
			return i;
	}
	return t->n_groups;
}

static void write_group(const struct table *t, unsigned group, struct buf *out)
{
	const struct group *g = &t->groups[group];

	if (group == GROUP_ROOT)
		return;
	write_group(t, g->parent, out);
	buf_printf(out, "%s%s", g->key, g->kind == GROUP_LIST ? "[]." : ".");
}

void setting_write_path(const struct table *t, const struct setting *s,
			struct buf *out)
{
	write_group(t, s->group, out);
	buf_puts(out, s->key);
}

static bool is_in_a_list(const struct table *t, unsigned group)
{
	for (; group != GROUP_ROOT; group = t->groups[group].parent) {
		if (t->groups[group].kind == GROUP_LIST)
			return true;
	}
	return false;
}

bool setting_is_fixed(const struct table *t, const struct setting *s)
{
	return !(s->flags & SETTING_RELOAD) && !is_in_a_list(t, s->group);
}

void setting_write_duration(int64_t us, struct buf *out)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {{"d", H(24)}, {"h", H(1)}, {"m", S(60)}, {"s", S(1)}};

	/* Two days read better as 48h, a week as 7d. */
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		bool small = units[i].us == H(24) && us < H(48);

		if (us && !small && us % units[i].us == 0) {
			buf_printf(out, "%" PRId64 "%s", us / units[i].us,
				   units[i].name);
			return;
		}
	}
	if (us)
		buf_printf(out, "%" PRId64 "ms", us / MS(1));
	else
		buf_puts(out, "0s");
}

/* ---- names of an ENUM -------------------------------------------------- */

int setting_name_index(const struct setting *s, const char *name)
{
	const char *end = s->names + strlen(s->names);
	const char *at = s->names;
	const size_t len = strlen(name);

	for (int i = 0; at < end; i++) {
		size_t n = strcspn(at, "|");

		if (n == len && !memcmp(at, name, len))
			return i;
		at += n + 1;
	}
	return -1;
}

static void write_names(const struct setting *s, struct buf *out)
{
	const char *end = s->names + strlen(s->names);

	for (const char *p = s->names; p < end;) {
		size_t n = strcspn(p, "|");

		buf_puts(out, p == s->names ? "" : ", ");
		buf_append(out, p, n);
		p += n + 1;
	}
}

/* ---- what is permitted ------------------------------------------------- */

static void write_events(struct buf *out)
{
	buf_puts(out, "all, or a list of: ");
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		const enum event_kind kind = (enum event_kind)i;

		if (kind != EVENT_TEST)
			buf_printf(out, "%s%s", i ? ", " : "",
				   event_kind_name(kind));
	}
}

static void write_range(const struct setting *s, struct buf *out)
{
	if (s->type == TYPE_INT) {
		buf_printf(out, "a whole number from %" PRId64 " to %" PRId64,
			   s->min, s->max);
		if (s->unit)
			buf_printf(out, " [%s]", s->unit);
		return;
	}
	buf_puts(out, "a time such as ");
	buf_puts(out, s->def);
	buf_puts(out, ", from ");
	setting_write_duration(s->min, out);
	buf_puts(out, " to ");
	setting_write_duration(s->max, out);
}

void setting_write_permitted(const struct setting *s, struct buf *out)
{
	switch (s->type) {
	case TYPE_STRING:
		buf_printf(out, "a text of %" PRId64 " to %" PRId64 " bytes",
			   s->min, s->max);
		break;
	case TYPE_SECRET:
		buf_puts(out, "a secret: env:NAME, file:PATH, or the text "
			      "itself");
		break;
	case TYPE_INT:
	case TYPE_DURATION:
		write_range(s, out);
		break;
	case TYPE_BOOL:
		buf_puts(out, "true or false");
		break;
	case TYPE_ENUM:
		if (strchr(s->names, '|'))
			buf_puts(out, "one of: ");
		write_names(s, out);
		break;
	case TYPE_ADDRS:
		buf_printf(out, "an IP address %s a port",
			   s->unit ? "with" : "without");
		if (s->max > 1)
			buf_printf(out, ", or a list of 1 to %" PRId64, s->max);
		break;
	case TYPE_PORTS:
		buf_printf(out,
			   "two ports FIRST-LAST from %" PRId64 " to %" PRId64,
			   s->min, s->max);
		break;
	case TYPE_EVENTS:
		write_events(out);
		break;
	case TYPE_NAMES:
		buf_puts(out, "one or a list of: ");
		write_names(s, out);
		break;
	case TYPE_ORIGINS:
		buf_printf(out,
			   "https://HOST or http://HOST, also with :PORT, or "
			   "\"*\"; or a list of 1 to %" PRId64,
			   s->max);
		break;
	case TYPE_RETRY:
		buf_puts(out, "tencent, standard or 1 to 32 times such as "
			      "\"1s,10s,5m\", each at most 7d");
		break;
	case TYPE_RATE:
		buf_puts(out, "0, or a number from 0.017 to 10000 with at "
			      "most 3 decimals");
		break;
	case TYPE_ZONE:
		buf_puts(out, "\"+HH:MM\" or \"-HH:MM\", from -12:00 to "
			      "+14:00");
		break;
	}
}
