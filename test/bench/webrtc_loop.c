/**
 * test/bench/webrtc_loop.c -- what WebRTC adds to a recording, without sockets.
 *
 * usage: webrtc_loop SESSIONS
 *
 * A port of src/intake and so many peers in one process: each checks, shakes
 * hands (DTLS, ECDSA on both sides), then all speak for some seconds in turn,
 * packets of 80 bytes under AES-GCM, nothing decoded.  Prints, one a line:
 * the CPU ms of a join (both sides), of which the peer's, the CPU us of a
 * packet taken in, and the KiB that a session holds.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#include "../aid/webrtc_peer.h"
#include "../unit/stun_aid.h"
#include "intake/webrtc.h"
#include "wire/rtp.h"

enum { PACKETS = 250, PAYLOAD = 80, PACKET_US = 20000, FLIGHT_MAX = 8192 };

struct peer {
	struct peer_session s;
	struct peer_dtls dtls;
	struct srtp *seal;
};

static struct webrtc_port *port;
static struct peer *peers;
static struct {
	uint8_t bytes[FLIGHT_MAX];
	size_t len;
} flight; /* of the port, until the peer in hand reads it */
static int64_t now_us = INT64_C(1000000000);
static double peers_s; /* CPU of the peers' side */

static void check_that(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "webrtc_loop: %s\n", what);
	exit(1);
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all = 0, resident = 0;

	check_that(f && fscanf(f, "%ld %ld", &all, &resident) == 2, "statm");
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- the network ---------------------------------------------------------- */

static void give(struct peer *p, const uint8_t *data, size_t len)
{
	struct datagram d = {.data = data,
			     .len = len,
			     .from = &p->s.at,
			     .arrival_us = now_us};

	webrtc_port_take(port, &d);
}

/* Of the port: STUN is for nobody, DTLS waits for the peer. */
static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	struct peer *p = &peers[ntohl(to->in4.sin_addr.s_addr) & 0xffffff];

	(void)arg;
	if (!dtls_is_likely(data[0]) || !p->dtls.ssl)
		return;
	check_that(flight.len + len <= FLIGHT_MAX, "a flight is too long");
	memcpy(flight.bytes + flight.len, data, len);
	flight.len += len;
}

/* ---- a peer -------------------------------------------------------------------- */

static void send_check(struct peer *p)
{
	char name[64];
	struct stun_made m;

	snprintf(name, sizeof(name), "%s:theirs", p->s.local.ufrag);
	made_check(&m, 1, name, p->s.local.pwd, true);
	give(p, m.bytes, m.len);
}

static double port_s; /* CPU of the port's side in a handshake */

/* Of a peer: what it sends, the port gets at once. */
static void on_peer_send(const uint8_t *data, size_t len, void *arg)
{
	const double began_s = cpu_s();

	give(arg, data, len);
	port_s += cpu_s() - began_s;
}

static void shake(struct peer *p, const struct peer_tls *tls)
{
	const double began_s = cpu_s(), before_s = port_s;
	enum peer_state state;

	check_that(peer_dtls_begin(&p->dtls, tls, on_peer_send, p),
		   "no memory");
	state = peer_dtls_take(&p->dtls, NULL, 0);
	for (int i = 0; i < 10 && state == PEER_SHAKING; i++) {
		uint8_t bytes[FLIGHT_MAX];
		const size_t len = flight.len;

		memcpy(bytes, flight.bytes, len);
		flight.len = 0;
		state = peer_dtls_take(&p->dtls, bytes, len);
	}
	check_that(state == PEER_DONE, "no handshake");
	/* a session is to be weighed, not its peer */
	check_that(peer_dtls_end(&p->dtls, &p->seal, NULL), "no keys");
	peers_s += cpu_s() - began_s - (port_s - before_s);
}

/* ---- the work ---------------------------------------------------------------------- */

static void open_session(struct peer *p, unsigned i,
			 const struct webrtc_identity *theirs)
{
	p->s.at.in4.sin_family = AF_INET;
	p->s.at.in4.sin_addr.s_addr = htonl(10U << 24 | i);
	p->s.at.in4.sin_port = htons(5000);
	p->s.at.len = sizeof(p->s.at.in4);
	check_that(!peer_input_new(&p->s.in), "no memory");
	input_set_decode(p->s.in, false);
	check_that(!peer_session_open(&p->s, port,
				      webrtc_identity_fingerprint(theirs),
				      now_us),
		   "no session");
}

/** All speak; returns the CPU time of the port's side. */
static double speak(unsigned n)
{
	static uint8_t sealed[64][256];
	static size_t lens[64];
	double used_s = 0;

	for (int k = 0; k < PACKETS; k++) {
		const struct rtp_packet rtp = {.pt = PEER_OPUS,
					       .ssrc = 7,
					       .seq = (uint16_t)k,
					       .ts = (uint32_t)k * 960};
		uint8_t plain[RTP_HEADER_LEN + PAYLOAD] = {0};

		rtp_write_header(&rtp, plain);
		plain[RTP_HEADER_LEN] = 31 << 3; /* one frame of 20 ms */
		now_us += PACKET_US;
		for (unsigned i = 0; i < n; i += 64) {
			const unsigned m = n - i < 64 ? n - i : 64;
			double began_s;

			for (unsigned j = 0; j < m; j++)
				check_that(!srtp_protect(peers[i + j].seal,
							 plain, sizeof(plain),
							 sealed[j], &lens[j]),
					   "not sealed");
			began_s = cpu_s();
			for (unsigned j = 0; j < m; j++)
				give(&peers[i + j], sealed[j], lens[j]);
			used_s += cpu_s() - began_s;
		}
		if (k % 15)
			continue;
		for (unsigned i = 0; i < n; i++) {
			const double began_s = cpu_s();

			input_advance(peers[i].s.in, now_us);
			used_s += cpu_s() - began_s;
			send_check(&peers[i]);
		}
	}
	return used_s;
}

int main(int argc, char **argv)
{
	const unsigned n = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	struct webrtc_limits limits = webrtc_limits_usual;
	struct webrtc_identity *ours, *theirs;
	struct webrtc_session_stats st;
	double began_s, joined_s, spoke_s;
	long before_kib, kib;
	struct peer_tls tls;

	check_that(n > 0 && n <= 20000, "usage: webrtc_loop SESSIONS");
	limits.sessions = n;
	peers = calloc(n, sizeof(*peers));
	check_that(
		peers && !webrtc_identity_new(&ours) &&
			!webrtc_identity_new(&theirs) &&
			!webrtc_port_new(ours, &limits, on_send, NULL, &port),
		"no memory");
	check_that(peer_tls_init(&tls, theirs), "no client");
	before_kib = resident_kib();
	began_s = cpu_s();
	for (unsigned i = 0; i < n; i++) {
		open_session(&peers[i], i, theirs);
		send_check(&peers[i]);
		shake(&peers[i], &tls);
	}
	joined_s = cpu_s() - began_s;
	kib = resident_kib() - before_kib;
	spoke_s = speak(n);
	for (unsigned i = 0; i < n; i++) {
		webrtc_session_stats(peers[i].s.session, &st);
		check_that(!st.has_ended && st.packets == PACKETS,
			   "packets are missing");
	}
	printf("join_ms %.3f\njoin_peer_ms %.3f\npacket_us %.3f\n"
	       "session_kib %.1f\n",
	       joined_s / n * 1e3, peers_s / n * 1e3,
	       spoke_s / n / PACKETS * 1e6, (double)kib / n);
	return 0;
}
