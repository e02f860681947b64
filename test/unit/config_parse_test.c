/** test/unit/config_parse_test.c -- what a configuration file may hold, and
 *  what is said where when it does not. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"
#include "wire/cloud.h"

static int parse(const char *text, struct config **out, struct err *e)
{
	return config_parse("t.yaml", text, strlen(text), out, e);
}

/** Must load; the caller frees. */
static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct err e = {0};

	if (parse(text, &c, &e))
		fail_msg("%s", e.text);
	return c;
}

#define S_(n) ((n) * (int64_t)1000000)

/* ---- what is wrong ------------------------------------------------------ */

#define S3(text) "storage: {kind: s3, s3: {" text "}}\n"
#define APP	 "apps:\n  - id: 1\n"
#define SECRET	 APP "    secret_key: abc\n"
#define CB	 SECRET "    callbacks:\n      - name: a\n        url: http://h/\n"

static const struct bad {
	const char *text;
	const char *at;	   /* behind "t.yaml:" */
	const char *says;  /* somewhere in it */
	const char *says2; /* as well; may be NULL */
} bads[] = {
	/* not one document of groups */
	{"", "1:1: ", "is empty", "--sample"},
	{"# nothing\n", "1:1: ", "is empty", NULL},
	{"just text", "1:1: ", "must be a group", NULL},
	{"- a\n", "1:1: ", "must be a group", NULL},
	{"data_dir: a\n---\ndata_dir: b\n", "2:1: ", "second document", NULL},
	{"http: {listen: 127.0.0.1:80\n", "2:1: ", "not YAML", NULL},
	{"data_dir: a\n\tlog_level: info\n", "2:1: ", "not YAML", NULL},
	{"data_dir: &x a\n", "1:11: ", "anchors", NULL},
	{"http: &x\n  listen: 127.0.0.1:80\n", "1:7: ", "anchors", NULL},
	{"data_dir: *x\n", "1:11: ", "aliases", NULL},
	{"data_dir: !!str a\n", "1:11: ", "tags", NULL},
	{"<<: {data_dir: a}\n", "1:1: <<: ", "unknown setting", NULL},
	{"? [a, b]\n: c\n", "1:3: ", "must be text", NULL},
	{"\"\": c\n", "1:1: ", "must be text", NULL},
	{"data_dir: a\xff\n", "1:12: ", "UTF-8", NULL},
	{"log_level: info\ndata_dir: \xc3\xa9\xff\n", "2:12: ", "UTF-8", NULL},
	{"data_dir: a\x01\n", "1:12: ", "UTF-8", NULL},
	{"data_dir: \"a\\0b\"\n", "1:11: data_dir: ", "control character",
	 "1 to 1024 bytes"},
	{"data_dir: \"a\\nb\"\n", "1:11: data_dir: ", "control character",
	 NULL},
	/* keys */
	{"data_dri: a\n", "1:1: data_dri: ", "did you mean \"data_dir\"?",
	 NULL},
	{"\nhttp:\n  lisen: 127.0.0.1:80\n",
	 "3:3: http.lisen: ", "did you mean \"listen\"?", NULL},
	{"htpt:\n  listen: x\n", "1:1: htpt: ", "did you mean \"http\"?", NULL},
	{"http: {port: 80}\n",
	 "1:8: http.port: ", "known here: listen, admin_token", NULL},
	{"data_dir: a\nlog_level: info\ndata_dir: b\n",
	 "3:1: data_dir: ", "twice", NULL},
	{"http: {}\nhttp: {}\n", "2:1: http: ", "twice", NULL},
	{APP "    id: 2\n", "3:5: apps[0].id: ", "twice", NULL},
	/* shapes */
	{"data_dir: [a]\n", "1:11: data_dir: ", "is a list", "1 to 1024 bytes"},
	{"data_dir: {a: b}\n", "1:11: data_dir: ", "is a group", NULL},
	{"data_dir:\n", "1:10: data_dir: ", "no value", NULL},
	{"data_dir: ~\n", "1:11: data_dir: ", "no value", "1 to 1024 bytes"},
	{"http: {admin_token: null}\n", "1:21: http.admin_token: ", "no value",
	 NULL},
	{"data_dir: \"\"\n", "1:11: data_dir: ", "is empty", NULL},
	{"http: 8080\n", "1:7: http: ", "must be a group", NULL},
	{"http:\n", "1:6: http: ", "must be a group", NULL},
	{"http: [a]\n", "1:7: http: ", "must be a group", NULL},
	{"apps: {id: 1}\n", "1:7: apps: ", "must be a list", NULL},
	{"apps:\n  - 1\n", "2:5: apps[0]: ", "must be a group", NULL},
	{"http: {listen: [[127.0.0.1:80]]}\n",
	 "1:17: http.listen: ", "is a list", "IP address with a port"},
	{"http: {listen: []}\n", "1:16: http.listen: ", "at least 1", NULL},
	/* numbers, times, names */
	{"media: {loops: 65}\n", "1:16: media.loops: ", "out of range",
	 "from 0 to 64"},
	{"media: {loops: -1}\n", "1:16: media.loops: ", "out of range",
	 "from 0 to 64"},
	{"media: {loops: two}\n", "1:16: media.loops: ", "not a number",
	 "from 0 to 64"},
	{"media: {loops: \"2\"}\n", "1:16: media.loops: ", "not a number",
	 "from 0 to 64"},
	{"media: {loops: 1.5}\n", "1:16: media.loops: ", "not a number", NULL},
	{"media: {loops: 010}\n", "1:16: media.loops: ", "starts with a zero",
	 NULL},
	{"media: {loops: 99999999999999999999}\n",
	 "1:16: media.loops: ", "out of range", NULL},
	{"media: {rtp_ports: 41000}\n",
	 "1:20: media.rtp_ports: ", "not a range", "from 1024 to 65535"},
	{"media: {rtp_ports: 80-90}\n",
	 "1:20: media.rtp_ports: ", "out of range", "from 1024 to 65535"},
	{"media: {rtp_ports: 41000-70000}\n",
	 "1:20: media.rtp_ports: ", "out of range", "from 1024 to 65535"},
	{"media: {rtp_ports: 42000-41000}\n",
	 "1:20: media.rtp_ports: ", "ends before", NULL},
	{"media: {address: localhost}\n",
	 "1:18: media.address: ", "not an address", "without a port"},
	{"media: {address: 127.0.0.1:5}\n",
	 "1:18: media.address: ", "has a port", NULL},
	{"media: {address: 0.0.0.0}\n",
	 "1:18: media.address: ", "senders can reach", NULL},
	{"media: {address: [127.0.0.1, \"::1\"]}\n",
	 "1:18: media.bind: ", "is required", "\"::\""},
	{"media: {address: [127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.0.4, "
	 "127.0.0.5]}\n",
	 "1:63: media.address: ", "at most 4", NULL},
	{"media: {address: [127.0.0.1, 224.0.0.1], bind: 0.0.0.0}\n",
	 "1:30: media.address: ", "senders can reach", NULL},
	{"media: {bind: 224.0.0.1}\n",
	 "1:15: media.bind: ", "address of this machine", NULL},
	{"media: {udp_port: -1}\n", "1:19: media.udp_port: ", "out of range",
	 "from 0 to 65535"},
	{"media: {udp_port: 65536}\n", "1:19: media.udp_port: ", "out of range",
	 "from 0 to 65535"},
	{"media: {max_sessions: 0}\n",
	 "1:23: media.max_sessions: ", "out of range", "from 1 to 10000"},
	{"media: {max_rooms_per_user: 0}\n",
	 "1:29: media.max_rooms_per_user: ", "out of range", "from 1 to 10000"},
	{"media: {max_sessions: 10001}\n",
	 "1:23: media.max_sessions: ", "out of range", "from 1 to 10000"},
	{"http: {allowed_origins: app.example.com}\n",
	 "1:25: http.allowed_origins: ", "no origin", "https://HOST"},
	{"http: {allowed_origins: [\"*\", \"https://a/\"]}\n",
	 "1:31: http.allowed_origins: ", "no origin", "https://HOST"},
	{"http: {allowed_origins: \"https://A.example\"}\n",
	 "1:25: http.allowed_origins: ", "no origin", NULL},
	{"http: {allowed_origins: \"https://a.example:0\"}\n",
	 "1:25: http.allowed_origins: ", "no origin", NULL},
	{"http: {allowed_origins: \"https://[::1\"}\n",
	 "1:25: http.allowed_origins: ", "no origin", NULL},
	{"http: {allowed_origins: \"null\"}\n",
	 "1:25: http.allowed_origins: ", "no origin", NULL},
	{"log_level: loud\n", "1:12: log_level: ", "not known",
	 "error, warn, info, debug"},
	{APP "    recording: {segment: 500ms}\n",
	 "3:26: apps[0].recording.segment: ", "out of range", "from 1s to 24h"},
	{APP "    recording: {keep: -1s}\n",
	 "3:23: apps[0].recording.keep: ", "out of range", "to "},
	{APP "    recording: {keep: -1}\n",
	 "3:23: apps[0].recording.keep: ", "not a time with a unit", NULL},
	{APP "    recording: {keep: --1s}\n",
	 "3:23: apps[0].recording.keep: ", "not a time with a unit", NULL},
	{APP "    recording: {segment: 3600}\n",
	 "3:26: apps[0].recording.segment: ", "not a time with a unit",
	 "from 1s to 24h"},
	{APP "    recording: {mic_off: mute}\n",
	 "3:26: apps[0].recording.mic_off: ", "not known", "split, silence"},
	{APP "    recording: {mic_off_after: 2d}\n",
	 "3:32: apps[0].recording.mic_off_after: ", "out of range",
	 "from 200ms to 1h"},
	{APP "    recording: {file_time_zone: +8}\n",
	 "3:33: apps[0].recording.file_time_zone: ", "distance from UTC",
	 "+14:00"},
	{APP "    recording: {file_time_zone: \"+15:00\"}\n",
	 "3:33: apps[0].recording.file_time_zone: ", "out of range", NULL},
	{APP "    recording: {file_time_zone: \"+08:75\"}\n",
	 "3:33: apps[0].recording.file_time_zone: ", "out of range", NULL},
	/* listening */
	{"http: {listen: 127.0.0.1}\n", "1:16: http.listen: ", "has no port",
	 NULL},
	{"http: {listen: \"::1\"}\n", "1:16: http.listen: ", "has no port",
	 NULL},
	{"http: {listen: example.com:80}\n",
	 "1:16: http.listen: ", "not an address", NULL},
	{"http: {listen: [127.0.0.1:80, 127.0.0.1:80]}\n",
	 "1:31: http.listen: ", "twice", NULL},
	{"http: {listen: [127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, "
	 "127.0.0.1:4, 127.0.0.1:5]}\n",
	 "1:69: http.listen: ", "at most 4", NULL},
	{"http:\n  listen: 0.0.0.0:8080\n",
	 "2:11: http.admin_token: ", "required", "0.0.0.0:8080"},
	{"http:\n  listen:\n    - 127.0.0.1:80\n    - 10.0.0.1:80\n",
	 "4:7: http.admin_token: ", "required", "10.0.0.1:80"},
	{"http: {listen: 0.0.0.0:80, admin_token: 0123456789abcde}\n",
	 "1:41: http.admin_token: ", "16 bytes or more", "openssl rand"},
	{"http: {listen: [127.0.0.1:80, \"[::]:80\"], admin_token: "
	 "0123456789abcdef,\n  previous_admin_token: old}\n",
	 "2:25: http.previous_admin_token: ", "16 bytes or more", NULL},
	{"http: {admin_token: \"\"}\n", "1:21: http.admin_token: ", "is empty",
	 "env:NAME"},
	{"http: {admin_token: env:TAPEOP_TEST_NOT_SET}\n",
	 "1:21: http.admin_token: ", "TAPEOP_TEST_NOT_SET", NULL},
	{"http: {admin_token: env:TAPEOP_TEST_EMPTY}\n",
	 "1:21: http.admin_token: ", "empty", NULL},
	{"http: {admin_token: file:/nonexistent/x}\n",
	 "1:21: http.admin_token: ", "/nonexistent/x", NULL},
	/* apps */
	{"apps:\n  - name: x\n", "2:5: apps[0].id: ", "missing", NULL},
	{"apps:\n  - id: 0\n", "2:9: apps[0].id: ", "out of range",
	 "from 1 to 4294967295"},
	{"apps:\n  - id: 4294967296\n", "2:9: apps[0].id: ", "out of range",
	 NULL},
	{"apps:\n  - id: ../../etc\n", "2:9: apps[0].id: ", "not a number",
	 NULL},
	{APP "  - {id: 2}\n  - id: 1\n",
	 "4:9: apps[2].id: ", "taken by apps[0]", NULL},
	/* endpoints */
	{SECRET "    callbacks:\n      - url: http://h/\n",
	 "5:9: apps[0].callbacks[0].name: ", "missing", NULL},
	{SECRET "    callbacks:\n      - {name: a}\n",
	 "5:9: apps[0].callbacks[0].url: ", "missing", NULL},
	{SECRET "    callbacks:\n      - {name: a b, url: http://h/}\n",
	 "5:16: apps[0].callbacks[0].name: ", "1 to 63 letters, digits", NULL},
	{CB "      - {name: a, url: http://h/}\n",
	 "7:16: apps[0].callbacks[1].name: ", "taken by callbacks[0]", NULL},
	{SECRET "    callbacks: [{name: a, url: ftp://host/}]\n",
	 "4:32: apps[0].callbacks[0].url: ", "http:// or https://", NULL},
	{SECRET "    callbacks: [{name: a, url: \"http://u:p@h/\"}]\n",
	 "4:32: apps[0].callbacks[0].url: ", "user or password", NULL},
	{APP "    callbacks:\n      - {name: a, url: http://h/}\n",
	 "4:9: apps[0].callbacks[0].key: ", "needs a key", "secret_key"},
	{CB "        dialect: standard\n"
	    "        key: secret\n",
	 "8:14: apps[0].callbacks[0].key: ", "dialect standard needs whsec_",
	 NULL},
	{CB "        dialect: xml\n",
	 "7:18: apps[0].callbacks[0].dialect: ", "not known", "gme, live"},
	{CB "        events: [started, begun]\n",
	 "7:27: apps[0].callbacks[0].events: ", "not known", "completed"},
	{CB "        events: [complete]\n",
	 "7:18: apps[0].callbacks[0].events: ", "did you mean \"completed\"?",
	 NULL},
	{CB "        events: [started, started]\n",
	 "7:27: apps[0].callbacks[0].events: ", "twice", NULL},
	{CB "        events: []\n",
	 "7:17: apps[0].callbacks[0].events: ", "at least 1", NULL},
	{CB "        events: [started, task_started]\n",
	 "7:27: apps[0].callbacks[0].events: ",
	 "gme has no word for task_started", NULL},
	{CB "        events: [completed]\n        dialect: live\n",
	 "7:18: apps[0].callbacks[0].events: ",
	 "live has no word for completed", NULL},
	{CB "        events: [task_failed]\n",
	 "7:18: apps[0].callbacks[0].events: ", "no word for task_failed",
	 NULL},
	{CB "        dialect: live\n        signature_encoding: hex\n",
	 "8:29: apps[0].callbacks[0].signature_encoding: ", "gme only", NULL},
	{CB "        timeout: 10ms\n", "7:18: apps[0].callbacks[0].timeout: ",
	 "out of range", "from 100ms to 1m"},
	{CB "        retry: 1s,,2s\n",
	 "7:16: apps[0].callbacks[0].retry: ", "tencent, standard", NULL},
	{CB "        order: random\n",
	 "7:16: apps[0].callbacks[0].order: ", "task, strict, none", NULL},
	{CB "        verdict: yes\n",
	 "7:18: apps[0].callbacks[0].verdict: ", "status, body", NULL},
	{CB "        expire_after: 31d\n",
	 "7:23: apps[0].callbacks[0].expire_after: ", "out of range",
	 "from 1s to 30d"},
	{CB "        rate: fast\n",
	 "7:15: apps[0].callbacks[0].rate: ", "is no rate", "0.017 to 10000"},
	{CB "        rate: -1\n",
	 "7:15: apps[0].callbacks[0].rate: ", "0.017 to 10000", NULL},
	{CB "        rate: \"1\"\n",
	 "7:15: apps[0].callbacks[0].rate: ", "0.017 to 10000", NULL},
	{CB "        handshake: 1\n",
	 "7:20: apps[0].callbacks[0].handshake: ", "true or false", NULL},
	{"callbacks_origin: \"http://a\"\n",
	 "1:19: callbacks_origin: ", "must be a DNS name", NULL},
	{CB "        allow_private: yes\n",
	 "7:24: apps[0].callbacks[0].allow_private: ", "true or false", NULL},
	{CB "        max_in_flight: 0\n",
	 "7:24: apps[0].callbacks[0].max_in_flight: ", "from 1 to 64", NULL},
	{CB "        enabled: \"true\"\n",
	 "7:18: apps[0].callbacks[0].enabled: ", "true or false", NULL},
	{CB "        extended: 1\n",
	 "7:19: apps[0].callbacks[0].extended: ", "true or false", NULL},
	/* rotation */
	{"http: {tls_cert: a}\n", "1:18: http.tls_key: ", "is missing", NULL},
	{"http: {tls_key: a}\n",
	 "1:17: http.tls_cert: ", "tls_cert and tls_key belong together", NULL},
	{"http: {previous_admin_token: a}\n",
	 "1:30: http.previous_admin_token: ", "set that, too", NULL},
	{"http: {admin_token: a, previous_admin_token: "
	 "env:TAPEOP_TEST_EMPTY}\n",
	 "1:46: http.previous_admin_token: ", "empty", NULL},
	{APP "    previous_secret_key: abc\n",
	 "3:26: apps[0].previous_secret_key: ", "set that, too", NULL},
	{APP "    callbacks: [{name: a, url: http://h/, dialect: live, "
	     "previous_key: x}]\n",
	 "3:17: apps[0].callbacks[0].key: ", "is required",
	 "previous_key is set"},
	{APP "    callbacks: [{name: a, url: http://h/, dialect: standard, "
	     "key: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, previous_key: x}]\n",
	 "3:121: apps[0].callbacks[0].previous_key: ", "whsec_", NULL},
	{APP "    callbacks: [{name: a, url: http://h/, dialect: standard, "
	     "key: whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}]\n",
	 "3:67: apps[0].callbacks[0].key: ", "verifies only", "whsk_"},
	{APP "    recording: {auto: all}\n", "3:23: apps[0].recording.auto: ",
	 "not known", "off, single, mixed, both"},
	{APP "    recording: {format: wav}\n",
	 "3:25: apps[0].recording.format: ", "not known", "mp3, ogg"},
	{APP "    recording: {sample_rate: 44100}\n",
	 "3:30: apps[0].recording.sample_rate: ", "not known",
	 "48000, 24000, 16000"},
	{APP "    recording: {max_idle: 241h}\n",
	 "3:27: apps[0].recording.max_idle: ", "out of range", "to 10d"},
	{APP "    recording: {hold_empty: 241h}\n",
	 "3:29: apps[0].recording.hold_empty: ", "out of range", "to 10d"},
	/* a bucket */
	{"storage: {kind: s3}\n", "1:10: storage.s3.endpoint: ", "is required",
	 "https://"},
	{"storage: {s3: {bucket: bbb}}\n",
	 "1:15: storage.s3.endpoint: ", "is required", NULL},
	{S3("endpoint: ftp://h, bucket: bbb, access_key: a, secret_key: s"),
	 "1:36: storage.s3.endpoint: ", "http", NULL},
	{S3("endpoint: \"http://h/bbb\", bucket: bbb, access_key: a, "
	    "secret_key: s"),
	 "1:36: storage.s3.endpoint: ", "end behind the host", NULL},
	{S3("endpoint: \"http://h\", access_key: a, secret_key: s"),
	 "1:25: storage.s3.bucket: ", "is required", NULL},
	{S3("endpoint: \"http://h\", bucket: Ab, access_key: a, secret_key: s"),
	 "1:56: storage.s3.bucket: ", "3 to 63 small letters", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, region: \"a b\", "
	    "access_key: a, secret_key: s"),
	 "1:69: storage.s3.region: ", "must be letters", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, prefix: /a, access_key: a, "
	    "secret_key: s"),
	 "1:69: storage.s3.prefix: ", "without a / in front", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, prefix: a/../b, "
	    "access_key: a, secret_key: s"),
	 "1:69: storage.s3.prefix: ", ". and ..", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, secret_key: s"),
	 "1:25: storage.s3.access_key: ", "is required", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, access_key: \"a b\", "
	    "secret_key: s"),
	 "1:73: storage.s3.access_key: ", "no spaces", NULL},
	{S3("endpoint: \"http://h\", bucket: bbb, access_key: a"),
	 "1:25: storage.s3.secret_key: ", "is required", NULL},
	{S3("endpoint: \"http://127.0.0.1:9\", bucket: bbb, access_key: a, "
	    "secret_key: s, path_style: false"),
	 "1:113: storage.s3.path_style: ", "must be true", "127.0.0.1"},
	{S3("endpoint: \"http://[fd00::1]\", bucket: bbb, access_key: a, "
	    "secret_key: s, path_style: false"),
	 "1:111: storage.s3.path_style: ", "must be true", "fd00::1"},
	/* keys of the Cloud API */
	{APP "    api_keys: [{secret_id: AKIDmine}]\n",
	 "3:16: apps[0].api_keys[0].secret_key: ", "is missing", NULL},
	{APP "    api_keys: [{secret_id: \"a b\", secret_key: x}]\n",
	 "3:28: apps[0].api_keys[0].secret_id: ",
	 "letters, digits and "
	 "-_.*@+",
	 NULL},
	{APP "    api_keys: [{secret_id: a, secret_key: x}, {secret_id: a, "
	     "secret_key: y}]\n",
	 "3:59: apps[0].api_keys[1].secret_id: ", "is there twice", NULL},
	{APP "    api_keys: [{secret_id: a, secret_key: x}]\n"
	     "  - id: 2\n    api_keys: [{secret_id: a, secret_key: y}]\n",
	 "5:28: apps[1].api_keys[0].secret_id: ", "is there twice", NULL},
	{APP "    api_keys: [{secret_id: a, secret_key: x, actions: [StopIt]}]"
	     "\n",
	 "3:56: apps[0].api_keys[0].actions: ", "is not known",
	 "StartRecord, StopRecord"},
	{APP "    api_keys: [{secret_id: a, secret_key: "
	     "env:TAPEOP_TEST_NOT_SET}]\n",
	 "3:43: apps[0].api_keys[0].secret_key: ", "TAPEOP_TEST_NOT_SET", NULL},
};

