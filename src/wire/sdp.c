/** wire/sdp.c -- offers, answers and fragments read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PTS = 128, GROUP_TEXT_MAX = SDP_MEDIA_MAX * (SDP_MID_MAX + 1) };

static const char level_uri[] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
static const char mid_uri[] = "urn:ietf:params:rtp-hdrext:sdes:mid";

/** A piece of the text; not NUL-terminated. */
struct piece {
	const char *at;
	size_t len;
};

/** A line: "a=mid:0" is type 'a', value "mid:0". */
struct line {
	unsigned number; /* from 1 */
	char type;
	struct piece value;
};

enum form { OFFER, ANSWER, FRAG };
enum direction { SENDRECV, SENDONLY, RECVONLY, INACTIVE };
enum setup { SETUP_NONE, SETUP_ACTIVE, SETUP_PASSIVE, SETUP_ACTPASS };

/** What may be said of the session and of each section. */
struct scope {
	struct sdp_ice ice;
	bool has_fingerprint, has_other_hash, has_mux, has_direction;
	struct fingerprint fingerprint;
	enum setup setup;
	enum direction direction;
};

/** A section while it is read. */
struct section {
	struct scope scope;
	bool port_is_zero, is_bundle_only, has_rsize;
	/* of audio that may be taken */
	uint8_t formats[PTS]; /* payload types in the order of the m= line */
	size_t n_formats;
	bool is_opus[PTS], is_red[PTS];
	uint8_t red_of[PTS]; /* the payload type that it is around, PTS: none */
	uint8_t level_ext, mid_ext;
};

struct reader {
	const char *at, *end;
	unsigned number;
	struct err *e;
	struct sdp_offer offer;
	struct scope session;
	struct section sections[SDP_MEDIA_MAX];
	bool is_lite, is_end;
	struct piece groups[SDP_GROUPS_MAX]; /* the mids of each */
	size_t n_groups;
	struct sdp_peer peers[SDP_PEERS_MAX];
	size_t n_peers;
	enum form form;
};

/* ---- lines and words -------------------------------------------------------- */

static int bad(const struct reader *r, const char *what)
{
	return err_set(r->e, EBADMSG, "sdp", "line %u: %s", r->number, what);
}

/** Next line; 1: there is one, 0: none, -1: malformed (told). */
static int next_line(struct reader *r, struct line *out)
{
	const char *nl;
	size_t len;

	if (r->at == r->end)
		return 0;
	r->number++;
	nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	len = (size_t)((nl ? nl : r->end) - r->at);
	out->number = r->number;
	out->value = (struct piece){r->at, len};
	r->at = nl ? nl + 1 : r->end;
	if (len && out->value.at[len - 1] == '\r')
		out->value.len = --len;
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)out->value.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			(void)bad(r, "a control character; lines end in CRLF");
			return -1;
		}
	}
	if (len < 2 || out->value.at[1] != '=' || out->value.at[0] < 'a' ||
	    out->value.at[0] > 'z') {
		(void)bad(r, "must be a letter from a to z, '=' and a value");
		return -1;
	}
	out->type = out->value.at[0];
	out->value.at += 2;
	out->value.len -= 2;
	return 1;
}

/** Take the next word, up to a space; len 0: none. */
static struct piece take_word(struct piece *p)
{
	struct piece w;

	while (p->len && *p->at == ' ') {
		p->at++;
		p->len--;
	}
	w = (struct piece){p->at, 0};
	while (w.len < p->len && p->at[w.len] != ' ')
		w.len++;
	p->at += w.len;
	p->len -= w.len;
	return w;
}

static bool is(struct piece p, const char *text)
{
	return p.len == strlen(text) && !memcmp(p.at, text, p.len);
}

static bool is_any_case(struct piece p, const char *text)
{
	return p.len == strlen(text) && !strncasecmp(p.at, text, p.len);
}

/** Copy; false: longer than cap - 1. */
static bool copy(struct piece p, char *to, size_t cap)
{
	if (p.len >= cap)
		return false;
	memcpy(to, p.at, p.len);
	to[p.len] = 0;
	return true;
}

/** A decimal number of at most `max`; -1: it is none. */
static int number_of(struct piece p, int max)
{
	int n = 0;

	if (p.len == 0 || p.len > 5)
		return -1;
	for (size_t i = 0; i < p.len; i++) {
		if (p.at[i] < '0' || p.at[i] > '9')
			return -1;
		n = n * 10 + (p.at[i] - '0');
	}
	return n <= max ? n : -1;
}

