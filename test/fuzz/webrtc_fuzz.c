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
#include <stdlib.h>
#include <string.h>

#include "../aid/webrtc_peer.h"
#include "base/log.h"
#include "intake/webrtc.h"
#include "letters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEP_US = 1000000, FLIGHT_MAX = 8 };

static struct webrtc_identity *id;
static struct webrtc_port *port;
static struct addr stranger;
static int64_t now_us = 1000 * (int64_t)STEP_US;

/** The one whose handshake is done; it outlives an input. */
static struct {
	struct peer_tls tls;
	struct peer_dtls dtls;
	struct webrtc_identity *id;
	struct peer_session s; /* session NULL: its time was up */
	uint8_t flight[FLIGHT_MAX][DTLS_MTU]; /* what it gets */
	size_t len[FLIGHT_MAX], n;
} done;

static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	(void)arg;
	assert(len <= DTLS_MTU);
	assert(!addr_is_equal(to, &stranger));
	if (!done.dtls.ssl || !dtls_is_likely(data[0]))
		return;
	assert(done.n < FLIGHT_MAX);
	memcpy(done.flight[done.n], data, len);
	done.len[done.n++] = len;
}

static void ignore_line(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void set_up(void)
{
	log_set_sink(ignore_line, NULL);
	assert(!addr_parse("192.0.2.66:6666", &stranger));
	assert(!webrtc_identity_new(&id));
	assert(!webrtc_identity_new(&done.id));
	assert(peer_tls_init(&done.tls, done.id));
	assert(!webrtc_port_new(id, &webrtc_limits_usual, on_send, NULL,
				&port));
	assert(!peer_input_new(&done.s.in));
}

static void check(const struct peer_session *p)
{
	const struct stun check = {.id = (const uint8_t *)"123456789012",
				   .method = STUN_BINDING};
	const struct datagram d = {.from = &p->at, .arrival_us = now_us};

	session_checked(p->session->name, &check, &d);
}

static void open_session(struct peer_session *p, struct input *in,
			 const char *ufrag, const char *at,
			 const struct fingerprint *peer)
{
	*p = (struct peer_session){.in = in};
	memcpy(p->local.ufrag, ufrag, strlen(ufrag) + 1);
	assert(!addr_parse(at, &p->at));
	assert(!peer_session_open(p, port, peer, now_us));
	check(p);
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

static void send_of_done(const uint8_t *data, size_t len, void *arg)
{
	(void)arg;
	take(&done.s.at, data, len);
}

/** A whole handshake; then its keys are forgotten. */
static void shake_hands(void)
{
	enum peer_state state;
	struct srtp *seal;

	open_session(&done.s, done.s.in, "third", "192.0.2.3:5000",
		     &done.id->fingerprint);
	assert(peer_dtls_begin(&done.dtls, &done.tls, send_of_done, NULL));
	state = peer_dtls_take(&done.dtls, NULL, 0);
	while (state == PEER_SHAKING && done.n) {
		const size_t n = done.n;

		done.n = 0; /* nothing is sent but as an answer to the last */
		for (size_t i = 0; i < n && state == PEER_SHAKING; i++)
			state = peer_dtls_take(&done.dtls, done.flight[i],
					       done.len[i]);
	}
	assert(state == PEER_DONE);
	assert(peer_dtls_end(&done.dtls, &seal, NULL));
	srtp_free(seal);
	done.n = 0;
}

/* As if its handshake had been done; of the keys nobody knows. */
static void give_keys(struct webrtc_session *s)
{
	uint8_t key[SRTP_KEY_LEN], salt[SRTP_SALT_MAX] = {1};

	memset(key, 2, sizeof(key));
	assert(!srtp_new(SRTP_GCM_128, SRTP_IN, key, salt, &s->srtp));
	assert(!srtp_new(SRTP_CM_SHA1_80, SRTP_OUT, key, salt, &s->reply));
}

static void begin(struct peer_session peers[2])
{
	struct input *in;

	if (!port)
		set_up();
	assert(!peer_input_new(&in));
	open_session(&peers[0], in, "first", "192.0.2.1:5000", NULL);
	open_session(&peers[1], in, "second", "192.0.2.2:5000", NULL);
	give_keys(peers[1].session);
	if (!done.s.session)
		shake_hands();
	else
		check(&done.s);
}

static void end(struct peer_session peers[2])
{
	webrtc_session_close(peers[0].session);
	webrtc_session_close(peers[1].session);
	input_free(peers[0].in);
	if (done.s.has_ended) {
		assert(done.s.why == WEBRTC_NO_CONSENT);
		webrtc_session_close(done.s.session);
		done.s.session = NULL;
	}
	assert(port->n_sessions == (done.s.session != NULL) &&
	       port->n_shaking == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct letters in = {data, len};
	struct peer_session peers[2];
	struct letter l;

	begin(peers);
	while (letter_next(&in, 5, 3, &l)) {
		const struct addr *const from[] = {&stranger, &peers[0].at,
						   &peers[1].at, NULL,
						   &done.s.at};

		if (!l.data) {
			now_us += STEP_US;
			webrtc_port_tick(port, now_us);
		} else if (l.len <= WEBRTC_DATAGRAM_MAX) {
			take(from[l.who], l.data, l.len);
		}
	}
	end(peers);
	return 0;
}
