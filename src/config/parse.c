/**
 * config/parse.c -- YAML text -> a draft full of values.
 *
 * WHAT  libyaml's events are walked against a table of settings.
 * WHY   A tree would be made of whatever the file holds; this way what the
 *       table does not know is refused where it stands, and how deep and how
 *       much is bounded by the table.
 * DESIGN
 *   - One function a shape: document, map, list, setting.  They nest as the
 *     groups do, so at most 4 deep.
 *   - Refused: a second document, anchors, aliases, tags, keys that are not
 *     plain text, what is not UTF-8.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/parse.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "base/str.h"
#include "config/config.h"

enum { NAME_SHOWN = 96, PATH_MAX_LEN = 63, KEY_SHOWN = 40 };

struct parse {
	yaml_parser_t yaml;
	yaml_event_t event; /* the current one; type NO_EVENT: none */
	const char *name;
	const uint8_t *text;
	size_t len;
	struct draft *d;
	const struct table *table; /* its */
	struct err *e;
	char path[PATH_MAX_LEN + 1]; /* "apps[0].callbacks[1]" */
	bool seen[SETTINGS_MAX];     /* in the open item */
	bool seen_group[GROUPS_MAX];
};

/* ---- errors ------------------------------------------------------------- */

static int vfail(struct parse *p, int code, struct mark at, const char *key,
		 const char *fmt, va_list ap) PRINTF_LIKE(5, 0);
static int fail(struct parse *p, struct mark at, const char *key,
		const char *fmt, ...) PRINTF_LIKE(4, 5);

/** "file:line:column: path.key: text" */
static int vfail(struct parse *p, int code, struct mark at, const char *key,
		 const char *fmt, va_list ap)
{
	const size_t len = strlen(p->name);
	const bool cut = len > NAME_SHOWN;
	char field[128], text[384];

	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(field, sizeof(field), "%s%s%s", p->path,
		 *p->path && *key ? "." : "", key);
	return err_set(p->e, code, field, "%s%s:%zu:%zu: %s%s%s",
		       cut ? "..." : "",
		       cut ? p->name + len - NAME_SHOWN : p->name, at.line,
		       at.column, field, *field ? ": " : "", text);
}

static int fail(struct parse *p, struct mark at, const char *key,
		const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = vfail(p, EINVAL, at, key, fmt, ap);
	va_end(ap);
	return err;
}

static int fail_as(struct parse *p, int code, struct mark at, const char *key,
		   const char *fmt, ...) PRINTF_LIKE(5, 6);

static int fail_as(struct parse *p, int code, struct mark at, const char *key,
		   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(p, code, at, key, fmt, ap);
	va_end(ap);
	return code;
}

static struct mark mark_of(yaml_mark_t m)
{
	return (struct mark){.line = m.line + 1, .column = m.column + 1};
}

static struct mark here(const struct parse *p)
{
	return mark_of(p->event.start_mark);
}

/** Where byte `offset` is, counting as libyaml does: in characters. */
static struct mark mark_of_offset(const struct parse *p, size_t offset)
{
	struct mark at = {1, 1};

	for (size_t i = 0; i < offset && i < p->len; i++) {
		if (p->text[i] == '\n')
			at = (struct mark){at.line + 1, 1};
		else if ((p->text[i] & 0xc0) != 0x80)
			at.column++;
	}
	return at;
}

/** libyaml could not go on. */
static int fail_yaml(struct parse *p)
{
	const char *problem = p->yaml.problem ? p->yaml.problem : "not YAML";

	p->path[0] = 0;
	switch (p->yaml.error) {
	case YAML_MEMORY_ERROR:
		return fail_as(p, ENOMEM, (struct mark){1, 1}, "",
			       "out of memory");
	case YAML_READER_ERROR:
		return fail(p, mark_of_offset(p, p->yaml.problem_offset), "",
			    "must be UTF-8 text without control characters "
			    "(%s)",
			    problem);
	default:
		return fail(p, mark_of(p->yaml.problem_mark), "",
			    "this is not YAML: %s", problem);
	}
}

/* ---- events ------------------------------------------------------------- */

/** Wipe and drop the current event: a scalar may be a secret. */
static void drop(struct parse *p)
{
	if (p->event.type == YAML_SCALAR_EVENT)
		mem_wipe(p->event.data.scalar.value,
			 p->event.data.scalar.length);
	yaml_event_delete(&p->event);
	memset(&p->event, 0, sizeof(p->event));
}

/** Refuse what no place in the file may have. */
static int check_event(struct parse *p)
{
	const yaml_event_t *ev = &p->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return fail(p, here(p), "", "aliases (*) are not permitted");
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		return fail(p, here(p), "", "anchors (&) are not permitted");
	return tag ? fail(p, here(p), "", "tags (!) are not permitted") : 0;
}

static int next(struct parse *p)
{
	drop(p);
	if (!yaml_parser_parse(&p->yaml, &p->event))
		return fail_yaml(p);
	return check_event(p);
}

