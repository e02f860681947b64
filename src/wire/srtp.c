/** wire/srtp.c -- SRTP and SRTCP on OpenSSL's EVP. */
/* SPDX-License-Identifier: Apache-2.0 */
/* SHA1_Update and its like: EVP's allocate for every packet (OpenSSL 3.0). */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "wire/srtp.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "wire/bytes.h"

enum {
	RTP_LEN = 12, /* the fixed part of the header */
	RTCP_LEN = 8, /* what of a report is not encrypted */
	INDEX_LEN = 4,
	IV_LEN = 16,
	GCM_IV_LEN = 12,
	GCM_TAG_LEN = 16,
	CM_TAG_LEN = 10, /* of SHA-1's */
	PACKET_MAX = 65535,
	WORD_BITS = 64
};

#define ENCRYPTED  (UINT32_C(1) << 31) /* E, before the index of a report */
#define INDEX_END  (INT64_C(1) << 48)
#define REPORT_END (UINT32_C(1) << 31)

/** What has come of a row of numbers. */
struct window {
	int64_t highest;			/* -1: nothing yet */
	uint64_t seen[SRTP_WINDOW / WORD_BITS]; /* by number modulo its bits */
};

/** An SSRC. */
struct source {
	uint32_t ssrc;
	uint64_t used; /* when, in packets of the session; 0: a free place */
	struct window packets, reports;
};

/** What one kind of packets is sealed with. */
struct seal {
	EVP_CIPHER_CTX *cipher;
	uint8_t salt[SRTP_SALT_MAX];
	SHA_CTX inner, outer; /* HMAC's, its key already in: RFC 2104 */
};

struct srtp {
	enum srtp_direction direction;
	bool is_gcm;
	struct seal rtp, rtcp;
	uint64_t used; /* packets so far */
	uint32_t next_report;
	struct source sources[SRTP_SOURCES];
};

static void xor32(uint8_t *p, uint32_t v)
{
	bytes_put32(p, bytes_get32(p) ^ v);
}

/* ---- profiles --------------------------------------------------------------- */

const char *srtp_profile_name(enum srtp_profile profile)
{
	return profile == SRTP_GCM_128 ? "SRTP_AEAD_AES_128_GCM"
				       : "SRTP_AES128_CM_SHA1_80";
}

size_t srtp_salt_len(enum srtp_profile profile)
{
	return profile == SRTP_GCM_128 ? GCM_IV_LEN : SRTP_SALT_MAX;
}

/* ---- keys -------------------------------------------------------------------- */

/* Source: RFC 3711 section 4.3.2, labels. */
enum {
	LABEL_RTP = 0, /* + 0: cipher, 1: authentication, 2: salt */
	LABEL_RTCP = 3
};

/* So many bytes of the key stream whose IV is the salt with a label. */
static bool derive(EVP_CIPHER_CTX *ctx, const uint8_t *salt, size_t salt_len,
		   int label, uint8_t *out, size_t len)
{
	static const uint8_t zero[SRTP_AUTH_LEN];
	uint8_t iv[IV_LEN] = {0};
	bool ok;
	int n;

	assert(len <= sizeof(zero));
	memcpy(iv, salt, salt_len);
	iv[7] ^= (uint8_t)label; /* the octet before the 48 bits of index */
	ok = EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv) &&
	     EVP_EncryptUpdate(ctx, out, &n, zero, (int)len);
	mem_wipe(iv, sizeof(iv));
	return ok;
}

static bool derive_keys(EVP_CIPHER_CTX *ctx, enum srtp_profile profile,
			const uint8_t *salt, int label, struct srtp_keys *out)
{
	const size_t len = srtp_salt_len(profile);

	*out = (struct srtp_keys){0};
	return derive(ctx, salt, len, label, out->cipher,
		      sizeof(out->cipher)) &&
	       derive(ctx, salt, len, label + 1, out->auth,
		      sizeof(out->auth)) &&
	       derive(ctx, salt, len, label + 2, out->salt, len);
}