static void every_fault_is_named_with_its_place(void **state)
{
	(void)state;
	setenv("TAPEOP_TEST_EMPTY", "", 1);
	unsetenv("TAPEOP_TEST_NOT_SET");
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		const struct bad *b = &bads[i];
		struct config *c = NULL;
		struct err e = {0};
		int64_t live = mem_live();
		int err = parse(b->text, &c, &e);

		if (!err)
			fail_msg("was taken:\n%s", b->text);
		if (strncmp(e.text, "t.yaml:", 7) != 0 ||
		    strncmp(e.text + 7, b->at, strlen(b->at)) != 0 ||
		    !strstr(e.text, b->says) ||
		    (b->says2 && !strstr(e.text, b->says2)))
			fail_msg("%s\nsays: %s\nnot: %s%s / %s", b->text,
				 e.text, b->at, b->says,
				 b->says2 ? b->says2 : "");
		assert_int_equal(err, e.code);
		assert_null(c);
		if (mem_live() != live)
			fail_msg("leaks:\n%s", b->text);
	}
}

static void a_text_that_is_too_long_is_refused(void **state)
{
	struct config *c = NULL;
	char text[1100];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "data_dir: ", 10);
	text[10 + 1024] = 0;
	config_free(load(text));
	text[10 + 1024] = 'a';
	text[10 + 1025] = 0;
	assert_int_equal(parse(text, &c, &e), EINVAL);
	assert_string_equal(e.text, "t.yaml:1:11: data_dir: is too long: must "
				    "be a text of 1 to 1024 bytes");
}

