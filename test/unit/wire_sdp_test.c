/** test/unit/wire_sdp_test.c -- offers of real senders, and offers that lie;
 *  ours, and answers to it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sdp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct sdp_ice our_ice = {"ufragufr", "passwordpasswordpassword"};
static const struct sdp_candidate here[] = {{"192.0.2.7", 40001},
					    {"2001:db8::7", 40001}};

/** Of the corpus: real ones, but for firefox and obs, which are written by what
 *  is known of them. */
static size_t load(const char *name, char *text, size_t cap)
{
	char path[128];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), "test/fuzz/corpus/sdp/%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(text, 1, cap - 1, f);
	fclose(f);
	text[len] = 0;
	return len;
}

static void parse(const char *name, struct sdp_offer *o)
{
	char text[8192];
	size_t len = load(name, text, sizeof(text));
	struct err e = {0};
	int err = sdp_offer_parse(text, len, o, &e);

	if (err)
		print_error("%s: %s\n", name, e.text);
	assert_int_equal(err, 0);
}

static void answer(const struct sdp_offer *o, struct buf *out)
{
	struct fingerprint f = {FINGERPRINT_SHA256, 32, {0xab, 0x01}};
	const struct sdp_local local = {
		.session_id = 77,
		.ice = &our_ice,
		.fingerprint = &f,
		.candidates = here,
		.n_candidates = 2,
	};

	buf_init(out, SDP_TEXT_MAX);
	assert_int_equal(sdp_answer_write(o, &local, out), 0);
}

/** Parse `text` with what stands in a place of it exchanged. */
static int parse_changed(const char *name, const char *from, const char *to,
			 struct sdp_offer *o, struct err *e)
{
	char text[8192], changed[8192];
	char *at;

	load(name, text, sizeof(text));
	at = strstr(text, from);
	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text,
		 to, at + strlen(from));
	*e = (struct err){0};
	return sdp_offer_parse(changed, strlen(changed), o, e);
}

static void sdp_reads_what_chromium_offers(void **state)
{
	struct sdp_offer o;

	(void)state;
	parse("chromium_audio", &o);
	assert_int_equal(o.n_media, 1);
	assert_int_equal(o.audio, 0);
	assert_string_equal(o.media[0].mid, "0");
	assert_int_equal(o.opus_pt, 111);
	assert_int_equal(o.red_pt, 63);
	assert_int_equal(o.level_ext, 1);
	assert_int_equal(o.mid_ext, 4);
	assert_true(o.is_bundled && o.is_trickle && o.has_rsize);
	assert_string_equal(o.ice.ufrag, "k9wy");
	assert_string_equal(o.ice.pwd, "cG/kvrZR8uEqwmEVz2Ug4dcE");
	assert_int_equal(o.fingerprint.hash, FINGERPRINT_SHA256);
	assert_int_equal(o.fingerprint.bytes[0], 0xfa);
	assert_int_equal(o.fingerprint.bytes[31], 0x60);
	assert_int_equal(o.n_candidates, 0);
}

static void sdp_reads_offers_of_every_sender(void **state)
{
	static const struct {
		const char *name, *ufrag, *mid;
		unsigned opus, red, level, candidates, media;
	} want[] = {
		{"chromium_all", "Yu0O", "0", 111, 63, 1, 6, 3},
		{"firefox", "5f1d0a3c", "0", 109, 0, 1, 0, 1},
		{"obs", "Zx9q", "0", 111, 0, 0, 2, 2},
		{"gstreamer", NULL, "audio0", 96, 0, 0, 9, 1},
		{"werift", NULL, "0", 96, 0, 0, 0, 1},
		{"bundle_only", "abcd", "a", 96, 97, 0, 0, 3},
	};
	struct sdp_offer o;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		parse(want[i].name, &o);
		assert_int_equal(o.opus_pt, want[i].opus);
		assert_int_equal(o.red_pt, want[i].red);
		assert_int_equal(o.level_ext, want[i].level);
		assert_int_equal(o.n_candidates, want[i].candidates);
		assert_int_equal(o.n_media, want[i].media);
		assert_string_equal(o.media[o.audio].mid, want[i].mid);
		assert_int_equal(o.fingerprint.hash, FINGERPRINT_SHA256);
		assert_true(o.is_bundled);
		if (want[i].ufrag)
			assert_string_equal(o.ice.ufrag, want[i].ufrag);
	}
}

