/**
 * store/schema.c -- the tables.
 *
 * States and modes are the numbers of their enums in store.h and
 * wire/event.h: they are on disk, so those enums only ever grow at the end.
 * Times are wall time in ms.
 *
 *   task      a recording of a room
 *   segment   a file of a track
 *   track     SeqNos that are used up, also those of deleted segments
 *   input     a sound source that comes back after a restart
 *   event     what a backend may want to know; `once` makes it unique
 *   delivery  an event for an endpoint
 *   attempt   the last attempts of a delivery, with what was answered
 *   wave      the waveform of a segment's file; goes with its segment
 *   removal   an endpoint that was taken out
 *   endpoint  an endpoint that was made at run time; its settings are JSON,
 *             with its secrets (the file is for our eyes only)
 *   storage   where callers want the files of their tasks; as endpoint
 *   totals    one row: deliveries by state, kept by the writes
 *   last_id   by kind (enum store_ids): the biggest id a row ever had, and of
 *             the events that were removed
 *
 * A database is made as version 1 and then, like an older one that is opened,
 * brought up step by step: what is in `tables` and in the steps never
 * changes, another step is added.
 *
 * A partial index is used only by a query that says its condition in the
 * same words: see filter.c and PENDING_OF_TASK in inside.h.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum {
	APPLICATION_ID = 0x7461706f, /* "tapo" */
	FIRST_VERSION = 1
};

/* Version 1. */
static const char *const tables =
	"CREATE TABLE task("
	" id INTEGER PRIMARY KEY, app INTEGER NOT NULL, room TEXT NOT NULL,"
	" mode INTEGER NOT NULL, state INTEGER NOT NULL,"
	" reason TEXT NOT NULL, reason_text TEXT NOT NULL,"
	" subscribe TEXT NOT NULL, created_ms INTEGER NOT NULL,"
	" stopped_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,"
	" leave_code INTEGER NOT NULL, client_ip TEXT NOT NULL,"
	" platform TEXT NOT NULL) STRICT;"
	"CREATE INDEX task_room ON task(room);"
	"CREATE INDEX task_open ON task(state) WHERE state<>2;"
	"CREATE INDEX task_finished ON task(finished_ms);"

	"CREATE TABLE segment("
	" id INTEGER PRIMARY KEY, task INTEGER NOT NULL,"
	" app INTEGER NOT NULL, room TEXT NOT NULL, user TEXT NOT NULL,"
	" mode INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" state INTEGER NOT NULL, file_name TEXT NOT NULL UNIQUE,"
	" start_ms INTEGER NOT NULL, frames INTEGER NOT NULL DEFAULT 0,"
	" size INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '',"
	" closed_ms INTEGER NOT NULL DEFAULT 0,"
	" uploaded_ms INTEGER NOT NULL DEFAULT 0,"
	" reason TEXT NOT NULL DEFAULT '',"
	" reason_text TEXT NOT NULL DEFAULT '',"
	" UNIQUE(task, user, mode, seq)) STRICT;"
	"CREATE INDEX segment_room ON segment(room);"
	"CREATE INDEX segment_user ON segment(user);"
	"CREATE INDEX segment_open ON segment(state) WHERE state<>2;"
	"CREATE INDEX segment_not_uploaded ON segment(uploaded_ms)"
	" WHERE uploaded_ms=0 AND state=2;"

	"CREATE TABLE track("
	" task INTEGER NOT NULL, user TEXT NOT NULL, mode INTEGER NOT NULL,"
	" next_seq INTEGER NOT NULL, last_start_ms INTEGER NOT NULL,"
	" PRIMARY KEY(task, user, mode)) STRICT, WITHOUT ROWID;"

	"CREATE TABLE input("
	" id INTEGER PRIMARY KEY, app INTEGER NOT NULL, room TEXT NOT NULL,"
	" user TEXT NOT NULL, kind TEXT NOT NULL, port INTEGER NOT NULL,"
	" source TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"

	"CREATE TABLE event("
	" id INTEGER PRIMARY KEY, task INTEGER NOT NULL,"
	" task_seq INTEGER NOT NULL, app INTEGER NOT NULL,"
	" kind TEXT NOT NULL, unix_ms INTEGER NOT NULL, once TEXT UNIQUE,"
	" facts TEXT NOT NULL) STRICT;"
	"CREATE INDEX event_task ON event(task, task_seq);"

	"CREATE TABLE delivery("
	" id INTEGER PRIMARY KEY, event INTEGER NOT NULL,"
	" endpoint INTEGER NOT NULL, lane INTEGER NOT NULL,"
	" app INTEGER NOT NULL, state INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL, attempts_ever INTEGER NOT NULL,"
	" late INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	" due_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL DEFAULT 0,"
	" done_ms INTEGER NOT NULL DEFAULT 0,"
	" last_status INTEGER NOT NULL DEFAULT 0,"
	" last_error TEXT NOT NULL DEFAULT '') STRICT;"
	"CREATE INDEX delivery_open ON delivery(state) WHERE state<>1;"
	"CREATE INDEX delivery_endpoint ON delivery(endpoint);"
	"CREATE INDEX delivery_lane ON delivery(lane);"

	"CREATE TABLE attempt("
	" delivery INTEGER NOT NULL, n INTEGER NOT NULL,"
	" unix_ms INTEGER NOT NULL, duration_us INTEGER NOT NULL,"
	" status INTEGER NOT NULL, error TEXT NOT NULL,"
	" PRIMARY KEY(delivery, n)) STRICT, WITHOUT ROWID;"

	"CREATE TABLE totals("
	" id INTEGER PRIMARY KEY CHECK(id=1), accepted INTEGER NOT NULL,"
	" delivered INTEGER NOT NULL, pending INTEGER NOT NULL,"
	" dead INTEGER NOT NULL, expired INTEGER NOT NULL) STRICT;"
	"INSERT INTO totals VALUES(1, 0, 0, 0, 0, 0);"

	"CREATE TABLE last_id("
	" kind INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT;";

