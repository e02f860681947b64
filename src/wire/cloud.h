/**
 * wire/cloud.h -- what is asked of the Tencent Cloud API: actions and their
 * parameters, read and checked.
 *
 * WHAT   The recording actions of gme 2018-07-11 and trtc 2019-07-22.  A
 *        request is a JSON object, or parameters whose names are paths
 *        ("Lists.Users.0"), which cloud_form_put() makes one of.
 *        cloud_read() checks it by a table and fills in struct cloud_request.
 *
 * ERRORS A struct cloud_error is what the vendor would answer: its code, and
 *        a sentence that names the parameter and what is permitted.
 *
 * Source: the API documents of GME (607/53737 and its neighbours) and TRTC
 * (647/73786), the errors of tencentcloud-sdk-go, and "Common Error Codes".
 *
 * Pure: nothing is kept, nobody is asked.  Thread: any.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CLOUD_H
#define WIRE_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"

enum cloud_action {
	/* gme */
	CLOUD_START_RECORD,
	CLOUD_STOP_RECORD,
	CLOUD_MODIFY_RECORD_INFO,
	CLOUD_DESCRIBE_RECORD_INFO,
	CLOUD_DESCRIBE_TASK_INFO,
	CLOUD_DESCRIBE_ROOM_INFO,
	/* trtc */
	CLOUD_CREATE_RECORDING,
	CLOUD_DESCRIBE_RECORDING,
	CLOUD_MODIFY_RECORDING,
	CLOUD_DELETE_RECORDING,
	CLOUD_ACTION_N
};

enum {
	CLOUD_CODE_MAX = 64,
	CLOUD_TEXT_MAX = 400,
	CLOUD_GME_USERS_MAX = 20, /* of a list of gme */
	CLOUD_USERS_MAX = 32,	  /* of a list of trtc */
	CLOUD_ROOMS_MAX = 10,	  /* of DescribeRoomInfo */
	CLOUD_FORM_DEPTH_MAX = 8  /* parts of a parameter's name */
};

struct cloud_error {
	char code[CLOUD_CODE_MAX]; /* "": none */
	char text[CLOUD_TEXT_MAX];
};

/** Fill in; returns false, so that `return cloud_refuse(..)`. */
bool cloud_refuse(struct cloud_error *e, const char *code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/** "StartRecord" */
const char *cloud_action_name(enum cloud_action a);
/** By its name alone, which is unique; false: there is none. */
bool cloud_action_parse(const char *name, enum cloud_action *a);
/** Is it one of trtc? */
bool cloud_action_is_trtc(enum cloud_action a);

/**
 * The action of a request.
 *
 * version, action   as sent; NULL: not there
 *
 * Returns true, or false with NoSuchVersion, InvalidAction or
 * MissingParameter.
 */
bool cloud_find(const char *version, const char *action, enum cloud_action *a,
		struct cloud_error *e);

/* ---- parameters ---------------------------------------------------------- */

/** A list of users; the strings live as long as the request's JSON. */
struct cloud_users {
	size_t n;
	const char *ids[CLOUD_USERS_MAX];
};

/** StorageParams.CloudStorage */
struct cloud_storage {
	int64_t vendor;
	const char *region, *bucket, *access_key, *secret_key;
	const char *endpoint_url; /* NULL: not said */
	struct cloud_users prefix;
};

/** All parameters of all actions; those of others are 0.  Strings live as long
 *  as the request's JSON. */
struct cloud_request {
	enum cloud_action action;
	uint32_t app; /* BizId, SdkAppId */
	uint64_t task;
	const char *room;
	int64_t mode; /* 1 single, 2 mixed, 3 both */
	/* at most one of the two has users; has_lists: some list was given */
	bool has_lists;
	struct cloud_users allow, block;
	struct cloud_users rooms; /* DescribeRoomInfo; all are strings */
	/* trtc */
	const char *user, *user_sig;
	int64_t stream_type;   /* 1: sound only */
	int64_t output_format; /* 0; -1: not said */
	int64_t max_idle_s;    /* MaxIdleTime */
	int64_t max_minutes;   /* MaxMediaFileDuration */
	int64_t expire_hours;  /* ResourceExpiredHour */
	int64_t room_id_type;  /* 1: RoomId is a number */
	struct cloud_storage storage;
};

/**
 * Put a parameter of a query or a form into the object that a JSON body would
 * be: numbers stay strings, and lists are objects of "0", "1" ..
 *
 * Returns 0, or
 *   EINVAL   a part that is empty, too long or not UTF-8, or too many; a
 *            value that is not UTF-8
 *   EEXIST   the name was there already, or as a group
 *   ENOMEM
 */
MUST_CHECK int cloud_form_put(json_t *root, const char *name,
			      const char *value);

/**
 * Read and check the parameters of an action.
 *
 * root      an object; numbers in lists of users are made strings
 * is_form   made by cloud_form_put: numbers are strings
 *
 * Returns true, or false with the vendor's error.
 */
bool cloud_read(enum cloud_action action, json_t *root, bool is_form,
		struct cloud_request *out, struct cloud_error *e);

#endif
