/** base/str.c -- text from outside into numbers, and small text helpers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *value)
{
	const char *p = *s == '-' ? s + 1 : s;
	long long v;

	if (!is_digit(*p))
		return EINVAL;
	while (is_digit(*p))
		p++;
	if (*p)
		return EINVAL;
	errno = 0;
	v = strtoll(s, NULL, 10);
	if (errno == ERANGE || v < min || v > max)
		return ERANGE;
	*value = v;
	return 0;
}

int str_to_u64(const char *s, uint64_t *value)
{
	uint64_t v = 0;

	if (!*s)
		return EINVAL;
	for (; *s; s++) {
		uint64_t digit;

		if (!is_digit(*s))
			return EINVAL;
		digit = (uint64_t)(*s - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return ERANGE;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}

int str_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int64_t unit_us(const char *unit)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {
		{"ms", 1000},
		{"s", 1000000},
		{"m", 60 * 1000000LL},
		{"h", 3600 * 1000000LL},
		{"d", 86400 * 1000000LL},
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!strcmp(units[i].name, unit))
			return units[i].us;
	}
	return 0;
}

int str_to_duration_us(const char *s, int64_t *us)
{
	const int64_t most = 3660LL * 86400 * 1000000;
	int64_t number = 0;
	int64_t unit;

	if (!is_digit(*s))
		return EINVAL;
	for (; is_digit(*s); s++) {
		number = number * 10 + (*s - '0');
		if (number > most)
			return ERANGE;
	}
	if (!*s && number == 0) {
		*us = 0;
		return 0;
	}
	unit = unit_us(s);
	if (!unit)
		return EINVAL;
	if (number > most / unit)
		return ERANGE;
	*us = number * unit;
	return 0;
}

bool str_copy(char *to, size_t cap, const char *from)
{
	size_t len = strnlen(from, cap);
	bool fits = len < cap;

	if (!fits)
		len = cap - 1;
	memcpy(to, from, len);
	to[len] = 0;
	return fits;
}

/** Length of the UTF-8 sequence at `p` (at most `left` bytes), 0 if bad. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	uint32_t c = p[0];
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
			      : 4;

	if (n <= 1)
		return n;
	if (c > 0xf4 || n > left)
		return 0;
	c &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

/** Is the sequence at `p` a control character (C0, DEL or C1)? */
static bool is_control(const uint8_t *p)
{
	return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
}

bool str_is_clean_utf8(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;

	while (len) {
		size_t n = utf8_len(p, len);

		if (!n || is_control(p))
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool str_starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool str_is_same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}