static void sdp_answers_red_first_and_dtx(void **state)
{
	static const char want[] =
		"v=0\r\n"
		"o=- 77 1 IN IP4 127.0.0.1\r\n"
		"s=-\r\n"
		"t=0 0\r\n"
		"a=group:BUNDLE 0\r\n"
		"a=ice-lite\r\n"
		"m=audio 40001 UDP/TLS/RTP/SAVPF 63 111\r\n"
		"c=IN IP4 192.0.2.7\r\n"
		"a=mid:0\r\n"
		"a=recvonly\r\n"
		"a=rtcp-mux\r\n"
		"a=rtcp-rsize\r\n"
		"a=ice-ufrag:ufragufr\r\n"
		"a=ice-pwd:passwordpasswordpassword\r\n"
		"a=ice-options:trickle\r\n"
		"a=fingerprint:sha-256 AB:01:00:00:00:00:00:00:00:00:00:00:00:"
		"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n"
		"a=setup:passive\r\n"
		"a=candidate:1 1 udp 2130706431 192.0.2.7 40001 typ host\r\n"
		"a=candidate:2 1 udp 2130706175 2001:db8::7 40001 typ host\r\n"
		"a=end-of-candidates\r\n"
		"a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
		"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
		"a=rtpmap:63 red/48000/2\r\n"
		"a=fmtp:63 111/111\r\n"
		"a=rtpmap:111 opus/48000/2\r\n"
		"a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n";
	struct sdp_offer o;
	struct buf out;

	(void)state;
	parse("chromium_audio", &o);
	answer(&o, &out);
	assert_string_equal(buf_str(&out), want);
	buf_fini(&out);
}

static void sdp_declines_what_is_no_sound(void **state)
{
	struct sdp_offer o;
	struct buf out;

	(void)state;
	parse("chromium_all", &o);
	answer(&o, &out);
	assert_non_null(strstr(buf_str(&out), "a=group:BUNDLE 0\r\n"));
	assert_non_null(
		strstr(buf_str(&out),
		       "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"
		       "c=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n"));
	assert_non_null(strstr(buf_str(&out),
			       "m=application 0 UDP/DTLS/SCTP "
			       "webrtc-datachannel\r\n"
			       "c=IN IP4 0.0.0.0\r\na=mid:2\r\n"));
	buf_fini(&out);
	parse("bundle_only", &o); /* the sound is not the first section */
	answer(&o, &out);
	assert_non_null(strstr(buf_str(&out), "a=group:BUNDLE a\r\n"));
	assert_non_null(strstr(buf_str(&out), "\r\nm=video 0 "));
	assert_non_null(
		strstr(buf_str(&out),
		       "\r\nm=audio 40001 UDP/TLS/RTP/SAVPF 97 96\r\n"));
	buf_fini(&out);
}

static void sdp_takes_the_first_sound_that_it_can(void **state)
{
	struct sdp_offer o;
	struct err e;

	(void)state;
	assert_int_equal(parse_changed("obs", "m=audio",
				       "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
				       "a=mid:x\r\na=sendonly\r\nm=audio",
				       &o, &e),
			 0);
	assert_int_equal(o.n_media, 3);
	assert_int_equal(o.audio, 1);
}

static void sdp_takes_rtcp_mux_only_as_rtcp_mux(void **state)
{
	struct sdp_offer o;
	struct buf out;
	struct err e;

	(void)state;
	assert_int_equal(parse_changed("firefox", "a=rtcp-mux\r\n",
				       "a=rtcp-mux-only\r\n", &o, &e),
			 0);
	answer(&o, &out);
	/* never -only in an answer: RFC 8858 section 4.3 */
	assert_non_null(strstr(buf_str(&out), "a=rtcp-mux\r\n"));
	buf_fini(&out);
}