/** Cut `p` at the first `c`: what is before it; `p` is what is behind. */
static struct piece cut(struct piece *p, char c)
{
	const char *at = memchr(p->at, c, p->len);
	struct piece before = *p;

	if (!at) {
		p->at += p->len;
		p->len = 0;
		return before;
	}
	before.len = (size_t)(at - p->at);
	p->at += before.len + 1;
	p->len -= before.len + 1;
	return before;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/** A token that may stand in our answer; RFC 8866 section 9, without what
 *  nobody uses. */
static bool is_token(struct piece p, const char *more)
{
	for (size_t i = 0; i < p.len; i++) {
		if (!is_alnum(p.at[i]) && !strchr(more, p.at[i]))
			return false;
	}
	return p.len > 0;
}

/* ---- attributes of the transport ------------------------------------------------ */

static int read_ice(struct reader *r, struct piece v, char *to, size_t min,
		    size_t max, const char *what)
{
	char text[80];

	if (v.len < min || v.len > max || !is_token(v, "+/")) {
		(void)snprintf(text, sizeof(text),
			       "a=%s must be %zu to %zu of A-Z a-z 0-9 + /",
			       what, min, max);
		return bad(r, text);
	}
	if (to[0])
		return bad(r, "a second a=ice-ufrag or a=ice-pwd here");
	(void)copy(v, to, max + 1);
	return 0;
}

/** Of several, the strongest counts. */
static int read_fingerprint(struct reader *r, struct piece v, struct scope *s)
{
	struct fingerprint f;
	int err = fingerprint_parse(v.at, v.len, &f);

	if (err == ENOTSUP)
		s->has_other_hash = true;
	else if (err)
		return bad(r, "a=fingerprint must be like sha-256 AA:BB:.., as "
			      "many bytes as the hash has");
	else if (!s->has_fingerprint || f.hash > s->fingerprint.hash)
		s->fingerprint = f;
	s->has_fingerprint |= !err;
	return 0;
}

static int read_setup(struct reader *r, struct piece v, struct scope *s)
{
	if (is(v, "actpass"))
		s->setup = SETUP_ACTPASS;
	else if (is(v, "active"))
		s->setup = SETUP_ACTIVE;
	else if (is(v, "passive"))
		s->setup = SETUP_PASSIVE;
	else
		return bad(r, "a=setup must be actpass or active");
	return 0;
}

static bool read_direction(struct piece name, struct scope *s)
{
	static const char *const names[] = {"sendrecv", "sendonly", "recvonly",
					    "inactive"};

	for (unsigned i = 0; i < 4; i++) {
		if (is(name, names[i])) {
			s->direction = (enum direction)i;
			s->has_direction = true;
			return true;
		}
	}
	return false;
}

static bool has_word(struct piece v, const char *word)
{
	struct piece w = take_word(&v);

	while (w.len && !is(w, word))
		w = take_word(&v);
	return w.len > 0;
}

/** Keep one that can be sent to: RTP by UDP (RTCP comes the same way). */
static void keep_peer(struct reader *r, struct piece component,
		      struct piece transport, struct piece address,
		      struct piece port)
{
	struct sdp_peer *p = &r->peers[r->n_peers];

