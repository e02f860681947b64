/**
 * store/inside.h -- what the files of store/ share.
 *
 *   write.c   a store_write: operations and their values in an arena
 *   commit.c  the store thread: groups of writes into commits
 *   ops.c     one operation -> prepared statements
 *   db.c      a connection: pragmas, statements, errors
 *   schema.c  the tables
 *   filter.c  a store_filter -> WHERE clause
 *   read.c    pages; query.c: the same on a worker
 *   ballast.c the other files in data_dir
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "io/io.h"
#include "store/store.h"

enum {
	GROUP_MAX = 512,	     /* writes in one commit */
	READERS_KEPT = 4,	     /* read-only connections kept open */
	QUERY_THREADS = 2,	     /* workers of store_query */
	WRITE_MAX_BYTES = 16 << 20,  /* values of one write */
	WAL_PAGES_CHECKPOINT = 2000, /* 8 MiB: checkpoint now */
	ATTEMPTS_KEPT = 20,	     /* of a delivery */
	PAGE_ROWS = 100,	     /* store_filter.limit 0 */
	PAGE_ROWS_MAX = 1000,
	READ_DEADLINE_US = 5 * 1000000,
	BUSY_TIMEOUT_MS = 5000,
	STORE_PATH_MAX = 4096
};

/* ---- a write ------------------------------------------------------------ */

enum value_type { VALUE_NULL, VALUE_INT, VALUE_TEXT };

struct value {
	union {
		int64_t i;
		const char *text; /* len bytes, in the arena */
	};
	uint32_t len;
	enum value_type type;
};

enum op_kind {
	OP_PUT_TASK,
	OP_SET_TASK,
	OP_PUT_SEGMENT,
	OP_SET_SEGMENT,
	OP_LEAVE_SEGMENT,
	OP_DELETE_SEGMENT,
	OP_PUT_WAVE,
	OP_PUT_INPUT,
	OP_SET_INPUT,
	OP_DELETE_INPUT,
	OP_PUT_EVENT,
	OP_PUT_DELIVERY, /* follows its event */
	OP_SET_DELIVERY,
	OP_PUT_ATTEMPT,
	OP_REPLAY,
	OP_PRUNE,
	OP_MUST_BE_TOLD,
	OP_ERASE_EVENTS,
	OP_ERASE_SEGMENT,
	OP_ERASE_TRACKS,
	OP_PUT_REMOVAL,
	OP_DELETE_REMOVAL,
	OP_PUT_ENDPOINT,
	OP_DELETE_ENDPOINT,
	OP_PUT_STORAGE,
	OP_N
};

/** An operation; values are bound to the statement's ?1, ?2, ... */
struct op {
	struct op *next;
	const struct store_filter *filter; /* OP_REPLAY */
	enum op_kind kind;
	uint32_t followers; /* OP_PUT_EVENT: deliveries behind it */
	uint32_t n, cap;
	struct value values[];
};

struct chunk;

struct store_write {
	struct link link; /* inbox, then its group, then its waiter */
	struct mail mail;
	/* whoever gathers */
	struct chunk *chunks;
	size_t bytes;
	struct op *first, *last;
	bool has_secrets; /* its values are wiped */
	/* fixed after submission */
	int refused; /* ENOMEM, ENOBUFS: answered, not executed */
	struct loop *loop;
	store_done_fn *done;
	void *arg;
	struct inbox *waiter; /* store_commit_wait */
	/* store thread, then whoever is answered */
	struct store_result result;
	struct store_totals delta;
};

/** Drop the values, keep the node. */
void write_drop_values(struct store_write *w);
/** A node for a write that never was (NULL): from a small reserve when
 *  there is no memory. */
struct store_write *write_reserve(void);
/** Free a node, or give it back to the reserve. */
void write_release(struct store_write *w);

/* ---- a connection for writing ------------------------------------------- */

enum stmt {
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_SAVEPOINT,
	STMT_RELEASE,
	STMT_UNDO,
	STMT_PUT_TOTALS,
	STMT_PUT_LAST_ID,
	STMT_PUT_TASK,
	STMT_SET_TASK,
	STMT_PUT_SEGMENT,
	STMT_TAKE_SEQ,
	STMT_SET_SEGMENT,
	STMT_LEAVE_SEGMENT,
	STMT_DELETE_SEGMENT,
	STMT_PUT_WAVE,
	STMT_PUT_INPUT,
	STMT_SET_INPUT,
	STMT_DELETE_INPUT,
	STMT_PUT_EVENT,
	STMT_PUT_DELIVERY,
	STMT_DELIVERY_STATE,
	STMT_SET_DELIVERY,
	STMT_PUT_ATTEMPT,
	STMT_TRIM_ATTEMPTS,
	STMT_IS_TOLD,
	STMT_PRUNE_ATTEMPTS,
	STMT_PRUNE_DELIVERIES,
	STMT_PRUNE_EVENTS,
	STMT_PRUNE_SEGMENTS,
	STMT_PRUNE_TRACKS,
	STMT_PRUNE_STORAGE,
	STMT_PRUNE_TASK,
	STMT_ERASE_COUNT,
	STMT_ERASE_ATTEMPTS,
	STMT_ERASE_DELIVERIES,
	STMT_ERASE_EVENTS,
	STMT_ERASE_SEGMENT,
	STMT_ERASE_TRACKS,
	STMT_ERASE_LISTS,
	STMT_PUT_REMOVAL,
	STMT_DELETE_REMOVAL,
	STMT_PUT_ENDPOINT,
	STMT_DELETE_ENDPOINT,
	STMT_PUT_STORAGE,
	STMT_N
};

