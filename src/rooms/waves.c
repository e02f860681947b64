/**
 * rooms/waves.c -- waveforms of files whose sound nobody saw in the making.
 *
 * WHAT  What we encode ourselves brings its waveform along, and that is
 *       committed with `closed` (segments.c).  Packets that are copied into an
 *       Ogg file are never decoded on their way, and a crash forgets what it
 *       had: such a file is read once, when it is closed or found, decoded,
 *       and its waveform committed.
 * WHY   Once, and never where it holds up sound: one file at a time, on a
 *       thread that gets what no other wants of the processor.
 * DESIGN
 *   - At most WAVES_MAX wait; of more, and of files from before there were
 *     waveforms, it is made when somebody asks.  Who waits comes first.
 *   - A file that goes into a bucket is gone from here when it is there: its
 *     spool copy stays until its waveform is made (waves_take_drop).
 *   - A stop ends the file under way; it is found again, or asked for.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"
#include "wire/sig.h"

enum { WAVES_MAX = 4096, SLICE = 64 * 1024, PATH_CAP = 1280 };

/** Somebody who waits. */
struct asker {
	struct link link;
	rooms_wave_fn *done;
	void *arg;
};

struct wave {
	struct link link; /* rooms.waves */
	struct rooms *rooms;
	uint64_t segment;
	char file_name[FILE_NAME_MAX];
	bool drops; /* the spool's copy goes behind it */
	struct link askers;
	struct job job;
	/* worker, then control loop */
	int err;
	struct sound_peaks peaks;
	char text[WAVE_TEXT_CAP];
};

static void run_next(struct rooms *r);

void wave_row_make(uint64_t segment, const struct sound_peaks *p,
		   char text[WAVE_TEXT_CAP], struct wave_row *out)
{
	sig_base64(p->at, p->n, text);
	*out = (struct wave_row){.segment = segment,
				 .bucket_frames = p->bucket_frames,
				 .peaks = text};
}

/* ---- the worker ------------------------------------------------------------ */

static void on_pcm(const int16_t *pcm, uint64_t frames, void *arg)
{
	sound_peaks_add_pcm(arg, pcm, frames);
}

static int read_all(struct wave *w, int fd, struct sound_reader *reader,
		    char *slice)
{
	for (;;) {
		ssize_t n = read(fd, slice, SLICE);
		int err;

		if (w->rooms->storage_stops)
			return ECANCELED;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			return sound_reader_end(reader);
		err = sound_reader_feed(reader, slice, (size_t)n);
		if (err)
			return err;
	}
}

/** It is in the spool, or was moved from there. */
static int open_file(const struct wave *w)
{
	const char *const dirs[] = {w->rooms->spool_dir, w->rooms->storage_dir};
	char path[PATH_CAP];
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], w->file_name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	return fd;
}

static int measure(struct wave *w)
{
	struct sound_reader *reader = NULL;
	char *slice = NULL;
	int fd = open_file(w);
	int err;

	if (fd < 0)
		return errno;
	sound_peaks_init(&w->peaks);
	err = sound_reader_new(on_pcm, &w->peaks, &reader);
	if (!err) {
		slice = mem_zalloc(SLICE);
		err = slice ? read_all(w, fd, reader, slice) : ENOMEM;
	}
	mem_free(slice);
	sound_reader_free(reader);
	close(fd);
	return err;
}

static void run(struct job *job)
{
	struct wave *w = CONTAINER_OF(job, struct wave, job);

	thread_stand_back();
	w->err = w->rooms->storage_stops ? ECANCELED : measure(w);
}

static void drop_run(struct job *job)
{
	struct wave *w = CONTAINER_OF(job, struct wave, job);

	if (upload_drop_spool(&w->rooms->upload_config, w->file_name))
		log_warn("%s stays in the spool: cannot be removed",
			 w->file_name);
	mem_free(w);
}

/* ---- the control loop ------------------------------------------------------ */

static void answer(struct wave *w, int err, const char *text)
{
	struct err e = {0};
	struct wave_row row;

	if (err)
		err_set(&e, err, "segment", "its waveform: %.150s", text);
	wave_row_make(w->segment, &w->peaks, w->text, &row);
	LIST_EACH(&w->askers, l, after)
	{
		struct asker *a = CONTAINER_OF(l, struct asker, link);

		list_remove(l);
		a->done(&e, &row, a->arg);
		mem_free(a);
	}
}

