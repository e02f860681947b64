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

#include "base/log.h"
#include "intake/webrtc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OPUS = 111, RED = 63, STEP_US = 1000000 };

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

static void on_connected(const struct addr *peer, int64_t now_us, void *arg)
{
	(void)peer;
	(void)now_us;
	(void)arg;
}

static void on_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	(void)now_us;
	(void)arg;
	assert(*webrtc_end_name(why));
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

static void set_up(void)
{
	log_set_sink(ignore_line, NULL);
	assert(!addr_parse("192.0.2.66:6666", &stranger));
	assert(!webrtc_identity_new(&id));
	assert(!webrtc_port_new(id, &webrtc_limits_usual, on_send, NULL,
				&port));
}

struct rig {
	struct input *in;
	struct webrtc_session *session[2];
	struct addr at[2];
	int64_t now_us;
};

static void open_session(struct rig *r, int i, const char *ufrag,
			 const char *at)
{
	static const struct webrtc_session_events events = {
		.connected = on_connected, .ended = on_ended};
	struct webrtc_credentials local;
	struct webrtc_session_config c = {.local = &local,
					  .remote_ufrag = "theirs",
					  .in = r->in,
					  .opus_pt = OPUS,
					  .red_pt = RED};
	struct stun check = {.id = (const uint8_t *)"123456789012",
			     .method = STUN_BINDING};
	struct datagram d = {.from = &r->at[i], .arrival_us = r->now_us};

	assert(!webrtc_credentials_make(&local));
	memcpy(local.ufrag, ufrag, strlen(ufrag) + 1);
	assert(!addr_parse(at, &r->at[i]));
	assert(!webrtc_session_open(port, &c, &events, NULL, r->now_us,
				    &r->session[i]));
	session_checked(r->session[i]->name, &check, &d);
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
	static const struct input_events events = {
		.chunk = on_chunk, .mic_on = on_mic, .mic_off = on_mic};
	const struct input_config ic = {.window_us = 400000,
					.is_authentic = true,
					.opus_pt = OPUS,
					.red_pt = RED};
	struct rig r = {.now_us = 1000 * (int64_t)STEP_US};

	if (!port)
		set_up();
	assert(!input_new(&ic, &events, NULL, &r.in));
	open_session(&r, 0, "first", "192.0.2.1:5000");
	open_session(&r, 1, "second", "192.0.2.2:5000");
	give_keys(r.session[1]);
	while (len >= 3) {
		const struct addr *const from[] = {&stranger, &r.at[0],
						   &r.at[1]};
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
	webrtc_session_close(r.session[0]);
	webrtc_session_close(r.session[1]);
	input_free(r.in);
	assert(port->n_sessions == 0 && port->n_shaking == 0);
	return 0;
}
