/**
 * rooms/storages.c -- which storage a file is in, and how it is reached.
 *
 * WHAT  New files go where the settings say, or into the bucket that was named
 *       when their task was started.  Those of earlier settings stay where
 *       they are, so the row of each knows its kind.
 * DESIGN
 *   Buckets are values in lists that only grow, at their heads: any thread may
 *   look without a lock.  When keys change there is another one, and what
 *   waits for storage moves to it.  Callers' buckets are told apart by what
 *   they are; the prefix is the task's, for it may be another one each time.
 *   What waits for a caller's bucket on a thread that others need (erasing, a
 *   manifest) waits 10 s; then the bucket is given a rest.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

enum {
	BUCKETS_MAX = 1000, /* of an app */
	SETTINGS_MAX = 64 * 1024
};

#define REST_FIRST_US (60 * CLOCK_US_PER_S)
#define REST_MAX_US   (600 * CLOCK_US_PER_S)

/* ---- buckets ---------------------------------------------------------------- */

static struct bucket *ours(const struct rooms *r)
{
	return atomic_load_explicit(&r->bucket, memory_order_acquire);
}

static struct bucket *callers(const struct rooms *r)
{
	return atomic_load_explicit(&r->buckets, memory_order_acquire);
}

static struct bucket *find_bucket(const struct rooms *r, uint64_t id)
{
	struct bucket *b = id ? callers(r) : NULL;

	while (b && b->id != id)
		b = b->next;
	return b;
}

/** Before the first of the list; takes the place over in every case. */
static int add_bucket(_Atomic(struct bucket *) *list, uint64_t id, uint32_t app,
		      struct upload_place *place)
{
	struct bucket *b = mem_zalloc(sizeof(*b));

	if (!b) {
		upload_place_free(place);
		return ENOMEM;
	}
	b->next = atomic_load_explicit(list, memory_order_relaxed);
	b->id = id;
	b->app = app;
	b->place = place;
	atomic_store_explicit(list, b, memory_order_release);
	return 0;
}

/** As it is kept: what the row does not say. */
static struct upload_s3 foreign(const struct rooms *r,
				const struct upload_s3 *s3)
{
	struct upload_s3 f = *s3;

	f.prefix = "";
	f.is_foreign = true;
	f.is_public = r->public_only;
	return f;
}

static int add_callers(struct rooms *r, uint64_t id, uint32_t app,
		       const struct upload_s3 *s3)
{
	const struct upload_s3 kept = foreign(r, s3);
	struct upload_place *place;
	int err = upload_place_copy(&kept, &place);

	if (!err)
		err = add_bucket(&r->buckets, id, app, place);
	if (!err && id > r->last_bucket)
		r->last_bucket = id;
	return err;
}

/** One that cannot be read is left out: its tasks wait, and it is said. */
static int load_row(const struct storage_row *row, void *arg)
{
	struct rooms *r = arg;
	struct upload_place *place;
	int err = upload_s3_parse(row->settings, &place);

	if (err == EBADMSG) {
		log_error("app=%" PRIu32 " the bucket %" PRIu64 " of tasks "
			  "cannot be read from the database",
			  row->app, row->id);
		if (row->id > r->last_bucket)
			r->last_bucket = row->id;
		return 0;
	}
	if (err)
		return err;
	err = add_callers(r, row->id, row->app, &place->s3);
	upload_place_free(place);
	return err;
}

