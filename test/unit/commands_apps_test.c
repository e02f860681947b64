/** test/unit/commands_apps_test.c -- apps that are made at run time: what is
 *  kept, what is in force, and who wins. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/apps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "oom.h"
#include "store/inside.h"
#include "store_aid.h"

/* ---- whoever is told -------------------------------------------------------- */

enum { APPS = 100 };

static struct {
	struct app_config apps[APPS]; /* id 0: none */
	char keys[512];		      /* "app/secret_id/previous app key; " */
	char tickets[512];	      /* "app/key/previous; " */
	unsigned rereads, forgotten;
	unsigned endpoints; /* that each app has */
	bool busy;	    /* rooms of each app */
	bool fails;	    /* keys cannot be made */
} world;

void rooms_set_app(struct rooms *r, const struct app_config *config)
{
	size_t i = 0;

	(void)r;
	while (world.apps[i].id && world.apps[i].id != config->id)
		i++;
	assert_true(i < APPS);
	world.apps[i] = *config;
	world.apps[i].name = NULL;
}

int rooms_drop_app(struct rooms *r, uint32_t app, struct err *e)
{
	(void)r;
	if (world.busy)
		return err_set(e, EBUSY, "app", "in use");
	for (size_t i = 0; i < APPS; i++) {
		if (world.apps[i].id == app)
			world.apps[i].id = UINT32_MAX;
	}
	return 0;
}

static const struct app_config *room_app(uint32_t id)
{
	for (size_t i = 0; i < APPS; i++) {
		if (world.apps[i].id == id)
			return &world.apps[i];
	}
	return NULL;
}

unsigned notify_n_kept(const struct notify *n, uint32_t app)
{
	(void)n;
	(void)app;
	return world.endpoints;
}

void notify_reread_kept(struct notify *n, uint32_t app)
{
	(void)n;
	(void)app;
	world.rereads++;
}

struct control_keys {
	char text[512], tickets[512];
};

int control_keys_new(const struct control_key *keys, size_t n,
		     struct control_keys **out)
{
	struct control_keys *k = world.fails ? NULL : mem_zalloc(sizeof(*k));
	size_t len = 0;

	if (!k)
		return ENOMEM;
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(
			k->text + len, sizeof(k->text) - len, "%u/%s/%s; ",
			keys[i].app, keys[i].secret_id,
			keys[i].previous_app_key ? keys[i].previous_app_key
						 : "");
	*out = k;
	return 0;
}

int control_keys_add_app(struct control_keys *k, uint32_t app, const char *key,
			 const char *previous)
{
	size_t len = strlen(k->tickets);

	snprintf(k->tickets + len, sizeof(k->tickets) - len, "%u/%s/%s; ", app,
		 key ? key : "", previous ? previous : "");
	return 0;
}

void control_keys_free(struct control_keys *k)
{
	mem_free(k);
}

void control_take_keys(struct control *c, struct control_keys *k)
{
	(void)c;
	str_copy(world.keys, sizeof(world.keys), k->text);
	str_copy(world.tickets, sizeof(world.tickets), k->tickets);
	control_keys_free(k);
}

void control_forget_app(struct control *c, uint32_t app)
{
	(void)c;
	(void)app;
	world.forgotten++;
}

static char said[4096];

static void hear(enum log_level level, const char *line, void *arg)
{
	size_t len = strlen(said);

	(void)level;
	(void)arg;
	snprintf(said + len, sizeof(said) - len, "%s\n", line);
}

/* ---- a node without sound ------------------------------------------------------ */

static const char file[] =
	"apps: [{id: 1, name: one, secret_key: k, api_keys: [{secret_id: A, "
	"secret_key: a}]}]";
static const char file_with_7[] =
	"apps: [{id: 1, name: one, secret_key: k}, {id: 7, name: \"7 of the "
	"file\", api_keys: [{secret_id: B, secret_key: b}]}]";

struct node {
	struct aid a;
	struct loop *loop;
	struct config *config;
	struct apps *apps;
	struct control_apps calls;
};

struct answer {
	unsigned calls;
	struct err e;
};

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct err e;

	if (config_parse("t.yaml", text, strlen(text), &c, &e))
		fail_msg("%s", e.text);
	return c;
}

