/** test/unit/notify_kept_test.c -- endpoints that are switched off and
 *  taken out while others go on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/crash.h"
#include "base/mem.h"
#include "hash_aid.h"
#include "notify_aid.h"
#include "notify_reader_aid.h"

static uint64_t id_of(const struct rig *g, size_t i)
{
	return notify_endpoint_id(g->endpoints[i].app, g->endpoints[i].name);
}

static void a_removed_endpoint_is_told_nothing_more(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	struct delivery_row row;

	endpoint_to(g, "old", 0, "/");
	endpoint_to(g, "other", 1, "/");
	SCRIPT(g, 0, {.status = 200}, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 4; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 7); /* one is delivered, one failed twice */
	rig_settle(g);
	assert_balance(g, 5, 3, 0, 0);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), ENOENT);
	assert_int_equal(notify_remove_endpoint(g->n, 12345), ENOENT);
	tell(g, 64, 4);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 8);
	assert_int_equal(g->seen[7].target, 1);
	assert_balance(g, 6, 0, 0, 3);
	row = row_of(g, 7);
	assert_int_equal(row.state, DELIVERY_EXPIRED);
	assert_string_equal(row.last_error, "the endpoint was removed");
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_string_equal(info.name, "other");
	assert_false(notify_endpoint_at(g->n, 1, &info));
	assert_string_equal(notify_endpoint_name(g->n, row.endpoint), "old");
	assert_true(notify_removed_endpoint(g->n, APP + 1, "old") == 0);
	assert_true(notify_removed_endpoint(g->n, APP, "other") == 0);
	/* A restart remembers it, by name. */
	g->endpoints[0] = g->endpoints[1];
	g->n_endpoints = 1;
	rig_again(g);
	assert_string_equal(notify_endpoint_name(g->n, row.endpoint), "old");
	assert_true(notify_removed_endpoint(g->n, 0, "old") == row.endpoint);
	assert_true(notify_removed_endpoint(g->n, APP, "old") == row.endpoint);
	assert_balance(g, 6, 0, 0, 3);
}

static void an_attempt_under_way_ends_after_the_removal(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "old", 0, "/");
	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 128, 0);
	UNTIL(g, g->n_seen == 2);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	release(&g->targets[0], 200);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

static void a_crash_in_the_middle_of_a_removal_changes_nothing(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "old", 0, "/");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 50; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	g->n_endpoints = 0;
	rig_again(g); /* the row is there, nothing has expired */
	clock_pass(g, 5 * S);
	assert_balance(g, 0, 0, 0, 50);
	assert_int_equal(g->n_seen, 2);
}

static void a_removed_name_may_be_used_again_at_once(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "name", 0, "/");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 3; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	snprintf(g->urls[0], sizeof(g->urls[0]), "http://127.0.0.1:%u/new",
		 (unsigned)addr_port(&g->targets[1].addr));
	rig_declare(g, 0);
	tell(g, 64, 3);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 3);
	assert_string_equal(g->seen[2].path, "/new");
	assert_string_equal(g->seen[2].sequence, "3");
	assert_balance(g, 1, 0, 0, 3);
	rig_again(g);
	tell(g, 64, 4);
	clock_pass(g, S);
	assert_balance(g, 2, 0, 0, 3);
}

static void switched_off_nothing_is_made_and_what_waits_waits(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	g->endpoints[0].enabled = false;
	rig_declare(g, 0);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_false(info.enabled);
	tell(g, 64, 1); /* is not told later either */
	clock_pass(g, 600 * S);
	assert_int_equal(g->n_seen, 2);
	assert_balance(g, 0, 1, 0, 0);
	assert_int_equal(row_of(g, 1).attempts, 2);
	rig_again(g);
	clock_pass(g, 600 * S);
	assert_int_equal(g->n_seen, 2);
	g->endpoints[0].enabled = true;
	rig_declare(g, 0);
	tell(g, 64, 2);
	UNTIL(g, g->n_seen == 4);
	rig_settle(g);
	assert_string_equal(g->seen[2].sequence, "0");
	assert_string_equal(g->seen[3].sequence, "2");
	assert_balance(g, 2, 0, 0, 0);
}

/* ---- made at run time ---- */

static struct err kept; /* what came of what was asked last; code -1: nothing */
static uint64_t kept_id;

static void on_kept(uint64_t id, const struct err *e, void *arg)
{
	(void)arg;
	assert_int_equal(kept.code, -1);
	kept = *e;
	kept_id = id;
}

