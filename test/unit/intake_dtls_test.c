/** test/unit/intake_dtls_test.c -- handshakes: who is let in, and what a
 *  network may do to them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "webrtc_aid.h"

enum { LETTERS = 24 /* more than a handshake has */ };

/** Up to 10 s for a handshake, with checks as a peer makes them. */
static void join_within(struct peer *p, int64_t us)
{
	const int64_t until_us = fake_us + us;

	join(p);
	while (!(p->done && p->n_connected) && fake_us < until_us)
		pass(p->rig, WEBRTC_TICK_US);
	assert_true(p->done);
	assert_int_equal(p->n_connected, 1);
	say(p);
	say(p);
	assert_int_equal(heard(p).packets, 2);
	assert_int_equal(p->n_ended, 0);
}

/* ---- a network ------------------------------------------------------------------ */

/** The n-th DTLS datagram arrives so often. */
struct one {
	unsigned at, times;
	unsigned n; /* so far */
};

static unsigned fate_of_one(const struct letter *l, unsigned n, void *arg)
{
	struct one *o = arg;

	(void)n;
	if (!dtls_is_likely(l->data[0]))
		return 1;
	return o->n++ == o->at ? o->times : 1;
}

static unsigned count_datagrams(size_t mtu)
{
	const struct peer_options options = {.mtu = mtu};
	struct one none = {.at = 1000};
	struct rig *r = rig_new(NULL);

	r->fate = fate_of_one;
	r->fate_arg = &none;
	join_within(peer_new(r, "192.0.2.1:5000", &options, NULL), 0);
	rig_free(r);
	return none.n;
}

static void any_datagram_may_be_lost_or_come_twice(void **state)
{
	const unsigned n = count_datagrams(0);

	(void)state;
	assert_in_range(n, 4, LETTERS);
	for (unsigned times = 0; times <= 2; times += 2) {
		for (unsigned at = 0; at < n; at++) {
			struct one o = {.at = at, .times = times};
			struct rig *r = rig_new(NULL);

			r->fate = fate_of_one;
			r->fate_arg = &o;
			join_within(peer_new(r, "192.0.2.1:5000", NULL, NULL),
				    3 * S_US);
			rig_free(r);
		}
	}
}

static void any_datagram_may_be_lost_of_a_peer_that_fragments(void **state)
{
	const struct peer_options options = {.mtu = 256};
	const unsigned n = count_datagrams(256);

	(void)state;
	assert_in_range(n, count_datagrams(0) + 2, LETTERS);
	for (unsigned at = 0; at < n; at++) {
		struct one o = {.at = at};
		struct rig *r = rig_new(NULL);

		r->fate = fate_of_one;
		r->fate_arg = &o;
		join_within(peer_new(r, "192.0.2.1:5000", &options, NULL),
			    3 * S_US);
		rig_free(r);
	}
}

/** A bad network that is the same for the same seed. */
struct weather {
	uint32_t seed;
	unsigned lost, doubled; /* of 100 */
};

static uint32_t next_of(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static unsigned fate_by_weather(const struct letter *l, unsigned n, void *arg)
{
	struct weather *w = arg;
	const unsigned x = next_of(&w->seed) % 100;

	(void)n;
	if (!dtls_is_likely(l->data[0]))
		return 1;
	return x < w->lost ? 0 : x < w->lost + w->doubled ? 2 : 1;
}

/** Carry what is under way, in any order. */
static void carry_shuffled(struct rig *r, uint32_t *seed)
{
	for (size_t i = r->n; i > 1; i--) {
		const size_t k = next_of(seed) % i;
		struct letter *l = r->queue[i - 1];

		r->queue[i - 1] = r->queue[k];
		r->queue[k] = l;
	}
	carry(r);
}

static void in_any_order_with_a_quarter_lost_it_is_done_in_time(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		const struct peer_options options = {.mtu = seed % 2 ? 0 : 300};
		struct weather w = {.seed = seed, .lost = 25, .doubled = 20};
		struct rig *r = rig_new(NULL);
		struct peer *p = peer_new(r, "192.0.2.1:5000", &options, NULL);
		/* ours has 10 s; when it is done, the peer's goes on */
		const int64_t until_us = fake_us + 25 * S_US;

		check(p);
		r->fate = fate_by_weather;
		r->fate_arg = &w;
		peer_shake(p);
		while (!(p->done && p->n_connected) && fake_us < until_us) {
			carry_shuffled(r, &w.seed);
			pass(r, WEBRTC_TICK_US);
		}
		assert_int_equal(p->n_ended, 0);
		assert_true(p->done);
		r->fate = NULL;
		say(p);
		assert_int_equal(heard(p).packets, 1);
		rig_free(r);
	}
}

