/**
 * rooms/near.c -- WebRTC from programs on the machine of the server.
 *
 * WHAT  Where the configuration names no address, the ports of WebRTC are bound
 *       to all IPv4 addresses, the kernel drops what has not come by "lo", and
 *       who is on this machine is told all of its addresses.
 * WHY   Firefox and libnice pair nothing with a loopback address.
 * DESIGN
 *   - Others are told the loopback address, as ever: what this machine is called
 *     in its networks is not their matter.
 *   - Addresses come and go with networks, so they are looked up for who comes.
 *   - Where it cannot be (no other address is known, the kernel has no filter,
 *     the port is taken at another address), the loopback address is all.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <net/if.h>
#include <string.h>

#include "rooms/private.h"

enum { OWN_MAX = 64 };

size_t near_pick(const struct addr *own, size_t n_own,
		 const struct addr *loopback,
		 char out[WHIP_ADDRESSES_MAX][ADDR_TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < n_own && n < WHIP_ADDRESSES_MAX - 1; i++)
		if (own[i].sa.sa_family == AF_INET &&
		    !addr_is_loopback(&own[i]))
			addr_write_host(&own[i], out[n++]);
	if (n)
		addr_write_host(loopback, out[n++]);
	return n;
}

bool near_look(struct rooms *r)
{
	struct addr own[OWN_MAX];
	const size_t n = addr_list_own(own, OWN_MAX);

	r->n_own = near_pick(own, n, &r->bind_at, r->own_addresses);
	return r->n_own > 0;
}

unsigned near_interface(struct rooms *r)
{
	return near_look(r) ? if_nametoindex("lo") : 0;
}

bool near_is(const struct rooms *r, const char *ip)
{
	struct addr a;

	if (!r->is_near || !ip || addr_parse(ip, &a))
		return false;
	for (size_t i = 0; i < r->n_own; i++)
		if (!strcmp(r->own_addresses[i], ip))
			return true;
	return addr_is_loopback(&a);
}
