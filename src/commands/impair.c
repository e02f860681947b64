/** commands/impair.c -- a bad network, made on purpose. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/impair.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "commands/dice.h"

enum { FIRST_CAP = 64 };

/* Each kind of harm has random numbers of its own. */
enum harm { LOSS, REORDER, DUPLICATE, JITTER, HARM_N };

struct slot {
	int64_t at_us;
	uint64_t order; /* of being put in; a copy has its original's */
	bool is_copy;
	uint16_t len;
	uint8_t data[IMPAIR_PACKET_MAX];
};

struct impair {
	struct impair_config config;
	uint64_t dice[HARM_N];
	bool in_burst;
	uint64_t newest; /* order of the newest that came out, from 1 */
	struct impair_stats stats;
	/* heap[0..n): places of the slots in use, the next to leave first;
	 * heap[n..cap): those of the free ones */
	struct slot *slots;
	uint16_t *heap;
	size_t n, cap;
};

static_assert(IMPAIR_QUEUE_MAX <= UINT16_MAX, "places fit");
static_assert(IMPAIR_PACKET_MAX <= UINT16_MAX, "lengths fit");

bool impair_is_wanted(const struct impair_config *config)
{
	return config->loss || config->loss_every || config->reorder ||
	       config->duplicate || config->delay_us || config->jitter_us ||
	       config->stalls.n;
}

int impair_new(const struct impair_config *config, struct impair **out)
{
	struct impair *im = mem_zalloc(sizeof(*im));
	uint64_t seed = config->seed;

	if (!im)
		return ENOMEM;
	im->config = *config;
	for (int i = 0; i < HARM_N; i++)
		im->dice[i] = dice_next(&seed);
	*out = im;
	return 0;
}

void impair_free(struct impair *im)
{
	if (!im)
		return;
	mem_free(im->slots);
	mem_free(im->heap);
	mem_free(im);
}

/* ---- the queue ------------------------------------------------------------- */

static bool leaves_before(const struct impair *im, uint16_t a, uint16_t b)
{
	const struct slot *x = &im->slots[a];
	const struct slot *y = &im->slots[b];

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us;
	if (x->order != y->order)
		return x->order < y->order;
	return x->is_copy < y->is_copy;
}

static void swap(struct impair *im, size_t i, size_t j)
{
	const uint16_t place = im->heap[i];

	im->heap[i] = im->heap[j];
	im->heap[j] = place;
}

