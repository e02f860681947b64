/**
 * rooms/storages.c -- which storage a file is in, and how it is reached.
 *
 * WHAT  New files go where the settings say, or into the bucket that was named
 *       when their task was started.  Those of earlier settings stay where
 *       they are, so the row of each knows its kind.
 * DESIGN
 *   Buckets are values in a list that only grows, at its head: any thread may
 *   look without a lock.  When keys change there is another one, and what
 *   waits for storage moves to it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "rooms/private.h"

enum { BUCKETS_MAX = 10000, SETTINGS_MAX = 64 * 1024 };

/* ---- buckets ---------------------------------------------------------------- */

static struct bucket *first_bucket(const struct rooms *r)
{
	return atomic_load_explicit(&r->buckets, memory_order_acquire);
}

static struct bucket *find_bucket(const struct rooms *r, uint64_t id)
{
	struct bucket *b = first_bucket(r);

	while (b && b->id != id)
		b = b->next;
	return b;
}

/** Takes the place over in every case. */
static int add_bucket(struct rooms *r, uint64_t id, uint32_t app,
		      struct upload_place *place)
{
	struct bucket *b = mem_zalloc(sizeof(*b));

	if (!b) {
		upload_place_free(place);
		return ENOMEM;
	}
	*b = (struct bucket){first_bucket(r), id, app, place};
	atomic_store_explicit(&r->buckets, b, memory_order_release);
	return 0;
}

static int add_own(struct rooms *r, uint64_t id, uint32_t app,
		   struct upload_place *place)
{
	int err;

	place->s3.is_public = r->public_only;
	err = add_bucket(r, id, app, place);
	if (err)
		return err;
	r->n_buckets++;
	if (id > r->last_bucket)
		r->last_bucket = id;
	return 0;
}

static int load_row(const struct storage_row *row, void *arg)
{
	struct upload_place *place;
	int err = upload_s3_parse(row->settings, &place);

	return err ? err : add_own(arg, row->id, row->app, place);
}

int rooms_set_bucket(struct rooms *r, const struct upload_s3 *s3)
{
	const struct bucket *was = find_bucket(r, 0);
	struct upload_place *place;
	int err;

	if (was && upload_s3_is(&was->place->s3, s3))
		return 0;
	err = upload_place_copy(s3, &place);
	if (!err)
		err = add_bucket(r, 0, 0, place);
	if (!err && was && r->upload)
		upload_move(r->upload, was->place, place);
	return err;
}

int storages_start(struct rooms *r, const struct rooms_config *c)
{
	int err = 0;

	r->kind = c->storage_kind;
	r->local = (struct upload_place){.kind = UPLOAD_LOCAL,
					 .dir = r->storage_dir};
	r->public_only = !c->private_storage;
	if (c->s3.endpoint && *c->s3.endpoint)
		err = rooms_set_bucket(r, &c->s3);
	return err ? err : store_each_storage(r->store, load_row, r);
}

void storages_end(struct rooms *r)
{
	struct bucket *next;

	for (struct bucket *b = first_bucket(r); b; b = next) {
		next = b->next;
		upload_place_free(b->place);
		mem_free(b);
	}
}

int storages_take(struct rooms *r, uint32_t app, const struct upload_s3 *s3,
		  uint64_t *id, struct err *e)
{
	struct upload_s3 wish = *s3;
	struct upload_place *place;
	int err;

	wish.is_public = r->public_only;
	for (struct bucket *b = first_bucket(r); b; b = b->next) {
		if (b->id && b->app == app &&
		    upload_s3_is(&b->place->s3, &wish)) {
			*id = b->id;
			return 0;
		}
	}
	if (r->n_buckets >= BUCKETS_MAX)
		return err_set(
			e, EBUSY, "storage",
			"%d different buckets of tasks are known already",
			BUCKETS_MAX);
	err = upload_place_copy(&wish, &place);
	if (!err)
		err = add_own(r, r->last_bucket + 1, app, place);
	if (err)
		return err_no_memory(e);
	*id = r->last_bucket;
	return 0;
}