static void ask_begins(void)
{
	kept = (struct err){.code = -1};
}

static json_t *url_of(struct rig *g, unsigned target)
{
	return json_sprintf("http://127.0.0.1:%u/kept",
			    (unsigned)addr_port(&g->targets[target].addr));
}

static json_t *settings_of(struct rig *g, const char *name, unsigned target)
{
	return json_pack("{s:s, s:o, s:s}", "name", name, "url",
			 url_of(g, target), "key", "a-key");
}

/** Takes settings over; the answer has not come.  Returns what it returned. */
static int make_of(struct rig *g, json_t *settings)
{
	struct err e = {0};
	int err;

	ask_begins();
	err = notify_make_endpoint(g->n, APP, settings, on_kept, NULL, &e);
	json_decref(settings);
	if (err)
		assert_int_equal(e.code, err);
	return err;
}

static int make(struct rig *g, const char *name, unsigned target)
{
	return make_of(g, settings_of(g, name, target));
}

static int make_without_key(struct rig *g, const char *name, unsigned target)
{
	json_t *settings = settings_of(g, name, target);

	json_object_del(settings, "key");
	return make_of(g, settings);
}

static int change(struct rig *g, uint64_t id, json_t *changes)
{
	struct err e = {0};
	int err;

	ask_begins();
	err = notify_change_endpoint(g->n, id, changes, on_kept, NULL, &e);
	json_decref(changes);
	if (err)
		assert_int_equal(e.code, err);
	return err;
}

static int drop(struct rig *g, uint64_t id)
{
	struct err e = {0};

	ask_begins();
	return notify_drop_endpoint(g->n, id, on_kept, NULL, &e);
}

static void rig_begin_kept(struct rig *g)
{
	g->config.reader = aid_reader;
	assert_int_equal(
		notify_new(g->loop, g->a.s, g->workers, &g->config, &g->n), 0);
	for (size_t i = 0; i < g->n_endpoints; i++)
		rig_declare(g, i);
	assert_int_equal(notify_load_kept(g->n), 0);
	assert_int_equal(notify_start(g->n), 0);
}

static void rig_again_kept(struct rig *g)
{
	rig_end(g);
	aid_open(&g->a);
	rig_begin_kept(g);
}

static void what_is_made_is_told_changed_and_there_after_a_restart(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	uint64_t id = notify_endpoint_id(APP, "new");

	rig_begin_kept(g);
	assert_int_equal(make(g, "new", 0), 0);
	assert_false(notify_endpoint_info(g->n, id, &info)); /* not yet */
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, 0);
	assert_int_equal(kept_id, id);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_true(info.is_kept);
	assert_string_equal(info.shown, "{\"has_key\":true}");
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	assert_int_equal(change(g, id, json_pack("{s:b}", "enabled", 0)), 0);
	UNTIL(g, kept.code != -1);
	tell(g, 64, 1);
	rig_settle(g);
	rig_again_kept(g);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_false(info.enabled);
	assert_int_equal(change(g, id, json_pack("{s:n}", "enabled")), 0);
	UNTIL(g, kept.code != -1);
	tell(g, 64, 2);
	UNTIL(g, g->n_seen == 2);
	assert_string_equal(g->seen[1].sequence, "2");
	rig_settle(g);
	notify_reread_kept(g->n, APP);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_true(info.is_kept && info.enabled);
	assert_int_equal(drop(g, id), 0);
	UNTIL(g, kept.code != -1);
	assert_false(notify_endpoint_info(g->n, id, &info));
	rig_again_kept(g);
	assert_false(notify_endpoint_info(g->n, id, &info));
	tell(g, 64, 3);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

static void one_name_has_one_change_at_a_time(void **state)
{
	struct rig *g = *state;
	uint64_t id = notify_endpoint_id(APP, "new");

	endpoint_to(g, "file", 0, "/");
	rig_begin_kept(g);
	assert_int_equal(make(g, "new", 0), 0);
	assert_int_equal(make(g, "new", 1), EBUSY);
	kept.code = -1;
	UNTIL(g, kept.code != -1);
	assert_int_equal(make(g, "new", 1), EEXIST);
	assert_int_equal(make(g, "file", 1), EEXIST);
	assert_int_equal(change(g, id_of(g, 0), json_object()), EEXIST);
	assert_int_equal(drop(g, id_of(g, 0)), EEXIST);
	assert_int_equal(drop(g, 5), ENOENT);
	assert_int_equal(change(g, 5, json_object()), ENOENT);
	assert_int_equal(change(g, id, json_pack("{s:s}", "name", "x")),
			 EINVAL);
	assert_int_equal(change(g, id, json_pack("{s:n}", "url")), EINVAL);
	assert_int_equal(drop(g, id), 0);
	assert_int_equal(drop(g, id), EBUSY);
	kept.code = -1;
	UNTIL(g, kept.code != -1);
	assert_int_equal(make(g, "new", 1), 0);
	UNTIL(g, kept.code != -1);
}

