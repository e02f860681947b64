/** lib/keys.c -- which keys are for which dialect. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "lib/inside.h"

/** Does it say itself that it is one of Standard Webhooks? */
static bool is_of_standard(const char *key)
{
	return str_starts_with(key, "whsec_") ||
	       str_starts_with(key, "whsk_") || str_starts_with(key, "whpk_");
}

bool lib_key_fits(enum dialect d, const char *key)
{
	struct err e;

	if (d == DIALECT_STANDARD)
		return !callback_key_check(d, key, &e);
	return key[0] && !is_of_standard(key);
}

enum tapeop_error tapeop_key_check(enum tapeop_dialect dialect, const char *key,
				   char *why, size_t why_cap)
{
	const struct lib_why to = {why, why_cap};
	struct err e = {0};
	enum dialect d;

	if (!key || !lib_dialect(dialect, &d))
		return lib_say(&to, TAPEOP_BAD_ARGUMENT,
			       "key is NULL or dialect is none");
	if (d == DIALECT_STANDARD && callback_key_check(d, key, &e))
		return lib_say(&to, TAPEOP_NO_KEY, "%s", e.text);
	if (!key[0])
		return lib_say(&to, TAPEOP_NO_KEY, "the key is empty");
	if (!lib_key_fits(d, key))
		return lib_say(&to, TAPEOP_NO_KEY,
			       "a key that begins with whsec_, whsk_ or whpk_ "
			       "is one of the dialect standard only");
	return lib_say_usual(&to, TAPEOP_OK);
}
