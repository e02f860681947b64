/**
 * rooms/confirm.h -- what becomes of closed segments: stored, or told that
 * they cannot be.
 *
 * WHAT  Each segment that is on its way into storage is a confirm of its task
 *       (`uploads`, `confirms`), which is not finished while it has one.
 *
 * Private to rooms/.  Thread: the control loop, if nothing else is said.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROOMS_CONFIRM_H
#define ROOMS_CONFIRM_H

#include "rooms/private.h"

/** Hand a closed segment to upload.  Returns 0 or ENOMEM. */
MUST_CHECK int confirm_begin(struct task *t, const struct segment_row *row);
/** Is a confirmed upload on its way into the store? */
bool confirm_is_committing(const struct task *t);
/** Forget uploads that are not confirmed; they are found at the start. */
void confirm_forget(struct task *t);
/** How an attempt ended; `arg` is the rooms. */
void confirm_on_uploaded(const struct upload_result *result, void *arg);
/** Did the last attempt of one of its files fail? */
bool confirm_is_failing(const struct task *t);
/** Commit again what no timer will. */
void confirm_tell_again(struct task *t);

/** What erasing has taken out of the hands of tasks that are stopped and
 *  cannot be finished, for their files cannot be stored. */
struct let_go {
	struct link confirms;
	struct link pins; /* of the tasks, which do not finish meanwhile */
};
void let_go_init(struct let_go *g);
/** Is it pinned?  Was its file taken?  Thread: any, until confirm_take_back. */
bool let_go_has_task(const struct let_go *g, uint64_t task);
bool let_go_has_segment(const struct let_go *g, uint64_t segment);
/**
 * Take the files of a user (NULL: of all) whose storing fails, and is not
 * being tried just now, of the tasks that this is about (0, NULL: any).
 */
void confirm_let_go(struct rooms *r, uint64_t task, uint32_t app,
		    const char *room, const char *user, struct let_go *g);
/** Segments up to this id are gone, or go; the others are stored after all. */
void confirm_take_back(struct rooms *r, struct let_go *g, uint64_t gone_to);

#endif