int srtp_derive(enum srtp_profile profile, const uint8_t key[SRTP_KEY_LEN],
		const uint8_t *salt, struct srtp_keys *rtp,
		struct srtp_keys *rtcp)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = ctx &&
		  EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, key, NULL) &&
		  derive_keys(ctx, profile, salt, LABEL_RTP, rtp) &&
		  derive_keys(ctx, profile, salt, LABEL_RTCP, rtcp);

	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : ENOMEM;
}

/* ---- making ------------------------------------------------------------------ */

static bool hmac_init(SHA_CTX *ctx, uint8_t pad,
		      const uint8_t key[SRTP_AUTH_LEN])
{
	uint8_t block[SHA_CBLOCK];
	bool ok;

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < SRTP_AUTH_LEN; i++)
		block[i] ^= key[i];
	ok = SHA1_Init(ctx) && SHA1_Update(ctx, block, sizeof(block));
	mem_wipe(block, sizeof(block));
	return ok;
}

static bool seal_init(struct seal *s, bool is_gcm,
		      enum srtp_direction direction,
		      const struct srtp_keys *keys)
{
	memcpy(s->salt, keys->salt, sizeof(s->salt));
	if (!hmac_init(&s->inner, 0x36, keys->auth) ||
	    !hmac_init(&s->outer, 0x5c, keys->auth))
		return false;
	s->cipher = EVP_CIPHER_CTX_new();
	/* A key stream is the same in both directions. */
	return s->cipher &&
	       EVP_CipherInit_ex(s->cipher,
				 is_gcm ? EVP_aes_128_gcm() : EVP_aes_128_ctr(),
				 NULL, keys->cipher, NULL,
				 direction == SRTP_OUT);
}

int srtp_new_keyed(enum srtp_profile profile, enum srtp_direction direction,
		   const struct srtp_keys *rtp, const struct srtp_keys *rtcp,
		   struct srtp **out)
{
	struct srtp *s = mem_zalloc(sizeof(*s));

	if (!s)
		return ENOMEM;
	s->direction = direction;
	s->is_gcm = profile == SRTP_GCM_128;
	if (!seal_init(&s->rtp, s->is_gcm, direction, rtp) ||
	    !seal_init(&s->rtcp, s->is_gcm, direction, rtcp)) {
		srtp_free(s);
		return ENOMEM;
	}
	*out = s;
	return 0;
}

int srtp_new(enum srtp_profile profile, enum srtp_direction direction,
	     const uint8_t key[SRTP_KEY_LEN], const uint8_t *salt,
	     struct srtp **out)
{
	struct srtp_keys rtp, rtcp;
	int err = srtp_derive(profile, key, salt, &rtp, &rtcp);

	if (!err)
		err = srtp_new_keyed(profile, direction, &rtp, &rtcp, out);
	mem_wipe(&rtp, sizeof(rtp));
	mem_wipe(&rtcp, sizeof(rtcp));
	return err;
}

void srtp_free(struct srtp *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->rtp.cipher);
	EVP_CIPHER_CTX_free(s->rtcp.cipher);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

/* ---- sources ------------------------------------------------------------------ */

static struct source *find_source(struct srtp *s, uint32_t ssrc)
{
	for (size_t i = 0; i < ARRAY_LEN(s->sources); i++) {
		struct source *src = &s->sources[i];

		if (src->used && src->ssrc == ssrc)
			return src;
	}
	return NULL;
}

/* A place for another one: a free one, or of who has been silent longest. */
static struct source *add_source(struct srtp *s, uint32_t ssrc)
{
	struct source *oldest = &s->sources[0];

	for (size_t i = 1; i < ARRAY_LEN(s->sources); i++) {
		if (s->sources[i].used < oldest->used)
			oldest = &s->sources[i];
	}
	*oldest = (struct source){
		.ssrc = ssrc, .packets.highest = -1, .reports.highest = -1};
	return oldest;
}

