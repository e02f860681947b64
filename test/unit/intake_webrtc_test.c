/** test/unit/intake_webrtc_test.c -- WebRTC sessions: checks, paths, packets
 *  and ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "webrtc_aid.h"

static void a_peer_joins_and_is_heard(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	join(p);
	assert_true(p->done);
	assert_int_equal(p->n_connected, 1);
	assert_string_equal(stats(p).srtp_profile, "SRTP_AEAD_AES_128_GCM");
	for (int i = 0; i < 50; i++) {
		say(p);
		fake_us += 20000;
	}
	assert_int_equal(heard(p).packets, 50);
	assert_int_equal(stats(p).packets, 50);
	input_flush(p->in, INT64_MAX);
	assert_int_equal(ear_sum(&p->ear, CHUNK_SOUND), 50 * 20 * MS);
	assert_int_equal(p->n_ended, 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_joins_and_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