	if (r->n_peers == SDP_PEERS_MAX || !is(component, "1") ||
	    !is_any_case(transport, "udp") ||
	    !copy(address, p->address, sizeof(p->address)))
		return;
	p->port = (uint16_t)number_of(port, 65535);
	r->n_peers += p->port != 0;
}

/** foundation component transport priority address port "typ" type ..;
 *  RFC 8839 section 5.1. */
static int read_candidate(struct reader *r, struct piece v)
{
	const struct piece foundation = take_word(&v);
	const struct piece component = take_word(&v);
	const struct piece transport = take_word(&v);
	const struct piece priority = take_word(&v);
	const struct piece address = take_word(&v);
	const struct piece port = take_word(&v);
	const struct piece typ = take_word(&v);
	const struct piece type = take_word(&v);

	if (!foundation.len || foundation.len > 32 ||
	    number_of(component, 256) < 1 || !transport.len || !priority.len ||
	    priority.len > 10 || !address.len || address.len > 255 ||
	    number_of(port, 65535) < 0 || !is(typ, "typ") || !type.len)
		return bad(r, "a=candidate must be: foundation component "
			      "transport priority address port typ type");
	r->offer.n_candidates++;
	keep_peer(r, component, transport, address, port);
	return 0;
}

/** What may stand at both levels.  1: it was none of these. */
static int read_common(struct reader *r, struct piece name, struct piece v,
		       struct scope *s)
{
	if (is(name, "ice-ufrag"))
		return read_ice(r, v, s->ice.ufrag, SDP_UFRAG_MIN,
				SDP_UFRAG_MAX, "ice-ufrag");
	if (is(name, "ice-pwd"))
		return read_ice(r, v, s->ice.pwd, SDP_PWD_MIN, SDP_PWD_MAX,
				"ice-pwd");
	if (is(name, "fingerprint"))
		return read_fingerprint(r, v, s);
	if (is(name, "setup"))
		return read_setup(r, v, s);
	if (is(name, "candidate"))
		return read_candidate(r, v);
	if (is(name, "ice-options")) {
		r->offer.is_trickle |= has_word(v, "trickle");
		return 0;
	}
	if (is(name, "end-of-candidates")) {
		r->is_end = true;
		return 0;
	}
	/* -only may come alone: RFC 8858 section 4.2 */
	if (is(name, "rtcp-mux") || is(name, "rtcp-mux-only")) {
		s->has_mux = true;
		return 0;
	}
	return read_direction(name, s) ? 0 : 1;
}

static int read_session_attribute(struct reader *r, struct piece name,
				  struct piece v)
{
	int err = read_common(r, name, v, &r->session);

	if (err != 1)
		return err;
	if (is(name, "ice-lite"))
		r->is_lite = true;
	if (!is(name, "group") || !is(take_word(&v), "BUNDLE"))
		return 0;
	if (r->n_groups == SDP_GROUPS_MAX)
		return bad(r, "more than 8 BUNDLE groups");
	r->groups[r->n_groups++] = v;
	return 0;
}

/* ---- attributes of a section ------------------------------------------------------ */

/** May it be the payload type of sound?  64 to 95 look like RTCP (RFC 5761). */
static bool is_dynamic(int pt)
{
	return (pt >= 35 && pt <= 63) || pt >= 96;
}

static int read_rtpmap(struct reader *r, struct piece v, struct section *s)
{
	const int pt = number_of(take_word(&v), PTS - 1);
	struct piece codec = take_word(&v);
	struct piece name;

	if (pt < 0 || !codec.len)
		return bad(r, "a=rtpmap must be: payload type 0 to 127, "
			      "codec/rate");
	name = cut(&codec, '/');
	if (!is_dynamic(pt) || !is(codec, "48000/2"))
		return 0;
	s->is_opus[pt] = is_any_case(name, "opus");
	s->is_red[pt] = is_any_case(name, "red");
	return 0;
}

/** Of RED: "111/111", all the same.  Of others nothing is looked at. */
static int read_fmtp(struct reader *r, struct piece v, struct section *s)
{
	const int pt = number_of(take_word(&v), PTS - 1);
	struct piece types = take_word(&v);
	const int of = number_of(cut(&types, '/'), PTS - 1);

	if (pt < 0)
		return bad(r, "a=fmtp must be: payload type 0 to 127, values");
	s->red_of[pt] = PTS;
	if (of < 0)
		return 0;
	while (types.len) {
		if (number_of(cut(&types, '/'), PTS - 1) != of)
			return 0;
	}
	s->red_of[pt] = (uint8_t)of;
	return 0;
}

/** id[/direction] uri ..; ids over 14 need headers of two bytes (RFC 8285). */
static int read_extmap(struct reader *r, struct piece v, struct section *s)
{
	struct piece ids = take_word(&v);
	const int id = number_of(cut(&ids, '/'), 65535);
	const struct piece uri = take_word(&v);

	if (id < 1 || !uri.len)
		return bad(r, "a=extmap must be: number from 1, URI");
	if (id > 14)
		return 0;
	if (is(uri, level_uri) && !s->level_ext)
		s->level_ext = (uint8_t)id;
	else if (is(uri, mid_uri) && !s->mid_ext)
		s->mid_ext = (uint8_t)id;
	return 0;
}

static int read_mid(struct reader *r, struct piece v)
{
	struct sdp_media *m = &r->offer.media[r->offer.n_media - 1];

	if (!is_token(v, "!#$%&'*+-.^_`{|}~") || v.len > SDP_MID_MAX)
		return bad(r, "a=mid must be a token of 1 to 32 characters");
	if (m->mid[0])
		return bad(r, "a second a=mid in this section");
	for (size_t i = 0; i + 1 < r->offer.n_media; i++) {
		if (is(v, r->offer.media[i].mid))
			return bad(r, "this a=mid is another section's");
	}
	(void)copy(v, m->mid, sizeof(m->mid));
	return 0;
}

static int read_media_attribute(struct reader *r, struct piece name,
				struct piece v)
{
	struct section *s = &r->sections[r->offer.n_media - 1];
	int err = read_common(r, name, v, &s->scope);

