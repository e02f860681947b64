/** io/addr.c -- addresses: text, comparing, and where callbacks may go. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/inside.h"

/** A range of addresses that is not global unicast. */
struct prefix {
	uint8_t bytes[16];
	unsigned bits;
	const char *what;
};

/* Source: IANA IPv4 Special-Purpose Address Registry, and RFC 5771 for
 * multicast.  Ranges that the registry calls globally reachable (AS112, AMT)
 * are left out; the protocol assignments 192.0.0.0/24 are refused whole. */
static const struct prefix prefixes4[] = {
	{{0}, 8, "this network (RFC 791)"},
	{{10}, 8, "private use (RFC 1918)"},
	{{100, 64}, 10, "shared address space (RFC 6598)"},
	{{127}, 8, "loopback (RFC 1122)"},
	{{169, 254}, 16, "link-local (RFC 3927)"},
	{{172, 16}, 12, "private use (RFC 1918)"},
	{{192, 0, 0}, 24, "protocol assignments (RFC 6890)"},
	{{192, 0, 2}, 24, "documentation (RFC 5737)"},
	{{192, 88, 99}, 24, "6to4 relay (RFC 7526)"},
	{{192, 168}, 16, "private use (RFC 1918)"},
	{{198, 18}, 15, "benchmarking (RFC 2544)"},
	{{198, 51, 100}, 24, "documentation (RFC 5737)"},
	{{203, 0, 113}, 24, "documentation (RFC 5737)"},
	{{224}, 4, "multicast (RFC 5771)"},
	{{240}, 4, "reserved or broadcast (RFC 1112)"},
};

/* Source: IANA IPv6 Special-Purpose Address Registry and RFC 4291.  What
 * carries an IPv4 address inside (mapped, NAT64, 6to4) is refused whole: it
 * could lead to any of the ranges above. */
static const struct prefix prefixes6[] = {
	{{0}, 128, "unspecified (RFC 4291)"},
	{{[15] = 1}, 128, "loopback (RFC 4291)"},
	{{[10] = 0xff, 0xff}, 96, "IPv4-mapped (RFC 4291)"},
	{{0}, 96, "IPv4-compatible (RFC 4291)"},
	{{0, 0x64, 0xff, 0x9b}, 96, "NAT64 (RFC 6052)"},
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, "local NAT64 (RFC 8215)"},
	{{1}, 64, "discard-only (RFC 6666)"},
	{{0x20, 0x01}, 23, "protocol assignments (RFC 2928)"},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation (RFC 3849)"},
	{{0x20, 0x02}, 16, "6to4 (RFC 3056)"},
	{{0x3f, 0xff}, 20, "documentation (RFC 9637)"},
	{{0x5f}, 16, "segment routing (RFC 9602)"},
	{{0xfc}, 7, "unique local (RFC 4193)"},
	{{0xfe, 0x80}, 10, "link-local (RFC 4291)"},
	{{0xfe, 0xc0}, 10, "site-local (RFC 3879)"},
	{{0xff}, 8, "multicast (RFC 4291)"},
};

/* ---- text -------------------------------------------------------------- */

static int parse_port(const char *text, uint16_t *port)
{
	int64_t value;

	if (str_to_i64(text, 0, UINT16_MAX, &value))
		return EINVAL;
	*port = (uint16_t)value;
	return 0;
}

/** Cut `text` into host and port (NULL: none), in place. */
static int split(char *text, char **host, char **port)
{
	char *colon = strchr(text, ':');
	char *end;

	*host = text;
	*port = NULL;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return EINVAL;
		*host = text + 1;
		*end = 0;
		*port = end[1] ? end + 2 : NULL;
		/* Brackets are for IPv6. */
		return strchr(*host, ':') ? 0 : EINVAL;
	}
	if (colon && !strchr(colon + 1, ':')) {
		*colon = 0;
		*port = colon + 1;
	}
	return 0;
}

int addr_parse(const char *text, struct addr *out)
{
	char copy[ADDR_TEXT_MAX];
	struct addr a = {0};
	char *host, *port;
	uint16_t number = 0;

	if (!str_copy(copy, sizeof(copy), text) || split(copy, &host, &port) ||
	    (port && parse_port(port, &number)))
		return EINVAL;
	if (inet_pton(AF_INET, host, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
	} else if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
	} else {
		return EINVAL;
	}
	addr_set_port(&a, number);
	*out = a;
	return 0;
}

const char *addr_write_host(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	switch (a->len ? a->sa.sa_family : AF_UNSPEC) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in4.sin_addr, text, ADDR_TEXT_MAX);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, ADDR_TEXT_MAX);
		break;
	default:
		snprintf(text, ADDR_TEXT_MAX, "-");
	}
	return text;
}

