/**
 * commands/doctor.h -- the parts of `tapeop doctor`.
 *
 *   doctor.c            options, the list of checks, their lines
 *   doctor_machine.c    folders, space, limits, clock, secrets
 *   doctor_net.c        addresses, ports, the bucket, the way to each callback URL
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_DOCTOR_H
#define COMMANDS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "config/config.h"

/* FAIL: the server would not start, or callbacks or files can never arrive.
   WARN: what mends itself, or works and should not be so. */
enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	const char *path; /* of the configuration */
	const struct config *config;
	bool json;
	/* so far */
	json_t *checks; /* with `json` */
	size_t warned, failed;
	bool runs; /* a tapeop answers at an address of http.listen */
};

/** One check's result; behind a fault stands what to do about it. */
void doctor_say(struct doctor *d, enum doctor_state state, const char *what,
		const char *fmt, ...) PRINTF_LIKE(4, 5);

void doctor_check_folders(struct doctor *d);
void doctor_check_limits(struct doctor *d);
void doctor_check_clock(struct doctor *d);
void doctor_check_secrets(struct doctor *d);

/** Of kind s3: puts a small object, looks at it and removes it. */
void doctor_check_bucket(struct doctor *d);
/** Of kind s3: is it plain http through the open?  Connects, if the endpoint has
 *  a name. */
void doctor_check_bucket_way(struct doctor *d);
void doctor_check_listen(struct doctor *d);
/** The files of http.tls_cert and tls_key. */
void doctor_check_tls(struct doctor *d);
void doctor_check_rtp(struct doctor *d);
void doctor_check_webrtc(struct doctor *d);
/** Connects to each callback URL, and sends nothing. */
void doctor_check_callbacks(struct doctor *d);

/**
 * What to think of a clock.
 *
 * unix_s   what it shows
 * kernel   what adjtimex(2) returned
 * text     out: a sentence
 */
enum doctor_state doctor_judge_clock(int64_t unix_s, int kernel,
				     const char **text);

/** Who can read what goes to a URL on its way. */
enum doctor_way {
	DOCTOR_WAY_CLOSED,  /* https; this machine, or a private network */
	DOCTOR_WAY_OPEN,    /* http to a global address */
	DOCTOR_WAY_BY_NAME, /* http to a name: depends on its addresses */
};
/** url   as http_url_check permits it */
enum doctor_way doctor_judge_way(const char *url);

/**
 * What to think of when a certificate is good [Unix s].
 *
 * says, advice   out: a sentence is its file, `says`, the time of its end,
 *                `advice`
 */
enum doctor_state doctor_judge_dates(int64_t now_s, int64_t from_s,
				     int64_t until_s, const char **says,
				     const char **advice);

/**
 * What to think of how much a socket holds that many speak into.
 *
 * bytes      what it gets of WEBRTC_ROOM_BYTES
 * speakers   out: of how many it holds a pause of 30 ms
 * advice     out: the end of a sentence
 */
enum doctor_state doctor_judge_room(int bytes, int *speakers,
				    const char **advice);

/**
 * What to think of who may do what with a file that holds a secret.
 *
 * mode   st_mode
 * text   out: the end of a sentence that begins with its name
 */
enum doctor_state doctor_judge_mode(unsigned mode, const char **text);

#endif
