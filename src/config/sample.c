/**
 * config/sample.c -- a table of settings as a sample file and as a page.
 *
 * etc/tapeop.yaml, docs/settings.md, etc/receive.yaml and
 * docs/receive-settings.md are what these write; a test says so when they differ, and `config_pages_test --write` brings them up to date.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config/settings.h"

enum { TEXT_WIDTH = 78, INDENT = 2 };

/** Where a line of the sample begins: "    # ". */
struct margin {
	unsigned depth;	  /* spaces */
	bool is_comment;  /* the whole group is shown as a comment */
	const char *dash; /* "- " before the first setting of an item */
};

static void write_margin(const struct margin *m, bool comment, struct buf *out)
{
	for (unsigned i = 0; i < m->depth; i++)
		buf_putc(out, ' ');
	if (comment || m->is_comment)
		buf_puts(out, "# ");
}

/** Write `text` as comment lines of at most TEXT_WIDTH. */
static void write_words(const struct margin *m, const char *text,
			struct buf *out)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > TEXT_WIDTH) {
			buf_putc(out, '\n');
			column = 0;
		}
		if (!column) {
			write_margin(m, true, out);
			column = m->depth + 1;
		} else {
			buf_putc(out, ' ');
		}
		buf_append(out, text, n);
		column += n + 1;
		text += n;
		text += strspn(text, " ");
	}
	buf_putc(out, '\n');
}

/** A default as it must be written so that YAML reads it as we do. */
static void write_default(const struct setting *s, struct buf *out)
{
	const bool quote =
		!*s->def || s->type == TYPE_ZONE || !strcmp(s->def, "off");

	buf_printf(out, quote ? "\"%s\"" : "%s", s->def);
}

/** Types whose texts in the table say what is permitted. */
static bool says_itself(enum setting_type type)
{
	return type == TYPE_STRING || type == TYPE_SECRET ||
	       type == TYPE_EVENTS || type == TYPE_RETRY || type == TYPE_BOOL;
}

static void write_comment(const struct margin *m, const struct setting *s,
			  struct buf *out)
{
	struct buf words;

	buf_init(&words, 2048);
	buf_puts(&words, s->text);
	if (!says_itself(s->type)) {
		buf_puts(&words, " Permitted: ");
		setting_write_permitted(s, &words);
		buf_putc(&words, '.');
	}
	if (s->needs)
		buf_printf(&words, " Needs: %s.", s->needs);
	if (s->flags & SETTING_RELOAD)
		buf_puts(&words, " (reload)");
	write_words(m, buf_str(&words), out);
	if (buf_err(&words) && !out->err)
		out->err = buf_err(&words);
	buf_fini(&words);
}

static void write_setting(struct margin *m, const struct setting *s,
			  struct buf *out)
{
	const char *sample = s->sample;
	bool comment = sample && *sample == '#';

	write_comment(m, s, out);
	write_margin(m, comment, out);
	buf_printf(out, "%s%s: ", m->dash, s->key);
	if (sample)
		buf_puts(out, sample + (*sample == '#'));
	else if (s->def)
		write_default(s, out);
	buf_putc(out, '\n');
	if (*m->dash) {
		m->dash = "";
		m->depth += INDENT;
	}
}

/** Is nothing in a group set by the sample?  Its name alone would be no
 *  group. */
static bool is_empty(const struct table *t, unsigned group)
{
	for (unsigned i = 0; i < t->n_settings; i++) {
		const struct setting *s = &t->settings[i];
		const bool comment = s->sample && *s->sample == '#';

		if (s->group == group && !comment)
			return false;
	}
	for (unsigned i = GROUP_ROOT + 1; i < t->n_groups; i++) {
		if (t->groups[i].parent == group && !is_empty(t, i))
			return false;
	}
	return true;
}

static void write_group(const struct table *t, unsigned group, struct margin m,
			struct buf *out)
{
	for (unsigned i = 0; i < t->n_settings; i++) {
		if (t->settings[i].group == group)
			write_setting(&m, &t->settings[i], out);
	}
	for (unsigned i = GROUP_ROOT + 1; i < t->n_groups; i++) {
		const struct group *g = &t->groups[i];
		struct margin sub = m;

		if (g->parent != group)
			continue;
		buf_putc(out, '\n');
		write_words(&m, g->text, out);
		sub.is_comment = m.is_comment || is_empty(t, i);
		write_margin(&sub, false, out);
		buf_printf(out, "%s:\n", g->key);
		sub.depth += INDENT;
		sub.dash = g->kind == GROUP_LIST ? "- " : "";
		write_group(t, i, sub, out);
	}
}

void config_write_sample(struct buf *out)
{
	const struct margin m = {.dash = ""};

	buf_puts(out, "# Settings of `tapeop serve -c FILE`. A secret is the "
		      "text itself, env:NAME or\n"
		      "# file:PATH. Times have a unit: 500ms, 5s, 90m, 2h, "
		      "7d. A setting that is not\n"
		      "# known or out of range stops the start and is named "
		      "with its line. (reload):\n"
		      "# SIGHUP reads it again, and file: secrets too. All "
		      "settings with their\n"
		      "# defaults: docs/settings.md.\n\n");
	write_group(&serve_table, GROUP_ROOT, m, out);
}