const char *addr_write(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];

	addr_write_host(a, host);
	if (!a->len)
		snprintf(text, ADDR_TEXT_MAX, "%s", host);
	else
		snprintf(text, ADDR_TEXT_MAX,
			 a->sa.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
			 host, addr_port(a));
	return text;
}

/* ---- comparing --------------------------------------------------------- */

bool addr_is_equal(const struct addr *a, const struct addr *b)
{
	if (!a->len || !b->len)
		return a->len == b->len;
	if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr,
		       sizeof(a->in6.sin6_addr)) &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

uint16_t addr_port(const struct addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port
						 : a->in4.sin_port);
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in4.sin_port = htons(port);
}

void addr_unmap(struct addr *a)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};

	if (a->sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in4.sin_port = a->in6.sin6_port;
	memcpy(&in4.sin_addr, &a->in6.sin6_addr.s6_addr[12], 4);
	*a = (struct addr){.in4 = in4, .len = sizeof(in4)};
}

void addr_map(struct addr *a)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (a->sa.sa_family != AF_INET)
		return;
	in6.sin6_port = a->in4.sin_port;
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &a->in4.sin_addr, 4);
	*a = (struct addr){.in6 = in6, .len = sizeof(in6)};
}

bool addr_is_loopback(const struct addr *a)
{
	struct addr plain = *a;

	addr_unmap(&plain);
	if (!plain.len)
		return false;
	if (plain.sa.sa_family == AF_INET)
		return ntohl(plain.in4.sin_addr.s_addr) >> 24 == 127;
	return plain.sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&plain.in6.sin6_addr);
}

/* ---- where callbacks may go -------------------------------------------- */

static bool is_in(const uint8_t *bytes, const struct prefix *p)
{
	size_t whole = p->bits / 8;
	unsigned rest = p->bits % 8;

	if (memcmp(bytes, p->bytes, whole) != 0)
		return false;
	return !rest || (bytes[whole] ^ p->bytes[whole]) >> (8 - rest) == 0;
}

static const char *find(const struct prefix *p, size_t n, const uint8_t *bytes)
{
	for (; n; n--, p++) {
		if (is_in(bytes, p))
			return p->what;
	}
	return NULL;
}

const char *addr_special(const struct addr *a)
{
	const char *what;
	const uint8_t *bytes;

	switch (a->len ? a->sa.sa_family : AF_UNSPEC) {
	case AF_INET:
		bytes = (const uint8_t *)&a->in4.sin_addr;
		return find(prefixes4, ARRAY_LEN(prefixes4), bytes);
	case AF_INET6:
		bytes = a->in6.sin6_addr.s6_addr;
		what = find(prefixes6, ARRAY_LEN(prefixes6), bytes);
		/* Source: IANA IPv6 Address Space registry: 2000::/3 is all
		 * that is given out as global unicast. */
		if (!what && bytes[0] >> 5 != 1)
			what = "not allocated (RFC 4291)";
		return what;
	default:
		return "not an IP address";
	}
}

bool addr_is_global(const struct addr *a)
{
	return !addr_special(a);
}

/* ---- this machine ------------------------------------------------------------ */

struct addr addr_any(void)
{
	return (struct addr){.len = sizeof(struct sockaddr_in),
			     .in4.sin_family = AF_INET};
}

struct addr addr_loopback(void)
{
	struct addr a = addr_any();

	a.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/** Of an interface that is up: a host's address, or len 0. */
static struct addr own_address(const struct ifaddrs *i)
{
	struct addr a = {0};

	if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
		return a;
	if (i->ifa_addr->sa_family == AF_INET)
		a.len = sizeof(a.in4);
	else if (i->ifa_addr->sa_family == AF_INET6)
		a.len = sizeof(a.in6);
	memcpy(&a.any, i->ifa_addr, a.len);
	if (a.len == sizeof(a.in6) && IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr))
		a.len = 0;
	return a;
}

size_t addr_list_own(struct addr *out, size_t cap)
{
	struct ifaddrs *list = NULL;
	size_t n = 0;

	if (getifaddrs(&list))
		return 0;
	for (int loopback = 0; loopback < 2; loopback++) {
		for (const struct ifaddrs *i = list; i && n < cap;
		     i = i->ifa_next) {
			const struct addr a = own_address(i);

			if (a.len && addr_is_loopback(&a) == loopback)
				out[n++] = a;
		}
	}
	freeifaddrs(list);
	return n;
}