static uint64_t bit_of(int64_t n)
{
	return UINT64_C(1) << (n % WORD_BITS);
}

static uint64_t *word_of(struct window *w, int64_t n)
{
	return &w->seen[n / WORD_BITS % (SRTP_WINDOW / WORD_BITS)];
}

/* 0, or EALREADY. */
static int window_check(struct window *w, int64_t n)
{
	if (n > w->highest)
		return 0;
	return w->highest - n >= SRTP_WINDOW || (*word_of(w, n) & bit_of(n))
		       ? EALREADY
		       : 0;
}

static void window_mark(struct window *w, int64_t n)
{
	if (n - w->highest >= SRTP_WINDOW) {
		memset(w->seen, 0, sizeof(w->seen));
		w->highest = n;
	}
	while (w->highest < n) {
		w->highest++;
		*word_of(w, w->highest) &= ~bit_of(w->highest);
	}
	*word_of(w, n) |= bit_of(n);
}

/* The number that ends in `seq` and is nearest to the highest so far; may be
 * negative.  Source: RFC 3711 section 3.3.1, appendix A. */
static int64_t place(const struct window *w, uint16_t seq)
{
	if (w->highest < 0)
		return seq;
	return w->highest + (int16_t)(seq - (uint16_t)w->highest);
}

/* What a packet is before it is looked into. */
struct wanted {
	struct source *source; /* NULL: a new one */
	uint32_t ssrc;
	int64_t n;
	bool is_report;
};

static int want(struct srtp *s, uint32_t ssrc, struct wanted *out)
{
	out->ssrc = ssrc;
	out->source = find_source(s, ssrc);
	if (!out->source)
		return 0;
	return window_check(out->is_report ? &out->source->reports
					   : &out->source->packets,
			    out->n);
}

/* It was authentic. */
static void remember(struct srtp *s, const struct wanted *w)
{
	struct source *src = w->source ? w->source : add_source(s, w->ssrc);

	src->used = ++s->used;
	window_mark(w->is_report ? &src->reports : &src->packets, w->n);
}

/* ---- ciphers ------------------------------------------------------------------- */

/* Source: RFC 3711 section 4.1.1. */
static void make_cm_iv(const struct seal *seal, uint32_t ssrc, int64_t n,
		       uint8_t iv[IV_LEN])
{
	memcpy(iv, seal->salt, SRTP_SALT_MAX);
	memset(iv + SRTP_SALT_MAX, 0, IV_LEN - SRTP_SALT_MAX);
	xor32(iv + 4, ssrc);
	xor32(iv + 8, (uint32_t)(n >> 16));
	iv[12] ^= (uint8_t)(n >> 8);
	iv[13] ^= (uint8_t)n;
}

/* Source: RFC 7714 sections 8.1, 9.1: of both the number ends the IV. */
static void make_gcm_iv(const struct seal *seal, uint32_t ssrc, int64_t n,
			uint8_t iv[GCM_IV_LEN])
{
	memcpy(iv, seal->salt, GCM_IV_LEN);
	xor32(iv + 2, ssrc);
	iv[6] ^= (uint8_t)(n >> 40);
	iv[7] ^= (uint8_t)(n >> 32);
	xor32(iv + 8, (uint32_t)n);
}

/* The key stream over `len` bytes. */
static bool run_cm(const struct seal *seal, uint32_t ssrc, int64_t n,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t iv[IV_LEN];
	int done;

	make_cm_iv(seal, ssrc, n, iv);
	return EVP_CipherInit_ex(seal->cipher, NULL, NULL, NULL, iv, -1) &&
	       (len == 0 ||
		EVP_CipherUpdate(seal->cipher, out, &done, in, (int)len));
}

