/** commands/verify.c -- `tapeop verify`: check a callback's signature. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "commands/commands.h"
#include "commands/signing.h"

static const char help[] =
	"usage: tapeop verify --dialect gme  --key KEY --signature S\n"
	"                     [--encoding base64|hex] FILE\n"
	"       tapeop verify --dialect trtc --key KEY --signature S FILE\n"
	"       tapeop verify --dialect live --key KEY --signature S\n"
	"                     --request-time S [FILE]\n"
	"       tapeop verify --dialect standard --key KEY --signature S\n"
	"                     --id ID --timestamp S FILE\n"
	"\n"
	"Check the signature of a callback; print `ok`, or why it is wrong.\n"
	"\n"
	"  --dialect D       gme: HMAC-SHA1 of the bytes of FILE; trtc:\n"
	"                    HMAC-SHA256 of them; live: SHA-256 of token and "
	"time\n"
	"                    (the body is not signed); standard: Standard "
	"Webhooks\n"
	"                    1.0, over \"id.timestamp.body\"\n"
	"  --key KEY         env:NAME, file:PATH, or the key itself, which "
	"others can\n"
	"                    see in the list of processes; standard: whsec_, "
	"or whpk_\n"
	"  --signature S     the header `Signature` (gme), `Sign` (trtc) or\n"
	"                    `webhook-signature` (standard); live: the URL "
	"parameter\n"
	"                    Sign\n"
	"  --encoding E      gme: take base64 only, or hex only (default: "
	"both)\n"
	"  --request-time S  live: the URL parameter RequestTime; wrong when "
	"it is\n"
	"                    more than 60 s from now, as for a receiver\n"
	"  --id ID           standard: the header `webhook-id`\n"
	"  --timestamp S     standard: the header `webhook-timestamp`; wrong "
	"when it\n"
	"                    is more than 5 minutes from now\n"
	"  FILE              the body, byte for byte as received; - is "
	"standard\n"
	"                    input\n"
	"\n"
	"Example: tapeop verify --dialect gme --key env:KEY \\\n"
	"           --signature OMq/UrCKkCemvlrPqj2MlsQVB4g= body.json\n"
	"\n"
	"Exit codes: 0 ok, 1 not ok or failed, 2 usage.\n";

/** Is the signature's length that of its --encoding? */
static bool has_its_encoding(const struct signing *s)
{
	size_t len = strlen(s->signature);

	return !s->has_encoding ||
	       len == (s->encoding == SIGNATURE_HEX ? 40 : 28);
}

static int explain(const struct signing *s)
{
	char why[480];

	signing_explain(s, why, sizeof(why));
	return signing_fail(s, EXIT_FAILED, "%s", why);
}

static int verify_gme(const struct signing *s)
{
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
	return explain(s);
}

static int verify_trtc(const struct signing *s)
{
	return callback_verify_trtc(s->key, s->body.data, s->body.len,
				    s->signature)
		       ? EXIT_DONE
		       : explain(s);
}

/** Right but at the wrong time: `name` is what tells the time. */
static int fail_time(const struct signing *s, const char *what,
		     const char *name, int64_t now_ms, int max_s)
{
	int64_t age_s = now_ms / 1000 - signing_time_s(s);

	return signing_fail(s, EXIT_FAILED,
			    "the %s is right, but %s is %" PRId64
			    " s %s; receivers take %d s",
			    what, name, age_s < 0 ? -age_s : age_s,
			    age_s < 0 ? "ahead" : "old", max_s);
}

static int verify_standard(const struct signing *s)
{
	int64_t now_ms = clock_unix_ms();

	if (!s->id || !s->request_time)
		return signing_fail(s, EXIT_USAGE, "--%s is missing",
				    s->id ? "timestamp" : "id");
	switch (callback_verify_standard(s->key, s->id, s->request_time,
					 s->signature, s->body.data,
					 s->body.len, now_ms)) {
	case 0:
		return EXIT_DONE;
	case ETIME:
		return fail_time(s, "signature", "--timestamp", now_ms,
				 CALLBACK_STANDARD_AGE_MAX_S);
	case ENOMEM:
		return signing_fail(s, EXIT_FAILED, "out of memory");
	default:
		return explain(s);
	}
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

	if (!s->request_time)
		return signing_fail(s, EXIT_USAGE, "--request-time is missing");
	switch (callback_verify_live(s->key, s->signature, s->request_time,
				     now_ms)) {
	case 0:
		return EXIT_DONE;
	case ETIME:
		return fail_time(s, "sign", "RequestTime", now_ms,
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
	static int (*const by_dialect[])(const struct signing *) = {
		[DIALECT_GME] = verify_gme,
		[DIALECT_LIVE] = verify_live,
		[DIALECT_TRTC] = verify_trtc,
		[DIALECT_STANDARD] = verify_standard,
	};
	struct signing s;
	int code = signing_init(&s, argc, argv, help);

	if (code >= 0)
		goto out;
	if (!s.signature)
		code = signing_fail(&s, EXIT_USAGE, "--signature is missing");
	else
		code = by_dialect[s.dialect](&s);
	if (code == EXIT_DONE)
		puts("ok");
out:
	signing_fini(&s);
	return code;
}