static void begin(struct node *n, const char *text)
{
	static const struct apps_parts nobody;
	struct err e = {0};

	memset(&world, 0, sizeof(world));
	said[0] = 0;
	n->config = load(text);
	if (apps_new(n->loop, n->a.s, n->config, &n->apps, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < n->config->n_apps; i++)
		rooms_set_app(NULL, &n->config->apps[i].app);
	apps_run(n->apps, &nobody);
	apps_for_control(n->apps, &n->calls);
}

static void end(struct node *n)
{
	apps_free(n->apps);
	n->apps = NULL;
	aid_again(&n->a); /* what is under way is answered */
	for (int i = 0; i < 20; i++)
		loop_turn(n->loop, 0);
	config_free(n->config);
	n->config = NULL;
}

static int node_setup(void **state)
{
	struct node *n = calloc(1, sizeof(*n));

	aid_dir(&n->a);
	aid_open(&n->a);
	assert_int_equal(loop_new(&n->loop), 0);
	*state = n;
	return 0;
}

static int node_teardown(void **state)
{
	struct node *n = *state;

	store_close(n->a.s);
	loop_turn(n->loop, 0);
	loop_free(n->loop);
	nftw(n->a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	free(n);
	return 0;
}

static void on_done(const struct err *e, void *arg)
{
	struct answer *a = arg;

	a->calls++;
	a->e = *e;
}

/** Ask for it; what is refused at once is an answer, too. */
static void ask(struct node *n, const char *text, int64_t until_ms, bool is_new,
		struct answer *a)
{
	json_t *settings = json_loads(text, 0, NULL);
	const struct control_app_wish w = {settings, until_ms, is_new};

	*a = (struct answer){0};
	if (n->calls.put(&w, on_done, a, &a->e, n->calls.owner))
		a->calls = 1;
	json_decref(settings);
}

static int put(struct node *n, const char *text, int64_t until_ms, bool is_new)
{
	struct answer a;

	ask(n, text, until_ms, is_new, &a);
	while (!a.calls)
		loop_turn(n->loop, -1);
	return a.e.code;
}

static int drop(struct node *n, uint32_t id, struct answer *a)
{
	*a = (struct answer){0};
	if (n->calls.drop(id, on_done, a, &a->e, n->calls.owner))
		return a->e.code;
	while (!a->calls)
		loop_turn(n->loop, -1);
	return a->e.code;
}

static const struct config_app *app_of(const struct node *n, uint32_t id)
{
	return config_find_app(n->config, id);
}

static bool find(const struct node *n, uint32_t id, struct control_app *out)
{
	for (size_t i = 0; n->calls.at(i, out, n->calls.owner); i++) {
		if (out->id == id)
			return true;
	}
	return false;
}

/** As SIGHUP: 0 or an errno. */
static int reload(struct node *n, const char *text)
{
	struct config *next = load(text);
	struct err e;
	int err = apps_merge(n->apps, next, &e);

	if (!err)
		err = config_reserve(n->config, next, &e);
	if (!err)
		config_take(n->config, next);
	config_free(next);
	return err;
}

#define SEVEN                                                          \
	"{\"id\":7,\"name\":\"seven\",\"secret_key\":\"new\","         \
	"\"previous_secret_key\":\"old\",\"recording\":{\"auto\":"     \
	"\"both\"},\"api_keys\":[{\"secret_id\":\"B\",\"secret_key\":" \
	"\"b\"}]}"

/* ---- tests ------------------------------------------------------------------------- */

static void what_is_made_is_in_force_and_there_after_a_restart(void **state)
{
	struct node *n = *state;
	struct control_app app;
	json_t *settings;

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 1, true), 0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(app_of(n, 7)->app.name, "seven");
		assert_int_equal(room_app(7)->recording.auto_mode, AUTO_BOTH);
		assert_true(find(n, 7, &app));
		assert_true(app.is_kept);
		assert_string_equal(app.secret_key, "new");
		assert_true(find(n, 1, &app));
		assert_false(app.is_kept);
		assert_string_equal(n->calls.file(n->calls.owner), "t.yaml");
		if (!i) {
			assert_string_equal(world.keys, "1/A/; 7/B/old; ");
			assert_string_equal(world.tickets, "1/k/; 7/new/old; ");
			assert_int_equal(world.rereads, 1);
			end(n);
			begin(n, file);
		}
	}
	settings = n->calls.settings(7, n->calls.owner);
	assert_string_equal(
		json_string_value(json_object_get(settings, "secret_key")),
		"new");
	json_decref(settings);
	assert_null(n->calls.settings(1, n->calls.owner));
	/* a change, in the place of what was */
	assert_int_equal(put(n, "{\"id\":7,\"name\":\"changed\"}", 0, false),
			 0);
	assert_string_equal(app_of(n, 7)->app.name, "changed");
	assert_null(app_of(n, 7)->secret_key);
	assert_int_equal(n->config->n_apps, 2);
	assert_string_equal(world.keys, "1/A/; ");
	end(n);
	begin(n, file);
	assert_string_equal(app_of(n, 7)->app.name, "changed");
	end(n);
}