int rooms_set_bucket(struct rooms *r, const struct upload_s3 *s3)
{
	const struct bucket *was = ours(r);
	struct upload_place *place;
	int err;

	if (was && upload_s3_is(&was->place->s3, s3))
		return 0;
	err = upload_place_copy(s3, &place);
	if (!err)
		err = add_bucket(&r->bucket, 0, 0, place);
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

static void free_list(struct bucket *b)
{
	struct bucket *next;

	for (; b; b = next) {
		next = b->next;
		upload_place_free(b->place);
		mem_free(b);
	}
}

void storages_end(struct rooms *r)
{
	free_list(ours(r));
	free_list(callers(r));
}

uint64_t storages_find(const struct rooms *r, uint32_t app,
		       const struct upload_s3 *s3)
{
	const struct upload_s3 kept = foreign(r, s3);

	for (const struct bucket *b = callers(r); b; b = b->next) {
		if (b->app == app && upload_s3_is(&b->place->s3, &kept))
			return b->id;
	}
	return 0;
}

static unsigned count_of(const struct rooms *r, uint32_t app)
{
	unsigned n = 0;

	for (const struct bucket *b = callers(r); b; b = b->next)
		n += b->app == app;
	return n;
}

int storages_take(struct rooms *r, uint32_t app, const struct upload_s3 *s3,
		  uint64_t *id, struct err *e)
{
	const uint64_t known = storages_find(r, app, s3);

	if (!known && count_of(r, app) >= BUCKETS_MAX)
		return err_set(e, EBUSY, "storage",
			       "%d different buckets, or keys of them, are "
			       "known of tasks of this app: no more fit",
			       BUCKETS_MAX);
	if (!known && add_callers(r, r->last_bucket + 1, app, s3))
		return err_no_memory(e);
	*id = known ? known : r->last_bucket;
	return 0;
}

int storages_put(const struct rooms *r, uint64_t id, struct store_write *w)
{
	const struct bucket *b = find_bucket(r, id);
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

bool storages_know(const struct rooms *r, uint64_t id)
{
	return !id || find_bucket(r, id);
}

/** NULL: of the local folder, or not known. */
static struct bucket *bucket_at(const struct rooms *r, enum slot slot,
				uint64_t own)
{
	if (slot == SLOT_LOCAL)
		return NULL;
	return slot == SLOT_OWN ? find_bucket(r, own) : ours(r);
}

static bool place_at(const struct rooms *r, enum slot slot, uint64_t own,
		     const char *prefix, struct upload_place *out)
{
	const struct bucket *b = bucket_at(r, slot, own);

	if (slot == SLOT_LOCAL)
		*out = r->local;
	else if (b)
		*out = *b->place;
	if (b && slot == SLOT_OWN)
		out->s3.prefix = prefix;
	return b || slot == SLOT_LOCAL;
}

enum slot storages_slot(const struct rooms *r, const struct segment_row *row)
{
	const enum upload_kind kind =
		row->uploaded_ms ? (enum upload_kind)row->stored_in : r->kind;

	if (row->storage)
		return SLOT_OWN;
	return kind == UPLOAD_LOCAL ? SLOT_LOCAL : SLOT_BUCKET;
}

bool storages_place(const struct rooms *r, const struct segment_row *row,
		    struct upload_place *out)
{
	return place_at(r, storages_slot(r, row), row->storage,
			row->storage_prefix, out);
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

void storages_begin(struct storages *s, uint64_t own, const char *prefix)
{
	if (s->own != own || strcmp(s->prefix, prefix) != 0)
		close_slot(s, SLOT_OWN);
	s->own = own;
	str_copy(s->prefix, sizeof(s->prefix), prefix);
}

static int not_known(enum slot slot, struct err *e)
{
	if (slot == SLOT_OWN)
		return err_set(e, ENXIO, "storage",
			       "the database has lost the bucket that the task "
			       "was started with");
	return err_set(e, ENXIO, "storage.s3",
		       "files are in a bucket that is not configured any "
		       "more: storage.s3 must say where");
}

static bool rests(const struct bucket *b)
{
	return b && clock_now_us() < atomic_load_explicit(&b->rest_until_us,
							  memory_order_relaxed);
}

int storages_get(struct storages *s, enum slot slot,
		 struct upload_storage **out, struct err *e)
{
	const struct upload_config *config = slot == SLOT_OWN
						     ? &s->rooms->foreign_config
						     : &s->rooms->upload_config;
	int err;

	if (rests(bucket_at(s->rooms, slot, s->own)))
		return err_set(e, EAGAIN, "storage",
			       "the bucket has failed of late, and is not "
			       "asked again so soon");
	if (!s->open[slot]) {
		if (!place_at(s->rooms, slot, s->own, s->prefix,
			      &s->places[slot]))
			return not_known(slot, e);
		err = upload_open(config, &s->places[slot], &s->open[slot]);
		if (err)
			return err_set(e, err, "", "%s", strerror(err));
	}
	*out = s->open[slot];
	return 0;
}

void storages_told(struct storages *s, enum slot slot, int err)
{
	struct bucket *b = bucket_at(s->rooms, slot, s->own);
	int64_t rest_us;

	if (!b || slot != SLOT_OWN)
		return;
	if (!err) {
		atomic_store_explicit(&b->rest_us, 0, memory_order_relaxed);
		return;
	}
	if (err != ETIMEDOUT && err != EHOSTUNREACH && err != ECONNREFUSED &&
	    err != ECONNRESET)
		return; /* it has answered */
	rest_us = atomic_load_explicit(&b->rest_us, memory_order_relaxed) * 2;
	if (rest_us < REST_FIRST_US)
		rest_us = REST_FIRST_US;
	if (rest_us > REST_MAX_US)
		rest_us = REST_MAX_US;
	atomic_store_explicit(&b->rest_us, rest_us, memory_order_relaxed);
	atomic_store_explicit(&b->rest_until_us, clock_now_us() + rest_us,
			      memory_order_relaxed);
}

/* ---- for the API ------------------------------------------------------------ */

bool rooms_segment_is_remote(const struct segment_row *s)
{
	return s->uploaded_ms && s->stored_in == UPLOAD_S3;
}

int rooms_segment_url(const struct rooms *r, const struct segment_row *s,
		      int64_t expires_s, struct buf *out)
{
	struct upload_place place;

	if (!rooms_segment_is_remote(s) || !storages_place(r, s, &place))
		return ENXIO;
	return upload_presign(&place, s->file_name, expires_s, out);
}

void rooms_segment_below(const struct rooms *r, const struct segment_row *s,
			 char *out, size_t cap)
{
	struct upload_place place;

	*out = 0;
	if (!rooms_segment_is_remote(s))
		str_copy(out, cap, r->storage_dir);
	else if (storages_place(r, s, &place))
		upload_location(&place, "", out, cap);
}

bool rooms_permit_bucket_at(const struct rooms *r, const struct addr *a)
{
	return !r->public_only || addr_is_global(a);
}

void rooms_storage_url(const struct rooms *r, uint64_t storage,
		       const char *prefix, char *out, size_t cap)
{
	const enum slot here =
		r->kind == UPLOAD_LOCAL ? SLOT_LOCAL : SLOT_BUCKET;
	struct upload_place place;

	*out = 0;
	if (place_at(r, storage ? SLOT_OWN : here, storage, prefix, &place))
		upload_location(&place, "", out, cap);
}

void rooms_upload_status(const struct rooms *r, struct upload_status *out)
{
	upload_status(r->upload, out);
}
