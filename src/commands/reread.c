/** commands/reread.c -- read a file of settings again, while the program
 *  runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/reread.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static void run_load(struct job *job)
{
	struct reread *r = CONTAINER_OF(job, struct reread, job);

	r->err = r->kind->load(r->path, &r->next, &r->e);
}

static void on_loaded(struct job *job)
{
	struct reread *r = CONTAINER_OF(job, struct reread, job);
	void *next = r->next;
	char why[sizeof(r->e.text) + 64];

	r->next = NULL;
	r->busy = false;
	if (r->again || r->stopped) {
		r->kind->free(next);
		if (!r->stopped)
			reread_start(r, r->done, r->arg);
		return;
	}
	if (!r->err)
		r->err = r->kind->apply(next, r->of, &r->e);
	r->kind->free(next);
	snprintf(why, sizeof(why), "reload: %s; nothing was changed",
		 r->e.text);
	if (r->err)
		log_error("%s", why);
	if (r->done)
		r->done(r->err ? why : NULL, r->arg);
}

void reread_say_later(const char *names)
{
	if (names[0])
		log_warn("reload: %s changed: %s at the next start", names,
			 strchr(names, ',') ? "they take effect"
					    : "it takes effect");
}

void reread_start(struct reread *r, reload_fn *done, void *arg)
{
	r->done = done;
	r->arg = arg;
	r->again = r->busy;
	if (r->busy)
		return;
	r->busy = true;
	r->e = (struct err){0};
	r->job.run = run_load;
	workers_run(r->workers, &r->job, r->loop, on_loaded);
}
