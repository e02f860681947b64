/**
 * control/cloud.h -- a call of the Cloud API under way.  Private to control/.
 *
 *	cloud.c          who asks (signatures v3 and v1), envelope, audit
 *	cloud_keys.c     key pairs, and how often they may call
 *	cloud_gme.c      the actions of gme
 *	cloud_trtc.c     the actions of trtc
 *	cloud_storage.c  a task's StorageParams as a bucket
 *
 * What is asked is read by wire/cloud.h, and done by the same functions of
 * rooms and store as in the native API.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CLOUD_H
#define CONTROL_CLOUD_H

#include "base/map.h"
#include "control/call.h"
#include "wire/cloud.h"
#include "wire/tc3.h"

enum {
	CLOUD_CALLS_S = 20, /* of an action, in an app */
	CLOUD_REQUEST_ID_CAP = 37
};

/** A key pair; its texts are owned. */
struct cloud_key {
	struct map_node node; /* by secret_id */
	uint32_t app, actions;
	char *secret_id, *secret_key, *previous_secret_key;
	char *app_key, *previous_app_key; /* check UserSig, or NULL */
};

/** How a segment of DescribeRecordInfo stands. */
struct cloud_file {
	uint64_t event;		/* that it was uploaded; 0: not known */
	unsigned told, waiting; /* deliveries of it */
	char user[ID_MAX + 1];
	enum record_mode mode;
	uint32_t seq;
	int status;
};

/** What a call of the Cloud API has beside struct call. */
struct cloud {
	char request_id[CLOUD_REQUEST_ID_CAP];
	char key_id[TC3_SECRET_ID_MAX + 1]; /* "": not known yet */
	char action[48];
	json_t *root;
	struct cloud_request q;
	uint64_t task; /* 0: none; for the log */
	/* DescribeRecordInfo */
	json_t *infos; /* RecordInfo */
	struct cloud_file *files;
	size_t n_files;
};

/* cloud.c */

/** Is a request to GET / meant for the Cloud API? */
bool cloud_is_meant(const struct http_request *r);
/** Deal with a request to /. */
void cloud_serve(struct call *c);
void cloud_free(struct cloud *cloud);

/** Answer with the members of `response` (taken over; NULL: out of memory). */
void cloud_reply(struct call *c, json_t *response);
void cloud_fail(struct call *c, const struct cloud_error *e);
/** Answer with an error. */
void cloud_error(struct call *c, const char *code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/** Answer with what went wrong below that the caller cannot help. */
void cloud_internal(struct call *c, const struct err *e);
/** The lists of the request as rooms take them. */
void cloud_lists(const struct cloud_request *q, struct subscription *out);

/* cloud_gme.c, cloud_trtc.c */
void cloud_start_record(struct call *c);
void cloud_stop_record(struct call *c);
void cloud_modify_record_info(struct call *c);
void cloud_describe_record_info(struct call *c);
void cloud_describe_task_info(struct call *c);
void cloud_describe_room_info(struct call *c);
void cloud_create_recording(struct call *c, const struct cloud_key *key);
void cloud_describe_recording(struct call *c);
void cloud_modify_recording(struct call *c);
void cloud_delete_recording(struct call *c);

/* cloud_storage.c */

/** A bucket, and the texts that are made for it. */
struct cloud_place {
	struct upload_s3 s3;
	char endpoint[2100];
	char prefix[CLOUD_USERS_MAX * 66];
};

/**
 * Find where the files of a task go.
 *
 * p     what *out points at, and what that points at, with the request's texts
 * out   NULL: the server's own storage
 *
 * Returns false with an error: it is no bucket that can be used.
 */
bool cloud_storage_find(const struct rooms *r, const struct cloud_request *q,
			struct cloud_place *p, const struct upload_s3 **out,
			struct cloud_error *e);

/* cloud_keys.c */

struct control_keys {
	struct map map;
	struct cloud_key *keys; /* n */
	size_t n;
	/* of the apps, whether they may call the Cloud API or not */
	struct app_key {
		uint32_t app;
		char *key, *previous; /* or NULL */
	} * apps;		      /* n_apps */
	size_t n_apps;
};

/** NULL: there is none. */
const struct app_key *app_key_find(const struct control_keys *k, uint32_t app);

/** NULL: there is none. */
const struct cloud_key *cloud_key_find(const struct control_keys *k,
				       const char *secret_id);

enum { CLOUD_PEERS = 256 };

/** When each may ask again (as if calls were spaced evenly). */
struct cloud_limits {
	struct {
		uint32_t app; /* 0: free */
		int64_t due_us[CLOUD_ACTION_N];
	} apps[ROOMS_APPS_MAX];
	/* by a hash of the address */
	int64_t peer_due_us[CLOUD_PEERS], login_due_us[CLOUD_PEERS];
};

/** Take one of the calls that an app has in a second; false: none is left. */
bool cloud_limit_call(struct cloud_limits *l, uint32_t app, enum cloud_action a,
		      int64_t now_us);
/** The app has gone: its place is free. */
void cloud_limit_forget(struct cloud_limits *l, uint32_t app);
/** Has this address failed to prove who it is too often? */
bool cloud_limit_peer_is_over(const struct cloud_limits *l, const char *ip,
			      int64_t now_us);
void cloud_limit_peer_failed(struct cloud_limits *l, const char *ip,
			     int64_t now_us);
/** The same for wrong admin tokens at the console: 10 at once, then one in 3 s. */
bool limit_login_is_over(const struct cloud_limits *l, const char *ip,
			 int64_t now_us);
void limit_login_failed(struct cloud_limits *l, const char *ip, int64_t now_us);

#endif
