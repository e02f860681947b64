/**
 * test/bench/codec_loop.c -- the codecs alone, in a tight loop: what a recorder
 * around them is measured against.
 *
 * usage: codec_loop decode|mp3-48000|mp3-24000|mp3-16000|opus FILE
 *
 * Decodes FILE (Ogg Opus) to mono, encodes it as tapeop does, with nothing but
 * libopus and libmp3lame, one stream, warm caches; prints the CPU seconds that
 * one second of sound takes.  Decodes to the rate that is encoded, as the
 * cheapest recorder would.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <lame/lame.h>
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

#include "sound/sound.h"

enum { FILE_MAX = 64 << 20, ROUNDS_MAX = 1000, OUT_MAX = 16384 };

static const struct {
	const char *name;
	int rate, kbit_s; /* kbit_s 0: not MP3 */
} kinds[] = {
	{"decode", 48000, 0},	  {"mp3-48000", 48000, 64},
	{"mp3-24000", 24000, 48}, {"mp3-16000", 16000, 32},
	{"opus", 48000, 0},
};

static lame_t open_lame(int rate, int kbit_s)
{
	lame_t l = lame_init();

	if (!l)
		return NULL;
	lame_set_in_samplerate(l, rate);
	lame_set_out_samplerate(l, rate);
	lame_set_num_channels(l, 1);
	lame_set_mode(l, MONO);
	lame_set_brate(l, kbit_s);
	lame_set_quality(l, 7);
	lame_set_disable_reservoir(l, 1);
	lame_set_bWriteVbrTag(l, 0);
	return lame_init_params(l) < 0 ? NULL : l;
}

struct codecs {
	OpusDecoder *decoder;
	OpusEncoder *encoder;
	lame_t lame;
	int rate;
};

/* Once through the file: frames at 48 kHz. */
static uint64_t run(struct codecs *c, const void *data, size_t len)
{
	static int16_t pcm[SOUND_PACKET_MAX];
	static uint8_t out[OUT_MAX];
	struct sound_source *s;
	const uint8_t *packet;
	uint64_t total = 0;
	uint32_t frames;
	size_t n;

	if (sound_source_new(data, len, &s))
		return 0;
	while (!sound_source_next(s, &packet, &n, &frames) && n) {
		const int got = opus_decode(c->decoder, packet, (opus_int32)n,
					    pcm, SOUND_PACKET_MAX, 0);

		if (got <= 0)
			continue;
		if (c->lame)
			(void)lame_encode_buffer(c->lame, pcm, NULL, got, out,
						 sizeof(out));
		if (c->encoder)
			(void)!opus_encode(c->encoder, pcm, got, out,
					   sizeof(out));
		total += frames;
	}
	sound_source_free(s);
	return total;
}

int main(int argc, char **argv)
{
	uint8_t *data = malloc(FILE_MAX);
	FILE *f = argc == 3 ? fopen(argv[2], "rb") : NULL;
	struct codecs c = {0};
	uint64_t frames = 0;
	double began, used = 0;
	size_t len;
	int err = 0;

	if (!f || !data) {
		fprintf(stderr, "usage: codec_loop KIND FILE\n");
		return 2;
	}
	len = fread(data, 1, FILE_MAX, f);
	fclose(f);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, argv[1]) != 0)
			continue;
		c.rate = kinds[i].rate;
		if (kinds[i].kbit_s)
			c.lame = open_lame(kinds[i].rate, kinds[i].kbit_s);
	}
	c.decoder = opus_decoder_create(c.rate, 1, &err);
	if (strcmp(argv[1], "opus") == 0) {
		c.encoder = opus_encoder_create(48000, 1,
						OPUS_APPLICATION_AUDIO, &err);
		opus_encoder_ctl(c.encoder, OPUS_SET_BITRATE(64000));
		opus_encoder_ctl(c.encoder, OPUS_SET_COMPLEXITY(5));
	}
	if (!c.decoder || err) {
		fprintf(stderr, "codec_loop: no such kind: %s\n", argv[1]);
		return 2;
	}
	(void)run(&c, data, len); /* warm */
	began = cpu_s();
	for (int i = 0; i < ROUNDS_MAX && used < 2; i++) {
		frames += run(&c, data, len);
		used = cpu_s() - began;
	}
	printf("%.9f\n", used / ((double)frames / SOUND_RATE));
	free(data);
	return 0;
}