/** An identity whose certificate does not fit into two datagrams. */
static struct webrtc_identity *long_identity(void)
{
	struct webrtc_identity *id;
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	char comment[3000];

	assert_int_equal(webrtc_identity_new(&id), 0);
	memset(comment, 'x', sizeof(comment));
	assert_int_equal(ASN1_STRING_set(text, comment, sizeof(comment)), 1);
	assert_int_equal(X509_add1_ext_i2d(id->cert, NID_netscape_comment, text,
					   0, X509V3_ADD_DEFAULT),
			 1);
	assert_true(X509_sign(id->cert, id->key, EVP_sha256()) > 0);
	ASN1_IA5STRING_free(text);
	return id;
}

static void a_long_flight_is_cut_to_the_mtu(void **state)
{
	struct rig *r = rig_of(long_identity(), NULL);

	(void)state;
	join_within(peer_new(r, "192.0.2.1:5000", NULL, NULL), 0);
	assert_in_range(r->largest, DTLS_MTU / 2, DTLS_MTU);
	assert_true(r->bytes_sent > 3000);
	rig_free(r);
	for (unsigned at = 0; at < 8; at++) {
		struct one o = {.at = at};

		r = rig_of(long_identity(), NULL);
		r->fate = fate_of_one;
		r->fate_arg = &o;
		join_within(peer_new(r, "192.0.2.1:5000", NULL, NULL),
			    3 * S_US);
		assert_true(r->largest <= DTLS_MTU);
		rig_free(r);
	}
}

/** Junk, truncations and flipped bits of real datagrams, then the real one. */
static unsigned fate_with_junk(const struct letter *l, unsigned n, void *arg)
{
	struct rig *r = arg;
	uint8_t bytes[WEBRTC_DATAGRAM_MAX];

	if (!l->to_port || !dtls_is_likely(l->data[0]))
		return 1;
	r->fate = NULL;
	memset(bytes, 0xa5, sizeof(bytes));
	bytes[0] = (uint8_t)(20 + n % 6);
	give(r, &l->peer, bytes, 13 + n);
	for (size_t len = 1; len < DTLS_RECORD_HEADER_LEN; len++)
		give(r, &l->peer, l->data, len);
	/* of another epoch, of another version, of another kind */
	memcpy(bytes, l->data, l->len);
	bytes[4] = 7;
	give(r, &l->peer, bytes, l->len);
	memcpy(bytes, l->data, l->len);
	bytes[1] ^= 0x10;
	give(r, &l->peer, bytes, l->len);
	memcpy(bytes, l->data, l->len);
	bytes[0] = 23;
	give(r, &l->peer, bytes, l->len);
	r->fate = fate_with_junk;
	return 1;
}

static void junk_from_its_address_does_not_disturb_a_handshake(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	check(p);
	r->fate = fate_with_junk;
	r->fate_arg = r;
	peer_shake(p);
	carry(r);
	pass(r, S_US);
	assert_true(p->done && p->n_connected == 1);
	say(p);
	assert_int_equal(heard(p).packets, 1);
	rig_free(r);
}

/* What OpenSSL holds [bytes]. */
static size_t n_held;

static void *count_realloc(void *p, size_t len, const char *file, int line)
{
	void *more;

	(void)file;
	(void)line;
	n_held -= malloc_usable_size(p);
	more = realloc(p, len);
	n_held += malloc_usable_size(more);
	return more;
}

static void *count_malloc(size_t len, const char *file, int line)
{
	return count_realloc(NULL, len, file, line);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	n_held -= malloc_usable_size(p);
	free(p);
}

