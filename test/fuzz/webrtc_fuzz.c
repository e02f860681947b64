/**
 * test/fuzz/webrtc_fuzz.c -- datagrams at a WebRTC port.
 *
 * The input is a row of datagrams: a byte that says where each comes from
 * (0: a stranger, 1: a peer that has shown its credentials, 2: the same, with
 * SRTP keys in place; 3: not a datagram, the clock goes on; 4: one whose
 * handshake is done), two bytes of length, and its bytes.  Nothing may be sent
 * to the stranger, whatever it says: it does not know the password.  Nor may
 * what comes from the address of the last end its session: the keys are known
 * to nobody any more.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "intake/webrtc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OPUS = 111, RED = 63, STEP_US = 1000000 };

static struct webrtc_identity *id;
static struct webrtc_port *port;
static struct addr stranger;
static int64_t now_us = 1000 * (int64_t)STEP_US;

/** The one whose handshake is done; it outlives an input. */
static struct {
	struct addr at;
	struct webrtc_identity *id;
	struct input *in;
	struct webrtc_session *session; /* NULL: its time was up */
	SSL *ssl;			/* while it is done */
	bool is_connected, has_ended;
} peer;

static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	(void)arg;
	assert(len <= DTLS_MTU);
	assert(!addr_is_equal(to, &stranger));
	if (peer.ssl && dtls_is_likely(data[0]))
		BIO_write(SSL_get_rbio(peer.ssl), data, (int)len);
}

static void on_connected(const struct addr *at, int64_t when_us, void *arg)
{
	(void)at;
	(void)when_us;
	if (arg == &peer)
		peer.is_connected = true;
}

static void on_ended(enum webrtc_end why, int64_t when_us, void *arg)
{
	(void)when_us;
	assert(*webrtc_end_name(why));
	assert(arg != &peer || why == WEBRTC_NO_CONSENT);
	peer.has_ended |= arg == &peer;
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

static void ignore_line(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static const struct input_events input_events = {
	.chunk = on_chunk, .mic_on = on_mic, .mic_off = on_mic};
static const struct input_config input_config = {.window_us = 400000,
						 .is_authentic = true,
						 .opus_pt = OPUS,
						 .red_pt = RED};

static void set_up(void)
{
	log_set_sink(ignore_line, NULL);
	assert(!addr_parse("192.0.2.66:6666", &stranger));
	assert(!addr_parse("192.0.2.3:5000", &peer.at));
	assert(!webrtc_identity_new(&id));
	assert(!webrtc_identity_new(&peer.id));
	assert(!webrtc_port_new(id, &webrtc_limits_usual, on_send, NULL,
				&port));
	assert(!input_new(&input_config, &input_events, NULL, &peer.in));
}

struct rig {
	struct input *in;
	struct webrtc_session *session[2];
	struct addr at[2];
};

static void check(struct webrtc_session *s, const struct addr *at)
{
	const struct stun check = {.id = (const uint8_t *)"123456789012",
				   .method = STUN_BINDING};
	const struct datagram d = {.from = at, .arrival_us = now_us};

	session_checked(s->name, &check, &d);
}

static struct webrtc_session *open_session(const char *ufrag,
					   const struct addr *at,
					   struct input *in, void *arg)
{
	static const struct webrtc_session_events events = {
		.connected = on_connected, .ended = on_ended};
	struct webrtc_credentials local;
	struct webrtc_session_config c = {.local = &local,
					  .remote_ufrag = "theirs",
					  .in = in,
					  .opus_pt = OPUS,
					  .red_pt = RED};
	struct webrtc_session *s;

	assert(!webrtc_credentials_make(&local));
	memcpy(local.ufrag, ufrag, strlen(ufrag) + 1);
	if (arg == &peer)
		c.fingerprint = peer.id->fingerprint;
	assert(!webrtc_session_open(port, &c, &events, arg, now_us, &s));
	check(s, at);
	return s;
}

static void take(const struct addr *from, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	const struct datagram d = {
		.data = copy, .len = len, .from = from, .arrival_us = now_us};

	memcpy(copy, data, len);
	webrtc_port_take(port, &d);
	free(copy);
}

/** A whole handshake; then its keys are forgotten. */
static void connect_peer(void)
{
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
	uint8_t flight[WEBRTC_DATAGRAM_MAX];
	int n;

	peer.is_connected = peer.has_ended = false;
	peer.session = open_session("third", &peer.at, peer.in, &peer);
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
	assert(SSL_CTX_use_certificate(ctx, peer.id->cert) == 1);
	assert(SSL_CTX_use_PrivateKey(ctx, peer.id->key) == 1);
	assert(!SSL_CTX_set_tlsext_use_srtp(ctx, "SRTP_AEAD_AES_128_GCM"));
	peer.ssl = SSL_new(ctx);
	SSL_set_bio(peer.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(peer.ssl), -1);
	SSL_set_mtu(peer.ssl, DTLS_MTU);
	SSL_set_connect_state(peer.ssl);
	while (SSL_do_handshake(peer.ssl) != 1) {
		n = BIO_read(SSL_get_wbio(peer.ssl), flight, sizeof(flight));
		assert(n > 0);
		take(&peer.at, flight, (size_t)n);
	}
	assert(peer.is_connected);
	SSL_free(peer.ssl);
	peer.ssl = NULL;
	SSL_CTX_free(ctx);
}

/* As if its handshake had been done; of the keys nobody knows. */
static void give_keys(struct webrtc_session *s)
{
	uint8_t key[SRTP_KEY_LEN], salt[SRTP_SALT_MAX] = {1};

	memset(key, 7, sizeof(key));
	assert(!srtp_new(SRTP_GCM_128, SRTP_IN, key, salt, &s->srtp));
	assert(!srtp_new(SRTP_CM_SHA1_80, SRTP_OUT, key, salt, &s->reply));
}

static void begin(struct rig *r)
{
	if (!port)
		set_up();
	assert(!addr_parse("192.0.2.1:5000", &r->at[0]));
	assert(!addr_parse("192.0.2.2:5000", &r->at[1]));
	assert(!input_new(&input_config, &input_events, NULL, &r->in));
	r->session[0] = open_session("first", &r->at[0], r->in, NULL);
	r->session[1] = open_session("second", &r->at[1], r->in, NULL);
	give_keys(r->session[1]);
	if (!peer.session)
		connect_peer();
	else
		check(peer.session, &peer.at);
}

static void end(struct rig *r)
{
	webrtc_session_close(r->session[0]);
	webrtc_session_close(r->session[1]);
	input_free(r->in);
	if (peer.has_ended) {
		webrtc_session_close(peer.session);
		peer.session = NULL;
	}
	assert(port->n_sessions == (peer.session != NULL) &&
	       port->n_shaking == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rig r;

	begin(&r);
	while (len >= 3) {
		const struct addr *const from[] = {&stranger, &r.at[0],
						   &r.at[1], NULL, &peer.at};
		const uint8_t who = data[0] % 5;
		const size_t said = (size_t)data[1] << 8 | data[2];
		const size_t n = said < len - 3 ? said : len - 3;

		data += 3;
		len -= 3;
		if (who == 3) {
			now_us += STEP_US;
			webrtc_port_tick(port, now_us);
			continue;
		}
		if (n <= WEBRTC_DATAGRAM_MAX)
			take(from[who], data, n);
		data += n;
		len -= n;
	}
	end(&r);
	return 0;
}
