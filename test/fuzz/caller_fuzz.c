/**
 * test/fuzz/caller_fuzz.c -- datagrams at somebody who calls by WebRTC.
 *
 * The first byte says how far it is: bit 0, its checks are answered; bit 1, it
 * waits for the peer's hello.  Then a row of datagrams as in webrtc_fuzz.c:
 * where each comes from (0: a stranger, 1: the peer; 2: not a datagram, the
 * clock goes on), two bytes of length, its bytes.
 * Nothing may be sent to the stranger: it does not know the password.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "intake/webrtc.h"
#include "letters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEP_US = 1000000 };

static const char their_pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";

static struct webrtc_identity *id;
static struct addr stranger, peer;

struct rig {
	struct webrtc_caller *caller;
	bool answers;
	uint8_t answer[STUN_ANSWER_MAX]; /* answer_len of it, 0: none */
	size_t answer_len;
	unsigned n_ended;
	int64_t now_us;
};

static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	const struct stun_addr seen = {.port = 1};
	struct rig *r = arg;
	struct stun s;

	assert(addr_is_equal(to, &peer) && len <= DTLS_MTU);
	if (r->answers && stun_is_likely(data[0]) &&
	    !stun_parse(data, len, &s) && s.class == STUN_REQUEST)
		r->answer_len =
			stun_write_success(&s, &seen, their_pwd, r->answer);
}

static void on_connected(void *arg)
{
	(void)arg;
	assert(0); /* nobody shakes hands here */
}

static void on_report(const uint8_t *data, size_t len, void *arg)
{
	(void)data;
	(void)arg;
	assert(len > 0 && len <= WEBRTC_DATAGRAM_MAX);
}

static void on_ended(enum webrtc_end why, void *arg)
{
	struct rig *r = arg;

	assert(*webrtc_end_name(why));
	r->n_ended++;
}

static void ignore_line(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void give(struct rig *r, const struct addr *from, const uint8_t *data,
		 size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	const struct datagram d = {.data = copy,
				   .len = len,
				   .from = from,
				   .arrival_us = r->now_us};

	memcpy(copy, data, len);
	webrtc_caller_take(r->caller, &d);
	free(copy);
}

static void tick(struct rig *r)
{
	uint8_t answer[STUN_ANSWER_MAX];

	r->now_us += STEP_US;
	webrtc_caller_tick(r->caller, r->now_us);
	for (int i = 0; i < 2 && r->answer_len; i++) {
		const size_t len = r->answer_len;

		memcpy(answer, r->answer, len);
		r->answer_len = 0;
		give(r, &peer, answer, len);
	}
}

static void set_up(void)
{
	log_set_sink(ignore_line, NULL);
	assert(!addr_parse("192.0.2.66:6666", &stranger));
	assert(!addr_parse("192.0.2.1:5000", &peer));
	assert(!webrtc_identity_new(&id));
}

static void begin(struct rig *r, uint8_t how)
{
	static const struct webrtc_caller_events events = {
		.send = on_send,
		.connected = on_connected,
		.report = on_report,
		.ended = on_ended,
	};
	const struct webrtc_credentials local = {"firstone",
						 "abcdefghijklmnopqrstuvwx"};
	const struct webrtc_caller_config c = {
		.id = id,
		.local = &local,
		.remote_ufrag = "them",
		.remote_pwd = their_pwd,
		.fingerprint = *webrtc_identity_fingerprint(id),
		.is_awaited = how & 2,
		.peers = &peer,
		.n_peers = 1,
	};

	r->answers = how & 1;
	r->now_us = 1000 * (int64_t)STEP_US;
	assert(!webrtc_caller_open(&c, &events, r, r->now_us, &r->caller));
	tick(r);
	assert(webrtc_caller_peer(r->caller)->len ==
	       (r->answers ? peer.len : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rig r = {0};
	struct letters in;
	struct letter l;

	if (!id)
		set_up();
	if (!len)
		return 0;
	begin(&r, data[0]);
	in = (struct letters){data + 1, len - 1};
	while (letter_next(&in, 3, 2, &l)) {
		if (!l.data)
			tick(&r);
		else if (l.len <= WEBRTC_DATAGRAM_MAX)
			give(&r, l.who ? &peer : &stranger, l.data, l.len);
	}
	assert(r.n_ended <= 1);
	webrtc_caller_close(r.caller);
	return 0;
}
