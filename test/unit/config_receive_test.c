/** test/unit/config_receive_test.c -- the file of a receiver: what it may
 *  hold, what is said where when it does not, and what a change of it is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/settings.h"
#include "oom.h"

static int parse(const char *text, struct config_receive **out, struct err *e)
{
	return config_receive_parse("t.yaml", text, strlen(text), out, e);
}

/** Must load; the caller frees. */
static struct config_receive *load(const char *text)
{
	struct config_receive *c = NULL;
	struct err e = {0};

	if (parse(text, &c, &e))
		fail_msg("%s", e.text);
	return c;
}

/* ---- what is wrong ------------------------------------------------------ */

#define APP "apps:\n  - id: 1\n"
#define KEY APP "    keys: [{key: abc}]\n"

static const struct bad {
	const char *text;
	const char *at;	  /* behind "t.yaml:" */
	const char *says; /* somewhere in it */
} bads[] = {
	{"", "1:1: ", "`tapeop receive --sample`"},
	{"apps: []\n", "1:1: apps: ", "at least one"},
	{"listen: 127.0.0.1:1\n", "1:1: apps: ", "at least one"},
	/* keys that are not known, or twice */
	{"http: {listen: 127.0.0.1:1}\n", "1:1: http: ", "unknown setting"},
	{"lisen: 127.0.0.1:1\n", "1:1: lisen: ", "did you mean \"listen\"?"},
	{KEY "    secret_key: abc\n",
	 "4:5: apps[0].secret_key: ", "unknown setting"},
	{APP "    keys: [{kay: abc}]\n",
	 "3:13: apps[0].keys[0].kay: ", "did you mean \"key\"?"},
	{KEY "    id: 2\n", "4:5: apps[0].id: ", "twice"},
	{KEY "  - {id: 1, keys: [{key: b}]}\n",
	 "4:10: apps[1].id: ", "is taken by apps[0]"},
	{KEY "forward: http://a/\nforward: http://b/\n",
	 "5:1: forward: ", "twice"},
	/* shapes and ranges */
	{"listen: [127.0.0.1:1, 127.0.0.1:2]\n" KEY,
	 "1:23: listen: ", "at most 1"},
	{"listen: 127.0.0.1\n" KEY, "1:9: listen: ", "has no port"},
	{"listen: here\n" KEY, "1:9: listen: ", "is not an address"},
	{"data_dir: \"\"\n" KEY, "1:11: data_dir: ", "is empty"},
	{"log_level: loud\n" KEY, "1:12: log_level: ", "one of: error, warn"},
	{"apps: {id: 1}\n", "1:7: apps: ", "must be a list"},
	{"apps: [{keys: [{key: a}]}]\n", "1:8: apps[0].id: ", "is missing"},
	{"apps: [{id: 0, keys: [{key: a}]}]\n",
	 "1:13: apps[0].id: ", "out of range"},
	{"apps: [{id: 4294967296, keys: [{key: a}]}]\n",
	 "1:13: apps[0].id: ", "out of range"},
	{KEY "    dialects: [gme, gsm]\n",
	 "4:21: apps[0].dialects: ", "gme, live, trtc, standard"},
	{KEY "    dialects: [gme, gme]\n",
	 "4:21: apps[0].dialects: ", "is there twice"},
	{KEY "    dialects: []\n", "4:15: apps[0].dialects: ", "at least 1"},
	{KEY "    unsigned_live: yes\n",
	 "4:20: apps[0].unsigned_live: ", "true or false"},
	{KEY "    forward: ftp://h/\n", "4:14: apps[0].forward: ", "http"},
	{"forward: nowhere\n" KEY, "1:10: forward: ", "http"},
	{"exec: \"\"\n" KEY, "1:7: exec: ", "is empty"},
	{KEY "max_per_address: 0\n", "4:18: max_per_address: ", "out of range"},
	{KEY "max_per_address: 1001\n",
	 "4:18: max_per_address: ", "out of range"},
	{KEY "tls: {cert: /c}\n", "4:6: tls.key: ", "belong together"},
	{KEY "tls: {key: /k}\n", "4:6: tls.cert: ", "belong together"},
	{KEY "tls: {client_ca: /a}\n", "4:6: tls.cert: ", "needs"},
	{KEY "tls: {cert: \"\", key: /k}\n", "4:13: tls.cert: ", "is empty"},
	/* keys of an app */
	{APP, "2:5: apps[0].keys: ", "unsigned_live"},
	{APP "    keys: []\n", "2:5: apps[0].keys: ", "at least one"},
	{APP "    keys: [{dialect: gme}]\n",
	 "3:12: apps[0].keys[0].key: ", "is missing"},
	{APP "    keys: [{key: \"\"}]\n",
	 "3:18: apps[0].keys[0].key: ", "is empty"},
	{APP "    keys: [{key: env:TAPEOP_NO_SUCH}]\n",
	 "3:18: apps[0].keys[0].key: ", "TAPEOP_NO_SUCH"},
	{APP "    keys: [{key: \"file:/nonexistent/a\"}]\n",
	 "3:18: apps[0].keys[0].key: ", "/nonexistent/a"},
	{APP "    keys: [{key: a, dialect: gsm}]\n",
	 "3:30: apps[0].keys[0].dialect: ", "one of: auto, gme"},
	{APP "    keys: [{key: abc, dialect: standard}]\n",
	 "3:18: apps[0].keys[0].key: ", "whsec_"},
	{APP "    keys: [{key: whpk_abc, dialect: trtc}]\n",
	 "3:18: apps[0].keys[0].key: ", "public"},
	{APP "    keys: [{key: a}, {key: b, dialect: trtc}]\n"
	     "    dialects: gme\n",
	 "3:40: apps[0].keys[1].dialect: ", "verify nothing"},
	{APP "    keys: [{key: a}, {key: a}, {key: a}, {key: a}, {key: a},\n"
	     "      {key: a}, {key: a}, {key: a}, {key: a}]\n",
	 "4:37: apps[0].keys: ", "at most 8"},
	{KEY "    dialects: gme\n    unsigned_live: true\n",
	 "5:20: apps[0].unsigned_live: ", "live is not in dialects"},
};