/* From FIRST_VERSION + i to the next one; only ever added to.  A new database
 * goes through all of them, too. */
static const char *const steps[] = {
	/* what an input was told of its sender, 0: nothing */
	"ALTER TABLE input ADD COLUMN opus_pt INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE input ADD COLUMN red_pt INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE input ADD COLUMN audio_level_ext INTEGER NOT NULL"
	" DEFAULT 0;",
	/* how a task records */
	"ALTER TABLE task ADD COLUMN format INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN sample_rate INTEGER NOT NULL"
	" DEFAULT 48000;"
	"ALTER TABLE task ADD COLUMN max_idle_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN hold_empty_ms INTEGER NOT NULL"
	" DEFAULT 43200000;"
	"ALTER TABLE task ADD COLUMN is_auto INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN is_paused INTEGER NOT NULL DEFAULT 0;",
	/* a mic that the API has switched off */
	"ALTER TABLE input ADD COLUMN mic_disabled INTEGER NOT NULL DEFAULT 0;",
	/* endpoints that were taken out: whose deliveries expire */
	"CREATE TABLE removal("
	" endpoint INTEGER PRIMARY KEY, app INTEGER NOT NULL,"
	" name TEXT NOT NULL, up_to INTEGER NOT NULL) STRICT;",
	/* endpoints that were made at run time */
	"CREATE TABLE endpoint("
	" id INTEGER PRIMARY KEY, app INTEGER NOT NULL,"
	" name TEXT NOT NULL, settings TEXT NOT NULL) STRICT;",
	/* who has begun and ended what, and what could not be stored */
	"ALTER TABLE task ADD COLUMN end_ip TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE task ADD COLUMN end_platform TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE segment ADD COLUMN by_ip TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE segment ADD COLUMN by_platform TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE segment ADD COLUMN is_failing INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE segment ADD COLUMN is_left INTEGER NOT NULL DEFAULT 0;",
	/* what a caller may want of a task of its own */
	"ALTER TABLE task ADD COLUMN segment_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN expires_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN recorder TEXT NOT NULL DEFAULT '';",
	/* where it was uploaded to (enum upload_kind): 0 local, 1 s3 */
	"ALTER TABLE segment ADD COLUMN stored_in INTEGER NOT NULL DEFAULT 0;",
	/* where callers want the files of their tasks */
	"CREATE TABLE storage("
	" id INTEGER PRIMARY KEY, app INTEGER NOT NULL,"
	" settings TEXT NOT NULL) STRICT;"
	"ALTER TABLE task ADD COLUMN storage INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE task ADD COLUMN storage_prefix TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX task_storage ON task(storage) WHERE storage<>0;",
	/* is a task still to be told of?  Not by all its deliveries */
	"CREATE INDEX delivery_pending ON delivery(lane) WHERE state=0;",
	/* waveforms; what endpoints answered; tasks by user and by time */
	"CREATE TABLE wave("
	" segment INTEGER PRIMARY KEY, bucket_frames INTEGER NOT NULL,"
	" peaks TEXT NOT NULL) STRICT;"
	"CREATE TRIGGER segment_wave AFTER DELETE ON segment BEGIN"
	" DELETE FROM wave WHERE segment=old.id; END;"
	"ALTER TABLE attempt ADD COLUMN answer TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX segment_user_task ON segment(user, task, mode);"
	"DROP INDEX segment_user;"
	"CREATE INDEX task_created ON task(created_ms);",
};