static void sdp_says_what_it_cannot_take(void **state)
{
	static const struct {
		const char *name, *from, *to, *say;
	} wrong[] = {
		{"obs", "m=audio", "m=text", "there is no m=audio"},
		{"firefox", "a=sendonly", "a=recvonly", "a=sendonly or"},
		{"firefox", "a=sendonly", "a=inactive", "a=sendonly or"},
		{"firefox", "opus/48000/2", "opus/48000", "opus/48000/2"},
		{"firefox", "opus/48000/2", "speex/16000", "opus/48000/2"},
		{"firefox", "m=audio 9 ", "m=audio 0 ", "switched off"},
		{"firefox", "UDP/TLS/RTP/SAVPF", "RTP/AVP", "proto"},
		{"firefox", "a=rtcp-mux\r\n", "", "a=rtcp-mux"},
		{"firefox", "a=setup:actpass", "a=setup:passive", "a=setup"},
		{"firefox", "a=setup:actpass\r\n", "", "a=setup"},
		{"firefox", "a=ice-ufrag", "a=ice-frag", "a=ice-ufrag"},
		{"firefox", "a=ice-pwd", "a=ice-pw", "a=ice-ufrag"},
		{"firefox", "a=fingerprint:sha-256", "a=fingerprint:md5",
		 "a=fingerprint"},
		{"firefox", "a=fingerprint", "a=print", "a=fingerprint"},
		{"firefox", "t=0 0", "t=0 0\r\na=ice-lite", "a=ice-lite"},
	};
	struct sdp_offer o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse_changed(wrong[i].name, wrong[i].from,
					       wrong[i].to, &o, &e),
				 ENOTSUP);
		if (!strstr(e.text, wrong[i].say))
			fail_msg("%s: %s", wrong[i].to, e.text);
		assert_string_equal(e.field, "sdp");
	}
}

static void sdp_names_the_line_that_is_malformed(void **state)
{
	static const struct {
		const char *from, *to, *say;
	} wrong[] = {
		{"v=0", "v=1", "line 1:"},
		{"v=0\r\n", "", "line 1:"},
		{"s=-", "x=-", "line 3:"},
		{"t=0 0\r\n", "", "line 8:"},
		{"a=mid:0", "a", "line 19:"},
		{"a=mid:0", "", "line 19:"},
		{"a=mid:0", "A=mid:0", "line 19:"},
		{"a=mid:0", "a=mid:0\x01", "line 19: a control"},
		{"a=mid:0", "a=mid:0\ra=x:1", "line 19: a control"},
		{"a=mid:0", "a=mid:", "line 19: a=mid"},
		{"a=mid:0", "a=mid:a b", "line 19: a=mid"},
		{"a=mid:0", "a=mid:0\r\na=mid:1", "line 20: a second"},
		{"a=mid:0", "a=mid:0\r\nm=audio 9 RTP/AVP 0\r\na=mid:0",
		 "line 21: this a=mid"},
		{"m=audio 9 ", "m=audio x ", "line 9:"},
		{"m=audio 9 ", "m=audio 65536 ", "line 9:"},
		{"m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101", "m=audio 9 X",
		 "line 9:"},
		{"a=ice-ufrag:5f1d0a3c", "a=ice-ufrag:abc", "4 to 256"},
		{"a=ice-ufrag:5f1d0a3c", "a=ice-ufrag:ab,d", "4 to 256"},
		{"a=ice-pwd:9c6a4d2f0b6e8e1a7f3c5", "a=ice-pwd:", "22 to 256"},
		{"a=ice-ufrag:", "a=ice-ufrag:abcd\r\na=ice-ufrag:", "second"},
		{"sha-256 1D:", "sha-256 ", "a=fingerprint must"},
		{"sha-256 1D:", "sha-256 1G:", "a=fingerprint must"},
		{"a=setup:actpass", "a=setup:x", "a=setup must"},
		{"a=rtpmap:109", "a=rtpmap:128", "a=rtpmap must"},
		{"a=rtpmap:109 opus/48000/2", "a=rtpmap:109", "a=rtpmap must"},
		{"a=fmtp:109", "a=fmtp:x", "a=fmtp must"},
		{"a=extmap:1 ", "a=extmap:0 ", "a=extmap must"},
		{"a=mid:0", "a=candidate:1 1 udp 1 1.2.3.4 99999 typ host",
		 "a=candidate must"},
	};
	struct sdp_offer o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int err = parse_changed("firefox", wrong[i].from, wrong[i].to,
					&o, &e);

		if (err != EBADMSG || !strstr(e.text, wrong[i].say))
			fail_msg("%s: %d %s", wrong[i].to, err, e.text);
	}
	assert_int_equal(sdp_offer_parse("", 0, &o, &e), EBADMSG);
}

