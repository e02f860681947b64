/** store/db.c -- a connection: pragmas, prepared statements, errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* The events that go with segments of task ?1 that are being erased: `once` is
 * written by rooms/telling.c.  Warnings of their users go, too. */
#define ERASED_EVENTS                                                         \
	"(SELECT id FROM event WHERE (once IN"                                \
	" (SELECT s.task||'/'||s.mode||'/'||s.seq||'/'||k.kind||'/'||s.user"  \
	" FROM segment s, (SELECT 'started' AS kind UNION ALL"                \
	" SELECT 'completed' UNION ALL SELECT 'uploaded' UNION ALL"           \
	" SELECT 'upload_failing') k"                                         \
	" WHERE s.task=?1 AND s.state=4)"                                     \
	" OR (task=?1 AND kind='files_ready')"                                \
	" OR (task=?1 AND kind IN ('input_lost', 'no_audio')"                 \
	" AND (json_extract(facts, '$.user') IN (SELECT user FROM segment"    \
	" WHERE task=?1 AND state=4)"                                         \
	" OR NOT EXISTS(SELECT 1 FROM segment WHERE task=?1 AND state<>4)))"  \
	" OR (task=?1 AND kind IN ('started', 'completed', 'uploaded',"       \
	" 'upload_failing')"                                                  \
	" AND NOT EXISTS(SELECT 1 FROM segment WHERE task=?1 AND state<>4)))" \
	" AND id NOT IN (SELECT event" PENDING_OF_TASK "))"