static void what_cannot_be_stored_is_not_in_force(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	uint64_t id = notify_endpoint_id(APP, "new");

	rig_begin_kept(g);
	assert_int_equal(make(g, "new", 0), 0);
	UNTIL(g, kept.code != -1);
	setenv("TAPEOP_FAULT", "store.commit=ENOSPC", 1);
	crash_reload();
	assert_int_equal(drop(g, id), 0);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, ENOSPC);
	assert_int_equal(change(g, id, json_pack("{s:b}", "enabled", 0)), 0);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, ENOSPC);
	assert_int_equal(make(g, "other", 0), 0);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, ENOSPC);
	assert_false(notify_endpoint_info(
		g->n, notify_endpoint_id(APP, "other"), &info));
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	rig_settle(g);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_true(info.enabled);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
}

static void a_stop_answers_what_is_being_committed(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;

	rig_begin_kept(g);
	assert_int_equal(make(g, "new", 0), 0);
	rig_again_kept(g); /* the commit is carried out by the closing store */
	assert_int_equal(kept.code, ECANCELED);
	assert_true(notify_endpoint_info(g->n, notify_endpoint_id(APP, "new"),
					 &info));
}

static void the_file_wins_and_what_cannot_be_read_is_left_out(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	struct store_write *w;
	struct store_result r;

	rig_begin_kept(g);
	assert_int_equal(make(g, "both", 0), 0);
	UNTIL(g, kept.code != -1);
	w = store_write_new();
	store_put_endpoint(
		w, &(struct endpoint_row){.id = 7,
					  .app = APP,
					  .name = "bad",
					  .settings = "{\"name\":\"bad\"}"});
	store_put_endpoint(w, &(struct endpoint_row){.id = 8,
						     .app = APP,
						     .name = "worse",
						     .settings = "nonsense"});
	store_put_endpoint(w, &(struct endpoint_row){
				      .id = 9,
				      .app = 404,
				      .name = "gone",
				      .settings = "{\"name\":\"gone\","
						  "\"url\":\"http://x/\"}"});
	assert_int_equal(store_commit_wait(g->a.s, w, &r), 0);
	endpoint_to(g, "both", 1, "/file");
	rig_again_kept(g);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_string_equal(info.name, "both");
	assert_false(info.is_kept);
	assert_false(notify_endpoint_at(g->n, 1, &info));
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	assert_int_equal(g->seen[0].target, 1);
	/* When the file lets go of it, it is back. */
	g->n_endpoints = 0;
	rig_again_kept(g);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_true(info.is_kept);
}

static struct notify_test tested;
static char tested_url[256], tested_answer[64];
static unsigned n_tested;

static void on_tested(const struct notify_test *t, void *arg)
{
	(void)arg;
	n_tested++;
	tested = *t;
	snprintf(tested_url, sizeof(tested_url), "%s", t->url);
	snprintf(tested_answer, sizeof(tested_answer), "%.*s",
		 (int)t->answer_len, (const char *)t->answer);
}

/** Remove so many of other names that deliver forgets this one. */
static void forget(struct rig *g, uint64_t id)
{
	struct deliver_endpoint_stats stats;
	struct err e = {0};
	char name[16];

	for (unsigned i = 0; i < DELIVER_REMOVED_MAX; i++) {
		struct notify_endpoint other = g->endpoints[0];

		snprintf(name, sizeof(name), "other-%u", i);
		other.name = name;
		assert_int_equal(notify_set_endpoint(g->n, &other, &e), 0);
		assert_int_equal(notify_remove_endpoint(
					 g->n, notify_endpoint_id(APP, name)),
				 0);
	}
	UNTIL(g, !deliver_endpoint_stats(notify_deliver(g->n), id, &stats));
}