/** Records that seem to be sealed by keys that are not there yet. */
static void early_records_cost_little_and_hinder_nobody(void **state)
{
	uint8_t bytes[5 * 60] = {0};
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct letter *hello;
	size_t before;

	(void)state;
	check(p);
	peer_shake(p);
	hello = r->queue[--r->n];
	give(r, &p->at, hello->data, hello->len);
	before = n_held;
	for (unsigned i = 0; i < 500; i++) {
		uint8_t *record = bytes + i % 5 * 60;

		record[0] = 22;
		record[1] = 0xfe;
		record[2] = 0xfd;
		record[4] = 1; /* the epoch */
		record[9] = (uint8_t)(i >> 8);
		record[10] = (uint8_t)i;
		record[12] = 60 - DTLS_RECORD_HEADER_LEN;
		/* one in a datagram, then some */
		if (i < 4)
			give(r, &p->at, record, 60);
		else if (i % 5 == 4)
			give(r, &p->at, bytes, sizeof(bytes));
	}
	assert_in_range(n_held - before, 1, 512 * 1024);
	assert_int_equal(p->n_ended, 0);
	test_free(hello);
	rig_free(r);
}

static void a_few_early_records_hinder_nobody(void **state)
{
	uint8_t early[60] = {22, 0xfe, 0xfd, 0, 1};
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct letter *hello;

	(void)state;
	check(p);
	peer_shake(p);
	hello = r->queue[--r->n];
	give(r, &p->at, hello->data, hello->len);
	test_free(hello);
	for (unsigned len = 0; len < 48; len++) {
		early[10] = (uint8_t)(9 + len);
		early[12] = (uint8_t)len;
		/* too short to be sealed, and a few that are not */
		if (len < 24 || len % 4 == 0)
			give(r, &p->at, early, DTLS_RECORD_HEADER_LEN + len);
	}
	carry(r);
	pass(r, S_US);
	assert_true(p->done && p->n_connected == 1);
	rig_free(r);
}

/** A hello that does not fit into one datagram, as with keys that are safe
 *  from quantum computers; its pieces in this order or the other. */
static void a_hello_of_several_datagrams_begins_a_handshake(void **state)
{
	uint8_t protocols[1600];

	(void)state;
	/* an extension that is long: names of protocols, 200 bytes each */
	memset(protocols, 'x', sizeof(protocols));
	for (size_t at = 0; at < sizeof(protocols); at += 200)
		protocols[at] = 199;
	for (int turned = 0; turned < 2; turned++) {
		struct rig *r = rig_new(NULL);
		struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

		assert_int_equal(SSL_set_alpn_protos(p->ssl, protocols,
						     sizeof(protocols)),
				 0);
		check(p);
		peer_shake(p);
		assert_int_equal(r->n, 2);
		if (turned) {
			struct letter *first = r->queue[0];

			r->queue[0] = r->queue[1];
			r->queue[1] = first;
		}
		carry(r);
		assert_true(p->done && p->n_connected == 1);
		say(p);
		assert_int_equal(heard(p).packets, 1);
		rig_free(r);
	}
}

/** Once it is done, what anybody can send from its address does not end it;
 *  nor, before, a handshake. */
static void records_that_are_not_sealed_end_no_session(void **state)
{
	static const char *const ciphers[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
					      "ECDHE-ECDSA-AES256-GCM-SHA384"};
	uint8_t record[DTLS_RECORD_HEADER_LEN + 80] = {0, 0xfe, 0xfd};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig *r = rig_new(NULL);
		struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

		assert_int_equal(SSL_set_cipher_list(p->ssl, ciphers[i / 2]),
				 1);
		record[4] = i % 2; /* the epoch */
		join(p);
		for (unsigned n = 0; n < 81 * 8; n++) {
			record[0] = (uint8_t)(19 + n / 81);
			record[10] = (uint8_t)(100 + n % 81);
			record[12] = (uint8_t)(n % 81);
			/* "fatal", or close_notify */
			record[13] = 2 - n % 2;
			record[14] = n % 2 ? 0 : 40;
			give(r, &p->at, record,
			     DTLS_RECORD_HEADER_LEN + n % 81);
			assert_int_equal(p->n_ended, 0);
		}
		say(p);
		assert_int_equal(heard(p).packets, 1);
		(void)SSL_shutdown(p->ssl); /* it is heard as before */
		carry(r);
		assert_int_equal(p->n_ended, 1);
		assert_int_equal(p->why, WEBRTC_BYE);
		rig_free(r);
	}
}

