/**
 * store/write.c -- a transaction to be: operations and copies of their
 * values, in an arena.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 2048, RESERVE = 128 };

struct chunk {
	struct chunk *next;
	size_t len, cap; /* [bytes] of data */
	max_align_t data[];
};

/* Nodes for answering ENOMEM when there is no memory for a node.  Static,
 * so that an answer may be under way after its store has closed. */
static struct store_write reserve[RESERVE];
static _Atomic bool reserve_used[RESERVE];

static void *arena_take(struct store_write *w, size_t len)
{
	struct chunk *c = w->chunks;
	size_t align = sizeof(max_align_t);
	size_t cap;
	void *p;

	len = (len + align - 1) / align * align;
	if (!c || c->cap - c->len < len) {
		cap = len > CHUNK_BYTES ? len : (size_t)CHUNK_BYTES;
		if (w->bytes + cap > WRITE_MAX_BYTES)
			return NULL;
		c = mem_zalloc(sizeof(*c) + cap);
		if (!c)
			return NULL;
		c->cap = cap;
		c->next = w->chunks;
		w->chunks = c;
		w->bytes += cap;
	}
	p = (char *)c->data + c->len;
	c->len += len;
	return p;
}

/** Append an operation with room for `n` values; NULL: no memory. */
static struct op *op_add(struct store_write *w, enum op_kind kind, uint32_t n)
{
	struct op *op;

	if (!w || w->refused)
		return NULL;
	op = arena_take(w, sizeof(*op) + n * sizeof(op->values[0]));
	if (!op) {
		w->refused = ENOMEM;
		return NULL;
	}
	*op = (struct op){.kind = kind, .cap = n};
	if (w->last)
		w->last->next = op;
	else
		w->first = op;
	w->last = op;
	return op;
}

static void add_value(struct op *op, struct value v)
{
	assert(op->n < op->cap);
	op->values[op->n++] = v;
}

static void add_int(struct op *op, int64_t i)
{
	add_value(op, (struct value){.i = i, .type = VALUE_INT});
}

static void add_id(struct op *op, uint64_t id)
{
	add_int(op, (int64_t)id);
}

