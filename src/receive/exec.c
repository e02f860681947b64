/**
 * receive/exec.c -- a program once an event, the event on its stdin.
 *
 * No shell and no arguments, so nothing of an event is ever read as a
 * command.  Its stdin is an unlinked memory file, so a program that does not
 * read blocks nobody.  What it writes goes to our stderr: our stdout is the
 * stream of events.  It leads a process group of its own, so that killing it
 * kills what it has started, too.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"

struct exec {
	struct loop *loop;
	pid_t pid;
	int pidfd;
	struct watch watch;
	struct timer timer;
	struct later later;
	bool timed_out;
	exec_fn *done;
	void *arg;
};

static void on_later(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct exec, later));
}

/** Its watch may be calling just now. */
static void exec_free(struct exec *x)
{
	timer_stop(&x->timer);
	watch_stop(&x->watch);
	if (x->pidfd >= 0)
		close(x->pidfd);
	loop_later(x->loop, &x->later, on_later);
}

static void kill_all(const struct exec *x)
{
	kill(-x->pid, SIGKILL);
}

static void on_exit_of(struct watch *w, unsigned events, int64_t now_us)
{
	struct exec *x = CONTAINER_OF(w, struct exec, watch);
	exec_fn *done = x->done;
	void *arg = x->arg;
	char why[128] = "";
	siginfo_t info = {0};
	int status;

	(void)events;
	(void)now_us;
	if (waitid(P_PIDFD, (id_t)x->pidfd, &info, WEXITED | WNOHANG) ||
	    info.si_pid == 0)
		return;
	status = info.si_code == CLD_EXITED ? info.si_status
					    : 128 + info.si_status;
	if (x->timed_out)
		str_copy(why, sizeof(why), "killed: it took too long");
	else if (info.si_code != CLD_EXITED)
		snprintf(why, sizeof(why), "it was killed by signal %d",
			 info.si_status);
	else if (status)
		snprintf(why, sizeof(why), "it ended with status %d", status);
	exec_free(x);
	done(status, why, arg);
}

static void on_timeout(struct timer *t, int64_t now_us)
{
	struct exec *x = CONTAINER_OF(t, struct exec, timer);

	(void)now_us;
	x->timed_out = true;
	kill_all(x);
}

static int make_stdin(const char *text, size_t len, int *out)
{
	int fd = memfd_create("event", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return errno;
	err = file_write_all(fd, text, len, 0);
	if (err)
		close(fd);
	else
		*out = fd;
	return err;
}

static int spawn(const char *program, int in, pid_t *pid)
{
	char *copy = mem_strdup(program);
	char *argv[] = {copy, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe;
	int err;

	if (!copy)
		return ENOMEM;
	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE); /* we ignore it, which a program inherits */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO,
					 STDOUT_FILENO);
	/* libcurl opens sockets that a program would inherit. */
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	err = posix_spawnp(pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	mem_free(copy);
	return err;
}

/** Returns 0, ENOENT or EACCES. */
static int check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == EACCES ? EACCES : ENOENT;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? 0 : EACCES;
}

/** As posix_spawnp looks for it. */
static int check_in_path(const char *program)
{
	const char *dirs = getenv("PATH");
	int worst = ENOENT;

	for (const char *p = dirs ? dirs : "/bin:/usr/bin";; p++) {
		const char *end = strchrnul(p, ':');
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)(end - p),
				 p, end > p ? "/" : "", program);
		int err = n > 0 && (size_t)n < sizeof(path) ? check_file(path)
							    : ENOENT;

		if (!err)
			return 0;
		if (err == EACCES)
			worst = err;
		p = end;
		if (!*p)
			return worst;
	}
}

int receive_check_exec(const char *program, struct err *e)
{
	const bool is_path = strchr(program, '/') != NULL;
	int err = is_path ? check_file(program) : check_in_path(program);

	if (err == ENOENT)
		return err_set(e, err, "", "%s is not there%s", program,
			       is_path ? "" : ", nor in PATH");
	if (err)
		return err_set(e, err, "",
			       "%s is not a file that may be executed",
			       program);
	return 0;
}

int exec_start(struct loop *loop, const char *program, const char *text,
	       size_t len, int64_t timeout_us, exec_fn *done, void *arg,
	       struct exec **out)
{
	struct exec *x = mem_zalloc(sizeof(*x));
	int in = -1;
	int err;

	if (!x)
		return ENOMEM;
	x->loop = loop;
	x->done = done;
	x->arg = arg;
	err = make_stdin(text, len, &in);
	if (!err)
		err = spawn(program, in, &x->pid);
	if (in >= 0)
		close(in);
	if (err) {
		mem_free(x);
		return err;
	}
	x->pidfd = (int)syscall(SYS_pidfd_open, x->pid, 0);
	if (x->pidfd < 0)
		err = errno;
	if (!err)
		err = watch_start(&x->watch, loop, x->pidfd, WATCH_READ,
				  on_exit_of);
	if (!err)
		err = timer_start(&x->timer, loop,
				  loop_now_us(loop) + timeout_us, on_timeout);
	if (err) {
		exec_stop(x);
		return err;
	}
	*out = x;
	return 0;
}

void exec_stop(struct exec *x)
{
	siginfo_t info;

	kill_all(x);
	waitid(P_PID, (id_t)x->pid, &info, WEXITED);
	exec_free(x);
}
