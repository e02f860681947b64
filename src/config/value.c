/** config/value.c -- one setting's text -> its value, checked by the table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "base/secret.h"
#include "base/str.h"

enum { PERMITTED_MAX = 320, ZONE_MIN = -12 * 60, ZONE_MAX = 14 * 60 };

/** "is not a number: must be a whole number from 0 to 64". */
static int refuse(const struct setting *s, const char *why, struct err *e)
{
	struct buf b;
	int err = EINVAL;

	buf_init(&b, PERMITTED_MAX);
	setting_write_permitted(s, &b);
	if (buf_err(&b) == ENOMEM)
		err = ENOMEM;
	err_set(e, err, s->key, "%s: must be %s", why, buf_str(&b));
	buf_fini(&b);
	return err;
}

static int no_memory(const struct setting *s, struct err *e)
{
	return err_set(e, ENOMEM, s->key, "out of memory");
}

void value_clear(struct value *v)
{
	mem_free_secret(v->text);
	*v = (struct value){0};
}

/* ---- text -------------------------------------------------------------- */

static int set_text(const struct setting *s, const char *text, struct value *v,
		    struct err *e)
{
	char *copy = mem_strdup(text);

	if (!copy)
		return no_memory(s, e);
	mem_free_secret(v->text);
	v->text = copy;
	return 0;
}

static int read_string(const struct setting *s, const struct scalar *in,
		       struct value *v, struct err *e)
{
	if ((int64_t)in->len < s->min)
		return refuse(s, in->len ? "is too short" : "is empty", e);
	if ((int64_t)in->len > s->max)
		return refuse(s, "is too long", e);
	return set_text(s, in->text, v, e);
}

static int read_secret(const struct setting *s, const struct scalar *in,
		       struct value *v, struct err *e)
{
	char *secret = NULL;
	bool literal;
	size_t len;
	int err;

	/* key: "" means none. */
	if (!in->len && !s->min)
		return set_text(s, "", v, e);
	if (!in->len)
		return refuse(s, "is empty", e);
	err = secret_read(in->text, &secret, &literal, e);
	if (err)
		return err;
	len = strlen(secret);
	if (!len || (int64_t)len > s->max) {
		mem_free_secret(secret);
		return err_set(e, EINVAL, s->key,
			       "the secret %s: must have 1 to %" PRId64
			       " bytes",
			       len ? "is too long" : "is empty", s->max);
	}
	mem_free_secret(v->text);
	v->text = secret;
	return 0;
}

static int read_retry(const struct setting *s, const struct scalar *in,
		      struct value *v, struct err *e)
{
	struct deliver_retry unused;

	if (deliver_retry_parse(in->text, &unused, e))
		return refuse(s, "is no way to retry", e);
	return set_text(s, in->text, v, e);
}

static int read_rate(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	uint32_t per_minute;

	if (in->quoted || deliver_rate_parse(in->text, &per_minute, e))
		return refuse(s, "is no rate", e);
	v->number = per_minute;
	return 0;
}

/* ---- numbers ----------------------------------------------------------- */

static int read_int(const struct setting *s, const struct scalar *in,
		    struct value *v, struct err *e)
{
	const char *digits = in->text + (*in->text == '-');

	/* 010 is 8 in YAML 1.1 and 10 in YAML 1.2. */
	if (digits[0] == '0' && digits[1])
		return refuse(s, "starts with a zero", e);
	switch (in->quoted ? EINVAL
			   : str_to_i64(in->text, s->min, s->max, &v->number)) {
	case 0:
		return 0;
	case ERANGE:
		return refuse(s, "is out of range", e);
	default:
		return refuse(s, "is not a number", e);
	}
}

static int read_duration(const struct setting *s, const struct scalar *in,
			 struct value *v, struct err *e)
{
	const bool negative = *in->text == '-';
	int64_t us;
	int err = str_to_duration_us(in->text + negative, &us);

	if (err == EINVAL)
		return refuse(s, "is not a time with a unit (ms, s, m, h, d)",
			      e);
	if (err || negative || us < s->min || us > s->max)
		return refuse(s, "is out of range", e);
	v->number = us;
	return 0;
}

static int read_bool(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	bool yes = !strcmp(in->text, "true");

	if (in->quoted || (!yes && strcmp(in->text, "false") != 0))
		return refuse(s, "is neither", e);
	v->number = yes;
	return 0;
}