static void a_name_that_was_removed_long_ago_is_forgotten(void **state)
{
	static const struct step yes = {
		.status = 200, .field = "WebHook-Allowed-Origin", .value = "*"};
	const uint64_t id = notify_endpoint_id(APP, "old");
	struct rig *g = *state;
	struct err e = {0};

	n_tested = 0;
	endpoint_to(g, "old", 0, "/");
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	rig_settle(g);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	assert_string_equal(notify_endpoint_name(g->n, id), "old");
	forget(g, id);
	assert_string_equal(notify_endpoint_name(g->n, id), "");
	assert_true(notify_removed_endpoint(g->n, 0, "old") == 0);
	/* A test that is under way meanwhile ends. */
	g->endpoints[0].handshake = true;
	CONSENT(g, 0, {.status = 0});
	rig_declare(g, 0);
	assert_int_equal(notify_test_endpoint(g->n, id, on_tested, NULL, &e),
			 0);
	UNTIL(g, g->n_seen == 2);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	forget(g, id);
	assert_string_equal(notify_endpoint_name(g->n, id), "old");
	release_with(&g->targets[0], &yes);
	UNTIL(g, n_tested == 1);
	assert_false(tested.delivered);
	assert_string_equal(notify_endpoint_name(g->n, id), "");
	assert_int_equal(g->n_seen, 2);
}

/* ---- between the file and what was made at run time ---- */

/** Kept by target 0; the file declares the same name at target 1. */
static void shadow(struct rig *g)
{
	endpoint_to(g, "both", 1, "/file");
	rig_declare(g, 0);
}

static void assert_kept_at(struct rig *g, unsigned target)
{
	const unsigned before = g->n_seen;
	struct notify_endpoint_info info;

	assert_true(notify_endpoint_info(g->n, notify_endpoint_id(APP, "both"),
					 &info));
	assert_true(info.is_kept);
	SCRIPT(g, target, {.status = 200});
	tell(g, 640, before);
	clock_pass(g, 60 * S);
	assert_true(g->n_seen > before);
	for (unsigned i = before; i < g->n_seen; i++) {
		assert_int_equal(g->seen[i].target, target);
		assert_string_equal(g->seen[i].path, "/kept");
	}
}

static void what_the_file_lets_go_of_is_back_and_loses_nothing(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	const uint64_t id = notify_endpoint_id(APP, "both");

	SCRIPT(g, 0, {.status = 0});
	SCRIPT(g, 1, {.status = 0});
	rig_begin_kept(g);
	assert_int_equal(make(g, "both", 0), 0);
	UNTIL(g, kept.code != -1);
	tell(g, 64, 0);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 1 && !g->committing);
	shadow(g);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_false(info.is_kept);
	assert_int_equal(change(g, id, json_object()), EEXIST);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	release(&g->targets[0], 500);
	assert_kept_at(g, 0);
	assert_balance(g, 3, 0, 0, 0);
	/* And when it was so from the start. */
	rig_again_kept(g);
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_false(info.is_kept);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	assert_kept_at(g, 0);
	assert_balance(g, 4, 0, 0, 0);
	/* Then it is as any other. */
	assert_int_equal(drop(g, id), 0);
	UNTIL(g, kept.code != -1);
	assert_false(notify_endpoint_info(g->n, id, &info));
}

static void what_the_file_overtakes_waits_until_it_lets_go(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	const uint64_t id = notify_endpoint_id(APP, "both");

	rig_begin_kept(g);
	assert_int_equal(make(g, "both", 0), 0);
	shadow(g);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, EEXIST);
	assert_non_null(strstr(kept.text, "the configuration file"));
	assert_true(notify_endpoint_info(g->n, id, &info));
	assert_false(info.is_kept);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	assert_kept_at(g, 0);
	/* A change, too. */
	assert_int_equal(change(g, id, json_pack("{s:o}", "url", url_of(g, 2))),
			 0);
	rig_declare(g, 0);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, EEXIST);
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	assert_kept_at(g, 2);
}