/** "apps:" with n apps of m endpoints each; the caller frees. */
static char *many(unsigned n, unsigned m)
{
	struct buf b;
	char *text;

	buf_init(&b, CONFIG_FILE_MAX);
	buf_puts(&b, "apps:\n");
	for (unsigned i = 0; i < n; i++) {
		buf_printf(&b, " - id: %u\n   secret_key: k\n   callbacks:\n",
			   i + 1);
		for (unsigned j = 0; j < m; j++)
			buf_printf(&b, "   - {name: e%u, url: http://h/}\n", j);
	}
	assert_int_equal(buf_err(&b), 0);
	text = buf_take(&b);
	return text;
}

static void as_many_apps_and_endpoints_as_fit(void **state)
{
	struct config *c = NULL;
	struct err e;
	char *text = many(CONFIG_APPS_MAX, CONFIG_ENDPOINTS_MAX);

	(void)state;
	c = load(text);
	assert_int_equal(c->n_apps, CONFIG_APPS_MAX);
	assert_int_equal(c->apps[99].n_endpoints, CONFIG_ENDPOINTS_MAX);
	assert_int_equal(c->apps[99].endpoints[19].app, 100);
	config_free(c);
	mem_free(text);

	text = many(CONFIG_APPS_MAX + 1, 1);
	assert_int_equal(parse(text, &c, &e), EINVAL);
	assert_string_equal(e.text,
			    "t.yaml:402:4: apps: too many: at most 100");
	mem_free(text);

	text = many(1, CONFIG_ENDPOINTS_MAX + 1);
	assert_int_equal(parse(text, &c, &e), EINVAL);
	assert_string_equal(e.text, "t.yaml:25:6: apps[0].callbacks: too many: "
				    "at most 20");
	mem_free(text);
}

