/** wire/mp3.c -- MPEG-1 and MPEG-2 layer III frames as seen from outside. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mp3.h"

#include <errno.h>

enum {
	ID_MPEG2 = 2,
	ID_MPEG1 = 3,
	LAYER_III = 1,
	MODE_MONO = 3,
	EMPHASIS_RESERVED = 2,
	N_BIT_RATES = 15, /* index 15 is forbidden, 0 is free format */
	N_SAMPLE_RATES = 3
};

/* [kbit/s], layer III; by MPEG-2, MPEG-1 */
static const uint16_t kbit_s[2][N_BIT_RATES] = {
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
};
static const uint32_t sample_rates[2][N_SAMPLE_RATES] = {
	{22050, 24000, 16000},
	{44100, 48000, 32000},
};

int mp3_parse_header(const uint8_t *data, size_t len, struct mp3_frame *out)
{
	unsigned id, layer, bit_rate, rate, padding;
	size_t mpeg1;

	if (len < MP3_HEADER_LEN || data[0] != 0xff || (data[1] & 0xe0) != 0xe0)
		return EBADMSG;
	id = data[1] >> 3 & 3;
	layer = data[1] >> 1 & 3;
	bit_rate = data[2] >> 4;
	rate = data[2] >> 2 & 3;
	padding = data[2] >> 1 & 1;
	if ((id != ID_MPEG1 && id != ID_MPEG2) || layer != LAYER_III ||
	    bit_rate == 0 || bit_rate >= N_BIT_RATES ||
	    rate >= N_SAMPLE_RATES || (data[3] & 3) == EMPHASIS_RESERVED)
		return EBADMSG;
	mpeg1 = id == ID_MPEG1;
	out->frames = mpeg1 ? 1152 : 576;
	out->sample_rate = sample_rates[mpeg1][rate];
	out->bit_s = kbit_s[mpeg1][bit_rate] * 1000U;
	out->channels = data[3] >> 6 == MODE_MONO ? 1 : 2;
	out->len = out->frames / 8 * out->bit_s / out->sample_rate + padding;
	return 0;
}

/** Does this frame go on in the file that was scanned so far? */
static bool is_of_scan(const struct mp3_scan *s, const struct mp3_frame *f)
{
	return !s->n_frames ||
	       (f->sample_rate == s->sample_rate && f->channels == s->channels);
}

size_t mp3_scan(struct mp3_scan *s, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	while (!s->is_broken && len - taken >= MP3_HEADER_LEN) {
		struct mp3_frame f;

		if (mp3_parse_header(data + taken, len - taken, &f) ||
		    !is_of_scan(s, &f)) {
			s->is_broken = true;
			break;
		}
		if (f.len > len - taken)
			break;
		taken += f.len;
		s->len += f.len;
		s->n_frames++;
		s->frames += f.frames;
		s->sample_rate = f.sample_rate;
		s->channels = f.channels;
	}
	return taken;
}