static const char *const texts[STMT_N] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_SAVEPOINT] = "SAVEPOINT w",
	[STMT_RELEASE] = "RELEASE w",
	[STMT_UNDO] = "ROLLBACK TO w",
	[STMT_PUT_TOTALS] =
		"UPDATE totals SET accepted=?1, delivered=?2, pending=?3,"
		" dead=?4, expired=?5",
	[STMT_PUT_LAST_ID] = "INSERT INTO last_id VALUES(?1, ?2)"
			     " ON CONFLICT DO UPDATE SET value=excluded.value",
	[STMT_PUT_TASK] =
		"INSERT INTO task(id, app, room, mode, state, reason,"
		" reason_text, subscribe, created_ms, stopped_ms, finished_ms,"
		" leave_code, client_ip, platform, format, sample_rate,"
		" max_idle_ms, hold_empty_ms, is_auto, is_paused, segment_ms,"
		" expires_ms, recorder, storage, storage_prefix)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,"
		" ?16,?17,?18,?19,?20,?21,?22,?23,?24,?25)",
	[STMT_SET_TASK] =
		"UPDATE task SET state=?2, reason=?3, reason_text=?4,"
		" leave_code=?5, stopped_ms=?6, finished_ms=?7,"
		" subscribe=coalesce(?8, subscribe), mode=?9, is_paused=?10,"
		" end_ip=?11, end_platform=?12"
		" WHERE id=?1",
	[STMT_PUT_SEGMENT] =
		"INSERT INTO segment(id, task, app, room, user, mode, seq,"
		" file_name, start_ms, state, by_ip, by_platform)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,0,?10,?11)",
	[STMT_TAKE_SEQ] =
		"INSERT INTO track VALUES(?2, ?5, ?6, ?7 + 1, ?9)"
		" ON CONFLICT DO UPDATE SET next_seq=excluded.next_seq,"
		" last_start_ms=max(last_start_ms, excluded.last_start_ms)"
		" WHERE excluded.next_seq > next_seq",
	[STMT_SET_SEGMENT] =
		"UPDATE segment SET state=?2, start_ms=?3, frames=?4, size=?5,"
		" sha256=?6, closed_ms=?7, uploaded_ms=?8, reason=?9,"
		" reason_text=?10, by_ip=?11, by_platform=?12,"
		" is_failing=?13, stored_in=?14 WHERE id=?1",
	[STMT_LEAVE_SEGMENT] = "UPDATE segment SET is_left=1 WHERE id=?1",
	[STMT_DELETE_SEGMENT] = "DELETE FROM segment WHERE id=?1 AND state=0",
	/* not of one that is gone, or on its way out, meanwhile */
	[STMT_PUT_WAVE] = "INSERT OR REPLACE INTO wave SELECT ?1, ?2, ?3"
			  " WHERE EXISTS(SELECT 1 FROM segment"
			  " WHERE id=?1 AND state=2)",
	[STMT_PUT_INPUT] = "INSERT INTO input(id, app, room, user, kind, port,"
			   " source, created_ms, opus_pt, red_pt,"
			   " audio_level_ext, mic_disabled)"
			   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
	[STMT_SET_INPUT] = "UPDATE input SET mic_disabled=?2 WHERE id=?1",
	[STMT_DELETE_INPUT] = "DELETE FROM input WHERE id=?1",
	[STMT_PUT_EVENT] =
		"INSERT INTO event(id, task, task_seq, app, kind, unix_ms,"
		" once, facts) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
		" ON CONFLICT(once) DO NOTHING",
	[STMT_PUT_DELIVERY] =
		"INSERT INTO delivery(id, event, endpoint, lane, app,"
		" attempts, attempts_ever, late, created_ms, due_ms, state)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,0)",
	[STMT_DELIVERY_STATE] = "SELECT state FROM delivery WHERE id=?1",
	[STMT_SET_DELIVERY] =
		"UPDATE delivery SET state=?2, attempts=?3, attempts_ever=?4,"
		" late=?5, due_ms=?6, done_ms=?8,"
		" last_ms=iif(?7, ?7, last_ms),"
		" last_status=iif(?7, ?9, last_status),"
		" last_error=iif(?7 OR ?10<>'', ?10, last_error) WHERE id=?1",
	[STMT_PUT_ATTEMPT] =
		"INSERT OR REPLACE INTO attempt VALUES(?1,?2,?3,?4,?5,?6,?7)",
	[STMT_TRIM_ATTEMPTS] =
		"DELETE FROM attempt WHERE delivery=?1 AND n<=?2",
	[STMT_IS_TOLD] = "SELECT 1 FROM task WHERE id=?1 AND finished_ms>0"
			 " AND NOT EXISTS(SELECT 1" PENDING_OF_TASK ")",
	[STMT_PRUNE_ATTEMPTS] =
		"DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery"
		" WHERE lane=?1 ORDER BY id LIMIT ?2)",
	[STMT_PRUNE_DELIVERIES] =
		"DELETE FROM delivery WHERE id IN (SELECT id FROM delivery"
		" WHERE lane=?1 ORDER BY id LIMIT ?2) RETURNING state",
	[STMT_PRUNE_EVENTS] =
		"DELETE FROM event WHERE id IN (SELECT id FROM event"
		" WHERE task=?1 ORDER BY task_seq LIMIT ?2) RETURNING id",
	[STMT_PRUNE_SEGMENTS] =
		"DELETE FROM segment WHERE id IN (SELECT id FROM segment"
		" WHERE task=?1 AND state=3 LIMIT ?2) AND NOT EXISTS("
		"SELECT 1 FROM segment WHERE task=?1 AND state<>3)",
	[STMT_PRUNE_TRACKS] = "DELETE FROM track WHERE task=?1 AND NOT EXISTS("
			      "SELECT 1 FROM segment WHERE task=?1)",
	[STMT_PRUNE_STORAGE] =
		"DELETE FROM storage WHERE"
		" id=(SELECT storage FROM task WHERE task.id=?1)"
		" AND NOT EXISTS(SELECT 1 FROM task t WHERE t.storage<>0"
		" AND t.storage=storage.id AND t.id<>?1)"
		" AND NOT EXISTS(SELECT 1 FROM segment WHERE task=?1)",
	[STMT_PRUNE_TASK] = "DELETE FROM task WHERE id=?1 AND NOT EXISTS("
			    "SELECT 1 FROM segment WHERE task=?1)",
	[STMT_ERASE_COUNT] =
		"SELECT state, count(*) FROM delivery"
		" WHERE lane=?1 AND event IN " ERASED_EVENTS " GROUP BY state",
	[STMT_ERASE_ATTEMPTS] =
		"DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery"
		" WHERE lane=?1 AND event IN " ERASED_EVENTS ")",
	[STMT_ERASE_DELIVERIES] = "DELETE FROM delivery WHERE lane=?1 AND "
				  "event IN " ERASED_EVENTS,
	[STMT_ERASE_EVENTS] =
		"DELETE FROM event WHERE id IN " ERASED_EVENTS " RETURNING id",
	[STMT_ERASE_SEGMENT] = "DELETE FROM segment WHERE id=?1 AND state=4",
	[STMT_ERASE_TRACKS] =
		"DELETE FROM track WHERE task=?1 AND NOT EXISTS(SELECT 1"
		" FROM segment s WHERE s.task=track.task AND s.user=track.user"
		" AND s.mode=track.mode)",
	[STMT_ERASE_LISTS] = "UPDATE task SET subscribe='' WHERE id=?1 AND"
			     " NOT EXISTS(SELECT 1 FROM segment WHERE task=?1)",
	[STMT_PUT_REMOVAL] = "INSERT INTO removal(endpoint, app, name, up_to)"
			     " VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET"
			     " up_to=excluded.up_to",
	[STMT_DELETE_REMOVAL] = "DELETE FROM removal WHERE endpoint=?1",
	[STMT_PUT_ENDPOINT] = "INSERT INTO endpoint(id, app, name, settings)"
			      " VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET"
			      " settings=excluded.settings",
	[STMT_DELETE_ENDPOINT] = "DELETE FROM endpoint WHERE id=?1",
	[STMT_PUT_STORAGE] = "INSERT INTO storage(id, app, settings)"
			     " VALUES(?1,?2,?3) ON CONFLICT DO NOTHING",
};