static void what_is_too_long_or_deep_is_refused_at_once(void **state)
{
	const size_t len = CONFIG_FILE_MAX;
	char *text = mem_zalloc(len + 2);
	struct config *c = NULL;
	struct err e;

	(void)state;
	assert_non_null(text);
	memset(text, '[', len);
	assert_int_equal(config_parse("t.yaml", text, len, &c, &e), EINVAL);
	assert_non_null(strstr(e.text, "t.yaml:1:1: "));
	for (size_t i = 0; i < len; i++)
		text[i] = "- "[i % 2];
	assert_int_equal(config_parse("t.yaml", text, len, &c, &e), EINVAL);
	memset(text, 'a', len);
	assert_int_equal(config_parse("t.yaml", text, len, &c, &e), EINVAL);
	memset(text, '#', len + 1);
	assert_int_equal(config_parse("t.yaml", text, len + 1, &c, &e), EFBIG);
	assert_non_null(strstr(e.text, "at most 1048576 bytes"));
	mem_free(text);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct config *c = NULL;
	struct err e;

	(void)state;
	assert_int_equal(config_load("/nonexistent/t.yaml", &c, &e), ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/t.yaml:1:1: "));
}

static void a_misplaced_secret_is_not_shown(void **state)
{
	static const char *const texts[] = {"log_level: hunter2\n",
					    "media: {loops: hunter2}\n",
					    "http: {listen: hunter2}\n",
					    CB "        retry: hunter2\n",
					    CB "        url: hunter2\n",
					    CB "        name: hunter2 x\n",
					    CB "        events: [hunter2]\n",
					    CB "        timeout: hunter2\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config *c = NULL;
		struct err e = {0};

		assert_int_not_equal(parse(texts[i], &c, &e), 0);
		assert_null(strstr(e.text, "hunter2"));
	}
}

/* ---- what is right ------------------------------------------------------ */

static void defaults_are_those_of_the_design(void **state)
{
	struct config *c = load("{}\n");

	(void)state;
	assert_string_equal(c->data_dir, "./tapeop-data");
	assert_string_equal(c->storage_dir, "./tapeop-data/recordings");
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->n_listen, 1);
	assert_true(addr_is_loopback(&c->listen[0]));
	assert_int_equal(addr_port(&c->listen[0]), 8080);
	assert_null(c->admin_token);
	assert_null(c->callbacks_origin);
	assert_true(addr_is_loopback(&c->media.addresses[0]));
	assert_int_equal(c->media.rtp_port_first, 41000);
	assert_int_equal(c->media.rtp_port_last, 41999);
	assert_int_equal(c->media.loops, 0);
	assert_int_equal(c->n_apps, 0);
	config_free(c);
}

