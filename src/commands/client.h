/**
 * commands/client.h -- what the commands that ask a running server share:
 * options, calls of its HTTP API, tables.
 *
 * Thread: one at a time; calls block for CLIENT_WAIT_US at most, unless the
 * command says otherwise.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_CLIENT_H
#define COMMANDS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "io/io.h"

#define CLIENT_WAIT_US (10 * (int64_t)1000000)

/** The end of each help text: options that all of these commands have. */
#define CLIENT_HELP                                                           \
	"  --server URL       the server (env TAPEOP_SERVER, else\n"          \
	"                     http://127.0.0.1:8080)\n"                       \
	"  --token TOKEN      its admin token: env:NAME, file:PATH or the\n"  \
	"                     text itself (env:TAPEOP_ADMIN_TOKEN, if set)\n" \
	"  --json             print the API's JSON\n"                         \
	"  -h, --help\n"

enum { CLIENT_VALUES_MAX = 20 };

/** The values of an option that may be repeated. */
struct client_values {
	const char *v[CLIENT_VALUES_MAX];
	size_t n;
};

/** Takes an option's value; EXIT_DONE, or the exit code to end with, with what
 *  is wrong said on stderr. */
typedef int(client_take_fn)(void *arg, const char *value);

/** An option of one command; exactly one of the pointers is set. */
struct client_option {
	const char *name;	      /* without "--" */
	char letter;		      /* "-c" as well; 0: none */
	const char **value;	      /* takes a value; the last one given */
	bool *flag;		      /* takes none */
	struct client_values *values; /* takes a value each time */
	client_take_fn *take;	      /* the same, looked at at once */
};

/**
 * Read a command line: `options` and --help.  Also for commands that ask no
 * server.  The rest of argv is from optind on.
 *
 * argv   from the command's own name on
 * help   printed for --help
 * arg    for the options that have a `take`
 *
 * Returns -1 to go on, or the exit code to end with; what was wrong was said
 * on stderr.
 */
MUST_CHECK int client_read_options(int argc, char **argv, const char *help,
				   const struct client_option *options,
				   size_t n, void *arg);

/**
 * Read a secret from a command line: `env:NAME`, `file:PATH`, or the text
 * itself, which is warned about.
 *
 * option   "--key": for messages
 * out      for mem_free_secret
 *
 * Returns EXIT_DONE, or EXIT_USAGE; then what is wrong was said.
 */
MUST_CHECK int client_secret(const char *command, const char *option,
			     const char *spec, char **out);

/** Read the value of --app.  Returns an exit code; says what is wrong. */
MUST_CHECK int client_app(const char *command, const char *text, uint32_t *app);

struct client {
	const char *command; /* "start": for messages */
	const char *server;  /* URL; NULL: environment, default */
	const char *option;  /* that names another than a tapeop; or NULL */
	const char *token;   /* as given; NULL: environment, or none */
	bool json;
	int64_t wait_us; /* of a call; 0: CLIENT_WAIT_US */
	char **args;	 /* n_args, what is left of argv */
	int n_args;
	char *bearer; /* private; secret */
};

/**
 * Read a client's command line: `options` and those of CLIENT_HELP.
 *
 * help   printed for --help
 *
 * Returns -1 to go on, or the exit code to end with; what was wrong was said
 * on stderr.  client_close() in either case.
 */
MUST_CHECK int client_init(struct client *c, int argc, char **argv,
			   const char *help,
			   const struct client_option *options, size_t n);

/** Find server and token, with command, server and token set by the caller.
 *  Returns an exit code; says on stderr what is wrong. */
MUST_CHECK int client_open(struct client *c);
/** Wipe and free. */
void client_close(struct client *c);

/** Say one line on stderr: "tapeop COMMAND: ...", made clean.  Returns
 *  `code`. */