static void add_bytes(struct store_write *w, struct op *op, const char *text,
		      size_t len)
{
	char *copy = len < WRITE_MAX_BYTES ? arena_take(w, len + 1) : NULL;

	if (!copy) {
		w->refused = ENOMEM;
		return;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	add_value(op, (struct value){.text = copy,
				     .len = (uint32_t)len,
				     .type = VALUE_TEXT});
}

static void add_text(struct store_write *w, struct op *op, const char *text)
{
	if (text)
		add_bytes(w, op, text, strlen(text));
	else
		add_value(op, (struct value){.type = VALUE_NULL});
}

struct store_write *store_write_new(void)
{
	return mem_zalloc(sizeof(struct store_write));
}

void write_drop_values(struct store_write *w)
{
	struct chunk *c = w->chunks;

	while (c) {
		struct chunk *next = c->next;

		if (w->has_secrets)
			mem_wipe(c->data, c->len);
		mem_free(c);
		c = next;
	}
	w->chunks = NULL;
	w->first = NULL;
	w->last = NULL;
	w->bytes = 0;
}

void store_write_free(struct store_write *w)
{
	if (!w)
		return;
	write_drop_values(w);
	mem_free(w);
}

/** A free node of the reserve, emptied; NULL when all are in use. */
static struct store_write *take_reserved(void)
{
	for (size_t i = 0; i < RESERVE; i++) {
		if (atomic_exchange(&reserve_used[i], true))
			continue;
		memset(&reserve[i], 0, sizeof(reserve[i]));
		return &reserve[i];
	}
	return NULL;
}

struct store_write *write_reserve(void)
{
	struct store_write *w = store_write_new();

	if (!w)
		w = take_reserved();
	if (!w) {
		/* An answer that never comes would leave its asker stuck for
		 * ever; what was committed survives this. */
		log_error("store: no memory to answer a write: stopping");
		abort();
	}
	w->refused = ENOMEM;
	return w;
}

void write_release(struct store_write *w)
{
	if (w >= reserve && w < reserve + RESERVE)
		atomic_store(&reserve_used[w - reserve], false);
	else
		store_write_free(w);
}

void store_put_task(struct store_write *w, const struct task_row *t)
{
	struct op *op = op_add(w, OP_PUT_TASK, 25);

	if (!op)
		return;
	add_id(op, t->id);
	add_int(op, t->app);
	add_text(w, op, t->room);
	add_int(op, t->mode);
	add_int(op, t->state);
	add_text(w, op, t->reason);
	add_text(w, op, t->reason_text);
	add_text(w, op, t->subscribe ? t->subscribe : "");
	add_int(op, t->created_ms);
	add_int(op, t->stopped_ms);
	add_int(op, t->finished_ms);
	add_int(op, t->leave_code);
	add_text(w, op, t->client_ip);
	add_text(w, op, t->platform);
	add_int(op, t->format);
	add_int(op, t->sample_rate);
	add_int(op, t->max_idle_ms);
	add_int(op, t->hold_empty_ms);
	add_int(op, t->is_auto);
	add_int(op, t->is_paused);
	add_int(op, t->segment_ms);
	add_int(op, t->expires_ms);
	add_text(w, op, t->recorder);
	add_id(op, t->storage);
	add_text(w, op, t->storage_prefix);
}

void store_set_task(struct store_write *w, const struct task_row *t)
{
	struct op *op = op_add(w, OP_SET_TASK, 12);

	if (!op)
		return;
	add_id(op, t->id);
	add_int(op, t->state);
	add_text(w, op, t->reason);
	add_text(w, op, t->reason_text);
	add_int(op, t->leave_code);
	add_int(op, t->stopped_ms);
	add_int(op, t->finished_ms);
	add_text(w, op, t->subscribe);
	add_int(op, t->mode);
	add_int(op, t->is_paused);
	add_text(w, op, t->end_ip);
	add_text(w, op, t->end_platform);
}

void store_put_segment(struct store_write *w, const struct segment_row *s)
{
	struct op *op = op_add(w, OP_PUT_SEGMENT, 11);

	if (!op)
		return;
	add_id(op, s->id);
	add_id(op, s->task);
	add_int(op, s->app);
	add_text(w, op, s->room);
	add_text(w, op, s->user);
	add_int(op, s->mode);
	add_int(op, s->seq);
	add_text(w, op, s->file_name);
	add_int(op, s->start_ms);
	add_text(w, op, s->by_ip);
	add_text(w, op, s->by_platform);
}

void store_set_segment(struct store_write *w, const struct segment_row *s)
{
	struct op *op = op_add(w, OP_SET_SEGMENT, 14);

	if (!op)
		return;
	add_id(op, s->id);
	add_int(op, s->state);
	add_int(op, s->start_ms);
	add_int(op, (int64_t)s->frames);
	add_int(op, s->size);
	add_text(w, op, s->sha256);
	add_int(op, s->closed_ms);
	add_int(op, s->uploaded_ms);
	add_text(w, op, s->reason);
	add_text(w, op, s->reason_text);
	add_text(w, op, s->by_ip);
	add_text(w, op, s->by_platform);
	add_int(op, s->is_failing);
	add_int(op, s->stored_in);
}

void store_leave_segment(struct store_write *w, uint64_t id)
{
	struct op *op = op_add(w, OP_LEAVE_SEGMENT, 1);

	if (op)
		add_id(op, id);
}

void store_delete_segment(struct store_write *w, uint64_t id)
{
	struct op *op = op_add(w, OP_DELETE_SEGMENT, 1);

	if (op)
		add_id(op, id);
}

void store_put_wave(struct store_write *w, const struct wave_row *v)
{
	struct op *op = op_add(w, OP_PUT_WAVE, 3);

	if (!op)
		return;
	add_id(op, v->segment);
	add_int(op, v->bucket_frames);
	add_text(w, op, v->peaks);
}

void store_put_input(struct store_write *w, const struct input_row *i)
{
	struct op *op = op_add(w, OP_PUT_INPUT, 12);

	if (!op)
		return;
	add_id(op, i->id);
	add_int(op, i->app);
	add_text(w, op, i->room);
	add_text(w, op, i->user);
	add_text(w, op, i->kind);
	add_int(op, i->port);
	add_text(w, op, i->source);
	add_int(op, i->created_ms);
	add_int(op, i->opus_pt);
	add_int(op, i->red_pt);
	add_int(op, i->audio_level_ext);
	add_int(op, i->mic_disabled);
}

void store_set_input(struct store_write *w, const struct input_row *i)
{
	struct op *op = op_add(w, OP_SET_INPUT, 2);

	if (!op)
		return;
	add_id(op, i->id);
	add_int(op, i->mic_disabled);
}

void store_delete_input(struct store_write *w, uint64_t id)
{
	struct op *op = op_add(w, OP_DELETE_INPUT, 1);

	if (op)
		add_id(op, id);
}

static void put_delivery(struct store_write *w, uint64_t event,
			 const struct delivery_row *d)
{
	struct op *op = op_add(w, OP_PUT_DELIVERY, 10);

	if (!op)
		return;
	add_id(op, d->id);
	add_id(op, event);
	add_id(op, d->endpoint);
	add_id(op, d->lane);
	add_int(op, d->app);
	add_int(op, d->attempts);
	add_int(op, d->attempts_ever);
	add_int(op, d->late);
	add_int(op, d->created_ms);
	add_int(op, d->due_ms);
}

void store_put_event(struct store_write *w, const struct event_row *e,
		     const struct delivery_row *deliveries, size_t n)
{
	struct op *op = op_add(w, OP_PUT_EVENT, 8);

	if (!op)
		return;
	add_id(op, e->id);
	add_id(op, e->task);
	add_id(op, e->task_seq);
	add_int(op, e->app);
	add_text(w, op, e->kind);
	add_int(op, e->unix_ms);
	add_text(w, op, e->once);
	add_bytes(w, op, e->facts ? e->facts : "", e->facts_len);
	op->followers = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		put_delivery(w, e->id, &deliveries[i]);
}

void store_set_delivery(struct store_write *w, const struct delivery_row *d)
{
	struct op *op = op_add(w, OP_SET_DELIVERY, 10);

	if (!op)
		return;
	assert((unsigned)d->state < DELIVERY_STATE_N);
	add_id(op, d->id);
	add_int(op, d->state);
	add_int(op, d->attempts);
	add_int(op, d->attempts_ever);
	add_int(op, d->late);
	add_int(op, d->due_ms);
	add_int(op, d->last_ms);
	add_int(op, d->done_ms);
	add_int(op, d->last_status);
	add_text(w, op, d->last_error);
}

void store_put_attempt(struct store_write *w, const struct attempt_row *a)
{
	struct op *op = op_add(w, OP_PUT_ATTEMPT, 7);

	if (!op)
		return;
	add_id(op, a->delivery);
	add_int(op, a->n);
	add_int(op, a->unix_ms);
	add_int(op, a->duration_us);
	add_int(op, a->status);
	add_text(w, op, a->error);
	add_text(w, op, a->answer);
}

static const char *copy_text(struct store_write *w, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;
	char *copy;

	if (!text || w->refused)
		return NULL;
	copy = arena_take(w, len);
	if (copy)
		memcpy(copy, text, len);
	else
		w->refused = ENOMEM;
	return copy;
}

void store_replay(struct store_write *w, const struct store_filter *f,
		  int64_t now_ms)
{
	struct op *op = op_add(w, OP_REPLAY, 1);
	struct store_filter *copy;

	if (!op)
		return;
	add_int(op, now_ms);
	copy = arena_take(w, sizeof(*copy));
	if (!copy) {
		w->refused = ENOMEM;
		return;
	}
	*copy = *f;
	copy->what = READ_DELIVERIES;
	copy->room = copy_text(w, f->room);
	copy->user = copy_text(w, f->user);
	op->filter = copy;
}

void store_prune(struct store_write *w, uint64_t task, uint32_t limit)
{
	struct op *op = op_add(w, OP_PRUNE, 2);

	if (!op)
		return;
	add_id(op, task);
	add_int(op, limit);
}

static void add_by_id(struct store_write *w, enum op_kind kind, uint64_t id)
{
	struct op *op = op_add(w, kind, 1);

	if (op)
		add_id(op, id);
}

void store_must_be_told(struct store_write *w, uint64_t task)
{
	add_by_id(w, OP_MUST_BE_TOLD, task);
}

void store_put_removal(struct store_write *w, const struct removal_row *r)
{
	struct op *op = op_add(w, OP_PUT_REMOVAL, 4);

	if (!op)
		return;
	add_id(op, r->endpoint);
	add_int(op, r->app);
	add_text(w, op, r->name);
	add_id(op, r->up_to);
}

void store_delete_removal(struct store_write *w, uint64_t endpoint)
{
	add_by_id(w, OP_DELETE_REMOVAL, endpoint);
}

void store_put_endpoint(struct store_write *w, const struct endpoint_row *e)
{
	struct op *op = op_add(w, OP_PUT_ENDPOINT, 4);

	if (!op)
		return;
	w->has_secrets = true;
	add_id(op, e->id);
	add_int(op, e->app);
	add_text(w, op, e->name);
	add_text(w, op, e->settings);
}

void store_delete_endpoint(struct store_write *w, uint64_t id)
{
	add_by_id(w, OP_DELETE_ENDPOINT, id);
}

void store_put_storage(struct store_write *w, const struct storage_row *s)
{
	struct op *op = op_add(w, OP_PUT_STORAGE, 3);

	if (!op)
		return;
	w->has_secrets = true;
	add_id(op, s->id);
	add_int(op, s->app);
	add_text(w, op, s->settings);
}

void store_erase_events(struct store_write *w, uint64_t task)
{
	add_by_id(w, OP_ERASE_EVENTS, task);
}

void store_erase_segment(struct store_write *w, uint64_t id)
{
	add_by_id(w, OP_ERASE_SEGMENT, id);
}

void store_erase_tracks(struct store_write *w, uint64_t task)
{
	add_by_id(w, OP_ERASE_TRACKS, task);
}
