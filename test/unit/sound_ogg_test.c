/** test/unit/sound_ogg_test.c -- Ogg Opus written, read back by libogg. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ogg/ogg.h>

#include "base/attr.h"
#include "wire/ogg.h"

enum { MAX = 8 << 20, N_MAX = 4000 };

static const struct sound_ogg_head head = {
	.serial = 0x89abcdef, .preskip = 3840, .channels = 1};

/** What libogg found. */
struct back {
	size_t n_pages, n_packets;
	int64_t page_granule[N_MAX];
	int page_packets[N_MAX];
	bool eos;
	size_t len[N_MAX];
	uint32_t frames;
};

static void read_back(const struct buf *b, struct back *r)
{
	ogg_sync_state sync;
	ogg_stream_state stream;
	ogg_page page;
	ogg_packet packet;
	int state;

	memset(r, 0, sizeof(*r));
	ogg_sync_init(&sync);
	memcpy(ogg_sync_buffer(&sync, (long)b->len), b->data, b->len);
	ogg_sync_wrote(&sync, (long)b->len);
	ogg_stream_init(&stream, (int)head.serial);
	while ((state = ogg_sync_pageout(&sync, &page)) != 0) {
		assert_int_equal(state, 1); /* -1: bytes were skipped */
		assert_int_equal(ogg_page_pageno(&page), r->n_pages);
		assert_int_equal(ogg_page_bos(&page) != 0, r->n_pages == 0);
		assert_false(r->eos);
		r->eos = ogg_page_eos(&page);
		r->page_granule[r->n_pages] = ogg_page_granulepos(&page);
		r->page_packets[r->n_pages++] = ogg_page_packets(&page);
		assert_int_equal(ogg_stream_pagein(&stream, &page), 0);
		while (ogg_stream_packetout(&stream, &packet) == 1) {
			r->len[r->n_packets++] = (size_t)packet.bytes;
			if (r->n_packets > 2)
				r->frames += sound_packet_frames(
					packet.packet, (size_t)packet.bytes);
		}
	}
	ogg_stream_clear(&stream);
	ogg_sync_clear(&sync);
}

static struct sound_ogg *begin(struct buf *out, const struct sound_ogg_head *h)
{
	uint8_t bytes[SOUND_OGG_HEAD_MAX];
	struct sound_ogg *o;

	buf_init(out, MAX);
	buf_append(out, bytes, sound_ogg_write_head(h, bytes));
	assert_int_equal(sound_ogg_new(&o), 0);
	sound_ogg_begin(o, h->serial);
	return o;
}

/** A packet of 20 ms that is `len` bytes long. */
static const uint8_t *packet_of(size_t len)
{
	static uint8_t packet[SOUND_OPUS_MAX];

	memset(packet, (int)len, sizeof(packet));
	packet[0] = 31 << 3;
	return packet;
}

static void end_whole(struct sound_ogg *o, int64_t granule, struct buf *out,
		      struct back *r)
{
	struct ogg_scan s = {0};

	assert_int_equal(sound_ogg_end(o, granule, out), 0);
	read_back(out, r);
	assert_true(r->eos);
	assert_int_equal(r->page_granule[r->n_pages - 1], granule);
	assert_int_equal(ogg_scan(&s, out->data, out->len), out->len);
	assert_int_equal(s.n_pages, r->n_pages);
	assert_int_equal(s.granule, granule);
	assert_int_equal(s.serial, head.serial);
	assert_true(s.is_ended);
	sound_ogg_free(o);
}

static void packets_come_back_as_they_went_in(void **state)
{
	struct buf out;
	struct back r;
	struct sound_ogg *o = begin(&out, &head);

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		size_t len = 1 + i * 37 % 1275;

		assert_int_equal(
			sound_ogg_put(o, packet_of(len), len, 960, &out), 0);
	}
	end_whole(o, 1000 * 960, &out, &r);
	assert_int_equal(r.n_packets, 1002);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(r.len[i + 2], 1 + i * 37 % 1275);
	assert_int_equal(r.frames, 1000 * 960);
	/* Each page's position is what was decoded up to its end. */
	for (size_t i = 2, n = 0; i < r.n_pages; i++) {
		n += (size_t)r.page_packets[i];
		assert_int_equal(r.page_granule[i], n * 960);
	}
	buf_fini(&out);
}

static void lengths_at_the_edge_of_a_lacing_value(void **state)
{
	static const size_t lens[] = {1,   254, 255,  256,  509,
				      510, 511, 1275, 5100, SOUND_OPUS_MAX};
	struct buf out;
	struct back r;
	struct sound_ogg *o = begin(&out, &head);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		assert_int_equal(sound_ogg_put(o, packet_of(lens[i]), lens[i],
					       960, &out),
				 0);
	end_whole(o, 960 * (int64_t)ARRAY_LEN(lens), &out, &r);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		assert_int_equal(r.len[i + 2], lens[i]);
	buf_fini(&out);
}