static void what_may_not_be_is_refused(void **state)
{
	struct node *n = *state;
	struct answer a, b;

	begin(n, file);
	assert_int_equal(put(n, "{\"id\":1}", 0, true), EEXIST);
	assert_int_equal(put(n, "{\"id\":1}", 0, false), EEXIST);
	assert_int_equal(put(n, "{\"id\":7}", 0, false), ENOENT);
	assert_int_equal(put(n, "{\"id\":7,\"name\":5}", 0, true), EINVAL);
	assert_int_equal(drop(n, 1, &a), EEXIST);
	assert_non_null(strstr(a.e.text, "it is changed in the file"));
	assert_int_equal(drop(n, 7, &a), ENOENT);
	ask(n, SEVEN, 0, true, &a);
	ask(n, SEVEN, 0, true, &b); /* while the first is committed */
	assert_int_equal(b.e.code, EBUSY);
	assert_int_equal(a.calls, 0);
	while (!a.calls)
		loop_turn(n->loop, -1);
	assert_int_equal(a.e.code, 0);
	assert_int_equal(put(n, SEVEN, 0, true), EEXIST);
	end(n);
}

static void there_are_as_many_as_fit(void **state)
{
	struct node *n = *state;
	struct answer last[3];
	struct buf text;

	buf_init(&text, 65536);
	buf_puts(&text, "apps: [");
	for (unsigned i = 0; i < CONFIG_APPS_MAX - 2; i++)
		buf_printf(&text, "{id: %u}, ", 100 + i);
	buf_puts(&text, "]");
	memset(&world, 0, sizeof(world));
	n->config = load(buf_str(&text));
	assert_int_equal(
		apps_new(n->loop, n->a.s, n->config, &n->apps, &last[0].e), 0);
	apps_run(n->apps, &(struct apps_parts){NULL, NULL, NULL});
	apps_for_control(n->apps, &n->calls);
	ask(n, "{\"id\":1}", 0, true, &last[0]);
	ask(n, "{\"id\":2}", 0, true, &last[1]);
	ask(n, "{\"id\":3}", 0, true, &last[2]);
	assert_int_equal(last[2].e.code, EBUSY);
	while (!last[0].calls || !last[1].calls)
		loop_turn(n->loop, -1);
	assert_int_equal(last[0].e.code, 0);
	assert_int_equal(last[1].e.code, 0);
	assert_int_equal(n->config->n_apps, CONFIG_APPS_MAX);
	end(n);
	buf_fini(&text);
}

static void the_file_wins_and_gives_back(void **state)
{
	struct node *n = *state;
	struct control_app app;

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	assert_int_equal(reload(n, file_with_7), 0);
	assert_non_null(strstr(said, "app=7 was made at run time and is in "
				     "the configuration file: the file "
				     "counts"));
	assert_string_equal(app_of(n, 7)->app.name, "7 of the file");
	assert_true(find(n, 7, &app));
	assert_false(app.is_kept);
	assert_int_equal(put(n, SEVEN, 0, false), EEXIST);
	said[0] = 0;
	assert_int_equal(reload(n, file_with_7), 0);
	assert_string_equal(said, ""); /* once is enough */
	assert_int_equal(reload(n, file), 0);
	assert_string_equal(app_of(n, 7)->app.name, "seven");
	assert_true(app_of(n, 7)->is_kept);
	end(n);
	begin(n, file_with_7);
	assert_non_null(strstr(said, "the file counts"));
	assert_string_equal(app_of(n, 7)->app.name, "7 of the file");
	assert_int_equal(put(n, SEVEN, 0, true), EEXIST);
	end(n);
}

