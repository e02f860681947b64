/** intake/inside.h -- the input, for the files of this folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_INSIDE_H
#define INTAKE_INSIDE_H

#include "base/counters.h"
#include "intake/intake.h"
#include "intake/payload.h"
#include "intake/reception.h"
#include "intake/ring.h"
#include "intake/stream.h"
#include "intake/timeline.h"

struct input {
	struct input_config config;
	struct input_events events;
	struct input_stats stats;
	struct ring ring;
	struct stream stream;
	struct timeline timeline;
	struct payload_types types;
	struct reception reception;
	struct ring_packet *probe; /* its numbers leapt; not unwrapped yet */
	uint32_t prev_ssrc;	   /* of the run before */
	bool has_prev;
	bool muted; /* by the API */
	bool begin; /* the next packet begins a run, whatever it says */
	uint8_t pt; /* Opus in this run, PT_NONE: not known */
	bool asked; /* a report is to be sent */
	int64_t reported_us; /* 0: none yet */
	int64_t heard_us;    /* arrival of the last packet that had sound */
	int64_t taken_us;    /* arrival of the last packet of this run */
};

/* input.c, for packet.c */

/** Deal with the ring's first packet, unless it has to wait. */
MUST_CHECK bool input_play(struct input *in, enum timeline_why why,
			   int64_t limit);
/** Is the mic off by now, for want of packets? */
void input_check_mic(struct input *in, int64_t now_us);
/** Count a datagram that is no packet of a sender. */
void input_count_bad(struct input *in, enum counter c);
/** The probe led nowhere. */
void input_drop_probe(struct input *in);

#endif