/** Bytes that are authenticated and not encrypted: one piece, or two. */
struct aad {
	const uint8_t *data;
	size_t len;
	const uint8_t *more;
	size_t more_len;
};

/* tag: that to be checked (in), or made (out). */
static bool run_gcm(const struct seal *seal, enum srtp_direction direction,
		    const uint8_t iv[GCM_IV_LEN], const struct aad *aad,
		    const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = seal->cipher;
	uint8_t none[GCM_TAG_LEN];
	int n;

	if (!EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) ||
	    (direction == SRTP_IN &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN,
				 tag) <= 0) ||
	    !EVP_CipherUpdate(ctx, NULL, &n, aad->data, (int)aad->len) ||
	    (aad->more_len &&
	     !EVP_CipherUpdate(ctx, NULL, &n, aad->more, (int)aad->more_len)) ||
	    (len && !EVP_CipherUpdate(ctx, out, &n, in, (int)len)) ||
	    EVP_CipherFinal_ex(ctx, none, &n) <= 0)
		return false;
	return direction == SRTP_IN ||
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN,
				   tag) > 0;
}

/* HMAC-SHA1 of `data` with `more` behind it. */
static bool run_hmac(const struct seal *seal, const uint8_t *data, size_t len,
		     const uint8_t *more, size_t more_len,
		     uint8_t mac[SRTP_AUTH_LEN])
{
	SHA_CTX ctx = seal->inner;

	if (!SHA1_Update(&ctx, data, len) ||
	    !SHA1_Update(&ctx, more, more_len) || !SHA1_Final(mac, &ctx))
		return false;
	ctx = seal->outer;
	return SHA1_Update(&ctx, mac, SRTP_AUTH_LEN) && SHA1_Final(mac, &ctx);
}

/* That of a packet ends with the cycles of its number. */
static bool run_packet_hmac(const struct seal *seal, const uint8_t *data,
			    size_t len, int64_t n, uint8_t mac[SRTP_AUTH_LEN])
{
	uint8_t cycles[4];

	bytes_put32(cycles, (uint32_t)(n >> 16));
	return run_hmac(seal, data, len, cycles, sizeof(cycles), mac);
}

/* ---- packets -------------------------------------------------------------------- */

/* Bytes before the payload, 0: no RTP, or it does not fit into `len`. */
static size_t header_len(const uint8_t *p, size_t len)
{
	size_t n;

	if (len < RTP_LEN || len > PACKET_MAX || p[0] >> 6 != 2)
		return 0;
	n = RTP_LEN + (size_t)(p[0] & 15) * 4;
	if (p[0] & 16) {
		if (len < n + 4)
			return 0;
		n += 4 + (size_t)bytes_get16(p + n + 2) * 4;
	}
	return n <= len ? n : 0;
}

static int want_packet(struct srtp *s, const uint8_t *in, struct wanted *w)
{
	const uint32_t ssrc = bytes_get32(in + 8);
	const struct source *src = find_source(s, ssrc);
	const uint16_t seq = bytes_get16(in + 2);

	*w = (struct wanted){.n = src ? place(&src->packets, seq) : seq};
	if (w->n < 0)
		return EALREADY; /* before the first */
	if (w->n >= INDEX_END)
		return EOVERFLOW;
	return want(s, ssrc, w);
}

static bool open_gcm(struct srtp *s, const struct wanted *w, const uint8_t *in,
		     size_t head, size_t body, uint8_t *out)
{
	const struct aad aad = {.data = in, .len = head};
	uint8_t iv[GCM_IV_LEN], tag[GCM_TAG_LEN];

	make_gcm_iv(&s->rtp, w->ssrc, w->n, iv);
	memcpy(tag, in + head + body, sizeof(tag));
	return run_gcm(&s->rtp, SRTP_IN, iv, &aad, in + head, body, out + head,
		       tag);
}

