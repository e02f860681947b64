/** test/unit/config_app_test.c -- an app that stands in no file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/settings.h"
#include "oom.h"

static json_t *json_of(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	if (!json)
		fail_msg("not JSON: %s", text);
	return json;
}

static int read_app(const char *text, struct config **out, struct err *e)
{
	json_t *json = json_of(text);
	int err = config_read_app(json, out, e);

	json_decref(json);
	return err;
}

static struct config *good(const char *text)
{
	struct config *c = NULL;
	struct err e;

	if (read_app(text, &c, &e))
		fail_msg("%s: %s: %s", text, e.field, e.text);
	assert_int_equal(c->n_apps, 1);
	return c;
}

static const char whole[] =
	"{\"id\":7,\"name\":\"seven\",\"secret_key\":\"s3cret\","
	"\"previous_secret_key\":\"0ld\",\"recording\":{\"auto\":\"both\","
	"\"format\":\"ogg\",\"sample_rate\":24000,\"segment\":\"90m\","
	"\"mic_off\":\"silence\",\"file_time_zone\":\"-03:30\"},"
	"\"api_keys\":[{\"secret_id\":\"AKIDa\",\"secret_key\":\"a\"},"
	"{\"secret_id\":\"AKIDb\",\"secret_key\":\"b\",\"actions\":"
	"[\"StopRecord\",\"StartRecord\"]}]}";

static void its_settings_are_those_of_the_file(void **state)
{
	struct config *c = good(whole);
	const struct config_app *a = &c->apps[0];
	const struct recording_config *r = &a->app.recording;

	(void)state;
	assert_int_equal(a->app.id, 7);
	assert_string_equal(a->app.name, "seven");
	assert_string_equal(a->secret_key, "s3cret");
	assert_string_equal(a->previous_secret_key, "0ld");
	assert_int_equal(r->auto_mode, AUTO_BOTH);
	assert_int_equal(r->sample_rate, 24000);
	assert_int_equal(r->segment_us, 90 * 60 * (int64_t)1000000);
	assert_false(r->mic_off_splits);
	assert_int_equal(r->zone_minutes, -210);
	/* and those that are not given have its defaults */
	assert_int_equal(r->hold_empty_us, 12 * 3600 * (int64_t)1000000);
	assert_int_equal(a->n_api_keys, 2);
	assert_int_equal(a->api_keys[0].actions, UINT32_MAX);
	assert_int_equal(a->api_keys[1].actions, 3);
	assert_int_equal(a->n_endpoints, 0);
	assert_false(a->is_kept);
	config_free(c);
}

static void what_is_shown_has_no_secret_and_is_read_as_the_same(void **state)
{
	static const char *const secrets[] = {"has_secret_key",
					      "has_previous_secret_key"};
	struct config *c = good(whole), *again;
	json_t *shown = json_of(c->apps[0].shown);
	json_t *keys = json_object_get(shown, "api_keys");
	json_t *recording = json_object_get(shown, "recording");
	char *text;

	(void)state;
	assert_null(strstr(c->apps[0].shown, "s3cret"));
	assert_null(strstr(c->apps[0].shown, "0ld"));
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		assert_true(json_is_true(json_object_get(shown, secrets[i])));
		json_object_del(shown, secrets[i]);
	}
	assert_int_equal(json_array_size(keys), 2);
	assert_true(json_is_null(
		json_object_get(json_array_get(keys, 0), "actions")));
	text = json_dumps(json_array_get(keys, 1), JSON_COMPACT);
	assert_string_equal(text, "{\"secret_id\":\"AKIDb\","
				  "\"has_previous_secret_key\":false,"
				  "\"actions\":[\"StartRecord\","
				  "\"StopRecord\"]}");
	mem_free(text);
	/* each setting of recording, so that none is forgotten */
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == GROUP_ID_RECORDING &&
		    !json_object_get(recording, settings[i].key))
			fail_msg("%s is not shown", settings[i].key);
	}
	json_object_del(shown, "api_keys");
	text = json_dumps(shown, 0);
	again = good(text);
	assert_memory_equal(&again->apps[0].app.recording,
			    &c->apps[0].app.recording,
			    sizeof(struct recording_config));
	mem_free(text);
	json_decref(shown);
	config_free(again);
	config_free(c);
}

