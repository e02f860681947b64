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
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "intake/webrtc.h"
#include "wire/rtp.h"
#include "wire/sig.h"

enum { OPUS = 111, PACKETS = 250, PAYLOAD = 80, PACKET_US = 20000 };

struct peer {
	struct webrtc_credentials local;
	struct addr at;
	struct input *in;
	struct webrtc_session *session;
	SSL *ssl;
	BIO *from, *to; /* datagrams: each is read whole before the next */
	struct srtp *seal;
};

static struct webrtc_port *port;
static struct peer *peers;
static int64_t now_us = INT64_C(1000000000);
static double peers_s; /* CPU of the peers' side */

static void check_that(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "webrtc_loop: %s\n", what);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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
	struct datagram d = {
		.data = data, .len = len, .from = &p->at, .arrival_us = now_us};

	webrtc_port_take(port, &d);
}

/* Of the port: STUN is for nobody, DTLS waits for the peer. */
static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	struct peer *p = &peers[ntohl(to->in4.sin_addr.s_addr) & 0xffffff];

	(void)arg;
	if (dtls_is_likely(data[0]) && p->ssl)
		(void)BIO_write(p->from, data, (int)len);
}

/* What the peer has written: records, one by one. */
static void carry(struct peer *p)
{
	uint8_t bytes[16384];
	int len;

	while ((len = BIO_read(p->to, bytes, sizeof(bytes))) > 0) {
		const uint8_t *at = bytes;

		while (len > 0) {
			const int n =
				DTLS_RECORD_HEADER_LEN + (at[11] << 8 | at[12]);

			give(p, at, (size_t)n);
			at += n;
			len -= n;
		}
	}
}

/* ---- a peer -------------------------------------------------------------------- */

static void put_attribute(uint8_t *m, size_t *len, uint16_t type,
			  const void *value, size_t n)
{
	const uint8_t head[] = {(uint8_t)(type >> 8), (uint8_t)type, 0,
				(uint8_t)n};

	memcpy(m + *len, head, sizeof(head));
	memcpy(m + *len + sizeof(head), value, n);
	*len += sizeof(head) + ((n + 3) & ~(size_t)3);
}

static void send_check(struct peer *p)
{
	uint8_t m[256] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
	uint8_t mac[SIG_SHA1_LEN];
	size_t len = STUN_HEADER_LEN;
	char name[64];

	snprintf(name, sizeof(name), "%s:theirs", p->local.ufrag);
	put_attribute(m, &len, 6, name, strlen(name));
	put_attribute(m, &len, 0x25, "", 0);
	m[3] = (uint8_t)(len + 24 - STUN_HEADER_LEN);
	check_that(
		!sig_hmac_sha1(p->local.pwd, strlen(p->local.pwd), m, len, mac),
		"hmac");
	put_attribute(m, &len, 8, mac, sizeof(mac));
	give(p, m, len);
}

static int accept_any(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static void take_keys(struct peer *p)
{
	uint8_t keys[56];

	check_that(SSL_export_keying_material(p->ssl, keys, sizeof(keys),
					      "EXTRACTOR-dtls_srtp", 19, NULL,
					      0, 0) == 1,
		   "no keys");
	check_that(!srtp_new(SRTP_GCM_128, SRTP_OUT, keys, keys + 32, &p->seal),
		   "no memory");
}

static void shake(struct peer *p, SSL_CTX *ctx)
{
	double began_s = cpu_s();
	bool done = false;

	p->ssl = SSL_new(ctx);
	p->from = BIO_new(BIO_s_mem());
	p->to = BIO_new(BIO_s_mem());
	check_that(p->ssl && p->from && p->to, "no memory");
	BIO_set_mem_eof_return(p->from, -1);
	BIO_set_mem_eof_return(p->to, -1);
	SSL_set_bio(p->ssl, p->from, p->to);
	SSL_set_connect_state(p->ssl);
	SSL_set_mtu(p->ssl, DTLS_MTU);
	for (int i = 0; i < 10 && !done; i++) {
		done = SSL_do_handshake(p->ssl) == 1;
		peers_s += cpu_s() - began_s;
		carry(p);
		began_s = cpu_s();
	}
	check_that(done, "no handshake");
	take_keys(p);
	SSL_free(p->ssl); /* a session is to be weighed, not its peer */
	p->ssl = NULL;
}

/* ---- the work ---------------------------------------------------------------------- */

static void on_connected(const struct addr *peer, int64_t at_us, void *arg)
{
	(void)peer;
	(void)at_us;
	(void)arg;
}

static void on_ended(enum webrtc_end why, int64_t at_us, void *arg)
{
	(void)at_us;
	(void)arg;
	check_that(false, webrtc_end_name(why));
}

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	(void)c;
	(void)arg;
}