static bool open_cm(struct srtp *s, const struct wanted *w, const uint8_t *in,
		    size_t head, size_t body, uint8_t *out)
{
	uint8_t mac[SRTP_AUTH_LEN];

	return run_packet_hmac(&s->rtp, in, head + body, w->n, mac) &&
	       CRYPTO_memcmp(mac, in + head + body, CM_TAG_LEN) == 0 &&
	       run_cm(&s->rtp, w->ssrc, w->n, in + head, body, out + head);
}

int srtp_unprotect(struct srtp *s, const uint8_t *in, size_t len, uint8_t *out,
		   size_t *out_len)
{
	const size_t tag_len = s->is_gcm ? GCM_TAG_LEN : CM_TAG_LEN;
	const size_t head = header_len(in, len);
	struct wanted w;
	size_t body;
	int err;

	assert(s->direction == SRTP_IN);
	if (head == 0 || len - head < tag_len)
		return EBADMSG;
	body = len - head - tag_len;
	err = want_packet(s, in, &w);
	if (err)
		return err;
	memcpy(out, in, head);
	if (!(s->is_gcm ? open_gcm : open_cm)(s, &w, in, head, body, out))
		return EACCES;
	remember(s, &w);
	*out_len = head + body;
	return 0;
}

int srtp_protect(struct srtp *s, const uint8_t *in, size_t len, uint8_t *out,
		 size_t *out_len)
{
	const size_t head = header_len(in, len);
	uint8_t iv[GCM_IV_LEN], mac[SRTP_AUTH_LEN];
	struct aad aad = {.data = in, .len = head};
	struct wanted w;
	int err;
	bool ok;

	assert(s->direction == SRTP_OUT);
	if (head == 0)
		return EBADMSG;
	err = want_packet(s, in, &w);
	if (err)
		return err;
	memcpy(out, in, head);
	if (s->is_gcm) {
		make_gcm_iv(&s->rtp, w.ssrc, w.n, iv);
		ok = run_gcm(&s->rtp, SRTP_OUT, iv, &aad, in + head, len - head,
			     out + head, out + len);
	} else {
		ok = run_cm(&s->rtp, w.ssrc, w.n, in + head, len - head,
			    out + head) &&
		     run_packet_hmac(&s->rtp, out, len, w.n, mac);
		if (ok)
			memcpy(out + len, mac, CM_TAG_LEN);
	}
	if (!ok)
		return EACCES;
	remember(s, &w);
	*out_len = len + (s->is_gcm ? GCM_TAG_LEN : CM_TAG_LEN);
	return 0;
}

/* ---- reports ---------------------------------------------------------------------- */

/** Where the parts of a sealed report of `len` bytes lie. */
struct report {
	size_t body; /* bytes behind the first RTCP_LEN */
	size_t tag_at, index_at;
};

static struct report lay_out(const struct srtp *s, size_t body)
{
	const size_t end = RTCP_LEN + body;

	if (s->is_gcm)
		return (struct report){body, end, end + GCM_TAG_LEN};
	return (struct report){body, end + INDEX_LEN, end};
}

static size_t report_trailer(const struct srtp *s)
{
	return INDEX_LEN +
	       (s->is_gcm ? (size_t)GCM_TAG_LEN : (size_t)CM_TAG_LEN);
}

static bool open_report_gcm(struct srtp *s, const struct wanted *w,
			    const struct report *r, const uint8_t *in,
			    bool encrypted, uint8_t *out)
{
	/* What is not encrypted is all authenticated: RFC 7714 section 9.3. */
	const struct aad aad = {.data = in,
				.len = encrypted ? RTCP_LEN
						 : RTCP_LEN + r->body,
				.more = in + r->index_at,
				.more_len = INDEX_LEN};
	uint8_t iv[GCM_IV_LEN], tag[GCM_TAG_LEN];

	make_gcm_iv(&s->rtcp, w->ssrc, w->n, iv);
	memcpy(tag, in + r->tag_at, sizeof(tag));
	return run_gcm(&s->rtcp, SRTP_IN, iv, &aad, in + RTCP_LEN,
		       encrypted ? r->body : 0, out + RTCP_LEN, tag);
}

