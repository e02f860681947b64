/** wire/bytes.h -- numbers in network byte order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_BYTES_H
#define WIRE_BYTES_H

#include <stdint.h>

static inline uint16_t bytes_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bytes_get32(const uint8_t *p)
{
	return (uint32_t)bytes_get16(p) << 16 | bytes_get16(p + 2);
}

/** Returns where the next one goes, as bytes_put32. */
static inline uint8_t *bytes_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static inline uint8_t *bytes_put32(uint8_t *p, uint32_t v)
{
	return bytes_put16(bytes_put16(p, (uint16_t)(v >> 16)), (uint16_t)v);
}

#endif