/* synchronous=FULL: a commit is on disk before it is answered.
 * wal_autocheckpoint=0: the store thread does it between commits.
 * No mmap: there a disk error would be SIGBUS.  A small cache: the kernel's is
 * behind it, and one that fills with every recording looks like a leak.
 * secure_delete: what is deleted is not left in the file's free pages. */
static const char *const writer_pragmas = "PRAGMA synchronous=FULL;"
					  "PRAGMA wal_autocheckpoint=0;"
					  "PRAGMA journal_size_limit=67108864;"
					  "PRAGMA cache_size=-2048;"
					  "PRAGMA temp_store=MEMORY;"
					  "PRAGMA trusted_schema=OFF;"
					  "PRAGMA secure_delete=ON;"
					  "PRAGMA mmap_size=0";

int db_errno(sqlite3 *handle, int code)
{
	int system = handle ? sqlite3_system_errno(handle) : 0;
	int more = handle ? sqlite3_extended_errcode(handle) : code;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		if (more == SQLITE_CONSTRAINT_UNIQUE ||
		    more == SQLITE_CONSTRAINT_PRIMARYKEY ||
		    more == SQLITE_CONSTRAINT_ROWID)
			return EEXIST;
		return EINVAL;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_IOERR:
		if (more == SQLITE_IOERR_NOMEM)
			return ENOMEM;
		return system == ENOSPC || system == EDQUOT ? ENOSPC : EIO;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return EBADMSG;
	case SQLITE_CANTOPEN:
		return system == ENOSPC ? ENOSPC : EACCES;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_INTERRUPT:
		return ETIME;
	default:
		return EIO;
	}
}

static int on_wal(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = arg;

	(void)handle;
	(void)name;
	db->wal_pages = pages;
	return SQLITE_OK;
}

static int open_handle(const char *path, int flags, sqlite3 **out,
		       struct err *e)
{
	int code =
		sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);
	int err;

	if (!code) {
		sqlite3_extended_result_codes(*out, 1);
		sqlite3_busy_timeout(*out, BUSY_TIMEOUT_MS);
		return 0;
	}
	err = *out ? db_errno(*out, code) : ENOMEM;
	err_set(e, err, "data_dir", "cannot open %.100s: %s", path,
		*out ? sqlite3_errmsg(*out) : "out of memory");
	sqlite3_close(*out);
	*out = NULL;
	return err;
}