int storages_put(const struct rooms *r, uint64_t id, struct store_write *w)
{
	const struct bucket *b = id ? find_bucket(r, id) : NULL;
	struct storage_row row = {.id = id};
	struct buf settings;
	int err;

	if (!b)
		return 0;
	row.app = b->app;
	buf_init(&settings, SETTINGS_MAX);
	err = upload_s3_write(&b->place->s3, &settings);
	if (!err) {
		row.settings = buf_str(&settings);
		store_put_storage(w, &row);
	}
	buf_fini(&settings); /* wipes it */
	return err;
}

/* ---- where a file is ---------------------------------------------------------- */

const struct upload_place *storages_own(const struct rooms *r, uint64_t id)
{
	const struct bucket *b = id ? find_bucket(r, id) : NULL;

	return b ? b->place : NULL;
}

static const struct upload_place *place_at(const struct rooms *r,
					   enum slot slot, uint64_t own)
{
	const struct bucket *b;

	if (slot == SLOT_LOCAL)
		return &r->local;
	if (slot == SLOT_OWN)
		return storages_own(r, own);
	b = find_bucket(r, 0);
	return b ? b->place : NULL;
}

enum slot storages_slot(const struct rooms *r, const struct segment_row *row)
{
	const enum upload_kind kind =
		row->uploaded_ms ? (enum upload_kind)row->stored_in : r->kind;

	if (row->storage)
		return SLOT_OWN;
	return kind == UPLOAD_LOCAL ? SLOT_LOCAL : SLOT_BUCKET;
}

const struct upload_place *storages_place(const struct rooms *r,
					  const struct segment_row *row)
{
	return place_at(r, storages_slot(r, row), row->storage);
}

/* ---- open ones ------------------------------------------------------------------ */

void storages_init(struct storages *s, const struct rooms *r)
{
	*s = (struct storages){.rooms = r};
}

static void close_slot(struct storages *s, enum slot slot)
{
	upload_close(s->open[slot]);
	s->open[slot] = NULL;
}

void storages_fini(struct storages *s)
{
	for (unsigned i = 0; i < SLOT_N; i++)
		close_slot(s, (enum slot)i);
}

void storages_begin(struct storages *s, uint64_t own)
{
	if (s->own != own)
		close_slot(s, SLOT_OWN);
	s->own = own;
}

int storages_get(struct storages *s, enum slot slot,
		 struct upload_storage **out, struct err *e)
{
	const struct upload_place *place = place_at(s->rooms, slot, s->own);
	int err;

	if (!place)
		return err_set(e, ENXIO, "storage.s3",
			       "files are in a bucket that is not configured "
			       "any more: storage.s3 must say where");
	if (!s->open[slot]) {
		err = upload_open(&s->rooms->upload_config, place,
				  &s->open[slot]);
		if (err)
			return err_set(e, err, "", "%s", strerror(err));
	}
	*out = s->open[slot];
	return 0;
}

/* ---- for the API ------------------------------------------------------------ */

bool rooms_segment_is_remote(const struct segment_row *s)
{
	return s->uploaded_ms && s->stored_in == UPLOAD_S3;
}

int rooms_segment_url(const struct rooms *r, const struct segment_row *s,
		      int64_t expires_s, struct buf *out)
{
	const struct upload_place *place =
		rooms_segment_is_remote(s) ? storages_place(r, s) : NULL;

	return place ? upload_presign(place, s->file_name, expires_s, out)
		     : ENXIO;
}

void rooms_storage_url(const struct rooms *r, uint64_t storage, char *out,
		       size_t cap)
{
	const enum slot ours =
		r->kind == UPLOAD_LOCAL ? SLOT_LOCAL : SLOT_BUCKET;
	const struct upload_place *place =
		place_at(r, storage ? SLOT_OWN : ours, storage);

	*out = 0;
	if (place)
		upload_location(place, "", out, cap);
}

void rooms_upload_status(const struct rooms *r, struct upload_status *out)
{
	upload_status(r->upload, out);
}