struct db {
	sqlite3 *handle;
	sqlite3_stmt *stmts[STMT_N];
	struct store_totals totals; /* as of the transaction under way */
	uint64_t last_id[IDS_N];    /* biggest that a row ever had */
	bool ids_changed;
	int wal_pages; /* not checkpointed yet, about */
};

/** Open (making) the database with all statements prepared.  On failure
 *  *db is closed.  Returns 0 or an errno with `e`. */
MUST_CHECK int db_open(const char *path, struct db *db, struct err *e);
/** keep_wal: without the checkpoint that closing would make. */
void db_close(struct db *db, bool keep_wal);
/** Open read-only, for reading. */
MUST_CHECK int db_open_reader(const char *path, sqlite3 **out, struct err *e);
/** What an SQLite result means: 0 (also for ROW and DONE) or an errno. */
int db_errno(sqlite3 *handle, int code);
/** The statement, reset, without values. */
sqlite3_stmt *db_stmt(struct db *db, enum stmt which);
/** Step a statement that returns no rows, and reset it. */
MUST_CHECK int db_step(struct db *db, sqlite3_stmt *stmt);
/** Run a statement that has no values. */
MUST_CHECK int db_run(struct db *db, enum stmt which);
/** Write what is pending of the WAL into the database. */
void db_checkpoint(struct db *db);

/** Create the tables, or check that they are ours. */
MUST_CHECK int schema_check(sqlite3 *handle, struct err *e);
MUST_CHECK int schema_create(sqlite3 *handle, struct err *e);
/** Run SQL text; `e` gets what failed. */
MUST_CHECK int schema_exec(sqlite3 *handle, const char *sql, struct err *e);
/** The first column of the first row, or 0. */
MUST_CHECK int schema_number(sqlite3 *handle, const char *sql, int64_t *value,
			     struct err *e);

/* The pending deliveries of task ?1, in the words of the index
 * delivery_pending. */
#define PENDING_OF_TASK " FROM delivery WHERE lane=?1 AND state=0"

/** Execute the operations of `w`; fills its result and delta.  When it
 *  fails the caller undoes what it did. */
MUST_CHECK int ops_run(struct db *db, struct store_write *w);

/* ---- filters ------------------------------------------------------------- */

/** Append " WHERE ..." to `sql`.  Strings are the parameters :room, :user.
 *  Returns 0, EINVAL (a field does not apply to f->what) or ENOMEM. */
MUST_CHECK int filter_where(const struct store_filter *f, bool page,
			    struct buf *sql);
/** Bind them. */
void filter_bind(const struct store_filter *f, sqlite3_stmt *stmt);

/* ---- files beside the database ------------------------------------------- */

/** Take the directory for this process.  *fd is closed to let go.
 *  Returns 0, EBUSY or another errno, with `e`. */
MUST_CHECK int lock_take(const char *data_dir, int *fd, struct err *e);

/** Make the database file, empty, for us alone to read: SQLite would let
 *  everybody.  When it is there, close it and what is beside it to others; of
 *  another owner's, only warn.  Returns 0 or an errno. */
MUST_CHECK int database_make(const char *path);

/** Make the ballast file, or make it whole.  Returns 0 or an errno. */
MUST_CHECK int ballast_make(const char *data_dir, size_t bytes);
/** Delete it.  Was there one? */
bool ballast_give_up(const char *data_dir);
/** Is there room again, for it and for work? */
bool ballast_has_room(const char *data_dir, size_t bytes);

/* ---- the store ----------------------------------------------------------- */

/** Totals as other threads see them: a sequence lock of atomics. */
struct shown_totals {
	_Atomic uint32_t turn; /* odd: being written */
	_Atomic int64_t in, delivered, pending, dead, expired;
};

struct store {
	/* fixed after open */
	char *dir, *path;
	int lock_fd;
	size_t ballast_bytes;
	size_t max_queue;
	int64_t read_deadline_us;
	struct inbox *inbox;
	struct thread *thread;
	struct workers *workers;

	/* any thread */
	_Atomic uint64_t next_id[IDS_N];
	_Atomic uint64_t known_id[IDS_N]; /* as of the newest commit; of
					     IDS_REMOVED, of one under way */
	_Atomic size_t queued;		  /* writes submitted, not answered */
	_Atomic uint64_t next_query;
	_Atomic(sqlite3 *) readers[READERS_KEPT]; /* idle ones */
	struct shown_totals shown;
	_Atomic int max_pages; /* tests: bound of the database, 0: none */
	_Atomic bool failing;  /* the last commit failed; logged once */

	/* store thread */
	struct db db;
	bool broken; /* db is closed: an I/O error; open it anew */
	bool has_ballast;
	int64_t ballast_try_us;
};

/** The store thread's life. */
void commit_thread(void *arg);
/** Show db.totals to other threads. */
void totals_publish(struct store *s);
/** Show db.last_id to other threads, once it is committed. */
void ids_publish(struct store *s);

/** A read-only connection, kept or new. */
MUST_CHECK int reader_take(struct store *s, sqlite3 **out);
void reader_give(struct store *s, sqlite3 *reader);
/** Read a page with the store's deadline. */
MUST_CHECK int read_page(struct store *s, const struct store_filter *f,
			 struct store_rows *rows);

/** Tests: let the database grow to `pages` pages only; 0: as it likes. */
void store_test_max_pages(struct store *s, int pages);

#endif
