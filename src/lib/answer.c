/** lib/answer.c -- what a sender wants to hear. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lib/inside.h"
#include "wire/quote.h"

enum { TEXT_MAX = 256 /* of a reason [bytes], with its NUL */ };

static void write_failure(enum tapeop_dialect dialect, enum tapeop_error error,
			  const char *text, struct buf *out)
{
	int status = tapeop_http_status(error);

	if (dialect == TAPEOP_LIVE)
		buf_printf(out,
			   "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":%d"
			   ",\"ErrorInfo\":",
			   status);
	else
		buf_printf(out,
			   "{\"code\":%d,\"error\":\"%s\",\"message\":", status,
			   tapeop_error_name(error));
	quote_json(out, text);
	buf_putc(out, '}');
}

enum tapeop_error tapeop_answer(enum tapeop_dialect dialect,
				enum tapeop_error error, const char *text,
				char *out, size_t cap)
{
	enum tapeop_error e = TAPEOP_OK;
	char line[TEXT_MAX];
	enum dialect d;
	struct buf json;

	if (!out || !cap)
		return TAPEOP_BAD_ARGUMENT;
	if (!lib_dialect(dialect, &d)) {
		if (dialect != TAPEOP_DIALECT_NONE)
			return TAPEOP_BAD_ARGUMENT;
		d = DIALECT_GME;
	}
	quote_line(line, sizeof(line),
		   text && text[0] ? text : tapeop_strerror(error));
	buf_init(&json, TAPEOP_ANSWER_MAX - 1);
	if (error == TAPEOP_OK)
		buf_puts(&json, callback_answer(d));
	else
		write_failure(dialect, error, line, &json);
	if (buf_err(&json))
		e = TAPEOP_NO_MEMORY;
	else if (json.len >= cap)
		e = TAPEOP_NO_SPACE;
	else
		memcpy(out, buf_str(&json), json.len + 1);
	buf_fini(&json);
	return e;
}
