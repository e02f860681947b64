/**
 * control/call.h -- one API call under way.  Private to control/.
 *
 * A call lives from its request to its answer; rooms and store answer later,
 * when the client may have gone: then the answer is dropped.  Each handler
 * ends in exactly one of the call_reply functions, which free the call.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CALL_H
#define CONTROL_CALL_H

#include <jansson.h>

#include "control/control.h"
#include "control/follow.h"
#include "control/live.h"
#include "control/session.h"
#include "wire/sdp.h"
#include "wire/usersig.h"

enum {
	CALL_PARTS_MAX = 3,
	CALL_PART_MAX = ID_MAX + 1,
	CALL_FIELDS_MAX = 12,
	CALL_FIELD_SPACE = 1024
};

enum { CONSOLE_POLICY_CAP = 1024 };

struct control {
	struct loop *loop;
	struct rooms *rooms;
	struct notify *notify;
	struct store *store;
	struct http_server *server;
	struct follow *follow;
	struct live *live;
	uint8_t token_hash[2][32]; /* SHA-256 of the admin tokens */
	unsigned n_tokens;	   /* 0: whoever is local may ask */
	struct sessions sessions;  /* of browsers */
	struct control_keys *keys; /* of the Cloud API */
	struct control_apps apps;
	struct cloud_limits *limits;
	char *storage; /* the folder, absolute if it was there at the start */
	char *origins; /* that may use WHIP, with a space between two */
	char policy[CONSOLE_POLICY_CAP]; /* of the console's pages */
};

struct call {
	struct control *control;
	struct http_request *request; /* NULL: the client has gone */
	/* {} of the path; "" stands for what is too long, which is never
	 * permitted either */
	char parts[CALL_PARTS_MAX][CALL_PART_MAX];
	json_t *body; /* an object, or NULL */
	char client_ip[ADDR_TEXT_MAX];
	bool is_inexact;	 /* body: integers were read as reals */
	struct http_field extra; /* of the answer; name NULL: none */
	struct http_field fields[CALL_FIELDS_MAX]; /* more of them */
	size_t n_fields;
	char field_space[CALL_FIELD_SPACE]; /* their values */
	size_t field_used;
	/* for handlers that ask twice */
	struct store_filter filter;
	uint64_t id, count;
	int64_t presign_s; /* of URLs in the answer; 0: none */
	bool dry_run, count_is_cut;
	struct delivery_row delivery;
	struct segment_row segment;
	int64_t sent_ms; /* of its last attempt, 0: there was none */
	bool is_secret;	 /* the answer holds secrets: nobody keeps it */
	json_t *answer;
	struct cloud *cloud; /* of the Cloud API; NULL: it is a native call */
	struct sdp_offer *offer;	  /* of WHIP: what was offered */
	char answer_mid[SDP_MID_MAX + 1]; /* of its ICE restart */
};

/* call.c: answers */

/** Answer with JSON (taken over; NULL: 500).  Frees the call. */
void call_reply(struct call *c, int status, json_t *body);
/** Answer with a problem (RFC 9457).  `field` may be "" or NULL. */
void call_problem(struct call *c, int status, const char *field,
		  const char *fmt, ...) PRINTF_LIKE(4, 5);
/** Answer with what went wrong below: errno -> status. */
void call_error(struct call *c, const struct err *e);
/** The same of a setting (EINVAL with e->field), whose text does not name
 *  it. */
void call_setting_error(struct call *c, const struct err *e);
/** Answer with text. */
void call_text(struct call *c, int status, const char *type,
	       const struct buf *text);
void call_free(struct call *c);
/** Who was let in may not be any more: end all streams.  Their clients come
 *  back, with what is good then. */
void call_streams_stop(struct control *c);
/** Have a header field in the answer.  `name` is static; the value is copied
 *  (one that there is no room for is left out). */
void call_field(struct call *c, const char *name, const char *value);
/** Read c->filter's page; `done` gets the call as its argument. */
void call_ask(struct call *c, store_rows_fn *done);
/** First thing in `done`: true when the client has gone or the read failed;
 *  then rows and call are dealt with. */
bool call_rows_are_bad(struct call *c, struct store_rows *rows);
/** A 64-bit id as a JSON string. */
json_t *call_id(uint64_t id);
/** Any bytes as text: what is no UTF-8 becomes '?'.  NULL: out of memory. */
json_t *call_bytes(const uint8_t *bytes, size_t len);
/** "Name: value\n" lines as an object.  NULL: out of memory. */
json_t *call_fields(const char *lines);

/* inputs.c, tasks.c: what is there, as JSON (NULL: out of memory) */

/** A room as in GET /v1/rooms, with so many of its inputs. */
json_t *room_info_json(const struct rooms *rooms, const struct room_info *room,
		       size_t max_inputs);