static void a_second_handshake_is_refused(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	join(p);
	assert_int_equal(SSL_renegotiate(p->ssl), 1);
	(void)SSL_do_handshake(p->ssl);
	carry(r);
	pass(r, S_US);
	ERR_clear_error();
	assert_int_not_equal(SSL_do_handshake(p->ssl), 1);
	assert_int_equal(p->n_connected, 1);
	rig_free(r);
}

/* ---- who is let in ---------------------------------------------------------------- */

static struct peer *shaken(struct rig *r, const struct peer_options *o,
			   const struct fingerprint *f)
{
	struct peer *p = peer_new(r, "192.0.2.1:5000", o, f);

	check(p);
	peer_shake(p);
	carry(r);
	return p;
}

static void another_certificate_is_refused(void **state)
{
	const int64_t n = counter_get(COUNT_webrtc_handshakes_failed);
	struct rig *r = rig_new(NULL);
	/* that of somebody else: ours */
	struct peer *p = shaken(r, NULL, webrtc_identity_fingerprint(r->id));

	(void)state;
	assert_int_equal(p->n_connected, 0);
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_BAD_CERTIFICATE);
	assert_true(p->failed); /* it was told, by an alert */
	assert_int_equal(counter_get(COUNT_webrtc_handshakes_failed), n + 1);
	rig_free(r);
}

static void one_bit_of_the_fingerprint_is_enough(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	p->session->fingerprint.bytes[31] ^= 1;
	check(p);
	peer_shake(p);
	carry(r);
	assert_int_equal(p->why, WEBRTC_BAD_CERTIFICATE);
	rig_free(r);
}

static void without_a_certificate_it_is_refused(void **state)
{
	const struct peer_options options = {.no_certificate = true};
	struct rig *r = rig_new(NULL);
	struct peer *p = shaken(r, &options, NULL);

	(void)state;
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_BAD_CERTIFICATE);
	rig_free(r);
}

static void each_hash_of_rfc_8122_is_compared(void **state)
{
	(void)state;
	for (int h = FINGERPRINT_SHA1; h <= FINGERPRINT_SHA512; h++) {
		struct rig *r = rig_new(NULL);
		struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

		assert_int_equal(webrtc_certificate_fingerprint(
					 p->id->cert, (enum fingerprint_hash)h,
					 &p->session->fingerprint),
				 0);
		check(p);
		peer_shake(p);
		carry(r);
		assert_int_equal(p->n_connected, 1);
		rig_free(r);
	}
}

static void without_srtp_it_is_refused(void **state)
{
	const struct peer_options options = {.profiles = ""};
	struct rig *r = rig_new(NULL);
	struct peer *p = shaken(r, &options, NULL);

	(void)state;
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->n_connected, 0);
	assert_int_equal(p->why, WEBRTC_NO_SRTP);
	rig_free(r);
}