static int read_ports(const struct setting *s, const struct scalar *in,
		      struct value *v, struct err *e)
{
	char first[8];
	const char *dash = strchr(in->text, '-');
	int err;

	if (!dash || (size_t)(dash - in->text) >= sizeof(first))
		return refuse(s, "is not a range of ports", e);
	memcpy(first, in->text, (size_t)(dash - in->text));
	first[dash - in->text] = 0;
	err = str_to_i64(first, s->min, s->max, &v->number);
	if (!err)
		err = str_to_i64(dash + 1, s->min, s->max, &v->number2);
	if (err == EINVAL)
		return refuse(s, "is not a range of ports", e);
	if (err)
		return refuse(s, "is out of range", e);
	if (v->number > v->number2)
		return refuse(s, "ends before it begins", e);
	return 0;
}

static int read_zone(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	const char *t = in->text;
	int minutes;

	/* "+08:00" */
	if (in->len != 6 || (t[0] != '+' && t[0] != '-') || t[3] != ':' ||
	    strspn(t + 1, "0123456789") != 2 ||
	    strspn(t + 4, "0123456789") != 2)
		return refuse(s, "is not a distance from UTC", e);
	minutes = ((t[1] - '0') * 10 + t[2] - '0') * 60 + (t[4] - '0') * 10 +
		  t[5] - '0';
	if (t[0] == '-')
		minutes = -minutes;
	if (t[4] > '5' || minutes < ZONE_MIN || minutes > ZONE_MAX)
		return refuse(s, "is out of range", e);
	v->number = minutes;
	return 0;
}

/* ---- names and lists --------------------------------------------------- */

static int read_enum(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	int i = setting_name_index(s, in->text);

	if (i < 0)
		return refuse(s, "is not known", e);
	v->number = i;
	return 0;
}

static int too_many(const struct setting *s, struct err *e)
{
	return err_set(e, EINVAL, s->key, "too many: at most %" PRId64, s->max);
}

static int read_addr(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	const bool with_port = s->unit;
	const char *colon = strrchr(in->text, ':');
	struct addr a;

	if ((int64_t)v->n == s->max)
		return too_many(s, e);
	if (addr_parse(in->text, &a))
		return refuse(s, "is not an address", e);
	/* Port 0 may be asked for; a port that was left out may not. */
	if (with_port != (a.sa.sa_family == AF_INET
				  ? colon != NULL
				  : *in->text == '[' && colon[-1] == ']'))
		return refuse(s, with_port ? "has no port" : "has a port", e);
	for (size_t i = 0; i < v->n; i++) {
		if (addr_port(&a) && addr_is_equal(&a, &v->addrs[i]))
			return err_set(e, EINVAL, s->key,
				       "is there twice: each once");
	}
	v->addr_at[v->n] = in->at;
	v->addrs[v->n++] = a;
	return 0;
}

static int unknown_event(const struct setting *s, const char *text,
			 struct err *e)
{
	struct nearest near = {0};
	char why[80];

	for (unsigned i = 0; i < EVENT_KIND_N; i++)
		nearest_add(&near, text, event_kind_name((enum event_kind)i));
	if (!near.name)
		return refuse(s, "is not known", e);
	snprintf(why, sizeof(why), "is not known (did you mean \"%s\"?)",
		 near.name);
	return refuse(s, why, e);
}

static int read_event(const struct setting *s, const struct scalar *in,
		      struct value *v, struct err *e)
{
	enum event_kind kind;
	bool twice;

	if ((int64_t)v->n == s->max)
		return too_many(s, e);
	v->n++;
	if (!strcmp(in->text, "all")) {
		twice = v->all;
		v->all = true;
	} else if (event_kind_parse(in->text, &kind)) {
		twice = v->kinds[kind];
		v->kinds[kind] = true;
		v->kind_at[kind] = in->at;
	} else {
		return unknown_event(s, in->text, e);
	}
	return twice ? err_set(e, EINVAL, s->key, "is there twice: each once")
		     : 0;
}

static int read_name(const struct setting *s, const struct scalar *in,
		     struct value *v, struct err *e)
{
	const int i = setting_name_index(s, in->text);

	if (i < 0)
		return refuse(s, "is not known", e);
	if (v->number & (int64_t)1 << i)
		return err_set(e, EINVAL, s->key, "is there twice: each once");
	v->n++;
	v->number |= (int64_t)1 << i;
	return 0;
}

