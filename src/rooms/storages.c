/**
 * rooms/storages.c -- which storage a file is in, and how it is reached.
 *
 * New files go where the settings say; those of earlier settings stay where
 * they are, so the row of each knows its kind.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "rooms/private.h"

bool rooms_has_place(const struct rooms *r, enum upload_kind kind)
{
	return kind < UPLOAD_KIND_N &&
	       (kind == UPLOAD_LOCAL ||
		(r->places[kind].s3.endpoint && *r->places[kind].s3.endpoint));
}

enum upload_kind storages_kind(const struct rooms *r,
			       const struct segment_row *row)
{
	return row->uploaded_ms ? (enum upload_kind)row->stored_in
				: r->upload_config.place.kind;
}

void storages_init(struct storages *s, const struct rooms *r)
{
	*s = (struct storages){.rooms = r};
}

void storages_fini(struct storages *s)
{
	for (unsigned i = 0; i < UPLOAD_KIND_N; i++)
		upload_close(s->open[i]);
}

int storages_get(struct storages *s, enum upload_kind kind,
		 struct upload_storage **out, struct err *e)
{
	int err;

	if (!rooms_has_place(s->rooms, kind))
		return err_set(e, ENXIO, "storage.s3",
			       "files are in a bucket that is not configured "
			       "any more: storage.s3 must say where");
	if (!s->open[kind]) {
		s->config[kind] = s->rooms->upload_config;
		s->config[kind].place = s->rooms->places[kind];
		err = upload_open(&s->config[kind], &s->open[kind]);
		if (err)
			return err_set(e, err, "", "%s", strerror(err));
	}
	*out = s->open[kind];
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
	if (!rooms_segment_is_remote(s) || !rooms_has_place(r, UPLOAD_S3))
		return ENXIO;
	return upload_presign(&r->places[UPLOAD_S3], s->file_name, expires_s,
			      out);
}

void rooms_upload_status(const struct rooms *r, struct upload_status *out)
{
	upload_status(r->upload, out);
}