static void profiles_are_agreed_on_gcm_first(void **state)
{
	static const struct {
		const char *offered, *taken;
	} cases[] = {
		{"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM",
		 "SRTP_AEAD_AES_128_GCM"},
		{"SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80",
		 "SRTP_AES128_CM_SHA1_80"},
		{"SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32",
		 "SRTP_AES128_CM_SHA1_80"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct peer_options options = {.profiles =
							     cases[i].offered};
		struct rig *r = rig_new(NULL);
		struct peer *p = shaken(r, &options, NULL);

		assert_string_equal(stats(p).srtp_profile, cases[i].taken);
		say(p);
		assert_int_equal(heard(p).packets, 1);
		rig_free(r);
	}
}

static void no_profile_in_common_is_refused(void **state)
{
	const struct peer_options options = {.profiles =
						     "SRTP_AEAD_AES_256_GCM"};
	struct rig *r = rig_new(NULL);
	struct peer *p = shaken(r, &options, NULL);

	(void)state;
	assert_int_equal(p->why, WEBRTC_NO_SRTP);
	rig_free(r);
}

static void ours_is_the_certificate_of_the_fingerprint(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = shaken(r, NULL, NULL);
	struct fingerprint f;
	X509 *cert = SSL_get1_peer_certificate(p->ssl);

	(void)state;
	assert_non_null(cert);
	assert_int_equal(
		webrtc_certificate_fingerprint(cert, FINGERPRINT_SHA256, &f),
		0);
	assert_true(
		fingerprint_is_equal(&f, webrtc_identity_fingerprint(r->id)));
	assert_int_equal(SSL_version(p->ssl), DTLS1_2_VERSION);
	/* another server has another */
	assert_false(fingerprint_is_equal(&f, &p->id->fingerprint));
	X509_free(cert);
	rig_free(r);
}

static void an_rsa_certificate_is_good_enough(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	EVP_PKEY *key = EVP_RSA_gen(2048);

	(void)state;
	assert_non_null(key);
	assert_int_equal(X509_set_pubkey(p->id->cert, key), 1);
	assert_true(X509_sign(p->id->cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_use_certificate(p->ssl, p->id->cert), 1);
	assert_int_equal(SSL_use_PrivateKey(p->ssl, key), 1);
	assert_int_equal(
		webrtc_certificate_fingerprint(p->id->cert, FINGERPRINT_SHA256,
					       &p->session->fingerprint),
		0);
	check(p);
	peer_shake(p);
	carry(r);
	assert_int_equal(p->n_connected, 1);
	EVP_PKEY_free(key);
	rig_free(r);
}

static void old_versions_are_refused(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	SSL_set_security_level(p->ssl, 0);
	assert_int_equal(SSL_set_min_proto_version(p->ssl, DTLS1_VERSION), 1);
	assert_int_equal(SSL_set_max_proto_version(p->ssl, DTLS1_VERSION), 1);
	check(p);
	peer_shake(p);
	carry(r);
	assert_true(p->failed);
	assert_int_equal(p->why, WEBRTC_BAD_HANDSHAKE);
	assert_int_equal(p->n_ended, 1);
	rig_free(r);
}

static void what_is_sent_over_dtls_is_ignored(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = shaken(r, NULL, NULL);

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(SSL_write(p->ssl, "sctp", 4), 4);
	carry(r);
	say(p);
	assert_int_equal(heard(p).packets, 1);
	assert_int_equal(p->n_ended, 0);
	rig_free(r);
}

static void only_a_hello_begins_a_handshake(void **state)
{
	static const uint8_t hello[] = {22, 0xfe, 0xff, 0, 0, 0, 0,
					0,  0,	  0,	0, 0, 1, 1};
	uint8_t bytes[sizeof(hello)];

	(void)state;
	assert_true(dtls_is_hello(hello, sizeof(hello)));
	for (size_t len = 0; len < sizeof(hello); len++)
		assert_false(dtls_is_hello(hello, len));
	for (size_t i = 0; i < sizeof(hello); i++) {
		const bool matters =
			i == 0 || i == 1 || i == 3 || i == 4 || i == 13;

		memcpy(bytes, hello, sizeof(bytes));
		bytes[i] ^= 0x55;
		assert_int_equal(dtls_is_hello(bytes, sizeof(bytes)), !matters);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_datagram_may_be_lost_or_come_twice),
		cmocka_unit_test(
			any_datagram_may_be_lost_of_a_peer_that_fragments),
		cmocka_unit_test(
			in_any_order_with_a_quarter_lost_it_is_done_in_time),
		cmocka_unit_test(a_long_flight_is_cut_to_the_mtu),
		cmocka_unit_test(
			junk_from_its_address_does_not_disturb_a_handshake),
		cmocka_unit_test(early_records_cost_little_and_hinder_nobody),
		cmocka_unit_test(a_few_early_records_hinder_nobody),
		cmocka_unit_test(
			a_hello_of_several_datagrams_begins_a_handshake),
		cmocka_unit_test(records_that_are_not_sealed_end_no_session),
		cmocka_unit_test(a_second_handshake_is_refused),
		cmocka_unit_test(another_certificate_is_refused),
		cmocka_unit_test(one_bit_of_the_fingerprint_is_enough),
		cmocka_unit_test(without_a_certificate_it_is_refused),
		cmocka_unit_test(each_hash_of_rfc_8122_is_compared),
		cmocka_unit_test(without_srtp_it_is_refused),
		cmocka_unit_test(profiles_are_agreed_on_gcm_first),
		cmocka_unit_test(no_profile_in_common_is_refused),
		cmocka_unit_test(ours_is_the_certificate_of_the_fingerprint),
		cmocka_unit_test(an_rsa_certificate_is_good_enough),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(what_is_sent_over_dtls_is_ignored),
		cmocka_unit_test(only_a_hello_begins_a_handshake),
	};

	/* before OpenSSL's first allocation */
	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
