/**
 * commands/demo.c -- `tapeop demo`: everything at once, in one process.
 *
 * A server on embedded defaults, a receiver that verifies what it is told,
 * and two people who talk for some seconds.  See demo.h for the parts.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/demo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/server.h"

static const char help[] =
	"usage: tapeop demo [options]\n"
	"\n"
	"Two people talk in a voice room, a recorder records them, and a\n"
	"backend receives and verifies every callback: all in this process,\n"
	"on this machine, on settings that are built in.  The recorder stays\n"
	"up until Ctrl-C.\n"
	"\n"
	"      --once        end by itself: 0 when every file and every\n"
	"                    callback arrived, else 1\n"
	"      --json        one line of JSON on stdout at the end; the story\n"
	"                    goes to stderr\n"
	"      --seconds N   how long they talk, 1 to 600 (11)\n"
	"      --dir DIR     a new or empty folder for everything that is\n"
	"                    written (./tapeop-data/demo-<time>)\n"
	"  -h, --help\n";

enum {
	USUAL_PORT = 8080,
	KEY_BYTES = 16,
	KEY_TEXT = 2 * KEY_BYTES + 1,
	SPEAK_S = 11,
	SPEAK_MAX_S = 600,
	DIR_MAX = 512, /* bytes: names below it must fit, too */
	DIR_TRIES = 100,
	SETTINGS_MAX = 16 * 1024
};

struct demo {
	bool once, json;
	int64_t speak_us;
	const char *dir; /* as asked for, or NULL */
	struct demo_places places;
	char inbox_dir[DEMO_PATH_MAX];
	char gme_key[KEY_TEXT], live_token[KEY_TEXT];
	struct show show;
	struct stage_config stage_config;
	_Atomic(struct stage *) stage; /* NULL: nobody to tell the story */
	int log_fd;
	/* main thread */
	struct loop *loop;
	struct config *config;
	struct server *server;
	bool stopping;
	struct mail over_mail;
	_Atomic bool is_over, is_good;
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop demo: %s%s%s; see tapeop demo --help\n", why,
		value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

static int failed(const char *what, const char *why)
{
	fprintf(stderr, "tapeop demo: %s: %s\n", what, why);
	return EXIT_FAILED;
}

/* ---- options ---------------------------------------------------------------- */

/** Returns -1 to go on, or the exit code. */
static int read_options(struct demo *d, int argc, char **argv)
{
	static const struct option options[] = {
		{"once", no_argument, NULL, 'o'},
		{"json", no_argument, NULL, 'j'},
		{"seconds", required_argument, NULL, 's'},
		{"dir", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int64_t s = SPEAK_S;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			d->once = true;
			break;
		case 'j':
			d->json = true;
			break;
		case 's':
			if (str_to_i64(optarg, 1, SPEAK_MAX_S, &s))
				return usage("--seconds must be a number from "
					     "1 to 600",
					     optarg);
			break;
		case 'd':
			d->dir = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		default:
			return command_bad_option("demo", c, argv);
		}
	}
	if (optind < argc)
		return usage("unexpected argument", argv[optind]);
	if (d->dir && (!d->dir[0] || strlen(d->dir) > DIR_MAX ||
		       !str_is_clean_utf8(d->dir, strlen(d->dir))))
		return usage("--dir must be 1 to 512 bytes of clean UTF-8",
			     NULL);
	d->speak_us = s * CLOCK_US_PER_S;
	return -1;
}

/* ---- the folder --------------------------------------------------------------- */

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			empty = false;
	}
	if (dir)
		closedir(dir);
	return empty;
}