static void the_file_may_come_while_it_is_committed(void **state)
{
	struct node *n = *state;
	struct answer a;

	begin(n, file);
	ask(n, SEVEN, 0, true, &a);
	assert_int_equal(reload(n, file_with_7), 0);
	while (!a.calls)
		loop_turn(n->loop, -1);
	assert_int_equal(a.e.code, EEXIST);
	assert_non_null(strstr(a.e.text, "in force when the file lets go"));
	assert_string_equal(app_of(n, 7)->app.name, "7 of the file");
	assert_int_equal(reload(n, file), 0);
	assert_string_equal(app_of(n, 7)->app.name, "seven");
	end(n);
}

static void a_name_of_an_api_key_is_the_files(void **state)
{
	struct node *n = *state;
	const char taken[] = "apps: [{id: 1, api_keys: [{secret_id: B, "
			     "secret_key: other}]}]";

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	assert_int_equal(app_of(n, 7)->n_api_keys, 1);
	assert_int_equal(reload(n, taken), 0);
	assert_int_equal(app_of(n, 7)->n_api_keys, 0);
	assert_null(strstr(app_of(n, 7)->shown, "\"B\""));
	assert_non_null(strstr(said, "app=7 api_key=B was made at run time"));
	assert_int_equal(reload(n, file), 0);
	assert_int_equal(app_of(n, 7)->n_api_keys, 1);
	end(n);
}

static void an_app_goes_when_nothing_of_it_is_under_way(void **state)
{
	struct node *n = *state;
	struct config *next;
	struct answer a = {0};

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	world.endpoints = 2;
	assert_int_equal(drop(n, 7, &a), EBUSY);
	assert_non_null(strstr(a.e.text, "2 endpoints"));
	world.endpoints = 0;
	world.busy = true;
	assert_int_equal(drop(n, 7, &a), EBUSY);
	world.busy = false;
	/* a reload meanwhile does not bring it back: rooms were told already */
	assert_int_equal(n->calls.drop(7, on_done, &a, &a.e, n->calls.owner),
			 0);
	assert_null(room_app(7));
	assert_int_equal(put(n, SEVEN, 0, true), EBUSY);
	next = load(file);
	assert_int_equal(apps_merge(n->apps, next, &a.e), 0);
	assert_null(config_find_app(next, 7));
	config_free(next);
	assert_int_equal(reload(n, file), 0);
	for (a.calls = 0; !a.calls;)
		loop_turn(n->loop, -1);
	assert_int_equal(a.e.code, 0);
	assert_null(app_of(n, 7));
	assert_string_equal(world.keys, "1/A/; ");
	assert_int_equal(world.forgotten, 1);
	assert_int_equal(reload(n, file), 0);
	assert_null(app_of(n, 7));
	/* and may come again */
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	assert_int_equal(drop(n, 7, &a), 0);
	end(n);
	begin(n, file);
	assert_null(app_of(n, 7));
	end(n);
}

static void what_cannot_be_stored_changes_nothing(void **state)
{
	struct node *n = *state;
	static const int sizes[] = {4000, 400, 40};
	unsigned id = 100;
	char text[4200];
	int err;

	n->a.config.ballast_bytes = 0;
	aid_again(&n->a);
	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	store_test_max_pages(n->a.s, 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		do {
			snprintf(text, sizeof(text),
				 "{\"id\":%u,\"secret_key\":\"%0*d\"}", ++id,
				 sizes[i], 1);
			err = put(n, text, 0, true);
			assert_true(err ? !app_of(n, id)
					: app_of(n, id) != NULL);
		} while (!err);
		assert_int_equal(err, ENOSPC);
	}
	snprintf(text, sizeof(text), "{\"id\":7,\"secret_key\":\"%04000d\"}",
		 1);
	assert_int_equal(put(n, text, 0, false), ENOSPC);
	assert_string_equal(app_of(n, 7)->app.name, "seven");
	assert_string_equal(app_of(n, 7)->secret_key, "new");
	store_test_max_pages(n->a.s, 0);
	assert_int_equal(put(n, "{\"id\":7}", 0, false), 0);
	end(n);
}