static void a_page_has_a_second_at_most(void **state)
{
	struct buf out;
	struct back r;
	struct sound_ogg *o = begin(&out, &head);

	(void)state;
	for (int i = 0; i < 500; i++)
		assert_int_equal(sound_ogg_put(o, packet_of(80), 80, 960, &out),
				 0);
	end_whole(o, 500 * 960, &out, &r);
	assert_int_equal(r.n_pages, 2 + 10);
	for (size_t i = 2; i < r.n_pages; i++)
		assert_int_equal(r.page_packets[i], 50);
	buf_fini(&out);
}

static void the_shortest_packets_fill_the_lacing(void **state)
{
	struct buf out;
	struct back r;
	struct sound_ogg *o = begin(&out, &head);

	(void)state;
	for (int i = 0; i < 4000 - 2; i++)
		assert_int_equal(sound_ogg_put(o, packet_of(1), 1, 120, &out),
				 0);
	end_whole(o, 3998 * 120, &out, &r);
	for (size_t i = 2; i < r.n_pages; i++)
		assert_true(r.page_packets[i] <= 255);
	assert_int_equal(r.n_packets, 4000);
	buf_fini(&out);
}

static void a_flush_keeps_the_last_packet_for_the_last_page(void **state)
{
	struct buf out;
	struct back r;
	struct sound_ogg *o = begin(&out, &head);
	size_t before = out.len;

	(void)state;
	assert_int_equal(sound_ogg_flush(o, &out), 0);
	assert_int_equal(sound_ogg_put(o, packet_of(300), 300, 960, &out), 0);
	assert_int_equal(sound_ogg_flush(o, &out), 0);
	assert_int_equal(out.len, before);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			sound_ogg_put(o, packet_of(400), 400, 960, &out), 0);
	assert_int_equal(sound_ogg_flush(o, &out), 0);
	assert_true(out.len > before);
	assert_int_equal(sound_ogg_flush(o, &out), 0);
	/* The end is 10 ms into the last packet. */
	end_whole(o, 3 * 960 + 480, &out, &r);
	assert_int_equal(r.n_pages, 4);
	assert_int_equal(r.page_granule[2], 3 * 960);
	assert_int_equal(r.page_packets[2], 3);
	assert_int_equal(r.page_packets[3], 1);
	assert_int_equal(r.frames, 4 * 960);
	buf_fini(&out);
}

static void a_page_without_room_is_lost_but_counts(void **state)
{
	struct buf out, small;
	struct ogg_scan s = {0};
	struct sound_ogg *o = begin(&out, &head);

	(void)state;
	buf_init(&small, 100);
	for (int i = 0; i < 50; i++)
		assert_int_equal(sound_ogg_put(o, packet_of(90), 90, 960, &out),
				 0);
	assert_int_equal(sound_ogg_put(o, packet_of(90), 90, 960, &small),
			 EMSGSIZE);
	assert_int_equal(small.len, 0);
	assert_int_equal(sound_ogg_end(o, 51 * 960, &out), 0);
	assert_int_equal(ogg_scan(&s, out.data, out.len), out.len);
	assert_int_equal(s.n_pages, 3);
	assert_int_equal(s.seq, 3); /* of 0, 1, 2, 3 */
	assert_int_equal(s.granule, 51 * 960);
	sound_ogg_free(o);
	buf_fini(&out);
	buf_fini(&small);
}

static void headers_and_silence_are_a_whole_file(void **state)
{
	static const struct {
		uint16_t preskip;
		uint8_t channels;
		uint32_t frames;
	} rows[] = {{0, 1, 3456},
		    {312, 1, 3456},
		    {3840, 2, 3456},
		    {9600, 1, 38400}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sound_ogg_head h = {.serial = head.serial,
					   .preskip = rows[i].preskip,
					   .channels = rows[i].channels};
		uint8_t bytes[SOUND_OGG_HEAD_MAX + SOUND_OGG_SILENCE_MAX];
		struct ogg_scan s = {0};
		struct back r;
		struct buf out;
		size_t n = sound_ogg_write_head(&h, bytes);

		assert_true(n <= SOUND_OGG_HEAD_MAX);
		n += sound_ogg_write_silence(&h, rows[i].frames, bytes + n);
		assert_true(n <= sizeof(bytes));
		buf_init(&out, MAX);
		buf_append(&out, bytes, n);
		read_back(&out, &r);
		assert_true(r.eos);
		assert_int_equal(r.n_pages, 3);
		assert_true(r.frames >= rows[i].preskip + rows[i].frames);
		assert_true(r.frames < rows[i].preskip + rows[i].frames + 120);
		assert_int_equal(ogg_scan(&s, bytes, n), n);
		assert_int_equal(ogg_scan_frames(&s), rows[i].frames);
		assert_int_equal(s.preskip, rows[i].preskip);
		assert_int_equal(s.channels, rows[i].channels);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_back_as_they_went_in),
		cmocka_unit_test(lengths_at_the_edge_of_a_lacing_value),
		cmocka_unit_test(a_page_has_a_second_at_most),
		cmocka_unit_test(the_shortest_packets_fill_the_lacing),
		cmocka_unit_test(
			a_flush_keeps_the_last_packet_for_the_last_page),
		cmocka_unit_test(a_page_without_room_is_lost_but_counts),
		cmocka_unit_test(headers_and_silence_are_a_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