static void on_mic(int64_t pos, void *arg)
{
	(void)pos;
	(void)arg;
}

static void open_session(struct peer *p, unsigned i,
			 const struct webrtc_identity *theirs)
{
	static const struct webrtc_session_events events = {
		.connected = on_connected, .ended = on_ended};
	static const struct input_events heard = {
		.chunk = on_chunk, .mic_on = on_mic, .mic_off = on_mic};
	const struct input_config ic = {.window_us = 400000,
					.takeover_us = 3000000,
					.is_authentic = true,
					.opus_pt = OPUS};
	struct webrtc_session_config c = {
		.local = &p->local,
		.remote_ufrag = "theirs",
		.fingerprint = *webrtc_identity_fingerprint(theirs),
		.opus_pt = OPUS};

	p->at.in4.sin_family = AF_INET;
	p->at.in4.sin_addr.s_addr = htonl(10U << 24 | i);
	p->at.in4.sin_port = htons(5000);
	p->at.len = sizeof(p->at.in4);
	check_that(!webrtc_credentials_make(&p->local) &&
			   !input_new(&ic, &heard, NULL, &p->in),
		   "no memory");
	input_set_decode(p->in, false);
	c.in = p->in;
	check_that(!webrtc_session_open(port, &c, &events, NULL, now_us,
					&p->session),
		   "no session");
}

static SSL_CTX *make_client(const struct webrtc_identity *id)
{
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());

	check_that(ctx, "no memory");
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	check_that(SSL_CTX_use_certificate(ctx, id->cert) == 1 &&
			   SSL_CTX_use_PrivateKey(ctx, id->key) == 1 &&
			   !SSL_CTX_set_tlsext_use_srtp(
				   ctx, "SRTP_AEAD_AES_128_GCM"),
		   "no client");
	return ctx;
}

/** All speak; returns the CPU time of the port's side. */
static double speak(unsigned n)
{
	static uint8_t sealed[64][256];
	static size_t lens[64];
	double used_s = 0;

	for (int k = 0; k < PACKETS; k++) {
		const struct rtp_packet rtp = {.pt = OPUS,
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

			input_advance(peers[i].in, now_us);
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
	SSL_CTX *ctx;

	check_that(n > 0 && n <= 20000, "usage: webrtc_loop SESSIONS");
	limits.sessions = n;
	peers = calloc(n, sizeof(*peers));
	check_that(
		peers && !webrtc_identity_new(&ours) &&
			!webrtc_identity_new(&theirs) &&
			!webrtc_port_new(ours, &limits, on_send, NULL, &port),
		"no memory");
	ctx = make_client(theirs);
	before_kib = resident_kib();
	began_s = cpu_s();
	for (unsigned i = 0; i < n; i++) {
		open_session(&peers[i], i, theirs);
		send_check(&peers[i]);
		shake(&peers[i], ctx);
	}
	joined_s = cpu_s() - began_s;
	kib = resident_kib() - before_kib;
	spoke_s = speak(n);
	for (unsigned i = 0; i < n; i++) {
		webrtc_session_stats(peers[i].session, &st);
		check_that(st.packets == PACKETS, "packets are missing");
	}
	printf("join_ms %.3f\njoin_peer_ms %.3f\npacket_us %.3f\n"
	       "session_kib %.1f\n",
	       joined_s / n * 1e3, peers_s / n * 1e3,
	       spoke_s / n / PACKETS * 1e6, (double)kib / n);
	return 0;
}
