/** test/fuzz/letters.h -- an input as a row of datagrams, and the time. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_LETTERS_H
#define TEST_FUZZ_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What is left of the input. */
struct letters {
	const uint8_t *data;
	size_t len;
};

struct letter {
	uint8_t who;
	const uint8_t *data; /* NULL: no datagram, the clock goes on */
	size_t len;
};

/** The next one: a byte that says who of n_who it is from, two bytes of length,
 *  and its bytes; from `clock` only the first three are its.  False: the end. */
static inline bool letter_next(struct letters *in, uint8_t n_who, uint8_t clock,
			       struct letter *out)
{
	size_t said;

	if (in->len < 3)
		return false;
	said = (size_t)in->data[1] << 8 | in->data[2];
	*out = (struct letter){.who = in->data[0] % n_who};
	in->data += 3;
	in->len -= 3;
	if (out->who == clock)
		return true;
	out->data = in->data;
	out->len = said < in->len ? said : in->len;
	in->data += out->len;
	in->len -= out->len;
	return true;
}

#endif
