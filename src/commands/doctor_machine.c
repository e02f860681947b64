/** commands/doctor_machine.c -- folders, space, limits, clock, secrets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "commands/client.h"
#include "commands/server.h"
#include "io/io.h"

enum {
	PATH_CAP = 1100,	 /* a setting has up to 1024 bytes */
	SOUND_BYTES_S = 8000,	 /* of one speaker: MP3 of 64 kbit/s */
	OTHER_FILES = 512,	 /* open beside inputs and segments */
	YEAR_2024_S = 1704067200 /* no clock of today shows less */
};

/* ---- folders ------------------------------------------------------------- */

/** The nearest folder of `path` that is there, and whether it is `path`. */
static bool nearest_folder(const char *path, char *out)
{
	struct stat st;
	bool whole = true;

	snprintf(out, PATH_CAP, "%s", path);
	while (stat(out, &st) && errno == ENOENT) {
		char *slash = strrchr(out, '/');

		whole = false;
		if (!slash)
			snprintf(out, PATH_CAP, ".");
		else if (slash == out)
			out[1] = 0;
		else
			*slash = 0;
	}
	return whole;
}

/** Does a running server hold the folder?  See lock_take of store/. */
static bool is_in_use(const char *data_dir)
{
	char path[PATH_CAP + 16];
	bool held;
	int fd;

	snprintf(path, sizeof(path), "%s/tapeop.lock", data_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return held;
}

static bool check_folder(struct doctor *d, const char *what, const char *path)
{
	char there[PATH_CAP], probe[PATH_CAP + 40];
	bool whole = nearest_folder(path, there);
	int fd;

	snprintf(probe, sizeof(probe), "%s/.tapeop-doctor-%d", there,
		 (int)getpid());
	fd = open(probe, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		doctor_say(d, DOCTOR_FAIL, what,
			   "%s cannot be written to (%s): let uid %u write "
			   "there, or choose another folder",
			   there, strerror(errno), (unsigned)geteuid());
		return false;
	}
	close(fd);
	unlink(probe);
	doctor_say(d, DOCTOR_OK, what, "%s %s", path,
		   whole ? "can be written to" : "will be made");
	return true;
}

static void check_space(struct doctor *d, const char *what, const char *path)
{
	char there[PATH_CAP], text[CLIENT_WORD_MAX];
	int64_t free_bytes = 0;
	int err;

	nearest_folder(path, there);
	err = file_free_bytes(there, &free_bytes);
	if (err)
		doctor_say(d, DOCTOR_FAIL, what, "free space of %s: %s", there,
			   strerror(err));
	else if (free_bytes < SERVER_DISK_LOW)
		doctor_say(d, DOCTOR_FAIL, what,
			   "%s free at %s, and no task starts below %d MiB: "
			   "make room",
			   client_size(free_bytes, text), there,
			   SERVER_DISK_LOW >> 20);
	else
		doctor_say(d, DOCTOR_OK, what,
			   "%s free at %s: %" PRId64 " hours of one speaker",
			   client_size(free_bytes, text), there,
			   (free_bytes - SERVER_DISK_LOW) /
				   (SOUND_BYTES_S * 3600));
}

void doctor_check_folders(struct doctor *d)
{
	const char *data = d->config->data_dir;
	const char *storage = d->config->storage_dir;
	char a[PATH_CAP], b[PATH_CAP];
	struct stat sa, sb;

	if (check_folder(d, "data_dir", data) && is_in_use(data))
		doctor_say(d, DOCTOR_WARN, "data_dir",
			   "a tapeop uses it now: it must end before another "
			   "can start");
	(void)check_folder(d, "storage.local.dir", storage);
	check_space(d, "space", data);
	if (d->config->storage_kind != UPLOAD_LOCAL)
		return;
	nearest_folder(data, a);
	nearest_folder(storage, b);
	if (stat(a, &sa) || stat(b, &sb))
		return;
	if (sa.st_dev == sb.st_dev) {
		doctor_say(d, DOCTOR_OK, "file system",
			   "data_dir and storage.local.dir are on the same: "
			   "files are linked");
		return;
	}
	doctor_say(d, DOCTOR_WARN, "file system",
		   "data_dir and storage.local.dir are on two: every file is "
		   "copied; put them on one");
	check_space(d, "space of storage", storage);
}

/* ---- limits -------------------------------------------------------------- */

void doctor_check_limits(struct doctor *d)
{
	const struct media_config *m = &d->config->media;
	/* a socket and a file each */
	uint64_t wanted =
		2U * (m->rtp_port_last - m->rtp_port_first + 1U) + OTHER_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_max < wanted)
		doctor_say(d, DOCTOR_WARN, "open files",
			   "the limit is %" PRIu64 ", and %" PRIu64
			   " are needed to use every port of media.rtp_ports: "
			   "raise it (ulimit -Hn, LimitNOFILE=)",
			   (uint64_t)limit.rlim_max, wanted);
	else
		doctor_say(d, DOCTOR_OK, "open files", "the limit is %" PRIu64,
			   (uint64_t)limit.rlim_max);
}