static void sdp_takes_payload_types_that_are_not_rtcp(void **state)
{
	struct sdp_offer o;
	struct err e;

	(void)state;
	assert_int_equal(parse_changed("obs", "SAVPF 111\r\nc=",
				       "SAVPF 95\r\nc=", &o, &e),
			 ENOTSUP);
	/* RED around something else is no help */
	assert_int_equal(parse_changed("chromium_audio", "a=fmtp:63 111/111",
				       "a=fmtp:63 111/9", &o, &e),
			 0);
	assert_int_equal(o.red_pt, 0);
	assert_int_equal(parse_changed("chromium_audio", "a=fmtp:63 111/111",
				       "a=fmtp:63 111/111/111", &o, &e),
			 0);
	assert_int_equal(o.red_pt, 63);
	/* extensions that need two bytes of header are not asked for */
	assert_int_equal(parse_changed("chromium_audio", "a=extmap:1 ",
				       "a=extmap:15 ", &o, &e),
			 0);
	assert_int_equal(o.level_ext, 0);
}

static void sdp_has_limits(void **state)
{
	static char text[SDP_TEXT_MAX + 2];
	struct sdp_offer o;
	struct err e;
	size_t len = 0;

	(void)state;
	len = (size_t)snprintf(text, sizeof(text),
			       "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
			       "t=0 0\r\n");
	for (int i = 0; i <= SDP_MEDIA_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"m=audio 9 RTP/AVP 0\r\n");
	assert_int_equal(sdp_offer_parse(text, len, &o, &e), EBADMSG);
	assert_non_null(strstr(e.text, "more than 32"));
	assert_int_equal(sdp_offer_parse(text, len - 21, &o, &e), ENOTSUP);
	memset(text, 'a', sizeof(text));
	assert_int_equal(sdp_offer_parse(text, SDP_TEXT_MAX + 1, &o, &e),
			 EBADMSG);
	assert_non_null(strstr(e.text, "over 65536"));
}

/** A copy of exactly `len` bytes, so that a sanitizer sees overreads. */
static int parse_copy(const char *text, size_t len, struct sdp_offer *o)
{
	char *copy = test_malloc(len ? len : 1);
	struct sdp_frag frag;
	struct err e = {0};
	int err, frag_err;

	memcpy(copy, text, len);
	frag_err = sdp_frag_parse(copy, len, &frag, &e);
	assert_true(frag_err == 0 || frag_err == EBADMSG);
	err = sdp_offer_parse(copy, len, o, &e);
	test_free(copy);
	return err;
}

static void sdp_bears_every_truncation(void **state)
{
	static const char *const names[] = {
		"chromium_audio", "chromium_all", "firefox",	"obs",
		"gstreamer",	  "werift",	  "bundle_only"};
	char text[8192];
	struct sdp_offer o;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = load(names[i], text, sizeof(text));

		for (size_t n = 0; n < len; n++) {
			int err = parse_copy(text, n, &o);

			assert_true(!err || err == EBADMSG || err == ENOTSUP);
		}
		assert_int_equal(parse_copy(text, len, &o), 0);
	}
}