enum { SCHEMA_VERSION = FIRST_VERSION + (int)ARRAY_LEN(steps) };

static_assert(TASK_STOPPED == 2 && SEG_CLOSED == 2 && SEG_LOST == 3 &&
		      SEG_ERASING == 4 && MODE_MIXED == 1 &&
		      DELIVERY_PENDING == 0 && DELIVERY_DELIVERED == 1,
	      "partial indices, db.c and filter.c name these");

int schema_exec(sqlite3 *handle, const char *sql, struct err *e)
{
	int code = sqlite3_exec(handle, sql, NULL, NULL, NULL);

	if (!code)
		return 0;
	return err_set(e, db_errno(handle, code), "data_dir", "database: %s",
		       sqlite3_errmsg(handle));
}

int schema_number(sqlite3 *handle, const char *sql, int64_t *value,
		  struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	int64_t found = 0;
	int code = sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL);

	if (!code)
		code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		found = sqlite3_column_int64(stmt, 0);
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		*value = found;
	else
		err_set(e, db_errno(handle, code), "data_dir", "database: %s",
			sqlite3_errmsg(handle));
	sqlite3_finalize(stmt);
	return db_errno(handle, code);
}

int schema_check(sqlite3 *handle, struct err *e)
{
	int64_t app_id = 0;
	int64_t version = 0;
	int64_t n_tables = 0;
	int err = schema_number(handle, "PRAGMA application_id", &app_id, e);

	if (!err)
		err = schema_number(handle, "PRAGMA user_version", &version, e);
	if (!err)
		err = schema_number(handle,
				    "SELECT count(*) FROM sqlite_schema",
				    &n_tables, e);
	if (err)
		return err;
	if (!app_id && !version && !n_tables)
		return 0;
	if (app_id != APPLICATION_ID)
		return err_set(e, EBADMSG, "data_dir",
			       "tapeop.db is not a database of tapeop: move it "
			       "away or choose another data_dir");
	if (version < FIRST_VERSION || version > SCHEMA_VERSION)
		return err_set(e, EBADMSG, "data_dir",
			       "tapeop.db has schema version %lld, this tapeop "
			       "knows %d: run the newer tapeop",
			       (long long)version, SCHEMA_VERSION);
	return 0;
}

/** Make the tables, or what newer ones have, and say so. */
static int bring_up(sqlite3 *handle, int64_t version, struct err *e)
{
	char pragmas[96];
	int err = 0;

	if (!version) {
		err = schema_exec(handle, tables, e);
		version = FIRST_VERSION;
	}
	for (; !err && version < SCHEMA_VERSION; version++)
		err = schema_exec(handle, steps[version - FIRST_VERSION], e);
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 APPLICATION_ID, SCHEMA_VERSION);
	return err ? err : schema_exec(handle, pragmas, e);
}

int schema_create(sqlite3 *handle, struct err *e)
{
	int64_t version = 0;
	int err = schema_exec(handle, "BEGIN IMMEDIATE", e);

	if (err)
		return err;
	err = schema_number(handle, "PRAGMA user_version", &version, e);
	if (!err && version < SCHEMA_VERSION)
		err = bring_up(handle, version, e);
	if (!err)
		err = schema_exec(handle, "COMMIT", e);
	if (err && !sqlite3_get_autocommit(handle))
		sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
	return err;
}