	if (err != 1)
		return err;
	if (is(name, "mid"))
		return read_mid(r, v);
	if (is(name, "rtpmap"))
		return read_rtpmap(r, v, s);
	if (is(name, "fmtp"))
		return read_fmtp(r, v, s);
	if (is(name, "extmap"))
		return read_extmap(r, v, s);
	s->is_bundle_only |= is(name, "bundle-only");
	s->has_rsize |= is(name, "rtcp-rsize");
	return 0;
}

/** m=audio 9 UDP/TLS/RTP/SAVPF 111 63 */
static int read_media(struct reader *r, struct piece v)
{
	const struct piece kind = take_word(&v);
	struct piece ports = take_word(&v);
	const struct piece proto = take_word(&v);
	struct piece format = take_word(&v);
	struct section *s;
	struct sdp_media *m;
	int port;

	if (r->offer.n_media == SDP_MEDIA_MAX)
		return bad(r, "more than 32 m= lines");
	port = number_of(cut(&ports, '/'), 65535);
	if (port < 0 || !is_token(kind, "-.+_") || !is_token(proto, "/-.+_") ||
	    !is_token(format, "-.+_*") || kind.len > SDP_WORD_MAX ||
	    proto.len > SDP_WORD_MAX || format.len > SDP_WORD_MAX)
		return bad(r, "must be: m=media port proto format ..");
	s = &r->sections[r->offer.n_media];
	m = &r->offer.media[r->offer.n_media++];
	(void)copy(kind, m->kind, sizeof(m->kind));
	(void)copy(proto, m->proto, sizeof(m->proto));
	(void)copy(format, m->format, sizeof(m->format));
	s->port_is_zero = port == 0;
	memset(s->red_of, PTS, sizeof(s->red_of));
	for (; format.len && s->n_formats < PTS; format = take_word(&v)) {
		const int pt = number_of(format, PTS - 1);

		if (pt >= 0)
			s->formats[s->n_formats++] = (uint8_t)pt;
	}
	return 0;
}

static int read_line(struct reader *r, const struct line *l)
{
	struct piece v = l->value;
	struct piece name;

	if (l->type == 'm')
		return read_media(r, v);
	if (l->type != 'a')
		return 0;
	name = cut(&v, ':');
	return r->offer.n_media ? read_media_attribute(r, name, v)
				: read_session_attribute(r, name, v);
}

/** v=, o= and s= come first, in this order, and t= before any m=. */
static int check_order(struct reader *r, const struct line *l, bool *has_time)
{
	static const char first[] = "vos";
	static const char *const say[] = {"the first line must be v=0",
					  "the second line must be o=..",
					  "the third line must be s=.."};

	if (l->number <= 3 && (l->type != first[l->number - 1] ||
			       (l->number == 1 && !is(l->value, "0"))))
		return bad(r, say[l->number - 1]);
	*has_time |= l->type == 't';
	if (l->type == 'm' && !*has_time)
		return bad(r, "a line t=.. must be before the first m=");
	return 0;
}

static int read_lines(struct reader *r)
{
	struct line l;
	bool has_time = false;
	int more, err;

	for (more = next_line(r, &l); more > 0; more = next_line(r, &l)) {
		err = r->form == FRAG ? 0 : check_order(r, &l, &has_time);
		if (!err)
			err = read_line(r, &l);
		if (err)
			return err;
	}
	return more < 0 ? EBADMSG : 0;
}

/* ---- which sound --------------------------------------------------------------------- */

static bool is_rtp_over_dtls(const char *proto)
{
	/* RFC 9429 section 5.1.2: these all mean the same by now */
	static const char *const protos[] = {
		"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP",   "RTP/SAVPF",
		"RTP/SAVP",	     "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP"};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		if (!strcmp(proto, protos[i]))
			return true;
	}
	return false;
}

