/** commands/wave_read.c -- the sound of a task's files, measured as it comes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/commands.h"
#include "commands/wave.h"
#include "wire/quote.h"

enum {
	CELLS_MAX = 4 << 20, /* columns of all tracks: 100 MB */
	PATH_MAX_BYTES = 256,
	TELL_US = 100 * CLOCK_US_PER_MS
};

/** One file on its way. */
struct reading {
	const struct client *client;
	struct screen screen;
	size_t i, n;	 /* which of how many */
	uint64_t done;	 /* bytes of all files */
	int64_t told_us; /* when the live line was drawn */

	struct wave_track *track;
	struct sound_reader *reader;
	int64_t at;    /* frame of the axis */
	uint64_t left; /* bytes that the file may have yet */
};

static void tell(struct reading *r)
{
	char size[CLIENT_WORD_MAX], line[128];
	int64_t now_us = clock_now_us();
	size_t width = screen_width(&r->screen) - 1;

	if (!r->screen.is_terminal || now_us - r->told_us < TELL_US)
		return;
	r->told_us = now_us;
	snprintf(line, sizeof(line), "downloading %zu of %zu, %s", r->i, r->n,
		 client_size((int64_t)r->done, size));
	if (strlen(line) > width)
		line[width < sizeof(line) ? width : 0] = 0;
	screen_live(&r->screen, line);
}

static void on_pcm(const int16_t *pcm, uint64_t frames, void *arg)
{
	struct reading *r = arg;
	int64_t next;

	sound_wave_add(&r->track->wave, r->at, pcm, frames);
	if (frames > INT64_MAX ||
	    __builtin_add_overflow(r->at, (int64_t)frames, &next))
		next = INT64_MAX;
	r->at = next;
}

static int on_data(const void *data, size_t len, void *arg)
{
	struct reading *r = arg;

	if (len > r->left)
		return EFBIG;
	r->left -= len;
	r->done += len;
	tell(r);
	return sound_reader_feed(r->reader, data, len);
}

/** Returns 0, or why not, with `e`. */
static int read_file(struct reading *r, const struct wave *w,
		     const struct wave_segment *s, struct err *e)
{
	const int64_t size = client_number(s->row, "size");
	struct buf path;
	int err;

	r->at = (s->start_ms - w->start_ms) * SOUND_FRAMES_PER_MS;
	r->left = size > 0 ? (uint64_t)size : 0;
	err = sound_reader_new(on_pcm, r, &r->reader);
	if (err)
		return err_set(e, err, "", "out of memory");
	buf_init(&path, PATH_MAX_BYTES);
	buf_puts(&path, "/v1/segments/");
	quote_percent(&path, client_text(s->row, "segment_id"));
	buf_puts(&path, "/audio");
	if (buf_err(&path)) /* such an id is nobody's */
		err = err_set(e, EINVAL, "", "its id is too long");
	else
		err = client_download(r->client, buf_str(&path), on_data, r, e);
	if (!err)
		err = sound_reader_end(r->reader);
	if (err == EBADMSG)
		err_set(e, err, "", "it is neither MP3 nor Ogg Opus");
	if (err == EFBIG)
		err_set(e, err, "", "it is longer than the server said");
	sound_reader_free(r->reader);
	r->reader = NULL;
	buf_fini(&path);
	return err;
}

/** Is it this one file that cannot be read?  The server answers. */
static bool is_of_file(int err)
{
	return err == ENOENT || err == EINVAL || err == EBADMSG || err == EFBIG;
}

/** Read one segment, or mark it.  Returns an exit code. */
static int read_segment(struct reading *r, struct wave *w,
			struct wave_segment *s)
{
	struct err e;
	int err;

	r->i++;
	r->told_us = 0;
	tell(r);
	err = read_file(r, w, s, &e);
	if (err == ENOENT) /* it is being moved to the storage */
		err = read_file(r, w, s, &e);
	if (!err)
		return EXIT_DONE;
	screen_live(&r->screen, "");
	if (!is_of_file(err))
		return client_fail(r->client, EXIT_FAILED, "%s", e.text);
	s->mark = WAVE_UNREAD;
	w->n_marks[WAVE_CLOSED]--;
	w->n_marks[WAVE_UNREAD]++;
	client_fail(r->client, EXIT_FAILED, "%s cannot be read: %s",
		    client_text(s->row, "file"), e.text);
	return EXIT_DONE;
}

static int make_columns(const struct client *c, struct wave *w, size_t n)
{
	const uint64_t frames =
		(uint64_t)(w->end_ms - w->start_ms) * SOUND_FRAMES_PER_MS;

	if (n * w->n_tracks > CELLS_MAX)
		return client_fail(c, EXIT_FAILED,
				   "%zu tracks of %zu columns are too many; "
				   "--columns",
				   w->n_tracks, n);
	w->columns = mem_zalloc_n(n * w->n_tracks, sizeof(*w->columns));
	if (!w->columns)
		return client_fail(c, EXIT_FAILED, "out of memory");
	for (size_t i = 0; i < w->n_tracks; i++)
		w->tracks[i].wave =
			(struct sound_wave){.frames = frames,
					    .n = n,
					    .columns = w->columns + i * n};
	return EXIT_DONE;
}

int wave_read(const struct client *c, struct wave *w, size_t n_columns,
	      bool *complete)
{
	struct reading r = {.client = c, .n = w->n_marks[WAVE_CLOSED]};
	int code;

	*complete = false;
	if (!w->n_tracks) {
		*complete = true;
		return EXIT_DONE;
	}
	code = make_columns(c, w, n_columns);
	if (code)
		return code;
	screen_init(&r.screen, stderr);
	for (size_t i = 0; i < w->n_tracks && !code; i++) {
		r.track = &w->tracks[i];
		for (size_t k = 0; k < r.track->n && !code; k++) {
			if (r.track->segments[k].mark == WAVE_CLOSED)
				code = read_segment(&r, w,
						    &r.track->segments[k]);
		}
	}
	screen_fini(&r.screen);
	*complete = !code;
	return code || !w->n_marks[WAVE_UNREAD] ? code : EXIT_FAILED;
}