static struct scalar scalar_of(const struct parse *p)
{
	return (struct scalar){
		.text = (const char *)p->event.data.scalar.value,
		.len = p->event.data.scalar.length,
		.quoted = p->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE,
		.at = here(p),
	};
}

/* ---- a setting ---------------------------------------------------------- */

static int read_scalar(struct parse *p, unsigned id)
{
	const struct scalar in = scalar_of(p);
	struct err why;
	int err = value_read(&p->table->settings[id], &in, &p->d->values[id],
			     &why);

	if (!err && p->table->settings[id].type == TYPE_SECRET &&
	    p->d->note_secret && p->d->note_secret(p->d, in.text))
		err = err_no_memory(&why);
	return err ? fail_as(p, err, in.at, p->table->settings[id].key, "%s",
			     why.text)
		   : 0;
}

static int fail_shape(struct parse *p, const struct setting *s)
{
	struct buf b;

	buf_init(&b, 320);
	setting_write_permitted(s, &b);
	fail(p, here(p), s->key, "is a %s: must be %s",
	     p->event.type == YAML_MAPPING_START_EVENT ? "group of settings"
						       : "list",
	     buf_str(&b));
	buf_fini(&b);
	return EINVAL;
}

static int read_list(struct parse *p, unsigned id)
{
	const struct setting *s = &p->table->settings[id];
	const struct mark at = here(p);

	for (;;) {
		int err = next(p);

		if (err)
			return err;
		if (p->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (p->event.type != YAML_SCALAR_EVENT)
			return fail_shape(p, s);
		err = read_scalar(p, id);
		if (err)
			return err;
	}
	if (!p->d->values[id].n)
		return fail(p, at, s->key, "is an empty list: at least 1");
	return 0;
}

static int read_setting(struct parse *p, unsigned id)
{
	const struct setting *s = &p->table->settings[id];
	const bool list = s->type == TYPE_ADDRS || s->type == TYPE_EVENTS ||
			  s->type == TYPE_NAMES || s->type == TYPE_ORIGINS;
	struct value *v = &p->d->values[id];
	int err = next(p);

	if (err)
		return err;
	/* The default goes; a list is empty before its first item. */
	value_clear(v);
	v->given = true;
	v->at = here(p);
	if (p->event.type == YAML_SCALAR_EVENT)
		return read_scalar(p, id);
	if (p->event.type == YAML_SEQUENCE_START_EVENT && list)
		return read_list(p, id);
	return fail_shape(p, s);
}

/* ---- groups ------------------------------------------------------------- */

static int read_map(struct parse *p, unsigned group);

/** Forget what was seen in the group and in those below it. */
static void forget_seen(struct parse *p, unsigned group)
{
	for (unsigned i = 0; i < p->table->n_settings; i++) {
		if (p->table->settings[i].group == group)
			p->seen[i] = false;
	}
	for (unsigned i = GROUP_ROOT + 1; i < p->table->n_groups; i++) {
		if (p->table->groups[i].parent == group)
			p->seen_group[i] = false;
	}
}

/** One map that belongs to `group`, whose defaults are set first. */
static int read_item(struct parse *p, unsigned group)
{
	const struct mark at = here(p);

	if (p->event.type != YAML_MAPPING_START_EVENT)
		return fail(p, at, "",
			    "must be a group of settings (`name: value`)");
	if (draft_begin(p->d, group, at))
		return fail_as(p, ENOMEM, at, "", "out of memory");
	forget_seen(p, group);
	return read_map(p, group);
}

static int read_items(struct parse *p, unsigned group)
{
	const size_t len = strlen(p->path);

	if (p->event.type != YAML_SEQUENCE_START_EVENT)
		return fail(p, here(p), "", "must be a list (`- name: value`)");
	for (unsigned n = 0;; n++) {
		int err = next(p);

		if (err || p->event.type == YAML_SEQUENCE_END_EVENT)
			return err;
		if (n == p->table->groups[group].max)
			return fail(p, here(p), "", "too many: at most %u",
				    p->table->groups[group].max);
		snprintf(p->path + len, sizeof(p->path) - len, "[%u]", n);
		err = read_item(p, group);
		if (err)
			return err;
		p->path[len] = 0;
	}
}

static int read_group(struct parse *p, unsigned group)
{
	const size_t len = strlen(p->path);
	int err;

	snprintf(p->path + len, sizeof(p->path) - len, "%s%s", len ? "." : "",
		 p->table->groups[group].key);
	err = next(p);
	if (!err)
		err = p->table->groups[group].kind == GROUP_LIST
			      ? read_items(p, group)
			      : read_item(p, group);
	if (!err)
		p->path[len] = 0;
	return err;
}

/** The key is none of this group's. */
static int fail_unknown(struct parse *p, unsigned group, const char *key)
{
	struct nearest near = {0};
	struct buf known;

	buf_init(&known, 160);
	for (unsigned i = 0; i < p->table->n_settings; i++) {
		if (p->table->settings[i].group != group)
			continue;
		nearest_add(&near, key, p->table->settings[i].key);
		buf_printf(&known, "%s%s", known.len ? ", " : "",
			   p->table->settings[i].key);
	}
	for (unsigned i = GROUP_ROOT + 1; i < p->table->n_groups; i++) {
		if (p->table->groups[i].parent != group)
			continue;
		nearest_add(&near, key, p->table->groups[i].key);
		buf_printf(&known, "%s%s", known.len ? ", " : "",
			   p->table->groups[i].key);
	}
	if (near.name)
		fail(p, here(p), key, "unknown setting; did you mean \"%s\"?",
		     near.name);
	else
		fail(p, here(p), key, "unknown setting; known here: %s",
		     buf_str(&known));
	buf_fini(&known);
	return EINVAL;
}

static int read_pair(struct parse *p, unsigned group)
{
	struct scalar key;
	unsigned id;
	unsigned sub;
	bool *seen;

	if (p->event.type != YAML_SCALAR_EVENT)
		return fail(p, here(p), "", "a name of a setting must be text");
	key = scalar_of(p);
	if (!key.len || !str_is_clean_utf8(key.text, key.len))
		return fail(p, key.at, "", "a name of a setting must be text");
	id = setting_find(p->table, group, key.text);
	sub = group_find(p->table, group, key.text);
	if (id == p->table->n_settings && sub == p->table->n_groups) {
		char shown[KEY_SHOWN];

		str_copy(shown, sizeof(shown), key.text);
		return fail_unknown(p, group, shown);
	}
	seen = id < p->table->n_settings ? &p->seen[id] : &p->seen_group[sub];
	if (*seen)
		return fail(p, key.at, key.text, "is there twice: each once");
	*seen = true;
	return id < p->table->n_settings ? read_setting(p, id)
					 : read_group(p, sub);
}

static int end_map(struct parse *p, unsigned group)
{
	struct mark at = p->d->item_at[group];
	struct err why;
	int err;

	for (unsigned i = 0; i < p->table->n_settings; i++) {
		if (p->table->settings[i].group == group &&
		    !p->d->values[i].given &&
		    p->table->settings[i].flags & SETTING_REQUIRED)
			return fail(p, at, p->table->settings[i].key,
				    "is missing: every item of %s needs it",
				    p->table->groups[group].key);
	}
	err = p->d->end(p->d, group, &at, &why);
	return err ? fail_as(p, err, at, why.field, "%s", why.text) : 0;
}

static int read_map(struct parse *p, unsigned group)
{
	for (;;) {
		int err = next(p);

		if (err)
			return err;
		if (p->event.type == YAML_MAPPING_END_EVENT)
			return end_map(p, group);
		err = read_pair(p, group);
		if (err)
			return err;
	}
}

/* ---- the document ------------------------------------------------------- */

static int read_stream(struct parse *p)
{
	int err = next(p); /* start of the stream */

	if (!err)
		err = next(p);
	if (!err && p->event.type == YAML_STREAM_END_EVENT)
		return fail(p, (struct mark){1, 1}, "",
			    "the file is empty: `%s --sample` shows what may "
			    "stand in it",
			    p->table->command);
	if (!err)
		err = next(p);
	if (!err)
		err = read_item(p, GROUP_ROOT);
	if (!err)
		err = next(p); /* end of the document */
	if (!err)
		err = next(p);
	if (!err && p->event.type != YAML_STREAM_END_EVENT)
		err = fail(p, here(p), "",
			   "a second document is not permitted");
	return err;
}

static int too_long(const char *name, struct err *e)
{
	return err_set(e, EFBIG, "",
		       "%.96s:1:1: the file is too long: at most %d bytes",
		       name, CONFIG_FILE_MAX);
}

int parse_document(const char *name, const void *text, size_t len,
		   struct draft *d, struct err *e)
{
	struct parse p = {.name = name,
			  .text = text,
			  .len = len,
			  .d = d,
			  .table = d->table,
			  .e = e};
	int err;

	if (len > CONFIG_FILE_MAX)
		return too_long(name, e);
	if (!yaml_parser_initialize(&p.yaml))
		return err_no_memory(e);
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, text, len);
	err = read_stream(&p);
	drop(&p);
	yaml_parser_delete(&p.yaml);
	return err;
}

int parse_file(const char *path, struct draft *d, struct err *e)
{
	char reason[128];
	struct buf text;
	int err;

	buf_init_secret(&text, CONFIG_FILE_MAX);
	err = file_read(path, &text);
	if (err == EMSGSIZE)
		err = too_long(path, e);
	else if (err)
		err_set(e, err, "", "%.96s:1:1: cannot be read: %s", path,
			strerror_r(err, reason, sizeof(reason)));
	else
		err = parse_document(path, buf_str(&text), text.len, d, e);
	buf_fini(&text);
	return err;
}