/** The first Opus of the m= line, and RED around it. */
static bool find_opus(struct reader *r, const struct section *s)
{
	struct sdp_offer *o = &r->offer;

	o->opus_pt = o->red_pt = 0;
	for (size_t i = 0; i < s->n_formats && !o->opus_pt; i++) {
		if (s->is_opus[s->formats[i]])
			o->opus_pt = s->formats[i];
	}
	for (size_t i = 0; i < s->n_formats && !o->red_pt; i++) {
		if (s->is_red[s->formats[i]] &&
		    s->red_of[s->formats[i]] == o->opus_pt)
			o->red_pt = s->formats[i];
	}
	return o->opus_pt != 0;
}

/** Why section `i` is not the sound; NULL: it is. */
static const char *why_not_audio(struct reader *r, size_t i)
{
	const struct sdp_media *m = &r->offer.media[i];
	const struct section *s = &r->sections[i];
	const enum direction d = s->scope.has_direction ? s->scope.direction
							: r->session.direction;

	if (strcmp(m->kind, "audio") != 0)
		return "";
	if (s->port_is_zero && !s->is_bundle_only)
		return "it is switched off (port 0)";
	if (!is_rtp_over_dtls(m->proto))
		return "its proto must be UDP/TLS/RTP/SAVPF";
	if (r->form == OFFER && d != SENDRECV && d != SENDONLY)
		return "it must send: a=sendonly or a=sendrecv";
	if (r->form == ANSWER && d != SENDRECV && d != RECVONLY)
		return "it must receive: a=recvonly or a=sendrecv";
	if (!find_opus(r, s))
		return "it must have opus/48000/2 (payload type 35-63 or "
		       "96-127)";
	return NULL;
}

static int find_audio(struct reader *r)
{
	struct sdp_offer *o = &r->offer;
	const char *why = "";

	for (size_t i = 0; i < o->n_media; i++) {
		const char *fault = why_not_audio(r, i);

		if (!fault) {
			o->audio = i;
			return 0;
		}
		if (!why[0])
			why = fault;
	}
	return err_set(r->e, ENOTSUP, "sdp", "%s%s",
		       why[0] ? "the m=audio section: "
			      : "there is no m=audio section; only sound is "
				"recorded",
		       why);
}

/** The section whose transport the audio's group shares; else itself. */
static const struct section *find_tagged(struct reader *r)
{
	struct sdp_offer *o = &r->offer;
	const char *mid = o->media[o->audio].mid;

	for (size_t g = 0; g < r->n_groups && mid[0]; g++) {
		struct piece mids = r->groups[g];
		const struct piece tag = take_word(&mids);

		if (!is(tag, mid) && !has_word(mids, mid))
			continue;
		o->is_bundled = true;
		for (size_t i = 0; i < o->n_media; i++) {
			if (is(tag, o->media[i].mid))
				return &r->sections[i];
		}
	}
	return &r->sections[o->audio];
}

static int lacks(const struct reader *r, const char *what)
{
	return err_set(r->e, ENOTSUP, "sdp", "the audio section needs %s",
		       what);
}

/** What was found for the audio section. */
struct transport {
	struct sdp_ice ice;
	struct fingerprint print;
	enum setup setup;
	bool has_print, has_mux, has_other_hash;
};

static int check_transport(const struct reader *r, const struct transport *t)
{
	if (r->is_lite && r->form == OFFER)
		return err_set(r->e, ENOTSUP, "sdp",
			       "a=ice-lite: the offerer must be a full ICE "
			       "agent, as this server is a lite one");
	if (!t->ice.ufrag[0])
		return lacks(r, "a=ice-ufrag and a=ice-pwd");
	if (!t->has_print)
		return lacks(r, t->has_other_hash ? "a=fingerprint:sha-256, "
						    "its hash is not taken"
						  : "a=fingerprint:sha-256");
	if (r->form == OFFER && t->setup != SETUP_ACTPASS &&
	    t->setup != SETUP_ACTIVE)
		return lacks(r, "a=setup:actpass or a=setup:active");
	if (r->form == ANSWER && t->setup != SETUP_PASSIVE &&
	    t->setup != SETUP_ACTIVE)
		return lacks(r, "a=setup:passive or a=setup:active");
	return t->has_mux ? 0 : lacks(r, "a=rtcp-mux");
}

