/** rooms/media_writer.c -- a track, and its segments on their way to a file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/media_inside.h"

static void on_seg_ended_mail(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, ended);

	seg->session->seg_ended(seg);
}

static void on_seg_begun_mail(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, begun);

	seg->session->seg_begun(seg);
}

/** Once everything was handed over, the control loop may close the file. */
static void hand_over(struct seg *seg)
{
	struct session *s = seg->session;

	if (!seg->is_granted || !seg->is_ended)
		return;
	segment_push(seg->segment);
	seg->frames = seg->segment->frames;
	seg->peaks = seg->segment->peaks;
	segment_free(seg->segment);
	seg->segment = NULL;
	list_remove(&seg->in_session);
	mail_post(s->control, &seg->ended, on_seg_ended_mail);
}

static void on_granted(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, granted);

	seg->is_granted = true;
	if (seg->file)
		segment_grant(seg->segment, seg->file);
	else
		segment_fail(seg->segment);
	seg->file = NULL;
	hand_over(seg);
}

void media_grant(struct seg *seg)
{
	mail_post(seg->session->media->loop, &seg->granted, on_granted);
}

static void on_segment_begun(struct segment *segment, void *arg)
{
	struct writer *w = arg;
	struct session *s = w->session;
	struct seg *seg = mem_zalloc(sizeof(*seg));

	if (!seg) {
		log_error("task=%llu user=%s segment lost: out of memory",
			  (unsigned long long)s->task, w->user);
		segment_fail(segment);
		return;
	}
	seg->session = s;
	seg->start_ms = media_wall_ms(s->media, segment->start_pos);
	str_copy(seg->user, sizeof(seg->user), w->user);
	seg->mode = w->mode;
	seg->opening = *track_opening(w->track);
	if (w->begin_by)
		seg->begun_by = *w->begin_by;
	w->begin_by = NULL;
	seg->segment = segment;
	segment->user = seg;
	list_append(&s->segments, &seg->in_session);
	mail_post(s->control, &seg->begun, on_seg_begun_mail);
}

static void on_segment_ended(struct segment *segment, void *arg)
{
	const struct writer *w = arg;
	struct seg *seg = segment->user;

	segment_detach(segment);
	if (!seg) {
		segment_free(segment);
		return;
	}
	seg->is_ended = true;
	if (w->end_by)
		seg->ended_by = *w->end_by;
	hand_over(seg);
}

static const struct track_events track_events = {
	.begun = on_segment_begun,
	.ended = on_segment_ended,
};

int writer_init(struct writer *w, struct session *s, enum record_mode mode,
		const char *user)
{
	w->session = s;
	w->mode = mode;
	w->user = user;
	return track_new(mode == MODE_MIXED ? &s->mixed : &s->single,
			 &track_events, w, &w->track);
}

/** Sound that is lost is counted below; here is who it was. */
static void check(const struct writer *w, int err, const char *what)
{
	if (err)
		log_error("task=%llu user=%s %s: out of memory",
			  (unsigned long long)w->session->task, w->user, what);
}

void writer_fini(struct writer *w, int64_t pos, const struct by *by)
{
	writer_end(w, pos, by);
	track_free(w->track);
	w->track = NULL;
}

void writer_begin(struct writer *w, int64_t pos, const struct by *by)
{
	w->begin_by = by;
	check(w, track_begin(w->track, pos), "begin of segment");
	w->begin_by = NULL;
}

void writer_put(struct writer *w, const struct sound_chunk *c,
		const struct by *by)
{
	w->begin_by = by;
	(void)!track_write(w->track, c); /* counted */
	w->begin_by = NULL;
}

void writer_end(struct writer *w, int64_t pos, const struct by *by)
{
	w->end_by = by;
	check(w, track_end_segment(w->track, pos), "end of segment");
	w->end_by = NULL;
}