static int take_given_dir(struct demo *d)
{
	char *dir = d->places.dir;
	int err;

	str_copy(dir, sizeof(d->places.dir), d->dir);
	for (size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
		dir[len - 1] = 0;
	err = file_mkdirs(dir);
	if (err)
		return failed(dir, strerror(err));
	if (!is_empty(dir))
		return failed(dir, "is not empty; the demo never overwrites "
				   "anything: name a new folder with --dir");
	return EXIT_DONE;
}

/** A folder that nobody else has, even one started in the same second. */
static int make_new_dir(struct demo *d)
{
	const time_t s = (time_t)(clock_unix_ms() / 1000);
	char stamp[32];
	struct tm tm;
	int err = file_mkdirs("tapeop-data");

	localtime_r(&s, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	for (int i = 1; !err && i <= DIR_TRIES; i++) {
		int len = snprintf(d->places.dir, sizeof(d->places.dir),
				   "tapeop-data/demo-%s", stamp);

		if (i > 1)
			snprintf(d->places.dir + len,
				 sizeof(d->places.dir) - (size_t)len, "-%d", i);
		if (!mkdir(d->places.dir, 0750))
			return EXIT_DONE;
		if (errno != EEXIST)
			err = errno;
	}
	return failed("tapeop-data", err ? strerror(err)
					 : "is full of demos; name a new "
					   "folder with --dir");
}

/* ---- the log --------------------------------------------------------------------- */

/** Behind the time and the level. */
static const char *text_of_line(const char *line)
{
	for (int i = 0; i < 2; i++) {
		line += strcspn(line, " ");
		line += *line == ' ';
	}
	return line;
}

/** All goes into the file; what somebody must act on is shown as well. */
static void on_log(enum log_level level, const char *line, void *arg)
{
	struct demo *d = arg;
	struct stage *stage = atomic_load(&d->stage);
	char newline[] = "\n";
	struct iovec parts[] = {
		{.iov_len = strlen(line)},
		{.iov_base = newline, .iov_len = 1},
	};
	char copy[2048];

	str_copy(copy, sizeof(copy), line);
	parts[0].iov_base = copy;
	parts[0].iov_len = strlen(copy);
	if (writev(d->log_fd, parts, ARRAY_LEN(parts)) < 0)
		level = LOG_ERROR; /* then at least here */
	if (level > LOG_WARN)
		return;
	if (stage)
		stage_say(stage, level == LOG_ERROR ? "error" : "warning",
			  level == LOG_ERROR ? INK_RED : INK_YELLOW,
			  text_of_line(line));
	else
		fprintf(stderr, "tapeop demo: %s\n", text_of_line(line));
}

static int open_log(struct demo *d)
{
	char path[DEMO_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/server.log", d->places.dir);
	d->log_fd = open(
		path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (d->log_fd < 0)
		return failed(path, strerror(errno));
	log_set_sink(on_log, d);
	return EXIT_DONE;
}

/* ---- settings ------------------------------------------------------------------------ */

static int make_key(char text[KEY_TEXT])
{
	uint8_t bytes[KEY_BYTES];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	mem_wipe(bytes, sizeof(bytes));
	return 0;
}

/** Append a YAML string. */
static void write_string(const char *text, struct buf *out)
{
	buf_putc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_putc(out, '\'');
		buf_putc(out, *text);
	}
	buf_putc(out, '\'');
}

/** The time zone of this machine, so that the files are named by its clock:
 *  "+02:00". */
static void write_zone(struct buf *out)
{
	const time_t s = (time_t)(clock_unix_ms() / 1000);
	struct tm tm;
	long minutes;

	localtime_r(&s, &tm);
	minutes = tm.tm_gmtoff / 60;
	buf_printf(out, "'%c%02ld:%02ld'", minutes < 0 ? '-' : '+',
		   labs(minutes) / 60, labs(minutes) % 60);
}

static void write_settings(const struct demo *d, int port, struct buf *out)
{
	buf_puts(out, "data_dir: ");
	write_string(d->places.dir, out);
	buf_printf(out,
		   "\n"
		   "http: {listen: '127.0.0.1:%d'}\n"
		   "media: {udp_port: 0}\n"
		   "apps:\n"
		   "- id: %d\n"
		   "  name: demo\n"
		   "  secret_key: '%s'\n"
		   "  recording: {file_time_zone: ",
		   port, DEMO_APP, d->gme_key);
	write_zone(out);
	buf_printf(out,
		   "}\n"
		   "  callbacks:\n"
		   "  - {name: gme, dialect: gme, allow_private: true,\n"
		   "     url: '%s/gme'}\n"
		   "  - {name: live, dialect: live, allow_private: true,\n"
		   "     url: '%s/live', key: '%s'}\n",
		   d->places.backend, d->places.backend, d->live_token);
}

static int load_settings(struct demo *d, int port, struct err *e)
{
	struct buf text;
	int err;

	buf_init_secret(&text, SETTINGS_MAX);
	write_settings(d, port, &text);
	err = buf_err(&text);
	if (err)
		err_set(e, err, "", "out of memory");
	else
		err = config_parse("demo", text.data, text.len, &d->config, e);
	buf_fini(&text);
	return err;
}

/* ---- stopping --------------------------------------------------------------------------- */

static void on_stopped(void *arg)
{
	struct demo *d = arg;

	loop_stop(d->loop);
}

static void begin_stop(struct demo *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	if (!d->server) /* not up yet: `perform` sees to it */
		return;
	stage_hush(d->stage);
	server_stop(d->server, on_stopped, d);
}

static void on_signal(int signo, void *arg)
{
	struct demo *d = arg;

	(void)signo;
	if (!d->stopping && d->server)
		stage_say(d->stage, "demo", INK_DIM,
			  "stops; what was recorded stays");
	begin_stop(d);
}

/** Main thread: the show is over. */
static void on_over(struct mail *mail)
{
	struct demo *d = CONTAINER_OF(mail, struct demo, over_mail);

	if (d->once)
		begin_stop(d);
}

/** The stage's thread. */
static void over(bool good, void *arg)
{
	struct demo *d = arg;

	atomic_store(&d->is_good, good);
	atomic_store(&d->is_over, true);
	mail_post(d->loop, &d->over_mail, on_over);
}

/* ---- running ------------------------------------------------------------------------------ */

/** Thread: any of the server's. */
static void on_story(const char *line, void *arg)
{
	struct demo *d = arg;

	stage_say(d->stage, "recorder", INK_BOLD, line);
}

static int start_server_at(struct demo *d, int port, struct err *e)
{
	const struct server_hooks hooks = {.story = on_story, .arg = d};
	int err = load_settings(d, port, e);

	if (!err)
		err = server_start(d->loop, d->config, &hooks, &d->server, e);
	if (err) {
		config_free(d->config);
		d->config = NULL;
	}
	return err;
}

/** On the usual port, or on a free one when somebody has it. */
static int start_server(struct demo *d)
{
	char text[ADDR_TEXT_MAX];
	struct err e = {0};
	struct addr at;
	int err = start_server_at(d, USUAL_PORT, &e);

	if (err == EADDRINUSE)
		err = start_server_at(d, 0, &e);
	if (err)
		return failed("cannot start", e.text);
	server_addr(d->server, 0, &at);
	d->places.is_usual_port = addr_port(&at) == USUAL_PORT;
	snprintf(d->places.server, sizeof(d->places.server), "http://%s",
		 addr_write(&at, text));
	return EXIT_DONE;
}

static int open_stage(struct demo *d)
{
	char text[ADDR_TEXT_MAX];
	struct stage *stage;
	struct addr at;
	struct err e;

	snprintf(d->inbox_dir, sizeof(d->inbox_dir), "%s/backend",
		 d->places.dir);
	if (make_key(d->gme_key) || make_key(d->live_token))
		return failed("cannot start", "no random numbers");
	d->stage_config = (struct stage_config){
		.show = &d->show,
		.places = &d->places,
		.inbox_dir = d->inbox_dir,
		.gme_key = d->gme_key,
		.live_token = d->live_token,
		.speak_us = d->speak_us,
		.json = d->json,
		.over = over,
		.arg = d,
	};
	if (stage_new(&d->stage_config, &stage, &e))
		return failed("cannot start", e.text);
	atomic_store(&d->stage, stage);
	stage_backend(stage, &at);
	snprintf(d->places.backend, sizeof(d->places.backend), "http://%s",
		 addr_write(&at, text));
	return EXIT_DONE;
}

/** Server and stage are there: let them run until the end. */
static int perform(struct demo *d)
{
	int err;

	if (d->stopping) {
		server_stop(d->server, on_stopped, d);
		loop_run(d->loop);
		return d->once ? EXIT_FAILED : EXIT_DONE;
	}
	show_begin(&d->show, clock_now_us());
	err = stage_start(d->stage);
	if (err) {
		failed("cannot start", strerror(err));
		begin_stop(d);
	}
	loop_run(d->loop);
	if (err)
		return EXIT_FAILED;
	if (atomic_load(&d->is_over))
		return atomic_load(&d->is_good) ? EXIT_DONE : EXIT_FAILED;
	return d->once ? EXIT_FAILED : EXIT_DONE; /* by Ctrl-C */
}

static int run_in_dir(struct demo *d)
{
	static const int signos[] = {SIGTERM, SIGINT};
	struct signals *signals = NULL;
	struct stage *stage;
	int code = EXIT_FAILED;
	int err = loop_new(&d->loop);

	if (!err)
		err = signals_open(d->loop, signos, ARRAY_LEN(signos),
				   on_signal, d, &signals);
	if (err)
		failed("cannot start", strerror(err));
	else
		code = open_stage(d);
	if (!code)
		code = start_server(d);
	if (!code)
		code = perform(d);
	server_free(d->server);
	stage = atomic_load(&d->stage);
	stage_end(stage);
	atomic_store(&d->stage, NULL);
	stage_free(stage);
	signals_close(signals);
	if (d->loop)
		loop_turn(d->loop, 0);
	loop_free(d->loop);
	config_free(d->config);
	return code;
}

int command_demo(int argc, char **argv)
{
	struct demo d = {.log_fd = -1};
	int code = read_options(&d, argc, argv);

	if (code >= 0)
		return code;
	code = d.dir ? take_given_dir(&d) : make_new_dir(&d);
	if (!code)
		code = open_log(&d);
	if (code)
		return code;
	d.places.stays = !d.once;
	show_init(&d.show, d.json ? stderr : stdout, &d.places);
	code = run_in_dir(&d);
	show_fini(&d.show);
	log_set_sink(NULL, NULL);
	close(d.log_fd);
	mem_wipe(d.gme_key, sizeof(d.gme_key));
	mem_wipe(d.live_token, sizeof(d.live_token));
	return code;
}