/** Its ICE and DTLS: its own, or its group's, or the session's.
 *  setup   out: which part in DTLS it takes */
static int find_transport(struct reader *r, enum setup *setup)
{
	struct sdp_offer *o = &r->offer;
	const struct section *own = &r->sections[o->audio];
	const struct scope *in[] = {&own->scope, &find_tagged(r)->scope,
				    &r->session};
	struct transport t = {0};
	int err;

	for (size_t i = 0; i < 3; i++) {
		const struct scope *s = in[i];

		if (!t.ice.ufrag[0] && s->ice.ufrag[0] && s->ice.pwd[0])
			t.ice = s->ice;
		if (!t.has_print && s->has_fingerprint)
			t.print = s->fingerprint;
		t.has_print |= s->has_fingerprint;
		if (t.setup == SETUP_NONE)
			t.setup = s->setup;
		t.has_mux |= s->has_mux;
		t.has_other_hash |= s->has_other_hash;
	}
	err = check_transport(r, &t);
	if (err)
		return err;
	*setup = t.setup;
	o->ice = t.ice;
	o->fingerprint = t.print;
	o->has_rsize = own->has_rsize;
	o->level_ext = own->level_ext;
	o->mid_ext = own->mid_ext == own->level_ext ? 0 : own->mid_ext;
	return 0;
}

static int read_all(struct reader *r, const char *text, size_t len,
		    enum form form, struct err *e)
{
	*r = (struct reader){
		.at = text, .end = text + len, .e = e, .form = form};
	if (len == 0)
		return err_set(e, EBADMSG, "sdp", "the body is empty");
	if (len > SDP_TEXT_MAX)
		return err_set(e, EBADMSG, "sdp", "over %d bytes",
			       SDP_TEXT_MAX);
	return read_lines(r);
}

/** A whole description: its lines, its sound, and how that comes. */
static int read_description(struct reader *r, const char *text, size_t len,
			    enum form form, enum setup *setup, struct err *e)
{
	int err = read_all(r, text, len, form, e);

	if (!err && r->number < 3)
		err = err_set(e, EBADMSG, "sdp",
			      "it ends in line %u; v=, o= and s= are needed",
			      r->number);
	if (!err)
		err = find_audio(r);
	return err ? err : find_transport(r, setup);
}

int sdp_offer_parse(const char *text, size_t len, struct sdp_offer *out,
		    struct err *e)
{
	struct reader r;
	enum setup setup;
	int err = read_description(&r, text, len, OFFER, &setup, e);

	if (!err)
		*out = r.offer;
	return err;
}

int sdp_answer_parse(const char *text, size_t len, struct sdp_answer *out,
		     struct err *e)
{
	struct reader r;
	enum setup setup;
	int err = read_description(&r, text, len, ANSWER, &setup, e);

	if (err)
		return err;
	*out = (struct sdp_answer){
		.ice = r.offer.ice,
		.fingerprint = r.offer.fingerprint,
		.is_active = setup == SETUP_ACTIVE,
		.opus_pt = r.offer.opus_pt,
		.red_pt = r.offer.red_pt,
		.level_ext = r.offer.level_ext,
		.n_peers = r.n_peers,
	};
	memcpy(out->peers, r.peers, sizeof(out->peers));
	return 0;
}

int sdp_frag_parse(const char *text, size_t len, struct sdp_frag *out,
		   struct err *e)
{
	struct reader r;
	int err = read_all(&r, text, len, FRAG, e);

	if (err)
		return err;
	*out = (struct sdp_frag){.ice = r.session.ice,
				 .n_candidates = r.offer.n_candidates,
				 .is_end = r.is_end};
	if (r.offer.n_media)
		memcpy(out->mid, r.offer.media[0].mid, sizeof(out->mid));
	for (size_t i = 0; i < r.offer.n_media && !out->ice.ufrag[0]; i++)
		out->ice = r.sections[i].scope.ice;
	if (!out->ice.ufrag[0] != !out->ice.pwd[0])
		return err_set(e, EBADMSG, "sdp",
			       "a=ice-ufrag and a=ice-pwd must come together");
	return 0;
}