static void sift_up(struct impair *im, size_t i)
{
	while (i && leaves_before(im, im->heap[i], im->heap[(i - 1) / 2])) {
		swap(im, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void sift_down(struct impair *im)
{
	size_t i = 0;

	for (;;) {
		size_t first = i;

		for (size_t child = 2 * i + 1;
		     child <= 2 * i + 2 && child < im->n; child++) {
			if (leaves_before(im, im->heap[child], im->heap[first]))
				first = child;
		}
		if (first == i)
			return;
		swap(im, i, first);
		i = first;
	}
}

/** Room for one more.  Returns 0, ENOBUFS or ENOMEM. */
static int make_room(struct impair *im)
{
	const size_t cap = im->cap ? im->cap * 2 : FIRST_CAP;
	void *p;

	if (im->n < im->cap)
		return 0;
	if (cap > IMPAIR_QUEUE_MAX)
		return ENOBUFS;
	p = mem_realloc(im->slots, cap * sizeof(*im->slots));
	if (!p)
		return ENOMEM;
	im->slots = p;
	p = mem_realloc(im->heap, cap * sizeof(*im->heap));
	if (!p)
		return ENOMEM;
	im->heap = p;
	for (size_t i = im->cap; i < cap; i++)
		im->heap[i] = (uint16_t)i;
	im->cap = cap;
	return 0;
}

/* ---- what happens to a packet ------------------------------------------------ */

static bool chance(struct impair *im, enum harm harm, uint32_t of_whole)
{
	return of_whole &&
	       dice_chance(&im->dice[harm], (double)of_whole / IMPAIR_WHOLE);
}

/** Gilbert: a burst ends with 1 / burst, and begins so often that `loss` of
 *  all packets lie in one. */
static bool is_in_burst(struct impair *im)
{
	const double ends = 1.0 / im->config.burst;
	const double loss = (double)im->config.loss / IMPAIR_WHOLE;
	const double begins = ends * loss / (1 - loss);

	if (!im->config.loss)
		return false;
	if (im->in_burst)
		im->in_burst = !dice_chance(&im->dice[LOSS], ends);
	else
		im->in_burst = dice_chance(&im->dice[LOSS], begins);
	return im->in_burst;
}

static bool is_lost(struct impair *im)
{
	const struct impair_config *c = &im->config;
	const bool by_chance =
		c->burst ? is_in_burst(im) : chance(im, LOSS, c->loss);

	return by_chance ||
	       (c->loss_every && im->stats.put % c->loss_every == 0);
}

/** How long it is held back so that 1 to 4 others overtake it: until the
 *  middle between the last of them and the next. */
static int64_t hold_us(struct impair *im, int64_t spoken_us)
{
	int64_t n;

	if (!chance(im, REORDER, im->config.reorder))
		return 0;
	n = 1 + (int64_t)dice_below(&im->dice[REORDER], IMPAIR_HOLD_MAX);
	return n * spoken_us + spoken_us / 2;
}

static int64_t delay_us(struct impair *im)
{
	const struct impair_config *c = &im->config;

	if (!c->jitter_us)
		return c->delay_us;
	return c->delay_us + (int64_t)dice_below(&im->dice[JITTER],
						 (uint64_t)c->jitter_us + 1);
}

static int send_copy(struct impair *im, int64_t at_us, const void *data,
		     size_t len, bool is_copy)
{
	const int64_t wanted_us = at_us + delay_us(im);
	int err = make_room(im);
	struct slot *slot;

	if (err == ENOBUFS) {
		im->stats.overflowed++;
		return 0;
	}
	if (err)
		return err;
	slot = &im->slots[im->heap[im->n]];
	slot->at_us = spans_end(&im->config.stalls, wanted_us);
	slot->order = im->stats.put;
	slot->is_copy = is_copy;
	slot->len = (uint16_t)len;
	memcpy(slot->data, data, len);
	im->stats.duplicated += is_copy;
	im->stats.stalled += slot->at_us != wanted_us;
	sift_up(im, im->n++);
	return 0;
}

int impair_put(struct impair *im, int64_t at_us, int64_t spoken_us,
	       const void *data, size_t len)
{
	bool is_twice;
	int err;

	assert(len && len <= IMPAIR_PACKET_MAX && spoken_us >= 0);
	im->stats.put++;
	if (is_lost(im)) {
		im->stats.lost++;
		return 0;
	}
	is_twice = chance(im, DUPLICATE, im->config.duplicate);
	at_us += hold_us(im, spoken_us);
	err = send_copy(im, at_us, data, len, false);
	if (!err && is_twice)
		err = send_copy(im, at_us, data, len, true);
	return err;
}

bool impair_take(struct impair *im, int64_t now_us, struct impair_packet *out)
{
	const struct slot *slot;

	if (impair_next_us(im) > now_us || !im->n)
		return false;
	slot = &im->slots[im->heap[0]];
	swap(im, 0, --im->n);
	sift_down(im);
	if (!slot->is_copy) {
		im->stats.reordered += slot->order < im->newest;
		if (slot->order > im->newest)
			im->newest = slot->order;
	}
	*out = (struct impair_packet){
		.data = slot->data, .len = slot->len, .at_us = slot->at_us};
	return true;
}

int64_t impair_next_us(const struct impair *im)
{
	return im->n ? im->slots[im->heap[0]].at_us : INT64_MAX;
}

void impair_stats(const struct impair *im, struct impair_stats *out)
{
	*out = im->stats;
	out->waiting = im->n;
}
