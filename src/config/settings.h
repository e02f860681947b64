/** config/settings.h -- the tables of settings (settings.def, receive.def) as C
 *  sees them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"

enum group_kind { GROUP_MAP, GROUP_LIST };

enum setting_type {
	TYPE_STRING,
	TYPE_SECRET, /* literal, env:NAME, file:PATH */
	TYPE_INT,
	TYPE_DURATION, /* "2h" */
	TYPE_BOOL,     /* true, false */
	TYPE_ENUM,     /* one of `names` */
	TYPE_ADDRS,    /* one or a list; `unit` is set: with a port */
	TYPE_PORTS,    /* "41000-41999" */
	TYPE_EVENTS,   /* one or a list */
	TYPE_NAMES,    /* one or a list of `names` */
	TYPE_ORIGINS,  /* one or a list: "https://app.example.com", "*" */
	TYPE_RETRY,
	TYPE_RATE, /* "0.5" [a second] */
	TYPE_ZONE  /* "+08:00" */
};

/* RELOAD: a change takes effect when the file is read again. */
enum { SETTING_REQUIRED = 1, SETTING_RELOAD = 2 };

/** The root of each table. */
enum { GROUP_ROOT = 0 };

/* ---- of `serve` ------------------------------------------------------------ */

enum group_id {
#define GROUP(id, ...) GROUP_ID_##id,
#define SETTING(...)
#include "config/settings.def"
#undef GROUP
#undef SETTING
	GROUP_N
};

enum setting_id {
#define GROUP(...)
#define SETTING(id, ...) SET_##id,
#include "config/settings.def"
#undef GROUP
#undef SETTING
	SETTING_N
};

/* ---- of `receive` ---------------------------------------------------------- */

enum receive_group_id {
#define GROUP(id, ...) GROUP_ID_##id,
#define SETTING(...)
#include "config/receive.def"
#undef GROUP
#undef SETTING
	RX_GROUP_N
};

enum receive_setting_id {
#define GROUP(...)
#define SETTING(id, ...) SET_##id,
#include "config/receive.def"
#undef GROUP
#undef SETTING
	RX_SETTING_N
};

/* ---- of both ---------------------------------------------------------------- */

/* Of any table. */
enum { SETTINGS_MAX = 96, GROUPS_MAX = 16 };

struct group {
	unsigned parent; /* the root's is itself */
	const char *key;
	enum group_kind kind;
	unsigned max; /* of a list */
	const char *text;
};

/** The columns of settings.def, which explains them. */
struct setting {
	unsigned group;
	const char *key;
	enum setting_type type;
	const char *def;
	int64_t min, max;
	const char *unit;
	const char *names;
	const char *needs;
	unsigned flags;
	const char *sample;
	const char *text;
};

/** What one kind of file may hold. */
struct table {
	const char *command; /* whose file it is: "tapeop serve" */
	const struct group *groups;
	unsigned n_groups;
	const struct setting *settings;
	unsigned n_settings;
};

extern const struct group groups[GROUP_N];
extern const struct setting settings[SETTING_N];
extern const struct table serve_table, receive_table;

/** The setting or group of that name in a group; n_settings, n_groups: none. */
unsigned setting_find(const struct table *t, unsigned group, const char *key);
unsigned group_find(const struct table *t, unsigned parent, const char *key);

/** Write where it stands: "apps[].callbacks[].url". */
void setting_write_path(const struct table *t, const struct setting *s,
			struct buf *out);

/** Does only a start change it?  It is no setting of a list then. */
bool setting_is_fixed(const struct table *t, const struct setting *s);

/**
 * Write what this setting permits, behind "must be" or "permitted:":
 * "a whole number from 0 to 64", "one of: gme, live".
 */
void setting_write_permitted(const struct setting *s, struct buf *out);

/** Place of `name` in the names of an ENUM or of NAMES, -1: not there. */
int setting_name_index(const struct setting *s, const char *name);

/** Write a time in its largest whole unit: "90m", "2h", "200ms". */
void setting_write_duration(int64_t us, struct buf *out);

#endif
