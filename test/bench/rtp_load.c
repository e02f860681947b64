/**
 * test/bench/rtp_load.c -- many people who speak: RTP/Opus to many ports.
 *
 * usage: rtp_load SECONDS TALK FILE < PORTS
 *
 * PORTS: UDP ports of 127.0.0.1, one a line.  FILE: Ogg Opus speech of 20 ms
 * packets, which everybody says over and over, each from another place in it.
 * TALK: percent of the time that each talks, in spells of some seconds; in
 * between nothing is sent but a packet of one byte each 400 ms, as DTX does.
 * Packets are spread evenly over time.  Prints how many were sent, and how many
 * seconds it took; a machine too slow to send them in time is told by that.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#include "base/clock.h"
#include "io/io.h"
#include "wire/rtp.h"

enum {
	STREAMS_MAX = 20000,
	PACKETS_MAX = 10000,
	BATCH = 64,
	PACKET_US = 20 * 1000,
	SPELL_PACKETS = 500, /* 10 s: of these TALK percent are talk */
	DTX_PACKETS = 20
};

static struct load_packet packets[PACKETS_MAX];
static unsigned n_packets;

static struct sockaddr_in to[STREAMS_MAX];
static unsigned n_streams;

static void read_ports(void)
{
	unsigned port;

	while (n_streams < STREAMS_MAX && scanf("%u", &port) == 1) {
		to[n_streams].sin_family = AF_INET;
		to[n_streams].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		to[n_streams++].sin_port = htons((uint16_t)port);
	}
	if (!n_streams)
		die("ports", "none on stdin");
}

/* One batch on its way to the kernel. */
static struct {
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH][2];
	uint8_t heads[BATCH][RTP_HEADER_LEN];
	unsigned n;
} batch;

static uint64_t sent;

static void flush(int fd)
{
	load_send(fd, batch.msgs, batch.n);
	sent += batch.n;
	batch.n = 0;
}

/* Packet `k` of stream `i`, if it sends one then. */
static void add(int fd, unsigned i, uint64_t k, unsigned talk)
{
	static uint8_t quiet = 0xf8; /* CELT, nothing in it */
	const unsigned in_spell = (unsigned)((k + i * 137U) % SPELL_PACKETS);
	const bool talks = in_spell * 100 < talk * SPELL_PACKETS;
	const unsigned at = (unsigned)((k + i * 61U) % n_packets);
	const unsigned b = batch.n;
	struct rtp_packet head = {.pt = 111,
				  .seq = (uint16_t)k,
				  .ts = (uint32_t)(k * 960),
				  .ssrc = i + 1};

	if (!talks && in_spell % DTX_PACKETS)
		return;
	rtp_write_header(&head, batch.heads[b]);
	batch.iov[b][0].iov_base = batch.heads[b];
	batch.iov[b][0].iov_len = RTP_HEADER_LEN;
	batch.iov[b][1].iov_base = talks ? packets[at].data : &quiet;
	batch.iov[b][1].iov_len = talks ? packets[at].len : 1;
	batch.msgs[b].msg_hdr = (struct msghdr){.msg_name = &to[i],
						.msg_namelen = sizeof(to[i]),
						.msg_iov = batch.iov[b],
						.msg_iovlen = 2};
	if (++batch.n == BATCH)
		flush(fd);
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t next = 0, total;
	int64_t began_us;
	unsigned talk;

	if (argc != 4 || fd < 0) {
		fprintf(stderr, "usage: rtp_load SECONDS TALK FILE < PORTS\n");
		return 2;
	}
	talk = (unsigned)strtoul(argv[2], NULL, 10);
	n_packets = load_speech(argv[3], packets, PACKETS_MAX);
	read_ports();
	total = strtoul(argv[1], NULL, 10) * 50 * n_streams;
	began_us = clock_now_us();
	while (next < total) {
		int64_t us = clock_now_us() - began_us;
		uint64_t due = (uint64_t)us * n_streams / PACKET_US;

		if (due > total)
			due = total;
		for (; next < due; next++)
			add(fd, (unsigned)(next % n_streams), next / n_streams,
			    talk);
		flush(fd);
		nanosleep(&pause, NULL);
	}
	printf("%" PRIu64 " %.3f\n", sent,
	       (double)(clock_now_us() - began_us) / 1e6);
	close(fd);
	return 0;
}