static void origins_and_addresses_may_be_lists(void **state)
{
	struct config *c =
		load("http: {allowed_origins: [\"https://app.example.com\", "
		     "\"http://localhost:5173\", \"http://[::1]:80\"]}\n"
		     "media: {address: [192.0.2.1, \"2001:db8::1\"], "
		     "bind: \"::\", udp_port: 0, max_sessions: 7,\n"
		     "  max_rooms_per_user: 3}\n");
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(c->allowed_origins,
			    "https://app.example.com http://localhost:5173 "
			    "http://[::1]:80");
	assert_int_equal(c->media.n_addresses, 2);
	assert_string_equal(addr_write(&c->media.addresses[1], text),
			    "[2001:db8::1]:0");
	assert_string_equal(addr_write(&c->media.bind, text), "[::]:0");
	assert_int_equal(c->media.udp_port, 0);
	assert_int_equal(c->media.max_sessions, 7);
	assert_int_equal(c->media.max_rooms_per_user, 3);
	config_free(c);
	c = load("{}\n");
	assert_null(c->allowed_origins);
	assert_int_equal(c->media.n_addresses, 1);
	assert_true(addr_is_equal(&c->media.bind, &c->media.addresses[0]));
	assert_int_equal(c->media.udp_port, 40000);
	assert_int_equal(c->media.max_sessions, 1000);
	assert_int_equal(c->media.max_rooms_per_user, 20);
	assert_true(c->media.is_near);
	config_free(c);
	c = load("media: {address: 127.0.0.1}\n");
	assert_false(c->media.is_near);
	config_free(c);
	c = load("media: {bind: 127.0.0.1}\n");
	assert_false(c->media.is_near);
	config_free(c);
}