static void sdp_reads_fragments(void **state)
{
	char text[1024];
	struct sdp_frag f;
	struct err e = {0};
	size_t len;

	(void)state;
	len = load("frag_trickle", text, sizeof(text));
	assert_int_equal(sdp_frag_parse(text, len, &f, &e), 0);
	assert_string_equal(f.ice.ufrag, "EsAw");
	assert_string_equal(f.ice.pwd, "P2uYro0UCOQ4zxjKXaWCBui1");
	assert_string_equal(f.mid, "0");
	assert_int_equal(f.n_candidates, 2);
	assert_true(f.is_end);
	len = load("frag_restart", text, sizeof(text));
	assert_int_equal(sdp_frag_parse(text, len, &f, &e), 0);
	assert_string_equal(f.ice.ufrag, "ysXw");
	assert_int_equal(f.n_candidates, 0);
	assert_false(f.is_end);
	assert_int_equal(sdp_frag_parse("a=ice-ufrag:abcd\r\n", 18, &f, &e),
			 EBADMSG);
	assert_non_null(strstr(e.text, "together"));
	assert_int_equal(sdp_frag_parse("", 0, &f, &e), EBADMSG);
}

static void sdp_answers_a_restart(void **state)
{
	const struct sdp_local local = {
		.ice = &our_ice, .candidates = here, .n_candidates = 1};
	struct sdp_frag f;
	struct buf out;
	struct err e = {0};

	(void)state;
	buf_init(&out, SDP_TEXT_MAX);
	assert_int_equal(sdp_frag_write("0", &local, &out), 0);
	assert_int_equal(sdp_frag_parse(buf_str(&out), out.len, &f, &e), 0);
	assert_string_equal(f.ice.ufrag, our_ice.ufrag);
	assert_string_equal(f.ice.pwd, our_ice.pwd);
	assert_string_equal(f.mid, "0");
	assert_int_equal(f.n_candidates, 1);
	assert_true(f.is_end);
	buf_fini(&out);
}

/* ---- who sends -------------------------------------------------------------- */

static void offer(uint8_t red_pt, uint8_t level_ext, size_t n_candidates,
		  struct buf *out)
{
	struct fingerprint f = {FINGERPRINT_SHA256, 32, {0xab, 0x01}};
	const struct sdp_local local = {
		.session_id = 77,
		.ice = &our_ice,
		.fingerprint = &f,
		.candidates = here,
		.n_candidates = n_candidates,
	};
	const struct sdp_sound sound = {.opus_pt = 111,
					.red_pt = red_pt,
					.level_ext = level_ext,
					.ssrc = 0xfffffffe,
					.cname = "me"};

	buf_init(out, SDP_TEXT_MAX);
	assert_int_equal(sdp_offer_write(&sound, &local, out), 0);
}

static void sdp_offers_sound_as_a_full_agent(void **state)
{
	static const char want[] =
		"v=0\r\n"
		"o=- 77 1 IN IP4 127.0.0.1\r\n"
		"s=-\r\n"
		"t=0 0\r\n"
		"a=group:BUNDLE 0\r\n"
		"a=msid-semantic: WMS *\r\n"
		"m=audio 40001 UDP/TLS/RTP/SAVPF 63 111\r\n"
		"c=IN IP4 192.0.2.7\r\n"
		"a=mid:0\r\n"
		"a=sendonly\r\n"
		"a=msid:tapeop sound\r\n"
		"a=rtcp-mux\r\n"
		"a=rtcp-mux-only\r\n"
		"a=ice-ufrag:ufragufr\r\n"
		"a=ice-pwd:passwordpasswordpassword\r\n"
		"a=ice-options:ice2\r\n"
		"a=fingerprint:sha-256 AB:01:00:00:00:00:00:00:00:00:00:00:00:"
		"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n"
		"a=setup:actpass\r\n"
		"a=candidate:1 1 udp 2130706431 192.0.2.7 40001 typ host\r\n"
		"a=candidate:2 1 udp 2130706175 2001:db8::7 40001 typ host\r\n"
		"a=end-of-candidates\r\n"
		"a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
		"a=rtpmap:63 red/48000/2\r\n"
		"a=fmtp:63 111/111\r\n"
		"a=rtpmap:111 opus/48000/2\r\n"
		"a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n"
		"a=ssrc:4294967294 cname:me\r\n"
		"a=ssrc:4294967294 msid:tapeop sound\r\n";
	struct buf out;

	(void)state;
	offer(63, 1, 2, &out);
	assert_string_equal(buf_str(&out), want);
	buf_fini(&out);
}