static void every_fault_is_named_with_its_line_and_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		struct config_receive *c = NULL;
		struct err e = {0};
		char want[128];

		snprintf(want, sizeof(want), "t.yaml:%s", bads[i].at);
		if (!parse(bads[i].text, &c, &e))
			fail_msg("taken: %s", bads[i].text);
		if (strncmp(e.text, want, strlen(want)) != 0 ||
		    !strstr(e.text, bads[i].says))
			fail_msg("%s\n  says: %s\n  not:  %s..%s", bads[i].text,
				 e.text, want, bads[i].says);
		assert_null(strchr(e.text, '\n'));
	}
}

static void no_fault_tells_a_secret(void **state)
{
	static const char *const texts[] = {
		APP "    keys: [{key: sesame, dialect: standard}]\n",
		APP "    keys: [{key: whpk_sesame, dialect: gme}]\n",
		APP "    keys: [{dialect: sesame, key: a}]\n",
	};
	struct config_receive *c = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_not_equal(parse(texts[i], &c, &e), 0);
		assert_null(strstr(e.text, "sesame"));
	}
}

/* ---- what is right -------------------------------------------------------- */

static const char full[] =
	"listen: \"[::1]:9001\"\n"
	"data_dir: /var/inbox\n"
	"log_level: debug\n"
	"apps:\n"
	"  - id: 1400000000\n"
	"    name: game\n"
	"    keys:\n"
	"      - {dialect: gme, key: env:TAPEOP_TEST_KEY}\n"
	"      - {dialect: live, key: token}\n"
	"      - key: new\n"
	"    dialects: [gme, live]\n"
	"    forward: http://127.0.0.1:3000/game\n"
	"    exec: \"\"\n"
	"  - {id: 4294967295, dialects: live, unsigned_live: true}\n"
	"  - {id: 3, keys: [{key: a}], forward: \"\", exec: /own}\n"
	/* behind the apps, and for them all the same */
	"forward: http://127.0.0.1:3000/all\n"
	"exec: /bin/all\n";