/* ---- clock --------------------------------------------------------------- */

enum doctor_state doctor_judge_clock(int64_t unix_s, int kernel,
				     const char **text)
{
	if (unix_s < YEAR_2024_S) {
		*text = "is in the past: file names and signatures would be "
			"wrong; set it";
		return DOCTOR_FAIL;
	}
	if (kernel == TIME_ERROR) {
		*text = "is not kept by the network: receivers refuse "
			"callbacks of the wrong time; run chrony or "
			"systemd-timesyncd";
		return DOCTOR_WARN;
	}
	*text = kernel < 0 ? "is plausible" : "is kept by the network";
	return DOCTOR_OK;
}

void doctor_check_clock(struct doctor *d)
{
	struct timex query = {0}; /* modes 0: only look */
	int kernel = adjtimex(&query);
	int64_t now_ms = clock_unix_ms();
	char now[CLIENT_WORD_MAX];
	const char *text;
	enum doctor_state state =
		doctor_judge_clock(now_ms / 1000, kernel, &text);

	doctor_say(d, state, "clock", "%s %s", client_time(now_ms, now), text);
}

/* ---- secrets ------------------------------------------------------------- */

enum doctor_state doctor_judge_mode(unsigned mode, const char **text)
{
	if (mode & S_IWOTH) {
		*text = "may be written by everybody: chmod 600";
		return DOCTOR_WARN;
	}
	if (mode & S_IROTH) {
		*text = "may be read by everybody: chmod 600";
		return DOCTOR_WARN;
	}
	*text = "is not for everybody";
	return DOCTOR_OK;
}

static void check_mode(struct doctor *d, const char *path)
{
	enum doctor_state state = DOCTOR_WARN;
	const char *text;
	struct stat st;

	if (stat(path, &st))
		text = strerror(errno);
	else
		state = doctor_judge_mode(st.st_mode, &text);
	doctor_say(d, state, "secrets", "%s %s", path, text);
}

static void check_token(struct doctor *d, const char *what, const char *token)
{
	if (strlen(token) < CONFIG_TOKEN_MIN)
		doctor_say(d, DOCTOR_WARN, what,
			   "is short: make one with `openssl rand -hex 32`");
	else
		doctor_say(d, DOCTOR_OK, what, "is set");
}

static void check_keys(struct doctor *d, const struct notify_endpoint *e)
{
	if (e->dialect == DIALECT_TRTC && !*e->key)
		doctor_say(d, DOCTOR_WARN, "callback keys",
			   "app %" PRIu32 ", %s: without key its callbacks "
			   "carry no Sign, and anybody can forge them",
			   e->app, e->name);
	if (*e->previous_key)
		doctor_say(d, DOCTOR_OK, "callback keys",
			   "app %" PRIu32 ", %s: signs with the previous key "
			   "too; remove it when its receivers know the new one",
			   e->app, e->name);
}

static void check_api_keys(struct doctor *d, const struct config_app *app)
{
	if (app->n_api_keys && !app->secret_key)
		doctor_say(d, DOCTOR_WARN, "api keys",
			   "app %" PRIu32 " has no secret_key: no UserSig can "
			   "be checked, and CreateCloudRecording is refused",
			   app->app.id);
	for (size_t i = 0; i < app->n_api_keys; i++) {
		if (app->api_keys[i].previous_secret_key)
			doctor_say(
				d, DOCTOR_OK, "api keys",
				"app %" PRIu32 ", %s: the previous secret is "
				"taken, too; remove it when its callers know "
				"the new one",
				app->app.id, app->api_keys[i].secret_id);
	}
}

void doctor_check_secrets(struct doctor *d)
{
	const struct config *c = d->config;

	for (size_t i = 0; i < c->n_secret_files; i++)
		check_mode(d, c->secret_files[i]);
	if (c->n_secret_literals)
		check_mode(d, d->path); /* they stand in it */
	if (!c->admin_token)
		doctor_say(d, DOCTOR_OK, "http.admin_token",
			   "none: only programs on this machine may ask");
	else
		check_token(d, "http.admin_token", c->admin_token);
	if (c->previous_admin_token)
		check_token(d, "previous_admin_token", c->previous_admin_token);
	for (size_t i = 0; i < c->n_apps; i++) {
		const struct config_app *app = &c->apps[i];

		for (size_t k = 0; k < app->n_endpoints; k++)
			check_keys(d, &app->endpoints[k]);
		check_api_keys(d, app);
	}
}
