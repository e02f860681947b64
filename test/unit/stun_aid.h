/** test/unit/stun_aid.h -- a peer's checks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_STUN_AID_H
#define TEST_UNIT_STUN_AID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "wire/sig.h"
#include "wire/stun.h"

/** A message that grows. */
struct stun_made {
	uint8_t bytes[STUN_MAX];
	size_t len;
};

static inline void made_set_length(struct stun_made *m, size_t more)
{
	const size_t len = m->len + more - STUN_HEADER_LEN;

	m->bytes[2] = (uint8_t)(len >> 8);
	m->bytes[3] = (uint8_t)len;
}

static inline void made_begin(struct stun_made *m, uint16_t type, uint8_t id)
{
	static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};

	memset(m, 0, sizeof(*m));
	m->bytes[0] = (uint8_t)(type >> 8);
	m->bytes[1] = (uint8_t)type;
	memcpy(m->bytes + 4, cookie, sizeof(cookie));
	memset(m->bytes + 8, id, STUN_ID_LEN);
	m->len = STUN_HEADER_LEN;
}

static inline void made_add(struct stun_made *m, uint16_t type,
			    const void *value, size_t len)
{
	uint8_t *at = m->bytes + m->len;

	at[0] = (uint8_t)(type >> 8);
	at[1] = (uint8_t)type;
	at[2] = (uint8_t)(len >> 8);
	at[3] = (uint8_t)len;
	if (len)
		memcpy(at + 4, value, len);
	m->len += 4 + ((len + 3) & ~(size_t)3);
	made_set_length(m, 0);
}

/** MESSAGE-INTEGRITY with that password. */
static inline void made_sign(struct stun_made *m, const char *pwd)
{
	uint8_t mac[SIG_SHA1_LEN];

	made_set_length(m, 4 + sizeof(mac));
	(void)!sig_hmac_sha1(pwd, strlen(pwd), m->bytes, m->len, mac);
	made_add(m, 0x0008, mac, sizeof(mac));
}

/** FINGERPRINT. */
static inline void made_seal(struct stun_made *m)
{
	uint8_t v[4];
	uint32_t crc;

	made_set_length(m, 8);
	crc = (uint32_t)crc32(0, m->bytes, (uInt)m->len) ^ 0x5354554e;
	for (int i = 0; i < 4; i++)
		v[i] = (uint8_t)(crc >> (24 - 8 * i));
	made_add(m, 0x8028, v, sizeof(v));
}

/** A check as browsers send it. */
static inline void made_check(struct stun_made *m, uint8_t id,
			      const char *username, const char *pwd,
			      bool use_candidate)
{
	static const uint8_t tie[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	static const uint8_t priority[4] = {0x6e, 0x7f, 0x1e, 0xff};

	made_begin(m, STUN_BINDING, id);
	made_add(m, 0x0006, username, strlen(username));
	made_add(m, 0x802a, tie, sizeof(tie)); /* ICE-CONTROLLING */
	if (use_candidate)
		made_add(m, 0x0025, NULL, 0);
	made_add(m, 0x0024, priority, sizeof(priority));
	made_sign(m, pwd);
	made_seal(m);
}

#endif
