/** wire/callback_proof.c -- what of a callback is signed, and how. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/callback.h"

enum { BASE_MAX = CALLBACK_BODY_MAX + 512, VALUE_MAX = CALLBACK_FIELDS_MAX };

void callback_proof_init(struct callback_proof *p)
{
	*p = (struct callback_proof){0};
	buf_init(&p->base, BASE_MAX);
	buf_init(&p->value, VALUE_MAX);
}

void callback_proof_fini(struct callback_proof *p)
{
	buf_fini(&p->base);
	buf_fini(&p->value);
}

/** Append the value of the header line that begins with `name` ("id: "). */
static void take_field(const struct callback_request *r, const char *name,
		       struct buf *out)
{
	const char *line = buf_str(&r->fields);

	while (*line && !str_starts_with(line, name))
		line += strcspn(line, "\n") + 1;
	if (*line)
		line += strlen(name);
	buf_append(out, line, strcspn(line, "\n"));
}

/** Append the value of the last parameter that begins with `name` ("&a="):
 *  ours stand behind those of the endpoint. */
static void take_parameter(const struct callback_request *r, const char *name,
			   struct buf *out)
{
	const char *found = NULL;

	for (const char *at = buf_str(&r->url); (at = strstr(at, name)); at++)
		found = at;
	if (!found)
		return;
	found += strlen(name);
	buf_append(out, found, strcspn(found, "&#"));
}

static void prove_body(const struct callback_request *r, const char *field,
		       struct callback_proof *out)
{
	out->over = "the body";
	buf_append(&out->base, r->body.data, r->body.len);
	take_field(r, field, &out->value);
}

static void prove_standard(const struct callback_style *style,
			   const struct callback_request *r,
			   struct callback_proof *out)
{
	out->algorithm = str_starts_with(style->key, "whsec_") ? "HMAC-SHA256"
							       : "Ed25519";
	out->over = "webhook-id.webhook-timestamp.body";
	out->where = "header webhook-signature";
	take_field(r, "webhook-id: ", &out->base);
	buf_putc(&out->base, '.');
	take_field(r, "webhook-timestamp: ", &out->base);
	buf_putc(&out->base, '.');
	buf_append(&out->base, r->body.data, r->body.len);
	take_field(r, "webhook-signature: ", &out->value);
}

int callback_prove(const struct callback_style *style,
		   const struct callback_request *r, struct callback_proof *out)
{
	switch (style->dialect) {
	case DIALECT_GME:
		out->algorithm = "HMAC-SHA1";
		out->where = "header Signature";
		prove_body(r, "Signature: ", out);
		break;
	case DIALECT_LIVE:
		if (!style->key[0])
			break;
		out->algorithm = "SHA-256";
		out->over = "the key, and behind it RequestTime";
		out->where = "parameter Sign";
		take_parameter(r, "&RequestTime=", &out->base);
		take_parameter(r, "&Sign=", &out->value);
		break;
	case DIALECT_TRTC:
		if (!style->key[0])
			break;
		out->algorithm = "HMAC-SHA256";
		out->where = "header Sign";
		prove_body(r, "Sign: ", out);
		break;
	default:
		prove_standard(style, r, out);
		break;
	}
	return buf_err(&out->base) || buf_err(&out->value) ? ENOMEM : 0;
}