static void the_origin_of_callbacks_may_be_set(void **state)
{
	struct config *c = load("callbacks_origin: events.example.com\n");

	(void)state;
	assert_string_equal(c->callbacks_origin, "events.example.com");
	config_free(c);
}

static void an_app_has_defaults(void **state)
{
	struct config *c = load("apps: [{id: 7}]\n");
	const struct config_app *a = &c->apps[0];

	(void)state;
	assert_int_equal(a->app.id, 7);
	assert_string_equal(a->app.name, "");
	assert_null(a->secret_key);
	assert_int_equal(a->n_endpoints, 0);
	assert_int_equal(a->app.recording.auto_mode, AUTO_OFF);
	assert_int_equal(a->app.recording.format, FORMAT_MP3);
	assert_int_equal(a->app.recording.sample_rate, 48000);
	assert_true(a->app.recording.max_idle_us == 0);
	assert_true(a->app.recording.hold_empty_us == S_(43200));
	assert_true(a->app.recording.segment_us == S_(7200));
	assert_true(a->app.recording.mic_off_splits);
	assert_int_equal(a->app.recording.mic_off_after_us, S_(2));
	assert_int_equal(a->app.recording.zone_minutes, 480);
	config_free(c);
}

static void an_endpoint_has_the_defaults_of_its_dialect(void **state)
{
	struct config *c = load(CB "      - name: b\n"
				   "        url: https://h/\n"
				   "        dialect: live\n");
	const struct notify_endpoint *g = &c->apps[0].endpoints[0];
	const struct notify_endpoint *l = &c->apps[0].endpoints[1];

	(void)state;
	assert_int_equal(g->app, 1);
	assert_int_equal(g->dialect, DIALECT_GME);
	assert_string_equal(g->key, "abc");
	assert_int_equal(g->encoding, SIGNATURE_BASE64);
	assert_int_equal(g->timeout_us, S_(5));
	assert_int_equal(g->order, ORDER_TASK);
	assert_int_equal(g->verdict, NOTIFY_BY_STATUS);
	assert_true(g->expire_us == S_(7 * 86400));
	assert_false(g->allow_private);
	assert_int_equal(g->max_in_flight, 8);
	assert_int_equal(g->per_minute, 0);
	assert_false(g->handshake);
	assert_true(g->retry.on);
	assert_string_equal(l->key, "");
	assert_int_equal(l->verdict, NOTIFY_BY_BODY);
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		const enum event_kind kind = (enum event_kind)i;

		if (kind == EVENT_TEST)
			continue;
		assert_int_equal(g->kinds[i], callback_has(DIALECT_GME, kind));
		assert_int_equal(l->kinds[i], callback_has(DIALECT_LIVE, kind));
	}
	config_free(c);
}