static void everything_is_read(void **state)
{
	struct config_receive *c;
	char text[ADDR_TEXT_MAX];

	(void)state;
	setenv("TAPEOP_TEST_KEY", "from the environment", 1);
	c = load(full);
	assert_string_equal(addr_write(&c->listen, text), "[::1]:9001");
	assert_string_equal(c->data_dir, "/var/inbox");
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->n_apps, 3);
	assert_int_equal(c->apps[0].id, 1400000000);
	assert_string_equal(c->apps[0].name, "game");
	assert_int_equal(c->apps[0].n_keys, 3);
	assert_string_equal(c->apps[0].keys[0].secret, "from the environment");
	assert_int_equal(c->apps[0].keys[0].dialects, 1 << DIALECT_GME);
	assert_string_equal(c->apps[0].keys[1].secret, "token");
	assert_int_equal(c->apps[0].keys[1].dialects, 1 << DIALECT_LIVE);
	assert_string_equal(c->apps[0].keys[2].secret, "new");
	assert_int_equal(c->apps[0].keys[2].dialects, RECEIVE_ALL_DIALECTS);
	assert_int_equal(c->apps[0].dialects,
			 1 << DIALECT_GME | 1 << DIALECT_LIVE);
	assert_false(c->apps[0].unsigned_live);
	assert_string_equal(c->apps[0].forward, "http://127.0.0.1:3000/game");
	assert_null(c->apps[0].exec);
	assert_int_equal(c->apps[1].id, UINT32_MAX);
	assert_int_equal(c->apps[1].n_keys, 0);
	assert_int_equal(c->apps[1].dialects, 1 << DIALECT_LIVE);
	assert_true(c->apps[1].unsigned_live);
	assert_string_equal(c->apps[1].forward, "http://127.0.0.1:3000/all");
	assert_string_equal(c->apps[1].exec, "/bin/all");
	assert_int_equal(c->apps[2].dialects, RECEIVE_ALL_DIALECTS);
	assert_null(c->apps[2].forward);
	assert_string_equal(c->apps[2].exec, "/own");
	config_receive_free(c);
	c = load(KEY);
	assert_string_equal(addr_write(&c->listen, text), "127.0.0.1:9000");
	assert_string_equal(c->data_dir, "./tapeop-inbox");
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->max_per_address, 0);
	assert_null(c->tls.cert_file);
	assert_null(c->apps[0].forward);
	assert_null(c->apps[0].exec);
	config_receive_free(c);
}

/* ---- reading it again ------------------------------------------------------- */

/** Two values of each setting. */
static const char *const values[RX_SETTING_N][2] = {
	[SET_RX_LISTEN] = {"127.0.0.1:80", "127.0.0.1:81"},
	[SET_RX_DATA_DIR] = {"/a", "/b"},
	[SET_RX_LOG_LEVEL] = {"info", "debug"},
	[SET_RX_MAX_PER_ADDRESS] = {"10", "11"},
	[SET_RX_FORWARD] = {"http://h/1", "http://h/2"},
	[SET_RX_EXEC] = {"/1", "/2"},
	[SET_RX_TLS_CERT] = {"/c1", "/c2"},
	[SET_RX_TLS_KEY] = {"/k1", "/k2"},
	[SET_RX_TLS_CLIENT_CA] = {"/a1", "/a2"},
	[SET_RX_APP_ID] = {"1", "2"},
	[SET_RX_APP_NAME] = {"one", "two"},
	[SET_RX_APP_DIALECTS] = {"[gme, live]", "[live, gme, trtc]"},
	[SET_RX_APP_UNSIGNED_LIVE] = {"true", "false"},
	[SET_RX_APP_FORWARD] = {"http://h/3", "http://h/4"},
	[SET_RX_APP_EXEC] = {"/3", "/4"},
	[SET_RX_KEY_DIALECT] = {"auto", "gme"},
	[SET_RX_KEY_KEY] = {"k1", "k2"},
};