/** A task as it is in memory. */
json_t *task_info_json(const struct task_info *t);

/* fields.c: what came in.  All return false after they have answered. */

/** The path part is an app id that exists. */
bool call_app(struct call *c, const char *part, uint32_t *app);
/** The path part is a room or user id. */
bool call_name(struct call *c, const char *part, const char *field);
/** The path part is a 64-bit id. */
bool call_number(struct call *c, const char *part, const char *field,
		 uint64_t *id);
/** The body is an object with no other keys than these (NULL-ended). */
bool call_keys(struct call *c, const char *const *keys);
/** A string field; *value NULL when it is absent and not required.
 *  `what`: what is permitted, behind "must be". */
bool call_string(struct call *c, const char *key, const char *what,
		 bool required, const char **value);
/** A required room or user id. */
bool call_name_field(struct call *c, const char *key, const char **value);
/** A 64-bit id as a string; unchanged when absent. */
bool call_id_field(struct call *c, const char *key, uint64_t *id);
/** A boolean field. */
bool call_bool(struct call *c, const char *key, bool *value);
/** An integer field in min..max; unchanged when absent. */
bool call_integer(struct call *c, const char *key, int64_t min, int64_t max,
		  int64_t *value);
/** One of `names` (NULL-ended); *index unchanged when absent. */
bool call_choice(struct call *c, const char *key, const char *const *names,
		 int *index);
/** subscribe / unsubscribe lists; strings live as long as the body. */
bool call_lists(struct call *c, struct subscription *out, bool *given);
/** No other query parameters than these (NULL-ended), and each once. */
bool call_query_keys(struct call *c, const char *const *keys);
/** A number of the query in min..max; unchanged when absent. */
bool call_query_integer(struct call *c, const char *key, int64_t min,
			int64_t max, int64_t *value);
/** limit 1..1000 and after of a list. */
bool call_page(struct call *c, struct store_filter *f);

/* handlers */
void inputs_add(struct call *c);
void inputs_change(struct call *c);
void inputs_remove(struct call *c);
void inputs_show(struct call *c);
void rooms_list(struct call *c);
void tasks_start(struct call *c);
void tasks_list(struct call *c);
void tasks_show(struct call *c);
void tasks_change(struct call *c);
void tasks_stop(struct call *c);
void segments_list(struct call *c);
void segments_audio(struct call *c);
void segments_waveform(struct call *c);
void recordings_erase(struct call *c);
void deliveries_list(struct call *c);
void deliveries_show(struct call *c);
void deliveries_replay_one(struct call *c);
void deliveries_replay(struct call *c);
void apps_list(struct call *c);
void apps_show(struct call *c);
void apps_make(struct call *c);
void apps_change(struct call *c);
void apps_remove(struct call *c);
void app_keys_rotate(struct call *c);
void app_keys_reveal(struct call *c);
void app_keys_end(struct call *c);
void api_keys_make_one(struct call *c);
void api_keys_change(struct call *c);
void api_keys_revoke(struct call *c);
void whip_join(struct call *c);
void whip_change(struct call *c);
void whip_leave(struct call *c);
void whip_options(struct call *c);
void whip_session_options(struct call *c);
void endpoints_list(struct call *c);
void endpoints_list_all(struct call *c);
void endpoints_make(struct call *c);
void endpoints_show(struct call *c);
void endpoints_change(struct call *c);
void endpoints_remove(struct call *c);
void endpoints_test(struct call *c);
void events_follow(struct call *c);
void live_follow(struct call *c);
void metrics_show(struct call *c);
void health_show(struct call *c);
void ready_show(struct call *c);
void root_show(struct call *c);
void console_show(struct call *c);
/** Write the policy of its pages; media: control_config.media, or NULL. */
void console_policy(char out[CONSOLE_POLICY_CAP], const char *media);
void login_show(struct call *c);
void login_begin(struct call *c);
void login_end(struct call *c);
void tickets_make(struct call *c);

/* auth.c */

/** May this client ask?  Answers 401 or 403 itself when not. */
bool auth_permits(struct call *c);
/** There is a token: does the request have it, or the cookie of a login? */
bool auth_is_known(struct call *c);
/** Is this an admin token? */
bool auth_is_token(const struct control *control, const char *token);
/** Is it a page of ours that asks, or no page?  must_say: no page will not
 *  do. */
bool auth_is_own_page(const struct http_request *r, bool must_say);
/**
 * Is this a UserSig of that user, good now?
 *
 * key, previous   of the app; previous may be NULL
 *
 * Returns as usersig_verify.
 */
MUST_CHECK enum usersig_fault auth_check_ticket(const char *key,
						const char *previous,
						uint32_t app, const char *user,
						const char *ticket,
						struct err *why);

#endif