static void nothing_of_one_app_is_left_in_the_next(void **state)
{
	struct config *c =
		load("apps:\n"
		     "  - id: 1\n"
		     "    name: one\n"
		     "    secret_key: s1\n"
		     "    recording: {segment: 3s, mic_off: silence, "
		     "file_time_zone: \"-03:30\"}\n"
		     "    callbacks:\n"
		     "      - {name: a, url: http://h/1, key: k1, events: "
		     "[completed], timeout: 1s, verdict: body, "
		     "signature_encoding: hex, allow_private: true, "
		     "rate: 0.5, handshake: true}\n"
		     "      - {name: b, url: http://h/2}\n"
		     "  - callbacks: [{url: http://h/3, name: a}]\n"
		     "    secret_key: s2\n"
		     "    id: 2\n");
	const struct config_app *one = &c->apps[0], *two = &c->apps[1];

	(void)state;
	assert_int_equal(one->app.recording.segment_us, S_(3));
	assert_int_equal(one->app.recording.zone_minutes, -210);
	assert_false(one->app.recording.mic_off_splits);
	assert_string_equal(one->endpoints[0].key, "k1");
	assert_int_equal(one->endpoints[0].encoding, SIGNATURE_HEX);
	assert_int_equal(one->endpoints[0].verdict, NOTIFY_BY_BODY);
	assert_false(one->endpoints[0].kinds[EVENT_STARTED]);
	assert_true(one->endpoints[0].kinds[EVENT_COMPLETED]);
	assert_int_equal(one->endpoints[0].per_minute, 30);
	assert_true(one->endpoints[0].handshake);
	assert_int_equal(one->endpoints[1].per_minute, 0);
	assert_false(one->endpoints[1].handshake);
	assert_string_equal(one->endpoints[1].key, "s1");
	assert_true(one->endpoints[1].kinds[EVENT_STARTED]);
	assert_int_equal(one->endpoints[1].timeout_us, S_(5));
	assert_int_equal(one->endpoints[1].verdict, NOTIFY_BY_STATUS);
	assert_false(one->endpoints[1].allow_private);
	assert_int_equal(two->app.id, 2);
	assert_string_equal(two->app.name, "");
	assert_true(two->app.recording.segment_us == S_(7200));
	assert_int_equal(two->app.recording.zone_minutes, 480);
	assert_int_equal(two->n_endpoints, 1);
	assert_string_equal(two->endpoints[0].key, "s2");
	assert_int_equal(two->endpoints[0].app, 2);
	config_free(c);
}

static void secrets_come_from_where_they_are(void **state)
{
	char path[] = "/tmp/config_parse_test.XXXXXX", text[256];
	int fd = mkstemp(path);
	struct config *c;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "from file\n", 10), 10);
	close(fd);
	setenv("TAPEOP_TEST_TOKEN", "from the environment", 1);
	snprintf(text, sizeof(text),
		 "http: {admin_token: env:TAPEOP_TEST_TOKEN, listen: "
		 "0.0.0.0:80}\napps:\n"
		 " - {id: 1, secret_key: \"file:%s\"}\n"
		 " - {id: 2, secret_key: \"file:%s\"}\n"
		 " - {id: 3, secret_key: literal}\n",
		 path, path);
	c = load(text);
	assert_string_equal(c->admin_token, "from the environment");
	assert_string_equal(c->apps[0].secret_key, "from file");
	assert_string_equal(c->apps[1].secret_key, "from file");
	/* where to look is known afterwards: each file once, no secret */
	assert_int_equal(c->n_secret_files, 1);
	assert_string_equal(c->secret_files[0], path);
	assert_int_equal(c->n_secret_literals, 1);
	config_free(c);
	unlink(path);
}

static void addresses_may_be_one_or_a_list(void **state)
{
	struct config *c = load("http:\n  listen: [127.0.0.1:0, "
				"\"[::1]:8080\", 127.0.0.1:0]\n"
				"media: {address: \"::1\"}\n"
				"data_dir: /var/lib/tapeop/\n");

	(void)state;
	assert_int_equal(c->n_listen, 3);
	assert_int_equal(addr_port(&c->listen[1]), 8080);
	assert_true(addr_is_loopback(&c->media.addresses[0]));
	assert_string_equal(c->storage_dir, "/var/lib/tapeop/recordings");
	config_free(c);
}

static void events_may_be_all(void **state)
{
	struct config *c = load(CB "        dialect: live\n"
				   "        events: all\n");

	(void)state;
	assert_true(c->apps[0].endpoints[0].kinds[EVENT_FILES_READY]);
	assert_false(c->apps[0].endpoints[0].kinds[EVENT_COMPLETED]);
	config_free(c);
}

