/**
 * test/fuzz/webrtc_fuzz.c -- datagrams at a WebRTC port.
 *
 * The input is a row of datagrams: a byte that says where each comes from
 * (0: a stranger, 1: a peer that has shown its credentials, 2: the same, with
 * SRTP keys in place; 3: not a datagram, the clock goes on), two bytes of
 * length, and its bytes.  Nothing may be sent to the stranger, whatever it
 * says: it does not know the password.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../aid/webrtc_peer.h"
#include "base/log.h"
#include "intake/webrtc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEP_US = 1000000 };

static struct webrtc_identity *id;
static struct webrtc_port *port;
static struct addr stranger;

static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	(void)data;
	(void)arg;
	assert(len <= DTLS_MTU);
	assert(!addr_is_equal(to, &stranger));
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
	assert(!webrtc_port_new(id, &webrtc_limits_usual, on_send, NULL,
				&port));
}

struct rig {
	struct peer_session peers[2]; /* of one input */
	int64_t now_us;
};

static void open_session(struct rig *r, int i, const char *ufrag,
			 const char *at)
{
	struct peer_session *p = &r->peers[i];
	struct stun check = {.id = (const uint8_t *)"123456789012",
			     .method = STUN_BINDING};
	struct datagram d = {.from = &p->at, .arrival_us = r->now_us};

	p->in = r->peers[0].in;
	memcpy(p->local.ufrag, ufrag, strlen(ufrag) + 1);
	assert(!addr_parse(at, &p->at));
	assert(!peer_session_open(p, port, NULL, r->now_us));
	session_checked(p->session->name, &check, &d);
}

/* As if its handshake had been done; of the keys nobody knows. */
static void give_keys(struct webrtc_session *s)
{
	uint8_t key[SRTP_KEY_LEN], salt[SRTP_SALT_MAX] = {1};

	memset(key, 7, sizeof(key));
	assert(!srtp_new(SRTP_GCM_128, SRTP_IN, key, salt, &s->srtp));
	assert(!srtp_new(SRTP_CM_SHA1_80, SRTP_OUT, key, salt, &s->reply));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rig r = {.now_us = 1000 * (int64_t)STEP_US};

	if (!port)
		set_up();
	assert(!peer_input_new(&r.peers[0].in));
	open_session(&r, 0, "first", "192.0.2.1:5000");
	open_session(&r, 1, "second", "192.0.2.2:5000");
	give_keys(r.peers[1].session);
	while (len >= 3) {
		const struct addr *const from[] = {&stranger, &r.peers[0].at,
						   &r.peers[1].at};
		const uint8_t who = data[0] % 4;
		const size_t said = (size_t)data[1] << 8 | data[2];
		const size_t n = said < len - 3 ? said : len - 3;

		data += 3;
		len -= 3;
		if (who == 3) {
			r.now_us += STEP_US;
			webrtc_port_tick(port, r.now_us);
		} else if (n <= WEBRTC_DATAGRAM_MAX) {
			uint8_t *copy = malloc(n ? n : 1);
			struct datagram d = {.data = copy,
					     .len = n,
					     .from = from[who],
					     .arrival_us = r.now_us};

			memcpy(copy, data, n);
			webrtc_port_take(port, &d);
			free(copy);
		}
		data += who == 3 ? 0 : n;
		len -= who == 3 ? 0 : n;
	}
	webrtc_session_close(r.peers[0].session);
	webrtc_session_close(r.peers[1].session);
	input_free(r.peers[0].in);
	assert(port->n_sessions == 0 && port->n_shaking == 0);
	return 0;
}
