/** test/bench/load.h -- what the loads of benches share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BENCH_LOAD_H
#define TEST_BENCH_LOAD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "sound/sound.h"

static inline _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		why);
	exit(1);
}

/** CPU time of this process so far, user and kernel, all threads. */
static inline double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/** Speech, as its packets. */
struct load_packet {
	uint8_t *data;
	size_t len;
};

/** The first packets of an Ogg Opus file, at most `cap`: how many. */
static inline unsigned load_speech(const char *path, struct load_packet *out,
				   unsigned cap)
{
	enum { FILE_MAX = 64 << 20 };
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(FILE_MAX);
	struct sound_source *s;
	const uint8_t *packet;
	uint32_t frames;
	unsigned n = 0;
	size_t len;

	if (!f || !data)
		die(path, strerror(errno));
	len = fread(data, 1, FILE_MAX, f);
	fclose(f);
	if (sound_source_new(data, len, &s))
		die(path, "is no Ogg Opus");
	while (n < cap && !sound_source_next(s, &packet, &len, &frames) &&
	       len) {
		out[n].data = malloc(len);
		if (!out[n].data)
			die(path, "out of memory");
		memcpy(out[n].data, packet, len);
		out[n++].len = len;
	}
	sound_source_free(s);
	free(data);
	if (!n)
		die(path, "no packets");
	return n;
}

/** All of them, whatever the kernel takes at a time; one that nobody takes at
 *  the other end is sent as well. */
static inline void load_send(int fd, struct mmsghdr *msgs, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		int sent = sendmmsg(fd, msgs + done, n - done, 0);

		if (sent < 0 && errno != ECONNREFUSED && errno != EAGAIN)
			die("sendmmsg", strerror(errno));
		done += sent > 0 ? (unsigned)sent : 0;
	}
}

#endif