/** The sample of the design, whole. */
static const char design_sample[] =
	"data_dir: ./tapeop-data              # database, spool\n"
	"http:\n"
	"  listen: 127.0.0.1:8080             # native API\n"
	"  admin_token: env:TAPEOP_ADMIN_TOKEN  # required\n"
	"media:\n"
	"  address: 127.0.0.1                 # announced to senders\n"
	"  udp_port: 40000                    # WebRTC\n"
	"  rtp_ports: 41000-41999             # plain RTP inputs\n"
	"  loops: 0                           # 0: one a core\n"
	"storage:\n"
	"  kind: local                        # local | s3\n"
	"  local: {dir: ./tapeop-data/recordings}\n"
	"  s3: {endpoint: \"\", region: \"\", bucket: \"\", prefix: \"\", "
	"access_key: \"\", secret_key: \"\", path_style: true}\n"
	"apps:\n"
	"  - id: 1400000000\n"
	"    name: demo\n"
	"    secret_key: env:TAPEOP_SECRET_KEY  # signs GME callbacks\n"
	"    api_keys: [{secret_id: AKIDexample, secret_key: "
	"env:TAPEOP_API_KEY}]\n"
	"    recording: {auto: \"off\", format: mp3, sample_rate: 48000, "
	"segment: 2h, mic_off: split, mic_off_after: 2s,\n"
	"                max_idle: 0s, hold_empty: 12h, file_time_zone: "
	"\"+08:00\"}   # auto: off | single | mixed | both\n"
	"    callbacks:\n"
	"      - {name: backend, url: \"http://127.0.0.1:9000/recording\", "
	"dialect: gme, key: \"\", signature_encoding: base64,\n"
	"         events: [started, completed, uploaded], timeout: 5s, retry: "
	"tencent, order: task, verdict: status,\n"
	"         expire_after: 7d, allow_private: true}   # order\n";

static void the_sample_of_the_design_loads(void **state)
{
	struct config *c;

	(void)state;
	setenv("TAPEOP_ADMIN_TOKEN", "token", 1);
	setenv("TAPEOP_SECRET_KEY", "key", 1);
	setenv("TAPEOP_API_KEY", "api key", 1);
	c = load(design_sample);
	assert_int_equal(c->apps[0].n_api_keys, 1);
	assert_string_equal(c->apps[0].api_keys[0].secret_id, "AKIDexample");
	assert_string_equal(c->apps[0].api_keys[0].secret_key, "api key");
	assert_string_equal(c->admin_token, "token");
	assert_string_equal(c->apps[0].endpoints[0].key, "key");
	assert_true(c->apps[0].endpoints[0].allow_private);
	config_free(c);
}

/** The places of the names in the table are enum cloud_action. */
static void a_key_has_the_actions_that_it_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CLOUD_ACTION_N; i++) {
		const char *name = cloud_action_name((enum cloud_action)i);
		struct config *c;
		char text[256];

		snprintf(text, sizeof(text),
			 APP "    api_keys: [{secret_id: a, secret_key: x, "
			     "actions: [%s, %s]}, {secret_id: b, secret_key: "
			     "y}]\n",
			 name, i ? "StartRecord" : "StopRecord");
		c = load(text);
		assert_int_equal(c->apps[0].api_keys[0].actions,
				 1U << i | 1U << (i ? 0 : 1));
		assert_int_equal(c->apps[0].api_keys[1].actions, UINT32_MAX);
		config_free(c);
	}
}

static void sweep_once(void)
{
	struct config *c = NULL;
	struct err e = {0};
	int err = parse(design_sample, &c, &e);

	if (err && !mem_fail_happened())
		fail_msg("%s", e.text);
	if (!err)
		config_free(c);
}

static size_t sweep_at;

static void sweep_bad(void)
{
	struct config *c = NULL;
	struct err e = {0};

	assert_int_not_equal(parse(bads[sweep_at].text, &c, &e), 0);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	setenv("TAPEOP_ADMIN_TOKEN", "token", 1);
	setenv("TAPEOP_SECRET_KEY", "key", 1);
	OOM_SWEEP(sweep_once);
	for (sweep_at = 0; sweep_at < ARRAY_LEN(bads); sweep_at++)
		OOM_SWEEP(sweep_bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_is_named_with_its_place),
		cmocka_unit_test(a_text_that_is_too_long_is_refused),
		cmocka_unit_test(as_many_apps_and_endpoints_as_fit),
		cmocka_unit_test(what_is_too_long_or_deep_is_refused_at_once),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(a_misplaced_secret_is_not_shown),
		cmocka_unit_test(defaults_are_those_of_the_design),
		cmocka_unit_test(origins_and_addresses_may_be_lists),
		cmocka_unit_test(the_origin_of_callbacks_may_be_set),
		cmocka_unit_test(an_app_has_defaults),
		cmocka_unit_test(an_endpoint_has_the_defaults_of_its_dialect),
		cmocka_unit_test(nothing_of_one_app_is_left_in_the_next),
		cmocka_unit_test(secrets_come_from_where_they_are),
		cmocka_unit_test(addresses_may_be_one_or_a_list),
		cmocka_unit_test(events_may_be_all),
		cmocka_unit_test(the_sample_of_the_design_loads),
		cmocka_unit_test(a_key_has_the_actions_that_it_names),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