static void what_cannot_be_in_force_is_told_and_the_old_stays(void **state)
{
	struct node *n = *state;
	struct answer a;

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	world.fails = true;
	ask(n, "{\"id\":7,\"name\":\"next\"}", 0, false, &a);
	while (!a.calls)
		loop_turn(n->loop, -1);
	assert_int_equal(a.e.code, ENOMEM);
	assert_non_null(strstr(a.e.text, "not in force before the next start"));
	assert_string_equal(app_of(n, 7)->app.name, "seven");
	ask(n, "{\"id\":8}", 0, true, &a);
	while (!a.calls)
		loop_turn(n->loop, -1);
	assert_int_equal(a.e.code, ENOMEM);
	assert_null(app_of(n, 8));
	assert_null(room_app(8));
	end(n);
	begin(n, file);
	assert_string_equal(app_of(n, 7)->app.name, "next");
	assert_non_null(app_of(n, 8));
	end(n);
}

static void the_key_before_ends_when_its_time_is_over(void **state)
{
	struct node *n = *state;
	struct control_app app;
	const int64_t now = clock_unix_ms();

	begin(n, file);
	assert_int_equal(put(n, SEVEN, now + 3600 * 1000, true), 0);
	for (int i = 0; i < 5; i++)
		loop_turn(n->loop, 0);
	assert_true(find(n, 7, &app));
	assert_string_equal(app.previous_secret_key, "old");
	assert_true(app.previous_until_ms == now + 3600 * 1000);
	/* an end that lies behind: as after a long stop */
	assert_int_equal(put(n, SEVEN, now - 1, false), 0);
	while (find(n, 7, &app) && app.previous_secret_key)
		loop_turn(n->loop, -1);
	assert_string_equal(app.secret_key, "new");
	assert_int_equal(app.previous_until_ms, 0);
	assert_string_equal(world.keys, "1/A/; 7/B/; ");
	end(n);
	begin(n, file);
	assert_true(find(n, 7, &app));
	assert_null(app.previous_secret_key);
	end(n);
}

static void who_waits_at_the_stop_is_told(void **state)
{
	struct node *n = *state;
	struct answer a;

	begin(n, file);
	ask(n, SEVEN, 0, true, &a);
	end(n);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e.code, ECANCELED);
	begin(n, file);
	assert_non_null(app_of(n, 7)); /* it was committed all the same */
	end(n);
}

static void a_row_that_cannot_be_read_is_left_out(void **state)
{
	struct node *n = *state;
	struct store_write *w = aid_write();

	store_put_app(w, &(struct app_row){7, "not JSON", 0});
	store_put_app(w, &(struct app_row){8, "{\"id\":8,\"nam\":1}", 0});
	store_put_app(w, &(struct app_row){9, "{\"id\":10}", 0});
	store_put_app(w, &(struct app_row){11, "{\"id\":11}", 0});
	aid_commit(&n->a, w, 0);
	begin(n, file);
	assert_int_equal(n->config->n_apps, 2);
	assert_non_null(app_of(n, 11));
	assert_non_null(strstr(said, "app=7, made at run time, is left out"));
	assert_non_null(strstr(said, "app=8, made at run time, is left out: "
				     "nam: "));
	assert_non_null(strstr(said, "app=9, made at run time, is left out"));
	end(n);
}

static struct node *swept;

static void merge_once(void)
{
	struct config *next = NULL;
	struct err e;

	if (config_parse("t.yaml", file, strlen(file), &next, &e))
		return;
	if (apps_merge(swept->apps, next, &e))
		assert_int_equal(e.code, ENOMEM);
	else
		assert_int_equal(next->n_apps, 2);
	config_free(next);
}

static void merging_survives_no_memory(void **state)
{
	struct node *n = *state;

	begin(n, file);
	assert_int_equal(put(n, SEVEN, 0, true), 0);
	swept = n;
	OOM_SWEEP(merge_once);
	end(n);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_made_is_in_force_and_there_after_a_restart),
		TEST(what_may_not_be_is_refused),
		TEST(there_are_as_many_as_fit),
		TEST(the_file_wins_and_gives_back),
		TEST(the_file_may_come_while_it_is_committed),
		TEST(a_name_of_an_api_key_is_the_files),
		TEST(an_app_goes_when_nothing_of_it_is_under_way),
		TEST(what_cannot_be_stored_changes_nothing),
		TEST(what_cannot_be_in_force_is_told_and_the_old_stays),
		TEST(the_key_before_ends_when_its_time_is_over),
		TEST(who_waits_at_the_stop_is_told),
		TEST(a_row_that_cannot_be_read_is_left_out),
		TEST(merging_survives_no_memory),
	};

	json_set_alloc_funcs(mem_zalloc, mem_free_wiped);
	log_set_sink(hear, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