int client_fail(const struct client *c, int code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/** The same with "; see tapeop COMMAND --help" behind it: EXIT_USAGE. */
int client_usage(const struct client *c, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/** Say in `e` what to do when a call got no answer within `wait_us`: of
 *  ECONNREFUSED, EHOSTUNREACH and ETIMEDOUT.  Returns `err`. */
int client_no_answer(const struct client *c, int64_t wait_us, int err,
		     struct err *e);

/**
 * One call, whatever it is answered.
 *
 * path     with its query, parts escaped
 * body     JSON, or NULL: none
 * status   out: of the answer
 * answer   out: its text
 *
 * Returns 0, or an errno with `e` saying what to do (no server there, ...).
 */
MUST_CHECK int client_ask(const struct client *c, const char *method,
			  const char *path, const json_t *body, int *status,
			  struct buf *answer, struct err *e);

/**
 * One call that must succeed (200 or 201).
 *
 * answer   out: JSON, the caller's; NULL on an error
 *
 * Returns 0, or an errno with `e`: ENOENT for 404, EACCES for 401 and 403,
 * EPROTO when this is no tapeop server, else EINVAL, with the server's words.
 */
MUST_CHECK int client_call(const struct client *c, const char *method,
			   const char *path, const json_t *body,
			   json_t **answer, struct err *e);

/**
 * GET something of any length (the sound of a segment), from the server or
 * from the bucket that it names.
 *
 * fn   gets it as it comes in; an errno ends the call
 *
 * Returns as client_call (410 and 409 are EINVAL), ETIMEDOUT (nothing came for
 * CLIENT_WAIT_US), EIO (it broke off), or what `fn` returned.
 */
MUST_CHECK int client_download(const struct client *c, const char *path,
			       http_data_fn *fn, void *arg, struct err *e);

/**
 * The same for a stream: nothing may come for `wait_us`, and `status` tells
 * what was answered (0: nothing), so that a caller knows whether to come back.
 */
MUST_CHECK int client_follow(const struct client *c, const char *path,
			     int64_t wait_us, http_data_fn *fn, void *arg,
			     int *status, struct err *e);

/**
 * Read a list, page after page.
 *
 * path    ends in '?', or in '&' behind its filters
 * name    of the list in the answer
 * limit   rows at most
 * list    out: the rows, the caller's
 * more    out: there are more than `limit`
 *
 * Returns as client_call.
 */
MUST_CHECK int client_list(const struct client *c, const char *path,
			   const char *name, size_t limit, json_t **list,
			   bool *more, struct err *e);

/** A filter of a list; value NULL: not set. */
struct client_filter {
	const char *name;
	const char *value;
};
/** Append "path?name=value&..&" for client_list. */
void client_write_query(const char *path, const struct client_filter *filters,
			size_t n, struct buf *out);

/** Read --limit (1..1000000; `usual` when it was not given) into *limit.
 *  Returns an exit code. */
MUST_CHECK int client_limit(const struct client *c, const char *text,
			    size_t usual, size_t *limit);

/** Print JSON as one line.  Returns an exit code. */
int client_print(const json_t *value);
/** Print {"<name>": list, "more": more}.  Takes `list` over. */
int client_print_list(const char *name, json_t *list, bool more);

/* ---- for people -------------------------------------------------------- */

/** Put '?' for each control character (ASCII's, and C1 in UTF-8): what a
 *  server sent must not command a terminal. */
void client_clean(char *text);
/** Print one line on stdout, made clean, however long. */
void client_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/** A string member, or "". */
const char *client_text(const json_t *o, const char *key);
/** An integer member, or 0. */
int64_t client_number(const json_t *o, const char *key);

enum { CLIENT_WORD_MAX = 32 };
/** "2026-11-26 12:00:05", local time; "-" for 0. */
const char *client_time(int64_t unix_ms, char out[CLIENT_WORD_MAX]);
/** "0:03.00", "1:02:05"; less than nothing is nothing. */
const char *client_duration(int64_t ms, char out[CLIENT_WORD_MAX]);
/** "24.0 kB". */
const char *client_size(int64_t bytes, char out[CLIENT_WORD_MAX]);

/** Rows of cells that line up; begin with zero and n_columns. */
struct client_table {
	size_t n_columns;
	char **cells; /* owned, row by row */
	size_t n, cap;
	bool failed; /* out of memory */
};
/** Add a cell, made clean. */
void client_cell(struct client_table *t, const char *fmt, ...)
	PRINTF_LIKE(2, 3);
/** Print on stdout, columns two spaces apart, and free. */
void client_table_print(struct client_table *t);

/** Columns that text takes on a terminal, near enough. */
size_t client_columns(const char *text);
/** Append text cut to at most `columns`, the rest filled with spaces. */
void client_cut(const char *text, size_t columns, struct buf *out);

/** Read a task by its id, as it was typed.  Returns an exit code, and with
 *  EXIT_DONE the task, the caller's; says on stderr what is wrong. */
MUST_CHECK int client_read_task(const struct client *c, const char *text,
				json_t **task);

/** Print a task's head: where, state, times, who is recorded. */
void client_show_head(const json_t *task);

/** Show the task of this id in full: client_show_head and its segments, or
 *  with --json as client_show_segments.  Returns an exit code. */
MUST_CHECK int client_show_task(const struct client *c, const char *text);

/** Read all segments of a task that the API gave.  Returns an exit code, and
 *  with EXIT_DONE the list, the caller's; says on stderr what is wrong. */
MUST_CHECK int client_read_segments(const struct client *c, const json_t *task,
				    json_t **list);

/** Files of a task that are not in storage yet. */
struct client_waiting {
	size_t files;	 /* that are there, or to come there */
	size_t waiting;	 /* recorded to the end, and not in storage */
	json_t *segment; /* of the waiting ones, one that failed, or NULL:
			    borrowed from the list */
};
/** Count in a list of client_read_segments. */
void client_count_waiting(const json_t *list, struct client_waiting *out);

/** Is the task over, but not all of its files in storage? */
bool client_task_waits(const json_t *task);

/**
 * Show a task's segments, as the command was asked to: a table of user, seq,
 * state, start, length, size and file; with --json the task itself with
 * `segments` in it.
 *
 * task   as the API gave it
 *
 * Returns an exit code; says on stderr what is wrong.
 */
MUST_CHECK int client_show_segments(const struct client *c, json_t *task);

#endif
