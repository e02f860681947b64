/** commands/sign.c -- `tapeop sign`: sign a body as a sender would. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/signing.h"

static const char help[] =
	"usage: tapeop sign --dialect gme  --key KEY [--encoding base64|hex] "
	"FILE\n"
	"       tapeop sign --dialect live --key KEY [--request-time S] "
	"[FILE]\n"
	"\n"
	"Print the signature of a callback as its sender would send it.\n"
	"\n"
	"  --dialect D       gme: the header `Signature`, HMAC-SHA1 of the "
	"bytes of\n"
	"                    FILE; live: the URL parameters Sign and "
	"RequestTime,\n"
	"                    SHA-256 of token and time (the body is not "
	"signed)\n"
	"  --key KEY         env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                    see in the list of processes\n"
	"  --encoding E      gme: base64 (default) or hex\n"
	"  --request-time S  live: seconds since 1970 (default: now)\n"
	"  FILE              the body, byte for byte; - is standard input\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 usage.\n";

static int sign_gme(const struct signing *s)
{
	char text[SIGNATURE_TEXT_MAX];

	if (callback_sign_gme(s->key, s->body.data, s->body.len, s->encoding,
			      text))
		return signing_fail(s, EXIT_FAILED, "out of memory");
	printf("Signature: %s\n", text);
	return EXIT_DONE;
}

static int sign_live(const struct signing *s)
{
	char text[SIGNATURE_TEXT_MAX];
	int64_t time_s = clock_unix_ms() / 1000;

	/* signing_init() has checked it. */
	if (s->request_time &&
	    str_to_i64(s->request_time, 0, INT64_MAX, &time_s))
		return EXIT_USAGE;
	if (callback_sign_live(s->key, time_s, text))
		return signing_fail(s, EXIT_FAILED, "out of memory");
	printf("Sign=%s&RequestTime=%" PRId64 "\n", text, time_s);
	return EXIT_DONE;
}

int command_sign(int argc, char **argv)
{
	struct signing s;
	int code = signing_init(&s, argc, argv, help);

	if (code >= 0)
		goto out;
	if (s.signature)
		code = signing_fail(&s, EXIT_USAGE,
				    "--signature is for `tapeop verify`");
	else if (s.dialect == DIALECT_GME)
		code = sign_gme(&s);
	else
		code = sign_live(&s);
out:
	signing_fini(&s);
	return code;
}