/** scheme://host[:port] in lower case, as browsers write it, or "*". */
static bool is_origin(const char *text)
{
	static const char host[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
	int64_t port;
	size_t len;

	if (!strcmp(text, "*"))
		return true;
	if (!str_starts_with(text, "https://") &&
	    !str_starts_with(text, "http://"))
		return false;
	text = strstr(text, "//") + 2;
	len = *text == '[' ? strspn(text + 1, "0123456789abcdef:.") + 2
			   : strspn(text, host);
	if (len > 253 || (*text == '[' && (len < 4 || text[len - 1] != ']')))
		return false;
	return len > 0 && (!text[len] ||
			   (text[len] == ':' &&
			    !str_to_i64(text + len + 1, 1, UINT16_MAX, &port)));
}

static int read_origin(const struct setting *s, const struct scalar *in,
		       struct value *v, struct err *e)
{
	struct buf all;
	int err;

	if ((int64_t)v->n == s->max)
		return too_many(s, e);
	if (!is_origin(in->text))
		return refuse(s, "is no origin", e);
	buf_init(&all, (size_t)s->max * 300);
	if (v->text)
		buf_printf(&all, "%s ", v->text);
	buf_puts(&all, in->text);
	err = buf_err(&all) ? no_memory(s, e)
			    : set_text(s, buf_str(&all), v, e);
	buf_fini(&all);
	v->n += !err;
	return err;
}

/* ---- the table --------------------------------------------------------- */

static int read_by_type(const struct setting *s, const struct scalar *in,
			struct value *v, struct err *e)
{
	switch (s->type) {
	case TYPE_STRING:
		return read_string(s, in, v, e);
	case TYPE_SECRET:
		return read_secret(s, in, v, e);
	case TYPE_INT:
		return read_int(s, in, v, e);
	case TYPE_DURATION:
		return read_duration(s, in, v, e);
	case TYPE_BOOL:
		return read_bool(s, in, v, e);
	case TYPE_ENUM:
		return read_enum(s, in, v, e);
	case TYPE_ADDRS:
		return read_addr(s, in, v, e);
	case TYPE_PORTS:
		return read_ports(s, in, v, e);
	case TYPE_EVENTS:
		return read_event(s, in, v, e);
	case TYPE_NAMES:
		return read_name(s, in, v, e);
	case TYPE_ORIGINS:
		return read_origin(s, in, v, e);
	case TYPE_RETRY:
		return read_retry(s, in, v, e);
	case TYPE_RATE:
		return read_rate(s, in, v, e);
	case TYPE_ZONE:
		return read_zone(s, in, v, e);
	}
	assert(!"a type");
	return EINVAL;
}

int value_set_default(const struct setting *s, struct value *v)
{
	struct scalar in = {.text = s->def};
	struct err e;
	int err;

	value_clear(v);
	if (!s->def)
		return 0;
	in.len = strlen(s->def);
	err = read_by_type(s, &in, v, &e);
	assert(!err || err == ENOMEM);
	return err;
}

void value_write(const struct setting *s, const struct value *v,
		 struct buf *out)
{
	char text[ADDR_TEXT_MAX];

	switch (s->type) {
	case TYPE_STRING:
	case TYPE_SECRET:
	case TYPE_RETRY:
	case TYPE_ORIGINS:
		buf_puts(out, v->text ? v->text : "");
		break;
	case TYPE_ADDRS:
		for (size_t i = 0; i < v->n; i++)
			buf_printf(out, "%s ", addr_write(&v->addrs[i], text));
		break;
	case TYPE_EVENTS:
		for (unsigned i = 0; i < EVENT_KIND_N; i++)
			buf_putc(out, v->all || v->kinds[i] ? '1' : '0');
		break;
	default:
		buf_printf(out, "%" PRId64 "-%" PRId64, v->number, v->number2);
		break;
	}
}

/** Nothing, or a YAML word for it: who means that text quotes it. */
static bool is_null(const struct scalar *in)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; i < ARRAY_LEN(words) && !in->quoted; i++) {
		if (!strcmp(in->text, words[i]))
			return true;
	}
	return false;
}

int value_read(const struct setting *s, const struct scalar *in,
	       struct value *v, struct err *e)
{
	if (!str_is_clean_utf8(in->text, in->len))
		return refuse(s, "holds a control character", e);
	if (is_null(in))
		return refuse(s, "has no value", e);
	return read_by_type(s, in, v, e);
}
