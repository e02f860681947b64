/** rooms/sender.c -- who sends to an input, as other threads see it (a
 *  sequence lock of atomics), and who has caused something. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"
#include "rooms/media.h"

void by_set(struct by *by, const struct caller *who)
{
	*by = (struct by){0};
	if (!who || !who->ip || !who->ip[0])
		return;
	str_copy(by->ip, sizeof(by->ip), who->ip);
	str_copy(by->platform, sizeof(by->platform),
		 who->platform ? who->platform : "Unknown");
}

void by_set_user(struct by *by, const struct addr *sender)
{
	char text[ADDR_TEXT_MAX];

	by_set(by, &(struct caller){.ip = addr_write_host(sender, text)});
}

void sender_show(struct shown_sender *to, const struct addr *a)
{
	const bool is_v6 = a->sa.sa_family == AF_INET6;
	uint64_t words[2] = {0};
	uint32_t turn;

	if (is_v6)
		memcpy(words, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	else
		memcpy(words, &a->in4.sin_addr, sizeof(a->in4.sin_addr));
	turn = atomic_load(&to->turn);
	atomic_store(&to->turn, turn + 1);
	atomic_store(&to->words[0], words[0]);
	atomic_store(&to->words[1], words[1]);
	atomic_store(&to->port, addr_port(a));
	atomic_store(&to->family, a->sa.sa_family);
	atomic_store(&to->turn, turn + 2);
}

bool sender_read(struct shown_sender *from, struct addr *out)
{
	uint64_t words[2];
	uint32_t before;
	int family;
	uint16_t port;

	/* again, while another one is written */
	do {
		before = atomic_load(&from->turn);
		words[0] = atomic_load(&from->words[0]);
		words[1] = atomic_load(&from->words[1]);
		port = (uint16_t)atomic_load(&from->port);
		family = atomic_load(&from->family);
	} while (before % 2 || atomic_load(&from->turn) != before);
	if (!family)
		return false;
	*out = (struct addr){.len = sizeof(out->in4)};
	if (family == AF_INET6) {
		out->len = sizeof(out->in6);
		memcpy(&out->in6.sin6_addr, words, sizeof(out->in6.sin6_addr));
	} else {
		memcpy(&out->in4.sin_addr, words, sizeof(out->in4.sin_addr));
	}
	out->sa.sa_family = (sa_family_t)family;
	addr_set_port(out, port);
	return true;
}