static const struct {
	const char *text, *field, *says;
} bads[] = {
	{"[]", "", "must be a JSON object"},
	{"{}", "id", "is required"},
	{"{\"id\":0}", "id", "from 1 to 4294967295"},
	{"{\"id\":\"7\"}", "id", "is no whole number"},
	{"{\"id\":7,\"nam\":1}", "nam", "did you mean \"name\"?"},
	{"{\"id\":7,\"zzz\":1}", "zzz",
	 "permitted: id, name, secret_key, previous_secret_key, api_keys, "
	 "recording, callbacks"},
	{"{\"id\":7,\"name\":5}", "name", "must be a text of 0 to 128"},
	{"{\"id\":7,\"name\":\"a\\nb\"}", "name", "control character"},
	{"{\"id\":7,\"secret_key\":\"env:PATH\"}", "secret_key",
	 "must be the secret itself"},
	{"{\"id\":7,\"secret_key\":\"file:/etc/passwd\"}", "secret_key",
	 "must be the secret itself"},
	{"{\"id\":7,\"secret_key\":\"\"}", "secret_key", "is empty"},
	{"{\"id\":7,\"previous_secret_key\":\"a\"}", "previous_secret_key",
	 "set that, too"},
	{"{\"id\":7,\"recording\":5}", "recording", "must be a JSON object"},
	{"{\"id\":7,\"recording\":{\"auto\":\"all\"}}", "recording.auto",
	 "one of: off, single, mixed, both"},
	{"{\"id\":7,\"recording\":{\"sample_rate\":44100}}",
	 "recording.sample_rate", "one of: 48000, 24000, 16000"},
	{"{\"id\":7,\"recording\":{\"segment\":\"25h\"}}", "recording.segment",
	 "from 1s to 24h"},
	{"{\"id\":7,\"recording\":{\"segment\":7200}}", "recording.segment",
	 "must be a time"},
	{"{\"id\":7,\"recording\":{\"file_time_zone\":\"+15:00\"}}",
	 "recording.file_time_zone", "to +14:00"},
	{"{\"id\":7,\"recording\":{\"sgment\":\"1h\"}}", "recording.sgment",
	 "did you mean \"segment\"?"},
	{"{\"id\":7,\"api_keys\":{}}", "api_keys", "must be a list"},
	{"{\"id\":7,\"api_keys\":[5]}", "api_keys[0]", "must be a JSON object"},
	{"{\"id\":7,\"api_keys\":[{\"secret_id\":\"a\"}]}",
	 "api_keys[0].secret_key", "is required"},
	{"{\"id\":7,\"api_keys\":[{\"secret_id\":\"a\",\"secret_key\":\"b\","
	 "\"actions\":[]}]}",
	 "api_keys[0].actions", "is an empty list: at least 1"},
	{"{\"id\":7,\"api_keys\":[{\"secret_id\":\"a\",\"secret_key\":\"b\","
	 "\"actions\":[\"Stop\"]}]}",
	 "api_keys[0].actions", "one or a list of: StartRecord"},
	{"{\"id\":7,\"api_keys\":[{\"secret_id\":\"a b\",\"secret_key\":"
	 "\"b\"}]}",
	 "api_keys[0].secret_id", "letters, digits"},
	{"{\"id\":7,\"api_keys\":[{\"secret_id\":\"a\",\"secret_key\":\"b\"},"
	 "{\"secret_id\":\"a\",\"secret_key\":\"c\"}]}",
	 "api_keys[1].secret_id", "is there twice"},
};

static void every_fault_is_named_with_the_way_to_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		struct config *c = NULL;
		struct err e;

		assert_int_equal(read_app(bads[i].text, &c, &e), EINVAL);
		if (strcmp(e.field, bads[i].field) != 0 ||
		    !strstr(e.text, bads[i].says))
			fail_msg("%s:\n%s: %s", bads[i].text, e.field, e.text);
	}
}

static void put(struct config *c, const char *text, bool was_there)
{
	struct config *one = good(text);
	struct err e;

	assert_int_equal(config_put_app(c, one, &e), 0);
	assert_int_equal(one->n_apps, was_there);
	config_free(one);
}

static struct config *of_file(void)
{
	static const char text[] = "apps: [{id: 1, name: one}, {id: 2}]";
	struct config *c = NULL;
	struct err e;

	if (config_parse("t.yaml", text, strlen(text), &c, &e))
		fail_msg("%s", e.text);
	return c;
}

static void apps_come_into_a_configuration_change_and_go(void **state)
{
	struct config *c = of_file();

	(void)state;
	assert_string_equal(c->file, "t.yaml");
	put(c, "{\"id\":7,\"name\":\"a\"}", false);
	put(c, "{\"id\":8}", false);
	put(c, "{\"id\":7,\"name\":\"b\"}", true);
	assert_int_equal(c->n_apps, 4);
	assert_string_equal(config_find_app(c, 7)->app.name, "b");
	assert_true(config_find_app(c, 7)->is_kept);
	assert_false(config_find_app(c, 1)->is_kept);
	config_drop_app(c, 7);
	config_drop_app(c, 7);
	assert_null(config_find_app(c, 7));
	assert_int_equal(c->n_apps, 3);
	assert_true(config_find_app(c, 8)->is_kept);
	config_free(c);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
	struct config *c = of_file(), *one;
	struct err e;
	char text[32];

	(void)state;
	for (unsigned i = 3; i <= CONFIG_APPS_MAX; i++) {
		snprintf(text, sizeof(text), "{\"id\":%u}", i);
		put(c, text, false);
	}
	one = good("{\"id\":5000}");
	assert_int_equal(config_put_app(c, one, &e), ENOSPC);
	assert_non_null(strstr(e.text, "100 apps"));
	assert_int_equal(one->n_apps, 1);
	config_free(one);
	put(c, "{\"id\":50,\"name\":\"changed\"}", true);
	config_drop_app(c, 50);
	put(c, "{\"id\":5000}", false);
	config_free(c);
}

static void sweep_once(void)
{
	static const char text[] = "{}";
	struct config *one = NULL, *c = NULL;
	struct err e = {0};
	int err = config_parse("t.yaml", text, strlen(text), &c, &e);
	json_t *json;

	if (err)
		return;
	json = json_loads(whole, 0, NULL);
	if (json && !config_read_app(json, &one, &e) &&
	    !config_put_app(c, one, &e))
		assert_int_equal(c->n_apps, 1);
	else
		assert_true(mem_fail_happened());
	json_decref(json);
	config_free(one);
	config_free(c);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(sweep_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_settings_are_those_of_the_file),
		cmocka_unit_test(
			what_is_shown_has_no_secret_and_is_read_as_the_same),
		cmocka_unit_test(every_fault_is_named_with_the_way_to_it),
		cmocka_unit_test(apps_come_into_a_configuration_change_and_go),
		cmocka_unit_test(there_is_room_for_so_many_and_no_more),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	json_set_alloc_funcs(mem_zalloc, mem_free_wiped);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
