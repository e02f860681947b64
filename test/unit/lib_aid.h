/** test/unit/lib_aid.h -- known callbacks and their signatures, for the tests
 *  of include/tapeop.h.  Only that header is used, as by a backend. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_LIB_AID_H
#define TEST_UNIT_LIB_AID_H

#include <tapeop.h>

#include <string.h>

enum { APP = 1400000000 };

/* The sample of the GME page, minified; computed with openssl dgst. */
static const char gme_body[] =
	"{\"BizID\":1400000000,\"RoomID\":\"100\",\"UserID\":\"999\","
	"\"TaskID\":446946705284000000,\"RecordMode\":1,"
	"\"Timestamp\":1675930605,\"EventType\":1,\"Detail\":{\"SeqNo\":0,"
	"\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"}}";
static const char gme_key[] = "test-secret-key";
static const char gme_hex[] = "10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef";
static const char gme_base64[] = "EMTFXJmucWK6euDoP44qXaUF5u8=";

/* The vendor's sample of the body, and its example of Sign. */
static const char live_body[] =
	"{\"CallbackCommand\": \"Follow.CallbackAfterCloudRecordingChanged\","
	"\"EventGroupId\": 3,\"EventType\": 305,\"CallbackTs\": 1752580150082,"
	"\"EventInfo\": {\"RoomId\": \"635055\",\"EventTs\": 1752580150,"
	"\"EventMsTs\": 1752580150081,\"UserId\": \"user1\",\"TaskId\": "
	"\"-m9-bVVU7id***K-m928oZWQndiborbEWH3zY-lIXlprc-gQvQE\","
	"\"Payload\": {\"Status\": 0}}}";
static const char live_token[] = "xxxxyyyy";
static const int64_t live_ms = 1669872112000;
#define LIVE_COMMAND "CallbackCommand=Follow.CallbackAfterCloudRecordingChanged"
#define LIVE_UNSIGNED                           \
	"SdkAppid=1400000000&" LIVE_COMMAND     \
	"&contenttype=json&ClientIP=127.0.0.1&" \
	"OptPlatform=Web"
#define LIVE_QUERY                                                    \
	LIVE_UNSIGNED "&Sign="                                        \
		      "17773bc39a671d7b9aa835458704d2a6"              \
		      "db81360a5940292b587d6d760d484061&RequestTime=" \
		      "1669872112"

/* The vendor's example of Sign (its body is no event of a recording). */
static const char trtc_204[] =
	"{\n\t\"EventGroupId\":\t2,\n\t\"EventType\":\t204,\n"
	"\t\"CallbackTs\":\t1664209748188,\n\t\"EventInfo\":\t{\n"
	"\t\t\"RoomId\":\t8489,\n\t\t\"EventTs\":\t1664209748,\n"
	"\t\t\"EventMsTs\":\t1664209748180,\n"
	"\t\t\"UserId\":\t\"user_85034614\",\n\t\t\"Reason\":\t0\n\t}\n}";
static const char trtc_204_sign[] =
	"kkoFeO3Oh2ZHnjtg8tEAQhtXK16/KI05W3BQff8IvGA=";
static const char trtc_key[] = "123654";

static const char trtc_310[] =
	"{\"EventGroupId\":3,\"EventType\":310,\"CallbackTs\":1752580150082,"
	"\"EventInfo\":{\"RoomId\":635055,\"EventTs\":\"1752580150\","
	"\"EventMsTs\":1752580150081,\"UserId\":\"tapeop\","
	"\"TaskId\":\"446946705284000000\",\"Payload\":{\"Status\":1,"
	"\"FileList\":[\"a.mp3\",\"m.mp3\"],\"FileMessage\":["
	"{\"FileName\":\"a.mp3\",\"UserId\":\"ann\",\"TrackType\":\"audio\","
	"\"MediaId\":\"main\",\"StartTimeStamp\":1,\"EndTimeStamp\":2},"
	"{\"FileName\":\"m.mp3\",\"UserId\":\"\",\"TrackType\":\"audio\","
	"\"MediaId\":\"mix\",\"StartTimeStamp\":\"3\",\"EndTimeStamp\":4}]}}}";

/* Made with the npm package standardwebhooks 1.0.0, and for v1a with Node's
 * crypto (the seed is 32 times 7). */
static const char std_secret[] = "whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh";
static const char std_private[] =
	"whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
static const char std_public[] =
	"whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
static const char std_id[] = "msg_p5jXN8AQM9LWM0D4loKWxJek";
static const char std_test_body[] = "{\"test\": 2432232314}";
static const char std_test_v1[] =
	"v1,azFbdRUjyw2a8kogoXtMpNy5MbBkDC0BmAIr5bD2uZc=";
static const char std_test_v1a[] =
	"v1a,2iFnCkcL0nCB7d0lgaT5vmGnQgJl4zcl9qd7UbPYvulcwR3MRYzjXT2JCSEV4dFH"
	"3XNALA4OW0zY5fFdGv9GBA==";
static const int64_t std_ms = 1614265330000;

static const char std_body[] =
	"{\"type\":\"segment.uploaded\",\"timestamp\":"
	"\"2026-11-26T20:09:10.123Z\",\"data\":{\"event_id\":\"7\","
	"\"app\":1400000000,\"task_id\":\"446946705284000000\","
	"\"room\":\"lobby\",\"user\":\"alice\",\"sequence\":4,"
	"\"mode\":\"single\",\"seq\":2,\"file\":\"a/b.mp3\","
	"\"format\":\"mp3\",\"start_ms\":1795723000000,"
	"\"end_ms\":1795723004000,\"duration_ms\":4000,\"size\":32000,"
	"\"sha256\":"
	"\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
	"\"location\":\"s3://bucket/a/b.mp3\"}}";

/** A request with up to three headers; strings must live. */
struct sample {
	struct tapeop_header headers[3];
	struct tapeop_request r;
};

static inline struct tapeop_request *sample_with(struct sample *s,
						 const char *body,
						 const char *query)
{
	const struct tapeop_request empty = TAPEOP_REQUEST_INIT;

	memset(s, 0, sizeof(*s));
	s->r = empty;
	s->r.headers = s->headers;
	s->r.query = query;
	s->r.body = body;
	s->r.body_len = strlen(body);
	return &s->r;
}

static inline struct tapeop_request *sample_add(struct sample *s,
						const char *name,
						const char *value)
{
	s->headers[s->r.n_headers].name = name;
	s->headers[s->r.n_headers++].value = value;
	return &s->r;
}

static inline struct tapeop_request *sample_gme(struct sample *s)
{
	sample_with(s, gme_body, "");
	return sample_add(s, "signature", gme_base64);
}

static inline struct tapeop_request *sample_live(struct sample *s)
{
	return sample_with(s, live_body, LIVE_QUERY);
}

static inline struct tapeop_request *sample_trtc(struct sample *s)
{
	sample_with(s, trtc_204, NULL);
	sample_add(s, "SDKAPPID", "1400000000");
	return sample_add(s, "sign", trtc_204_sign);
}

static inline struct tapeop_request *sample_std(struct sample *s)
{
	sample_with(s, std_test_body, NULL);
	sample_add(s, "Webhook-Id", std_id);
	sample_add(s, "Webhook-Timestamp", "1614265330");
	return sample_add(s, "Webhook-Signature", std_test_v1);
}

/** An app with one list of keys. */
static inline struct tapeop_app app_with(const char *const *keys, size_t n)
{
	struct tapeop_app app = TAPEOP_APP_INIT;

	app.id = APP;
	app.keys = keys;
	app.n_keys = n;
	return app;
}

#endif