void config_receive_write_sample(struct buf *out)
{
	const struct margin m = {.dash = ""};

	buf_puts(out,
		 "# Settings of `tapeop receive -c FILE`. A secret is the "
		 "text itself, env:NAME or\n"
		 "# file:PATH. A setting that is not known or out of range "
		 "stops the start and is\n"
		 "# named with its line. (reload): SIGHUP reads it again, "
		 "and file: secrets too.\n"
		 "# All settings with their defaults: "
		 "docs/receive-settings.md.\n\n");
	write_group(&receive_table, GROUP_ROOT, m, out);
}

/* ---- the page ----------------------------------------------------------- */

/** A cell of a table: '|' ends it. */
static void write_cell(const char *text, struct buf *out)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_putc(out, '\\');
		buf_putc(out, *text);
	}
}

static void write_row(const struct table *t, const struct setting *s,
		      struct buf *out)
{
	struct buf permitted;

	buf_init(&permitted, 512);
	setting_write_permitted(s, &permitted);
	buf_puts(out, "| `");
	setting_write_path(t, s, out);
	buf_puts(out, "` | ");
	if (s->flags & SETTING_REQUIRED)
		buf_puts(out, "required");
	else if (s->def)
		buf_printf(out, "`%s`", *s->def ? s->def : "\"\"");
	buf_puts(out, " | ");
	write_cell(buf_str(&permitted), out);
	buf_puts(out, " | ");
	write_cell(s->text, out);
	if (s->needs) {
		buf_puts(out, " Needs ");
		write_cell(s->needs, out);
		buf_putc(out, '.');
	}
	buf_printf(out, " | %s |\n", s->flags & SETTING_RELOAD ? "yes" : "");
	if (buf_err(&permitted) && !out->err)
		out->err = buf_err(&permitted);
	buf_fini(&permitted);
}

static void write_table(const struct table *t, struct buf *out)
{
	buf_puts(out, "| setting | default | permitted | what it does | "
		      "reload |\n"
		      "|---|---|---|---|---|\n");
	for (unsigned i = 0; i < t->n_settings; i++)
		write_row(t, &t->settings[i], out);
}

void config_write_markdown(struct buf *out)
{
	buf_puts(out,
		 "# Settings\n\n"
		 "This page and `etc/tapeop.yaml` are written from the table "
		 "in `src/config/settings.def`;\n"
		 "a test fails when they differ.\n\n"
		 "`tapeop serve -c FILE` reads one YAML document. What it does "
		 "not know, what is there\n"
		 "twice, of the wrong type, out of range, or a secret that "
		 "cannot be read stops the\n"
		 "start with `file:line:column: setting: what is permitted`; "
		 "`tapeop doctor -c FILE`\n"
		 "says the same without starting anything. Anchors, aliases, "
		 "tags and a second document\n"
		 "are refused. A secret is the text itself, `env:NAME` or "
		 "`file:PATH` (one newline at\n"
		 "its end is dropped), and is never logged.\n\n"
		 "SIGHUP (`systemctl reload`) reads the file and the `file:` "
		 "secrets again: what is\n"
		 "marked in the column *reload* takes effect then, the rest "
		 "at the next start\n"
		 "([Changing settings](operations.md#changing-settings)). "
		 "Settings of `recording` are for\n"
		 "tasks and inputs that begin later.\n\n");
	buf_printf(
		out, "At most %d apps, %d endpoints an app, %d KiB in all.\n\n",
		CONFIG_APPS_MAX, CONFIG_ENDPOINTS_MAX, CONFIG_FILE_MAX / 1024);
	write_table(&serve_table, out);
}

void config_receive_write_markdown(struct buf *out)
{
	buf_printf(
		out,
		"# Settings of a receiver\n\n"
		"This page and `etc/receive.yaml` are written from the table "
		"in `src/config/receive.def`;\n"
		"a test fails when they differ.\n\n"
		"`tapeop receive -c FILE` takes the callbacks of several apps "
		"in one process\n"
		"([Several apps, several "
		"keys](callbacks.md#several-apps-several-keys)). The file is "
		"read as that of the server\n"
		"([settings.md](settings.md)), with the same rules for faults "
		"and secrets; `--check` only says\n"
		"what is wrong with it. At most %d apps, %d keys an app.\n\n"
		"SIGHUP reads the file and the `file:` secrets again: what is "
		"marked in the column\n"
		"*reload* takes effect then, the rest at the next start\n"
		"([Receiving for several apps]"
		"(operations.md#receiving-for-several-apps)).\n\n",
		RECEIVE_APPS_MAX, RECEIVE_KEYS_MAX);
	write_table(&receive_table, out);
}