static void what_was_for_a_dropped_one_is_not_for_the_file_s(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	const uint64_t id = notify_endpoint_id(APP, "both");

	SCRIPT(g, 0, {.status = 0});
	rig_begin_kept(g);
	assert_int_equal(make(g, "both", 0), 0);
	UNTIL(g, kept.code != -1);
	for (unsigned i = 0; i < 3; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 1 && !g->committing);
	assert_int_equal(drop(g, id), 0);
	shadow(g);
	tell(g, 128, 0);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, 0);
	release(&g->targets[0], 500);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 2);
	assert_string_equal(g->seen[1].path, "/file");
	assert_balance(g, 1, 0, 0, 3);
	/* Nothing else expires at the next start. */
	SCRIPT(g, 1, {.status = 500});
	tell(g, 128, 1);
	clock_pass(g, S);
	rig_again_kept(g);
	SCRIPT(g, 1, {.status = 200});
	clock_pass(g, 10 * S);
	UNTIL(g, g->n_seen == 5);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 3);
	/* And nothing was kept. */
	assert_int_equal(notify_remove_endpoint(g->n, id), 0);
	assert_false(notify_endpoint_info(g->n, id, &info));
}

/** The newest callback was signed with this key. */
static void assert_signed(struct rig *g, const char *key)
{
	const struct seen *s = &g->seen[g->n_seen - 1];
	char want[80];

	hash_sign(key, s->body, false, want);
	assert_string_equal(s->signature, want);
}

static void it_signs_with_the_key_that_its_app_has_then(void **state)
{
	struct rig *g = *state;
	json_t *settings =
		json_pack("{s:s, s:o}", "name", "new", "url", url_of(g, 0));
	struct err e = {0};

	aid_app_key = "old";
	rig_begin_kept(g);
	ask_begins();
	assert_int_equal(
		notify_make_endpoint(g->n, APP, settings, on_kept, NULL, &e),
		0);
	json_decref(settings);
	aid_app_key = "new"; /* while it is being committed */
	notify_reread_kept(g->n, APP);
	UNTIL(g, kept.code != -1);
	assert_int_equal(kept.code, 0);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	assert_signed(g, "new");
	aid_app_key = "newest";
	notify_reread_kept(g->n, APP + 1);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 2);
	assert_signed(g, "new");
	notify_reread_kept(g->n, APP);
	tell(g, 64, 2);
	UNTIL(g, g->n_seen == 3);
	assert_signed(g, "newest");
	rig_settle(g);
}

static void what_has_not_changed_is_not_forgiven(void **state)
{
	struct deliver_endpoint_stats stats;
	struct rig *g = *state;
	const uint64_t id = notify_endpoint_id(APP, "new");

	SCRIPT(g, 0, {.status = 410});
	aid_app_key = "one";
	rig_begin_kept(g);
	assert_int_equal(make(g, "new", 0), 0); /* it has a key of its own */
	UNTIL(g, kept.code != -1);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	rig_settle(g);
	aid_app_key = "another";
	notify_reread_kept(g->n, APP);
	assert_true(deliver_endpoint_stats(notify_deliver(g->n), id, &stats));
	assert_true(stats.gone);
}

static char last_line[512];