/** What we offer, answered as the server does, and read again. */
static void round_trip(uint8_t red_pt, uint8_t level_ext, size_t n_candidates)
{
	struct sdp_offer o;
	struct sdp_answer a;
	struct buf text, back;
	struct err e = {0};

	offer(red_pt, level_ext, n_candidates, &text);
	assert_int_equal(sdp_offer_parse(buf_str(&text), text.len, &o, &e), 0);
	assert_int_equal(o.n_candidates, n_candidates);
	answer(&o, &back);
	assert_int_equal(sdp_answer_parse(buf_str(&back), back.len, &a, &e), 0);
	assert_string_equal(a.ice.ufrag, our_ice.ufrag);
	assert_string_equal(a.ice.pwd, our_ice.pwd);
	assert_int_equal(a.fingerprint.bytes[0], 0xab);
	assert_false(a.is_active);
	assert_int_equal(a.opus_pt, 111);
	assert_int_equal(a.red_pt, red_pt);
	assert_int_equal(a.level_ext, level_ext);
	assert_int_equal(a.n_peers, 2);
	assert_string_equal(a.peers[0].address, "192.0.2.7");
	assert_string_equal(a.peers[1].address, "2001:db8::7");
	assert_int_equal(a.peers[1].port, 40001);
	buf_fini(&back);
	buf_fini(&text);
}

static void sdp_reads_the_answer_to_its_own_offer(void **state)
{
	(void)state;
	round_trip(63, 1, 2);
	round_trip(0, 0, 0);
	round_trip(110, 14, 1);
}

/** As servers write it that are no lite agents; candidates of every kind. */
static const char full_answer[] =
	"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\n"
	"a=fingerprint:sha-256 AB:01:00:00:00:00:00:00:00:00:00:00:00:"
	"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n"
	"m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"
	"c=IN IP4 0.0.0.0\r\n"
	"a=recvonly\r\na=mid:0\r\na=rtcp-mux\r\n"
	"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
	"a=setup:active\r\n"
	"a=rtpmap:96 opus/48000/2\r\n"
	"a=candidate:1 1 UDP 2 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport "
	"9\r\n"
	"a=candidate:2 1 tcp 2 192.0.2.1 5000 typ host tcptype passive\r\n"
	"a=candidate:3 2 udp 2 192.0.2.1 5001 typ host\r\n"
	"a=candidate:4 1 udp 2 192.0.2.2 0 typ host\r\n"
	"a=candidate:5 1 udp 2 "
	"0123456789-0123456789-0123456789-0123456789.local 5000 typ host\r\n"
	"a=candidate:6 1 udp 2 x.local 5002 typ host\r\n";

static void sdp_keeps_the_addresses_that_rtp_can_be_sent_to(void **state)
{
	struct sdp_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(
		sdp_answer_parse(full_answer, sizeof(full_answer) - 1, &a, &e),
		0);
	assert_true(a.is_active);
	assert_int_equal(a.opus_pt, 96);
	assert_int_equal(a.red_pt, 0);
	assert_int_equal(a.level_ext, 0);
	assert_int_equal(a.n_peers, 2);
	assert_string_equal(a.peers[0].address, "192.0.2.1");
	assert_int_equal(a.peers[0].port, 5000);
	assert_string_equal(a.peers[1].address, "x.local");
}

