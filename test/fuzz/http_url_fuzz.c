/** test/fuzz/http_url_fuzz.c -- callback URLs and percent escapes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What passed is an address in its one plain form, or a name that nothing
 * takes for an address. */
static void check_url(const char *url)
{
	struct http_url u;
	struct in_addr odd;
	struct err e = {0};

	if (http_url_parse(url, &u, &e)) {
		assert(e.text[0]);
		return;
	}
	assert(u.host[0] && u.port);
	assert(!strpbrk(u.host, "@/\\?#%[] "));
	if (!u.literal)
		assert(!inet_aton(u.host, &odd));
	assert(!u.literal || addr_port(&u.addr) == u.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = mem_strndup((const char *)data, len);
	char *out = mem_zalloc(len + 1);

	assert(text && out);
	if (!http_decode(text, len, out, len + 1)) {
		assert(strlen(out) <= len);
		assert(memchr(text, '\0', len) == NULL);
	}
	check_url(text);
	mem_free(text);
	mem_free(out);
	return 0;
}