/** Nobody waits for it any more; with its file, if that goes. */
static void let_go(struct wave *w)
{
	struct rooms *r = w->rooms;

	list_remove(&w->link);
	r->n_waves--;
	if (!w->drops || r->stopping) {
		mem_free(w);
		return;
	}
	w->job.run = drop_run;
	w->job.key = w->segment;
	workers_run(r->workers, &w->job, r->loop, NULL);
}

static void end(struct wave *w, int err, const char *text)
{
	struct rooms *r = w->rooms;

	r->wave = NULL;
	answer(w, err, text);
	let_go(w);
	run_next(r);
	rooms_check_stopped(r);
}

static void on_committed(const struct store_result *result, void *arg)
{
	end(arg, result->err, result->text);
}

static void on_measured(struct job *job)
{
	struct wave *w = CONTAINER_OF(job, struct wave, job);
	struct rooms *r = w->rooms;
	struct store_write *write;
	struct wave_row row;

	if (w->err && w->err != ECANCELED)
		log_warn("seg=%" PRIu64 " %s: no waveform: %s", w->segment,
			 w->file_name, strerror(w->err));
	if (w->err) {
		end(w, w->err, strerror(w->err));
		return;
	}
	wave_row_make(w->segment, &w->peaks, w->text, &row);
	write = store_write_new();
	if (write)
		store_put_wave(write, &row);
	store_commit(r->store, write, r->loop, on_committed, w);
}

/** One at a time; who is waited for comes first. */
static void run_next(struct rooms *r)
{
	struct wave *next = NULL;

	if (r->wave || r->stopping)
		return;
	LIST_EACH(&r->waves, l, after)
	{
		struct wave *w = CONTAINER_OF(l, struct wave, link);

		if (!next)
			next = w;
		if (!list_is_empty(&w->askers)) {
			next = w;
			break;
		}
	}
	if (!next)
		return;
	r->wave = next;
	next->job.run = run;
	workers_run(r->wavers, &next->job, r->loop, on_measured);
}

static struct wave *find(const struct rooms *r, uint64_t segment)
{
	LIST_EACH(&r->waves, l, after)
	{
		struct wave *w = CONTAINER_OF(l, struct wave, link);

		if (w->segment == segment)
			return w;
	}
	return NULL;
}

static int add(struct rooms *r, const struct segment_row *row,
	       struct wave **out)
{
	struct wave *w;

	if (r->stopping)
		return ECANCELED;
	if (r->n_waves >= WAVES_MAX)
		return ENOBUFS;
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return ENOMEM;
	w->rooms = r;
	w->segment = row->id;
	str_copy(w->file_name, sizeof(w->file_name), row->file_name);
	list_init(&w->askers);
	list_append(&r->waves, &w->link);
	r->n_waves++;
	*out = w;
	return 0;
}

bool waves_add(struct rooms *r, const struct segment_row *row, bool drops)
{
	struct wave *w;

	if (add(r, row, &w)) /* it is made when somebody asks, if it can be */
		return false;
	w->drops = drops;
	run_next(r);
	return true;
}

bool waves_take_drop(struct rooms *r, const struct segment_row *row)
{
	struct wave *w;

	if (!rooms_segment_is_remote(row))
		return false; /* it is read from there as well */
	w = find(r, row->id);
	if (w)
		w->drops = true;
	return w != NULL;
}

void waves_stop(struct rooms *r)
{
	LIST_EACH(&r->waves, l, after)
	{
		struct wave *w = CONTAINER_OF(l, struct wave, link);

		if (w == r->wave)
			continue;
		answer(w, ECANCELED, "the server is stopping");
		let_go(w);
	}
}

void rooms_wave(struct rooms *r, const struct segment_row *row,
		rooms_wave_fn *done, void *arg)
{
	struct asker *a = mem_zalloc(sizeof(*a));
	struct wave *w = find(r, row->id);
	int err = a ? 0 : ENOMEM;
	struct err e;

	if (!err && !w)
		err = add(r, row, &w);
	if (err) {
		mem_free(a);
		err_set(&e, err, "segment",
			"its waveform cannot be made now: %s", strerror(err));
		done(&e, NULL, arg);
		return;
	}
	a->done = done;
	a->arg = arg;
	list_append(&w->askers, &a->link);
	run_next(r);
}