static bool open_report_cm(struct srtp *s, const struct wanted *w,
			   const struct report *r, const uint8_t *in,
			   bool encrypted, uint8_t *out)
{
	uint8_t mac[SRTP_AUTH_LEN];

	return run_hmac(&s->rtcp, in, r->tag_at, NULL, 0, mac) &&
	       CRYPTO_memcmp(mac, in + r->tag_at, CM_TAG_LEN) == 0 &&
	       (!encrypted || run_cm(&s->rtcp, w->ssrc, w->n, in + RTCP_LEN,
				     r->body, out + RTCP_LEN));
}

int srtcp_unprotect(struct srtp *s, const uint8_t *in, size_t len, uint8_t *out,
		    size_t *out_len)
{
	struct wanted w = {.is_report = true};
	struct report r;
	uint32_t index;
	bool encrypted;
	int err;

	assert(s->direction == SRTP_IN);
	if (len < RTCP_LEN + report_trailer(s) || len > PACKET_MAX ||
	    in[0] >> 6 != 2)
		return EBADMSG;
	r = lay_out(s, len - RTCP_LEN - report_trailer(s));
	index = bytes_get32(in + r.index_at);
	encrypted = index & ENCRYPTED;
	w.n = index & ~ENCRYPTED;
	err = want(s, bytes_get32(in + 4), &w);
	if (err)
		return err;
	memcpy(out, in, RTCP_LEN + (encrypted ? 0 : r.body));
	if (!(s->is_gcm ? open_report_gcm : open_report_cm)(s, &w, &r, in,
							    encrypted, out))
		return EACCES;
	remember(s, &w);
	*out_len = RTCP_LEN + r.body;
	return 0;
}

int srtcp_protect(struct srtp *s, const uint8_t *in, size_t len, uint8_t *out,
		  size_t *out_len)
{
	uint8_t iv[GCM_IV_LEN], mac[SRTP_AUTH_LEN];
	const struct seal *seal = &s->rtcp;
	struct aad aad = {.data = in, .len = RTCP_LEN, .more_len = INDEX_LEN};
	uint32_t ssrc, n;
	struct report r;
	bool ok;

	assert(s->direction == SRTP_OUT);
	if (len < RTCP_LEN || len > PACKET_MAX || in[0] >> 6 != 2)
		return EBADMSG;
	if (s->next_report == REPORT_END)
		return EOVERFLOW;
	n = s->next_report++; /* not again, whatever happens */
	ssrc = bytes_get32(in + 4);
	r = lay_out(s, len - RTCP_LEN);
	memcpy(out, in, RTCP_LEN);
	bytes_put32(out + r.index_at, n | ENCRYPTED);
	if (s->is_gcm) {
		aad.more = out + r.index_at;
		make_gcm_iv(seal, ssrc, n, iv);
		ok = run_gcm(seal, SRTP_OUT, iv, &aad, in + RTCP_LEN, r.body,
			     out + RTCP_LEN, out + r.tag_at);
	} else {
		ok = run_cm(seal, ssrc, n, in + RTCP_LEN, r.body,
			    out + RTCP_LEN) &&
		     run_hmac(seal, out, r.tag_at, NULL, 0, mac);
		if (ok)
			memcpy(out + r.tag_at, mac, CM_TAG_LEN);
	}
	*out_len = len + report_trailer(s);
	return ok ? 0 : EACCES;
}

void srtp_skip_to(struct srtp *s, uint32_t next_report, uint32_t ssrc,
		  int64_t highest)
{
	struct source *src = find_source(s, ssrc);

	s->next_report = next_report;
	assert(src);
	window_mark(&src->packets, highest);
}