static void keep_line(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static void without_memory_it_stays_as_it_was_and_says_so(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	unsigned failures = 0;

	aid_app_key = "old";
	rig_begin_kept(g);
	assert_int_equal(make_without_key(g, "new", 0), 0);
	UNTIL(g, kept.code != -1);
	aid_app_key = "new";
	log_set_sink(keep_line, NULL);
	for (bool hit = true; hit; failures += hit) {
		last_line[0] = 0;
		mem_fail_after(failures);
		notify_reread_kept(g->n, APP);
		hit = mem_fail_happened();
		mem_fail_after(-1);
		assert_int_equal(hit, !!strstr(last_line, ": out of memory"));
		assert_true(notify_endpoint_info(
			g->n, notify_endpoint_id(APP, "new"), &info));
	}
	log_set_sink(quiet, NULL);
	assert_true(failures);
}

/* ---- test events ---- */

static void a_test_event_is_beside_the_outbox(void **state)
{
	struct rig *g = *state;
	struct err e = {0};

	n_tested = 0;
	endpoint_to(g, "off", 0, "/x?own=secret")->enabled = false;
	SCRIPT(g, 0, {.status = 500, .body = "broken"}, {.status = 200});
	rig_begin(g);
	assert_int_equal(notify_test_endpoint(g->n, 5, on_tested, NULL, &e),
			 ENOENT);
	assert_int_equal(
		notify_test_endpoint(g->n, id_of(g, 0), on_tested, NULL, &e),
		0);
	UNTIL(g, n_tested == 1);
	assert_false(tested.delivered);
	assert_int_equal(tested.status, 500);
	assert_string_equal(tested_answer, "broken");
	assert_null(strstr(tested_url, "secret"));
	assert_non_null(strstr(tested_url, "/x?..."));
	assert_string_equal(g->seen[0].attempt, "1");
	assert_non_null(strstr(g->seen[0].body, "tapeop-test"));
	assert_int_equal(
		notify_test_endpoint(g->n, id_of(g, 0), on_tested, NULL, &e),
		0);
	UNTIL(g, n_tested == 2);
	assert_true(tested.delivered);
	assert_int_equal(stats_of(g, 0).failures_in_row, 0);
	assert_balance(g, 0, 0, 0, 0);
	/* So many at once, and no more; a stop ends them. */
	SCRIPT(g, 0, {.status = 0});
	for (unsigned i = 0; i < NOTIFY_TESTS_MAX; i++)
		assert_int_equal(notify_test_endpoint(g->n, id_of(g, 0),
						      on_tested, NULL, &e),
				 0);
	assert_int_equal(
		notify_test_endpoint(g->n, id_of(g, 0), on_tested, NULL, &e),
		EBUSY);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	rig_end(g);
	assert_int_equal(n_tested, 2 + NOTIFY_TESTS_MAX);
	assert_false(tested.delivered);
}

static void test_at(struct rig *g, size_t i)
{
	struct err e = {0};
	const unsigned before = n_tested;

	assert_int_equal(
		notify_test_endpoint(g->n, id_of(g, i), on_tested, NULL, &e),
		0);
	UNTIL(g, n_tested == before + 1);
	assert_true(tested.delivered);
}

static void the_id_of_a_test_event_is_given_to_no_other(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/")->dialect = DIALECT_STANDARD;
	g->endpoints[0].key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	rig_begin(g);
	test_at(g, 0);
	test_at(g, 0);
	rig_again(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 3);
	rig_settle(g);
	assert_string_equal(g->seen[2].id, "1");
	for (unsigned i = 0; i < 2; i++) {
		const uint64_t id = strtoull(g->seen[i].id, NULL, 10);

		assert_in_range(id, (uint64_t)1 << 52, ((uint64_t)1 << 53) - 1);
	}
	assert_string_not_equal(g->seen[0].id, g->seen[1].id);
}

static void a_test_event_of_gme_is_a_callback_of_gme(void **state)
{
	struct rig *g = *state;
	struct callback c;
	struct err e = {0};

	endpoint_to(g, "backend", 0, "/");
	rig_begin(g);
	test_at(g, 0);
	if (callback_parse(DIALECT_GME, g->seen[0].body,
			   strlen(g->seen[0].body), &c, &e))
		fail_msg("%s", e.text);
	assert_string_equal(c.event.room, "tapeop-test");
	assert_string_equal(c.event.file_name,
			    "1400000000_tapeop-test_tapeop-test/"
			    "2023-02-09-08-16-45_1_audio.mp3");
	event_fini(&c.event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_removed_endpoint_is_told_nothing_more),
		RIG_TEST(an_attempt_under_way_ends_after_the_removal),
		RIG_TEST(a_crash_in_the_middle_of_a_removal_changes_nothing),
		RIG_TEST(a_removed_name_may_be_used_again_at_once),
		RIG_TEST(switched_off_nothing_is_made_and_what_waits_waits),
		RIG_TEST(
			what_is_made_is_told_changed_and_there_after_a_restart),
		RIG_TEST(one_name_has_one_change_at_a_time),
		RIG_TEST(what_cannot_be_stored_is_not_in_force),
		RIG_TEST(a_name_that_was_removed_long_ago_is_forgotten),
		RIG_TEST(a_stop_answers_what_is_being_committed),
		RIG_TEST(the_file_wins_and_what_cannot_be_read_is_left_out),
		RIG_TEST(what_the_file_lets_go_of_is_back_and_loses_nothing),
		RIG_TEST(what_the_file_overtakes_waits_until_it_lets_go),
		RIG_TEST(what_was_for_a_dropped_one_is_not_for_the_file_s),
		RIG_TEST(it_signs_with_the_key_that_its_app_has_then),
		RIG_TEST(what_has_not_changed_is_not_forgiven),
		RIG_TEST(without_memory_it_stays_as_it_was_and_says_so),
		RIG_TEST(a_test_event_is_beside_the_outbox),
		RIG_TEST(the_id_of_a_test_event_is_given_to_no_other),
		RIG_TEST(a_test_event_of_gme_is_a_callback_of_gme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
