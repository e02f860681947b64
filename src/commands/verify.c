/** commands/verify.c -- `tapeop verify`: check a callback's signature. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/signing.h"

static const char help[] =
	"usage: tapeop verify --dialect gme  --key KEY --signature S\n"
	"                     [--encoding base64|hex] FILE\n"
	"       tapeop verify --dialect live --key KEY --signature S\n"
	"                     --request-time S [FILE]\n"
	"\n"
	"Check the signature of a callback; print `ok`, or why it is wrong.\n"
	"\n"
	"  --dialect D       gme: HMAC-SHA1 of the bytes of FILE; live: "
	"SHA-256 of\n"
	"                    token and time (the body is not signed)\n"
	"  --key KEY         env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                    see in the list of processes\n"
	"  --signature S     gme: the value of the header `Signature`; live: "
	"the URL\n"
	"                    parameter Sign\n"
	"  --encoding E      gme: take base64 or hex only (default: both)\n"
	"  --request-time S  live: the URL parameter RequestTime; wrong when "
	"it is\n"
	"                    more than 60 s from now, as for a receiver\n"
	"  FILE              the body, byte for byte as received; - is "
	"standard\n"
	"                    input\n"
	"\n"
	"Exit codes: 0 ok, 1 not ok or failed, 2 usage.\n";

/** Is the signature's length that of its --encoding? */
static bool has_its_encoding(const struct signing *s)
{
	size_t len = strlen(s->signature);

	return !s->has_encoding ||
	       len == (s->encoding == SIGNATURE_HEX ? 40 : 28);
}

static int verify_gme(const struct signing *s)
{
	char why[400];

	if (callback_verify_gme(s->key, s->body.data, s->body.len,
				s->signature)) {
		if (has_its_encoding(s))
			return EXIT_DONE;
		return signing_fail(s, EXIT_FAILED,
				    "right, but in %s and not as --encoding "
				    "says",
				    s->encoding == SIGNATURE_HEX ? "base64"
								 : "hex");
	}
	signing_explain(s, why, sizeof(why));
	return signing_fail(s, EXIT_FAILED, "%s", why);
}

/** Would this token with a newline at its end, or without, do? */
static int explain_token(const struct signing *s, int64_t now_ms)
{
	char token[4096 + 2];
	size_t len = strlen(s->key);
	int err;

	snprintf(token, sizeof(token), "%s\n", s->key);
	err = callback_verify_live(token, s->signature, s->request_time,
				   now_ms);
	if (err == 0 || err == ETIME)
		return signing_fail(s, EXIT_FAILED,
				    "the sender's token has a newline at its "
				    "end");
	while (len && strchr(" \t\r\n", s->key[len - 1]))
		len--;
	token[len] = 0;
	err = callback_verify_live(token, s->signature, s->request_time,
				   now_ms);
	if (err == 0 || err == ETIME)
		return signing_fail(s, EXIT_FAILED,
				    "this --key has a space or newline at its "
				    "end, the sender's has none");
	return signing_fail(s, EXIT_FAILED,
			    "wrong: another token, or another --request-time "
			    "than was sent");
}

static int verify_live(const struct signing *s)
{
	int64_t now_ms = clock_unix_ms();
	int64_t sent_s = 0;
	int64_t age_s;

	if (!s->request_time ||
	    str_to_i64(s->request_time, 0, INT64_MAX, &sent_s))
		return signing_fail(s, EXIT_USAGE, "--request-time is missing");
	age_s = now_ms / 1000 - sent_s;
	switch (callback_verify_live(s->key, s->signature, s->request_time,
				     now_ms)) {
	case 0:
		return EXIT_DONE;
	case ETIME:
		return signing_fail(s, EXIT_FAILED,
				    "the sign is right, but RequestTime is "
				    "%" PRId64 " s %s; receivers take %d s",
				    age_s < 0 ? -age_s : age_s,
				    age_s < 0 ? "ahead" : "old",
				    CALLBACK_LIVE_AGE_MAX_S);
	case EACCES:
		return explain_token(s, now_ms);
	case EBADMSG:
		return signing_fail(s, EXIT_FAILED,
				    "a Sign has 64 hex digits, this is not one "
				    "(%zu characters)",
				    strlen(s->signature));
	default:
		return signing_fail(s, EXIT_FAILED, "out of memory");
	}
}

int command_verify(int argc, char **argv)
{
	struct signing s;
	int code = signing_init(&s, argc, argv, help);

	if (code >= 0)
		goto out;
	if (!s.signature)
		code = signing_fail(&s, EXIT_USAGE, "--signature is missing");
	else if (s.dialect == DIALECT_GME)
		code = verify_gme(&s);
	else
		code = verify_live(&s);
	if (code == EXIT_DONE)
		puts("ok");
out:
	signing_fini(&s);
	return code;
}