static void sdp_says_what_an_answer_lacks(void **state)
{
	static const struct {
		const char *from, *to, *say;
		int err;
	} wrong[] = {
		{"m=audio 9 ", "m=audio 0 ", "switched off", ENOTSUP},
		{"m=audio", "m=video", "there is no m=audio", ENOTSUP},
		{"a=recvonly", "a=sendonly", "a=recvonly or", ENOTSUP},
		{"a=recvonly", "a=inactive", "a=recvonly or", ENOTSUP},
		{"opus/48000/2", "PCMU/8000", "opus/48000/2", ENOTSUP},
		{"a=setup:active", "a=setup:actpass", "a=setup:passive",
		 ENOTSUP},
		{"a=setup:active\r\n", "", "a=setup:passive", ENOTSUP},
		{"a=rtcp-mux\r\n", "", "a=rtcp-mux", ENOTSUP},
		{"a=fingerprint", "a=print", "a=fingerprint", ENOTSUP},
		{"a=ice-pwd", "a=pwd", "a=ice-pwd", ENOTSUP},
		{"a=candidate:1 1", "a=candidate:1 x", "a=candidate must",
		 EBADMSG},
		{"v=0", "v=1", "line 1", EBADMSG},
	};
	struct sdp_answer a;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *at = strstr(full_answer, wrong[i].from);
		char text[2048];
		int n;

		assert_non_null(at);
		n = snprintf(text, sizeof(text), "%.*s%s%s",
			     (int)(at - full_answer), full_answer, wrong[i].to,
			     at + strlen(wrong[i].from));
		assert_int_equal(sdp_answer_parse(text, (size_t)n, &a, &e),
				 wrong[i].err);
		if (!strstr(e.text, wrong[i].say))
			fail_msg("%s: %s", wrong[i].to, e.text);
	}
}

static void sdp_keeps_no_more_addresses_than_it_has_room_for(void **state)
{
	struct sdp_answer a;
	struct buf text;
	struct err e;

	(void)state;
	buf_init(&text, SDP_TEXT_MAX);
	buf_puts(&text, full_answer);
	for (int i = 0; i < 100; i++)
		buf_printf(&text,
			   "a=candidate:1 1 udp 2 10.0.0.%d 9 typ "
			   "host\r\n",
			   i);
	assert_int_equal(sdp_answer_parse(buf_str(&text), text.len, &a, &e), 0);
	assert_int_equal(a.n_peers, SDP_PEERS_MAX);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sdp_reads_what_chromium_offers),
		cmocka_unit_test(sdp_reads_offers_of_every_sender),
		cmocka_unit_test(sdp_answers_red_first_and_dtx),
		cmocka_unit_test(sdp_declines_what_is_no_sound),
		cmocka_unit_test(sdp_takes_the_first_sound_that_it_can),
		cmocka_unit_test(sdp_takes_rtcp_mux_only_as_rtcp_mux),
		cmocka_unit_test(sdp_says_what_it_cannot_take),
		cmocka_unit_test(sdp_names_the_line_that_is_malformed),
		cmocka_unit_test(sdp_takes_payload_types_that_are_not_rtcp),
		cmocka_unit_test(sdp_has_limits),
		cmocka_unit_test(sdp_bears_every_truncation),
		cmocka_unit_test(sdp_reads_fragments),
		cmocka_unit_test(sdp_answers_a_restart),
		cmocka_unit_test(sdp_offers_sound_as_a_full_agent),
		cmocka_unit_test(sdp_reads_the_answer_to_its_own_offer),
		cmocka_unit_test(
			sdp_keeps_the_addresses_that_rtp_can_be_sent_to),
		cmocka_unit_test(sdp_says_what_an_answer_lacks),
		cmocka_unit_test(
			sdp_keeps_no_more_addresses_than_it_has_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