static void write_map(unsigned group, unsigned other, struct buf *out)
{
	const struct table *t = &receive_table;
	const bool list = t->groups[group].kind == GROUP_LIST;

	buf_puts(out, list ? "[{" : "{");
	for (unsigned i = 0; i < t->n_settings; i++) {
		if (t->settings[i].group != group)
			continue;
		if (!values[i][0])
			fail_msg("%s: give it two values in this test",
				 t->settings[i].key);
		buf_printf(out, "%s: %s, ", t->settings[i].key,
			   values[i][i == other]);
	}
	for (unsigned i = GROUP_ROOT + 1; i < t->n_groups; i++) {
		if (t->groups[i].parent != group)
			continue;
		buf_printf(out, "%s: ", t->groups[i].key);
		write_map(i, other, out);
		buf_puts(out, ", ");
	}
	if (group == GROUP_ID_RX_APP) /* one that has the defaults */
		buf_puts(out, "}, {id: 9, keys: [{key: k}]");
	buf_puts(out, list ? "}]" : "}");
}

static struct config_receive *load_with(unsigned other)
{
	struct config_receive *c;
	struct buf b;

	buf_init(&b, 4096);
	write_map(GROUP_ROOT, other, &b);
	assert_int_equal(buf_err(&b), 0);
	c = load(buf_str(&b));
	buf_fini(&b);
	return c;
}

static void assert_differ(const struct config_receive *was,
			  const struct config_receive *next, const char *now,
			  const char *later)
{
	struct buf b;

	buf_init(&b, 512);
	config_receive_write_changes(was, next, &b);
	assert_string_equal(buf_str(&b), now);
	buf_fini(&b);
	buf_init(&b, 512);
	config_receive_write_later(was, next, &b);
	assert_string_equal(buf_str(&b), later);
	buf_fini(&b);
}

static const char *change_by(unsigned id)
{
	switch (id) {
	case SET_RX_LOG_LEVEL:
		return "log_level";
	case SET_RX_FORWARD:
	case SET_RX_EXEC:
		return "app 9 changed";
	case SET_RX_APP_ID:
		return "app 2 new, app 1 removed";
	default:
		return "app 1 changed";
	}
}

static void a_change_of_every_setting_is_noticed_and_taken(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RX_SETTING_N; i++) {
		const struct setting *s = &receive_table.settings[i];
		const bool now = s->flags & SETTING_RELOAD;
		const char *later =
			s->group == GROUP_ID_RX_TLS ? "tls" : s->key;
		struct config_receive *was = load_with(RX_SETTING_N);
		struct config_receive *next = load_with(i);

		assert_differ(was, next, now ? change_by(i) : "",
			      now ? "" : later);
		config_receive_take(was, next);
		config_receive_free(next);
		next = load_with(i);
		assert_differ(was, next, "", now ? "" : later);
		config_receive_free(next);
		config_receive_free(was);
	}
}

static void a_rotated_secret_is_a_change(void **state)
{
	struct config_receive *was, *next;

	(void)state;
	setenv("TAPEOP_TEST_KEY", "old", 1);
	was = load(full);
	next = load(full);
	assert_differ(was, next, "", "");
	config_receive_free(next);
	setenv("TAPEOP_TEST_KEY", "new", 1);
	next = load(full);
	assert_differ(was, next, "app 1400000000 changed", "");
	config_receive_free(next);
	config_receive_free(was);
}

/* ---- out of memory ------------------------------------------------------- */

static const char *sweep_text;

static void sweep(void)
{
	struct config_receive *c = NULL;
	struct err e = {0};

	if (!parse(sweep_text, &c, &e))
		config_receive_free(c);
	else
		assert_true(e.code && e.text[0]);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	setenv("TAPEOP_TEST_KEY", "key", 1);
	sweep_text = full;
	OOM_SWEEP(sweep);
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		sweep_text = bads[i].text;
		OOM_SWEEP(sweep);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_is_named_with_its_line_and_key),
		cmocka_unit_test(no_fault_tells_a_secret),
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(
			a_change_of_every_setting_is_noticed_and_taken),
		cmocka_unit_test(a_rotated_secret_is_a_change),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