/** Write-ahead logging; not every file system can do it. */
static int set_wal(sqlite3 *handle, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(handle, "PRAGMA journal_mode=WAL", -1,
				      &stmt, NULL);
	int err;

	if (!code)
		code = sqlite3_step(stmt);
	err = db_errno(handle, code);
	if (err)
		err_set(e, err, "data_dir", "database: %s",
			sqlite3_errmsg(handle));
	else if (code != SQLITE_ROW ||
		 strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
		err = err_set(e, EIO, "data_dir",
			      "its file system cannot hold a database in WAL "
			      "mode: use a local one");
	sqlite3_finalize(stmt);
	return err;
}

static int prepare(struct db *db, struct err *e)
{
	for (int i = 0; i < STMT_N; i++) {
		int code = sqlite3_prepare_v3(db->handle, texts[i], -1,
					      SQLITE_PREPARE_PERSISTENT,
					      &db->stmts[i], NULL);

		if (code)
			return err_set(e, db_errno(db->handle, code),
				       "data_dir", "database: %s",
				       sqlite3_errmsg(db->handle));
	}
	return 0;
}

static int load_totals(struct db *db, struct err *e)
{
	const struct {
		const char *sql;
		int64_t *value;
	} all[] = {
		{"SELECT accepted FROM totals", &db->totals.in},
		{"SELECT delivered FROM totals", &db->totals.delivered},
		{"SELECT pending FROM totals", &db->totals.pending},
		{"SELECT dead FROM totals", &db->totals.dead},
		{"SELECT expired FROM totals", &db->totals.expired},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int err =
			schema_number(db->handle, all[i].sql, all[i].value, e);

		if (err)
			return err;
	}
	return 0;
}

/** The biggest id of each kind, also of rows that are gone. */
static int load_ids(struct db *db, struct err *e)
{
	static const char *const sql[IDS_N] = {
		[IDS_EVENT] = "SELECT max(coalesce((SELECT value FROM last_id"
			      " WHERE kind=0), 0),"
			      " coalesce((SELECT max(id) FROM event), 0))",
		[IDS_DELIVERY] =
			"SELECT max(coalesce((SELECT value FROM last_id"
			" WHERE kind=1), 0),"
			" coalesce((SELECT max(id) FROM delivery), 0))",
		[IDS_SEGMENT] = "SELECT max(coalesce((SELECT value FROM last_id"
				" WHERE kind=2), 0),"
				" coalesce((SELECT max(id) FROM segment), 0))",
		[IDS_TASK] = "SELECT max(coalesce((SELECT value FROM last_id"
			     " WHERE kind=4), 0),"
			     " coalesce((SELECT max(id) FROM task), 0))",
		[IDS_REMOVED] = "SELECT value FROM last_id WHERE kind=5",
		[IDS_INPUT] = "SELECT max(coalesce((SELECT value FROM last_id"
			      " WHERE kind=3), 0),"
			      " coalesce((SELECT max(id) FROM input), 0))",
	};

	for (int i = 0; i < IDS_N; i++) {
		int64_t id = 0;
		int err = schema_number(db->handle, sql[i], &id, e);

		if (err)
			return err;
		if ((uint64_t)id > db->last_id[i])
			db->last_id[i] = (uint64_t)id;
	}
	return 0;
}

int db_open(const char *path, struct db *db, struct err *e)
{
	int err = open_handle(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
			      &db->handle, e);

	if (err)
		return err;
	/* Check before anything is changed: it may be another's file. */
	err = schema_check(db->handle, e);
	if (!err)
		err = schema_exec(db->handle, writer_pragmas, e);
	if (!err)
		err = set_wal(db->handle, e);
	if (!err)
		err = schema_create(db->handle, e);
	if (!err)
		err = prepare(db, e);
	if (!err)
		err = load_totals(db, e);
	if (!err)
		err = load_ids(db, e);
	if (err) {
		db_close(db, true);
		return err;
	}
	sqlite3_wal_hook(db->handle, on_wal, db);
	return 0;
}

int db_open_reader(const char *path, sqlite3 **out, struct err *e)
{
	int err = open_handle(path, SQLITE_OPEN_READONLY, out, e);

	if (err)
		return err;
	err = schema_exec(*out,
			  "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY;"
			  "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0",
			  e);
	if (err) {
		sqlite3_close(*out);
		*out = NULL;
	}
	return err;
}

void db_close(struct db *db, bool keep_wal)
{
	if (!db->handle)
		return;
	for (int i = 0; i < STMT_N; i++) {
		sqlite3_finalize(db->stmts[i]);
		db->stmts[i] = NULL;
	}
	if (keep_wal)
		sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
				  1, NULL);
	if (sqlite3_close(db->handle))
		log_error("store: database left open: %s",
			  sqlite3_errmsg(db->handle));
	db->handle = NULL;
	db->wal_pages = 0;
}

sqlite3_stmt *db_stmt(struct db *db, enum stmt which)
{
	sqlite3_reset(db->stmts[which]);
	return db->stmts[which];
}

int db_step(struct db *db, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);
	int err = db_errno(db->handle, code);

	/* A statement that is left standing would hold its transaction.  The
	 * error it repeats was looked at. */
	sqlite3_reset(stmt);
	return err;
}

int db_run(struct db *db, enum stmt which)
{
	return db_step(db, db_stmt(db, which));
}

void db_checkpoint(struct db *db)
{
	int in_wal = 0;
	int done = 0;
	int code = sqlite3_wal_checkpoint_v2(
		db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &done);

	/* A reader may hold back a part of it: the next one gets further.  A
	 * failed one has changed nothing: the WAL still has it all. */
	if (code && code != SQLITE_BUSY)
		log_warn("store: checkpoint failed: %s; the WAL grows",
			 sqlite3_errmsg(db->handle));
	db->wal_pages = in_wal > done ? in_wal - done : 0;
}
