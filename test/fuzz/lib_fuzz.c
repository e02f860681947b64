/**
 * test/fuzz/lib_fuzz.c -- tapeop.h with requests as strangers send them.
 *
 * Input: the query, "\n", header lines "Name: value\n", an empty line, the
 * body.  Nothing of it is signed with our keys, so nothing may be accepted;
 * once we sign it, what can be read must be.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <tapeop.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEADERS_MAX = 16, TIME_MS = 1700000000 };

static const char *const keys[] = {
	"a key that nobody knows", "whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
	"whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="};
static char why[TAPEOP_WHY_MAX];

/** A request whose parts lie in `text`. */
struct input {
	char *text;
	struct tapeop_header headers[HEADERS_MAX];
	struct tapeop_request r;
};

/** Split "Name: value\r\n" lines where they stand; returns what is behind. */
static char *split_headers(char *at, struct input *in)
{
	in->r.headers = in->headers;
	in->r.n_headers = 0;
	for (;;) {
		char *end = strchr(at, '\n');
		char *colon;

		if (!end)
			return at + strlen(at);
		*end = 0;
		if (end > at && end[-1] == '\r')
			end[-1] = 0;
		if (!*at)
			return end + 1;
		colon = strstr(at, ": ");
		if (colon && in->r.n_headers < HEADERS_MAX) {
			struct tapeop_header *h =
				&in->headers[in->r.n_headers++];

			*colon = 0;
			h->name = at;
			h->value = colon + 2;
		}
		at = end + 1;
	}
}

static void open_input(const uint8_t *data, size_t len, struct input *in)
{
	const struct tapeop_request empty = TAPEOP_REQUEST_INIT;
	char *line, *body;

	in->r = empty;
	in->text = malloc(len + 1);
	assert(in->text);
	memcpy(in->text, data, len);
	in->text[len] = 0;
	in->r.query = in->text;
	line = strchr(in->text, '\n');
	if (!line)
		return;
	*line = 0;
	body = split_headers(line + 1, in);
	in->r.body = body;
	in->r.body_len = (size_t)(in->text + len - body);
}

static void check_why(enum tapeop_error e)
{
	assert(memchr(why, 0, sizeof(why)));
	assert(e ? why[0] != 0 : !why[0]);
	assert(!strpbrk(why, "\r\n\033"));
	assert(e != TAPEOP_BAD_ARGUMENT && e != TAPEOP_NO_SPACE);
}

static void check_callback(const struct tapeop_callback *c)
{
	const char *const texts[] = {c->kind_name,  c->key,	  c->event_id,
				     c->task_id,    c->room,	  c->user,
				     c->file,	    c->sha256,	  c->location,
				     c->error_code, c->error_text};

	assert(c->size == sizeof(*c) && !c->verified);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert(texts[i] && !strpbrk(texts[i], "\r\n\033\177"));
	assert(strchr(c->key, '/') && strlen(strchr(c->key, '/')) == 65);
	assert(!strcmp(c->kind_name, tapeop_kind_name(c->kind)));
	assert(c->seq >= -1 && c->status >= -1 && c->leave_code >= -1);
	for (size_t i = 0; i < c->n_files; i++)
		assert(c->files[i]->name[0] && c->files[i]->user);
}

/** The same body, signed by us, is accepted. */
static void check_signed(const struct input *in,
			 const struct tapeop_callback *c)
{
	struct tapeop_message m = TAPEOP_MESSAGE_INIT;
	struct tapeop_app app = TAPEOP_APP_INIT;
	struct tapeop_callback *again = NULL;
	char headers[TAPEOP_HEADERS_MAX];
	char query[TAPEOP_QUERY_MAX];
	struct input ours = {0};

	m.dialect = c->dialect;
	m.app = c->app ? c->app : 7;
	m.key = keys[c->dialect == TAPEOP_STANDARD];
	m.id = "evt_1";
	m.body = in->r.body;
	m.body_len = in->r.body_len;
	assert(!tapeop_sign(&m, TIME_MS, headers, sizeof(headers), query,
			    sizeof(query), why, sizeof(why)));
	ours.r = in->r;
	split_headers(headers, &ours);
	ours.r.query = query;
	app.id = m.app;
	app.keys = keys;
	app.n_keys = 3;
	assert(!tapeop_accept(&ours.r, &app, TIME_MS, &again, why,
			      sizeof(why)));
	assert(again->verified && again->app == m.app &&
	       again->dialect == c->dialect);
	assert(!strcmp(strchr(again->key, '/'), strchr(c->key, '/')));
	tapeop_callback_free(again);
}

static void read_as(const struct input *in, enum tapeop_dialect d)
{
	struct tapeop_callback *c = NULL;
	enum tapeop_error e;

	e = tapeop_parse(&in->r, d, &c, why, sizeof(why));
	check_why(e);
	assert((e == TAPEOP_OK) == (c != NULL));
	if (!c)
		return;
	assert(c->dialect == d);
	check_callback(c);
	check_signed(in, c);
	tapeop_callback_free(c);
}

static void take(const struct input *in)
{
	struct tapeop_app app = TAPEOP_APP_INIT;
	struct tapeop_callback *c = NULL;
	enum tapeop_error e;

	app.id = 1400000000;
	app.keys = keys;
	app.n_keys = 3;
	e = tapeop_accept(&in->r, &app, TIME_MS, &c, why, sizeof(why));
	check_why(e);
	assert(e && !c);

	app.n_keys = 0;
	app.flags = TAPEOP_TAKE_UNSIGNED;
	e = tapeop_accept(&in->r, &app, TIME_MS, &c, why, sizeof(why));
	check_why(e);
	if (e)
		return;
	assert(!c->verified && c->app == app.id &&
	       (c->dialect == TAPEOP_LIVE || c->dialect == TAPEOP_TRTC));
	check_callback(c);
	tapeop_callback_free(c);
}

static void look(const struct input *in)
{
	static const char *const names[] = {"Sign", "SdkAppid", "a", ""};
	enum tapeop_dialect d = TAPEOP_DIALECT_NONE;
	char answer[TAPEOP_ANSWER_MAX];
	enum tapeop_error e;
	char out[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		out[0] = 'x';
		if (tapeop_query(in->r.query, names[i], out, sizeof(out)))
			assert(out[0] == 'x');
		else
			assert(memchr(out, 0, sizeof(out)));
	}
	if (tapeop_recognise(&in->r, &d))
		assert(!d);
	/* The text is what a stranger wrote. */
	assert(!tapeop_answer(d, TAPEOP_MALFORMED, in->r.query, answer,
			      sizeof(answer)));
	assert(answer[strlen(answer) - 1] == '}');
	e = tapeop_key_check(TAPEOP_STANDARD, in->r.query, why, sizeof(why));
	assert(e == TAPEOP_NO_KEY || !e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {0};

	open_input(data, len, &in);
	take(&in);
	for (int d = TAPEOP_GME; d <= TAPEOP_STANDARD; d++)
		read_as(&in, (enum tapeop_dialect)d);
	look(&in);
	free(in.text);
	return 0;
}
