/** test/fuzz/sdp_fuzz.c -- session descriptions from strangers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sdp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/** The answer has a section for each of the offer, and one that is taken. */
static void answer(const struct sdp_offer *o)
{
	const struct sdp_ice ice = {"abcdefgh", "abcdefghijklmnopqrstuvwx"};
	const struct sdp_candidate here = {"192.0.2.7", 40000};
	const struct sdp_local local = {.ice = &ice,
					.fingerprint = &o->fingerprint,
					.candidates = &here,
					.n_candidates = 1};
	struct buf out;
	size_t lines = 0;

	buf_init(&out, SDP_TEXT_MAX);
	assert(!sdp_answer_write(o, &local, &out));
	assert(count(buf_str(&out), "\nm=") == o->n_media);
	assert(count(buf_str(&out), "\na=recvonly\r") == 1);
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n';
	/* nothing of the offer made a line of its own */
	assert(lines == count(buf_str(&out), "\r\n"));
	buf_fini(&out);
}

static void check_offer(const struct sdp_offer *o)
{
	assert(o->n_media > 0 && o->n_media <= SDP_MEDIA_MAX);
	assert(o->audio < o->n_media);
	assert(!strcmp(o->media[o->audio].kind, "audio"));
	assert(o->opus_pt >= 35 && o->opus_pt < 128);
	assert(o->opus_pt < 64 || o->opus_pt > 95);
	assert(o->red_pt != o->opus_pt && o->red_pt < 128);
	assert(o->level_ext <= 14 && o->mid_ext <= 14);
	assert(strlen(o->ice.ufrag) >= SDP_UFRAG_MIN);
	assert(strlen(o->ice.pwd) >= SDP_PWD_MIN);
	answer(o);
}

static void check_answer(const struct sdp_answer *a)
{
	assert(a->opus_pt >= 35 && a->opus_pt < 128);
	assert(a->red_pt != a->opus_pt && a->red_pt < 128);
	assert(a->level_ext <= 14 && a->n_peers <= SDP_PEERS_MAX);
	assert(strlen(a->ice.ufrag) >= SDP_UFRAG_MIN);
	assert(strlen(a->ice.pwd) >= SDP_PWD_MIN);
	for (size_t i = 0; i < a->n_peers; i++) {
		assert(a->peers[i].port);
		assert(strnlen(a->peers[i].address, SDP_ADDRESS_MAX + 1) <=
		       SDP_ADDRESS_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct sdp_offer offer;
	struct sdp_answer got;
	struct sdp_frag frag;
	struct err e = {0};
	int err = sdp_offer_parse((const char *)data, len, &offer, &e);

	assert(!err || err == EBADMSG || err == ENOTSUP);
	assert(!err == !e.text[0]);
	if (!err)
		check_offer(&offer);
	e = (struct err){0};
	err = sdp_answer_parse((const char *)data, len, &got, &e);
	assert(!err || err == EBADMSG || err == ENOTSUP);
	assert(!err == !e.text[0]);
	if (!err)
		check_answer(&got);
	e = (struct err){0};
	err = sdp_frag_parse((const char *)data, len, &frag, &e);
	assert(!err || err == EBADMSG);
	assert(!err == !e.text[0]);
	assert(err || !frag.ice.ufrag[0] == !frag.ice.pwd[0]);
	return 0;
}
