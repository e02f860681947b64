/** config/draft.c -- what is being read from a file, setting by setting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/draft.h"

/** Is `group` inside of `outer`, or `outer` itself? */
static bool is_within(const struct table *t, unsigned group, unsigned outer)
{
	while (group != outer && group != GROUP_ROOT)
		group = t->groups[group].parent;
	return group == outer;
}

int draft_begin(struct draft *d, unsigned group, struct mark at)
{
	const struct table *t = d->table;
	int err = 0;

	d->item_at[group] = at;
	for (unsigned i = 0; i < t->n_settings && !err; i++) {
		if (!is_within(t, t->settings[i].group, group))
			continue;
		d->item_at[t->settings[i].group] = at;
		err = value_set_default(&t->settings[i], &d->values[i]);
	}
	return err;
}

void draft_clear(struct draft *d)
{
	for (unsigned i = 0; i < d->table->n_settings; i++)
		value_clear(&d->values[i]);
}

struct mark draft_place(const struct draft *d, unsigned setting)
{
	const struct value *v = &d->values[setting];

	return v->given ? v->at : d->item_at[d->table->settings[setting].group];
}

char *draft_take(struct draft *d, unsigned setting)
{
	char *text = d->values[setting].text;

	d->values[setting].text = NULL;
	return text;
}
