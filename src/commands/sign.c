/** commands/sign.c -- `tapeop sign`: sign a body as a sender would. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "commands/commands.h"
#include "commands/signing.h"

static const char help[] =
	"usage: tapeop sign --dialect gme  --key KEY [--encoding base64|hex] "
	"FILE\n"
	"       tapeop sign --dialect trtc --key KEY FILE\n"
	"       tapeop sign --dialect live --key KEY [--request-time S] "
	"[FILE]\n"
	"       tapeop sign --dialect standard --key KEY [--id ID] "
	"[--timestamp S]\n"
	"                   FILE\n"
	"\n"
	"Print the signature of a callback as its sender would send it.\n"
	"\n"
	"  --dialect D       gme: the header `Signature`, HMAC-SHA1 of the "
	"bytes of\n"
	"                    FILE; trtc: the header `Sign`, HMAC-SHA256 of "
	"them;\n"
	"                    live: the URL parameters Sign and RequestTime, "
	"SHA-256\n"
	"                    of token and time (the body is not signed);\n"
	"                    standard: the headers of Standard Webhooks 1.0, "
	"over\n"
	"                    \"id.timestamp.body\"\n"
	"  --key KEY         env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                    see in the list of processes; standard: whsec_ "
	"or whsk_\n"
	"  --encoding E      gme: base64 (default) or hex\n"
	"  --request-time S  live: seconds since 1970 (default: now)\n"
	"  --timestamp S     standard: seconds since 1970 (default: now)\n"
	"  --id ID           standard: of the message (default: evt_0)\n"
	"  FILE              the body, byte for byte; - is standard input\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 usage.\n";

static int sign_gme(const struct signing *s, char *text)
{
	int err = callback_sign_gme(s->key, s->body.data, s->body.len,
				    s->encoding, text);

	if (!err)
		printf("Signature: %s\n", text);
	return err;
}

static int sign_trtc(const struct signing *s, char *text)
{
	int err = callback_sign_trtc(s->key, s->body.data, s->body.len, text);

	if (!err)
		printf("Sign: %s\n", text);
	return err;
}

static int sign_live(const struct signing *s, char *text)
{
	int64_t time_s = signing_time_s(s);
	int err = callback_sign_live(s->key, time_s, text);

	if (!err)
		printf("Sign=%s&RequestTime=%" PRId64 "\n", text, time_s);
	return err;
}

static int sign_standard(const struct signing *s, char *text)
{
	const char *id = s->id ? s->id : "evt_0";
	int64_t time_s = signing_time_s(s);
	int err = callback_sign_standard(s->key, id, time_s, s->body.data,
					 s->body.len, text);

	if (!err)
		printf("webhook-id: %s\nwebhook-timestamp: %" PRId64
		       "\nwebhook-signature: %s\n",
		       id, time_s, text);
	return err;
}

static int sign(const struct signing *s)
{
	static int (*const by_dialect[])(const struct signing *, char *) = {
		[DIALECT_GME] = sign_gme,
		[DIALECT_LIVE] = sign_live,
		[DIALECT_TRTC] = sign_trtc,
		[DIALECT_STANDARD] = sign_standard,
	};
	char text[CALLBACK_STANDARD_SIGNATURE_MAX];

	if (s->dialect == DIALECT_STANDARD && !callback_key_signs(s->key))
		return signing_fail(s, EXIT_USAGE,
				    "--key: whpk_ verifies only; sign with "
				    "whsk_ or whsec_");
	if (by_dialect[s->dialect](s, text))
		return signing_fail(s, EXIT_FAILED, "out of memory");
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
	else
		code = sign(&s);
out:
	signing_fini(&s);
	return code;
}
