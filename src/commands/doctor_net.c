/**
 * commands/doctor_net.c -- addresses, ports, the bucket, the way to each
 * callback URL.
 *
 * The callbacks' HTTP client itself looks the names up, vets the addresses
 * and connects, so what it says here is what it would say later.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/doctor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "intake/intake.h"
#include "io/io.h"

enum {
	LOOK_US = 2 * 1000 * 1000,  /* for whoever has our address */
	PROBE_US = 5 * 1000 * 1000, /* for one callback URL */
	PROBES = 50,		    /* at once */
	LOOKUPS = 8,		    /* threads */
	LOOK_BUCKET_US = 10 * 1000 * 1000,
	ANSWER_MAX = 64 * 1024
};

/* ---- the bucket ------------------------------------------------------------ */

/** What to do about it. */
static const char *bucket_advice(int err)
{
	static const struct {
		int err;
		const char *advice;
	} advices[] = {
		{EACCES, "look at the keys, the region, and what they may do"},
		{ENXIO, "make it, or see to storage.s3.bucket and path_style"},
		{ETIME, "set the clock (NTP)"},
		{EPROTO, "see to storage.s3.endpoint, and to the system's CAs"},
		{ECONNREFUSED, "nobody listens there: storage.s3.endpoint"},
		{EHOSTUNREACH, "see to storage.s3.endpoint and path_style"},
	};

	for (size_t i = 0; i < ARRAY_LEN(advices); i++) {
		if (advices[i].err == err)
			return advices[i].advice;
	}
	return "files wait on this machine until it is well";
}

/** It is away or has too much to do: nothing needs to be set otherwise.  A name
 *  that nobody knows does. */
static bool bucket_is_away(int err)
{
	return err == ECONNREFUSED || err == ECONNRESET || err == ETIMEDOUT ||
	       err == EAGAIN;
}

/** Say why files cannot be stored now. */
static void say_bucket(struct doctor *d, const char *url, int err,
		       const struct err *e)
{
	const bool is_away = bucket_is_away(err);

	doctor_say(d, is_away ? DOCTOR_WARN : DOCTOR_FAIL, "storage.s3",
		   "%s: %s: %s; %s%s", url, upload_reason(err), e->text,
		   bucket_advice(err),
		   err == ECONNREFUSED
			   ? "; until then files wait on this machine"
			   : "");
}

void doctor_check_bucket(struct doctor *d)
{
	const struct config *c = d->config;
	const struct upload_config config = {
		.spool_dir = c->data_dir,
		.stall_us = LOOK_BUCKET_US,
	};
	const struct upload_place place = {.kind = UPLOAD_S3, .s3 = c->s3};
	struct upload_storage *s = NULL;
	char url[EVENT_LOCATION_MAX];
	struct err e = {0};
	int err;

	if (c->storage_kind != UPLOAD_S3)
		return;
	upload_location(&place, "", url, sizeof(url));
	err = upload_open(&config, &place, &s);
	if (err)
		err_set(&e, err, "", "%s", strerror(err));
	else
		err = upload_try(s, &e);
	if (err)
		say_bucket(d, url, err, &e);
	else
		doctor_say(d, DOCTOR_OK, "storage.s3",
			   "%s: an object was put, looked at and removed", url);
	upload_close(s);
}

/* ---- listening ------------------------------------------------------------- */

/** errno of binding, 0 when it is free. */
static int try_bind(const struct addr *at, int type)
{
	int fd = socket(at->sa.sa_family, type | SOCK_CLOEXEC, 0);
	int on = 1;
	int err = 0;

	if (fd < 0)
		return errno;
	/* as the server does */
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_STREAM && at->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
				 sizeof(on));
	if (bind(fd, &at->sa, at->len))
		err = errno;
	close(fd);
	return err;
}

/** Is it a tapeop that listens there already?  Its console is at /; one that
 *  speaks TLS says so. */
static bool answers_as_tapeop(const struct addr *at)
{
	char where[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 16];
	struct http_call call = {.method = "GET",
				 .url = url,
				 .timeout_us = LOOK_US,
				 .allow_private = true};
	struct buf answer;
	struct err e;
	int status = 0;
	bool yes;

	snprintf(url, sizeof(url), "http://%s/", addr_write(at, where));
	buf_init(&answer, ANSWER_MAX);
	yes = !http_fetch(&call, &status, &answer, &e) &&
	      ((status == 200 &&
		strstr(buf_str(&answer), "<title>tapeop</title>")) ||
	       (status == 400 &&
		strstr(buf_str(&answer), "this port speaks HTTPS only")));
	buf_fini(&answer);
	return yes;
}

void doctor_check_listen(struct doctor *d)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < d->config->n_listen; i++) {
		const struct addr *at = &d->config->listen[i];
		int err = try_bind(at, SOCK_STREAM);

		addr_write(at, text);
		if (!err)
			doctor_say(d, DOCTOR_OK, "http.listen", "%s %s", text,
				   addr_port(at) ? "is free"
						 : "gets a free port");
		else if (err == EADDRINUSE && answers_as_tapeop(at)) {
			d->runs = true;
			doctor_say(d, DOCTOR_OK, "http.listen",
				   "%s: a tapeop answers there already", text);
		} else if (err == EADDRINUSE)
			doctor_say(d, DOCTOR_FAIL, "http.listen",
				   "%s is taken by another program: end it, or "
				   "choose another port",
				   text);
		else
			doctor_say(d, DOCTOR_FAIL, "http.listen",
				   "%s cannot be bound (%s): choose an address "
				   "of this machine and a permitted port",
				   text, strerror(err));
	}
}

/* ---- TLS ------------------------------------------------------------------- */

enum { SOON_S = 3 * 24 * 3600 }; /* until a certificate ends */

enum doctor_state doctor_judge_dates(int64_t now_s, int64_t from_s,
				     int64_t until_s, const char **says,
				     const char **advice)
{
	*advice = "";
	if (until_s <= now_s) {
		*says = "has ended";
		*advice = ": renew it, then SIGHUP the server; whoever comes "
			  "by it is refused";
		return DOCTOR_WARN;
	}
	if (from_s > now_s) {
		*says = "is not good yet; it ends";
		*advice = ": see to the clock, or wait; whoever comes by it "
			  "is refused";
		return DOCTOR_WARN;
	}
	*says = "is good until";
	if (until_s - now_s >= SOON_S)
		return DOCTOR_OK;
	*advice = " only: renew it, then SIGHUP the server";
	return DOCTOR_WARN;
}

void doctor_check_tls(struct doctor *d)
{
	const struct http_tls_config *c = &d->config->tls;
	const char *says, *advice, *mode;
	int64_t from_s, until_s;
	enum doctor_state state;
	char when[32];
	struct stat st;
	struct tm tm;
	struct err e;

	if (!c->cert_file)
		return;
	if (http_tls_try(c, &from_s, &until_s, &e)) {
		doctor_say(d, DOCTOR_FAIL, "http.tls_cert", "%s", e.text);
		return;
	}
	state = doctor_judge_dates(clock_unix_ms() / 1000, from_s, until_s,
				   &says, &advice);
	gmtime_r(&(time_t){until_s}, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	doctor_say(d, state, "http.tls_cert", "%s %s %s%s", c->cert_file, says,
		   when, advice);
	if (!stat(c->key_file, &st)) {
		state = doctor_judge_mode(st.st_mode, &mode);
		doctor_say(d, state, "http.tls_key", "%s %s", c->key_file,
			   mode);
	}
}

/* ---- RTP ------------------------------------------------------------------- */

void doctor_check_rtp(struct doctor *d)
{
	const struct media_config *m = &d->config->media;
	unsigned n = m->rtp_port_last - m->rtp_port_first + 1U;
	unsigned taken = 0;
	struct addr at = m->bind;
	int err = 0;

	for (unsigned i = 0; i < n && (!err || err == EADDRINUSE); i++) {
		addr_set_port(&at, (uint16_t)(m->rtp_port_first + i));
		err = try_bind(&at, SOCK_DGRAM);
		taken += err == EADDRINUSE;
	}
	if (err && err != EADDRINUSE)
		doctor_say(d, DOCTOR_FAIL,
			   d->config->media.n_addresses > 1 ? "media.bind"
							    : "media.address",
			   "cannot be bound (%s): it must be an address of "
			   "this machine",
			   strerror(err));
	else if (taken == n)
		doctor_say(d, DOCTOR_FAIL, "media.rtp_ports",
			   "all %u ports are taken: choose another range", n);
	else if (taken)
		doctor_say(d, DOCTOR_WARN, "media.rtp_ports",
			   "%u of %u ports are taken; the server passes them "
			   "over",
			   taken, n);
	else
		doctor_say(d, DOCTOR_OK, "media.rtp_ports",
			   "%u ports are free, for as many speakers", n);
}

/* ---- WebRTC ---------------------------------------------------------------- */

/** Where senders of other machines are told to send: not to themselves. */
static void check_media_address(struct doctor *d)
{
	const struct config *c = d->config;
	bool is_open = false, is_here = true;

	for (size_t i = 0; i < c->n_listen; i++)
		is_open |= !addr_is_loopback(&c->listen[i]);
	for (size_t i = 0; i < c->media.n_addresses; i++)
		is_here &= addr_is_loopback(&c->media.addresses[i]);
	if (is_open && is_here)
		doctor_say(d, DOCTOR_WARN, "media.address",
			   "is this machine only, and http.listen is not: "
			   "whoever comes from elsewhere is told to send to "
			   "itself; have it as they reach this machine");
}

enum doctor_state doctor_judge_room(int bytes, int *speakers,
				    const char **advice)
{
	enum { PAUSE_MS = 30, FRAME_MS = 20, FEW = 100 };
	static_assert(WEBRTC_ROOM_BYTES == 8388608, "as said below");

	*speakers = (int)((int64_t)bytes * FRAME_MS /
			  (WEBRTC_ROOM_A_DATAGRAM * PAUSE_MS));
	*advice = bytes >= WEBRTC_ROOM_BYTES ? ""
					     : "; for more of them: sysctl -w "
					       "net.core.rmem_max=8388608";
	return *speakers < FEW ? DOCTOR_WARN : DOCTOR_OK;
}

/** All speakers by WebRTC of a media loop share one socket.  Who runs this may
 *  be root, and the server is not. */
static void check_room(struct doctor *d)
{
	const int bytes = udp_try_room(WEBRTC_ROOM_BYTES, false);
	const int forced = udp_try_room(WEBRTC_ROOM_BYTES, true);
	const char *advice;
	char more[64] = "";
	int speakers;
	enum doctor_state state = doctor_judge_room(bytes, &speakers, &advice);

	if (bytes == 0) {
		doctor_say(d, DOCTOR_FAIL, "socket of WebRTC",
			   "cannot be made: %s", strerror(errno));
		return;
	}
	if (forced > bytes)
		snprintf(more, sizeof(more),
			 "; of a server with CAP_NET_ADMIN %d KiB",
			 forced / 1024);
	doctor_say(d, state, "socket of WebRTC",
		   "holds %d KiB, a pause of 30 ms of %d speakers%s%s",
		   bytes / 1024, speakers, advice, more);
}

/** errno of binding n ports from media.udp_port on; at: out, the one it is of. */
static int try_webrtc(const struct media_config *m, unsigned n, bool is_near,
		      struct addr *at)
{
	int err = 0;

	*at = is_near ? addr_any() : m->bind;
	for (unsigned i = 0; i < n && !err; i++) {
		addr_set_port(at, (uint16_t)(m->udp_port + i));
		err = try_bind(at, SOCK_DGRAM);
	}
	return err;
}

static void check_webrtc_ports(struct doctor *d, unsigned n)
{
	const struct media_config *m = &d->config->media;
	struct addr at;
	int err = try_webrtc(m, n, m->is_near, &at);

	if (err == EADDRINUSE && d->runs)
		doctor_say(d, DOCTOR_OK, "media.udp_port",
			   "port %u of %u is in use, as a tapeop runs here",
			   addr_port(&at), n);
	else if (err && m->is_near && !try_webrtc(m, n, false, &at))
		doctor_say(d, DOCTOR_WARN, "media.udp_port",
			   "%u ports from it on are free at 127.0.0.1 only (%s "
			   "elsewhere): Firefox on this machine cannot join",
			   n, strerror(err));
	else if (err)
		doctor_say(d, DOCTOR_FAIL, "media.udp_port",
			   "port %u of %u for WebRTC cannot be opened (%s): "
			   "choose another",
			   addr_port(&at), n, strerror(err));
	else
		doctor_say(d, DOCTOR_OK, "media.udp_port",
			   "%u ports from it on are free, one a media loop", n);
}

void doctor_check_webrtc(struct doctor *d)
{
	const struct media_config *m = &d->config->media;
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned n = m->loops    ? m->loops
			   : cores > 0 ? (unsigned)cores
				       : 1;

	check_media_address(d);
	check_room(d);
	if (m->udp_port)
		check_webrtc_ports(d, n);
	else
		doctor_say(d, DOCTOR_OK, "media.udp_port",
			   "the system chooses %u ports for WebRTC; a "
			   "firewall wants them fixed",
			   n);
}

/* ---- callbacks ------------------------------------------------------------- */

struct probe {
	uint32_t app;
	const struct notify_endpoint *endpoint;
	bool done;
	struct http_result result; /* without its body */
};

static void on_probed(const struct http_result *result, void *arg)
{
	struct probe *p = arg;

	p->result = *result;
	p->done = true;
}

static void say_probe(struct doctor *d, const struct probe *p)
{
	const struct http_result *r = &p->result;
	const bool tls = str_starts_with(p->endpoint->url, "https:");
	char what[96], host[256] = "?";
	uint16_t port = 0;
	struct err e;

	(void)!http_url_target(p->endpoint->url, host, sizeof(host), &port, &e);
	snprintf(what, sizeof(what), "%" PRIu32 " %s", p->app,
		 p->endpoint->name);
	if (!r->error[0])
		doctor_say(d, DOCTOR_OK, what, "%s port %u answers%s", host,
			   port, tls ? ", and its certificate is good" : "");
	else if (r->refused_address)
		doctor_say(d, DOCTOR_FAIL, what, "%s", r->error);
	else if (r->not_found)
		doctor_say(d, DOCTOR_FAIL, what,
			   "%s: check the URL, and the DNS of this machine",
			   r->error);
	else if (r->untrusted)
		doctor_say(d, DOCTOR_FAIL, what,
			   "%s port %u: %s; every callback would fail", host,
			   port, r->error);
	else
		doctor_say(d, DOCTOR_WARN, what,
			   "%s port %u does not answer now (%s): callbacks "
			   "will wait for it",
			   host, port, r->error);
}

/** Connect to all of them at once, and wait. */
static void run_probes(struct loop *loop, struct http_client *client,
		       struct probe *probes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct probe *p = &probes[i];
		const struct http_call call = {
			.method = "HEAD",
			.url = p->endpoint->url,
			.timeout_us = PROBE_US,
			.allow_private = p->endpoint->allow_private,
			.connect_only = true,
		};
		struct http_transfer *unused;
		struct err e;

		if (!http_client_send(client, &call, on_probed, p, &e, &unused))
			continue;
		p->done = true;
		(void)str_copy(p->result.error, sizeof(p->result.error),
			       e.text);
	}
	for (size_t i = 0; i < n; i++) {
		while (!probes[i].done)
			loop_turn(loop, PROBE_US);
	}
}

/** Fill `probes`, in the order of the file; NULL: only count. */
static size_t list_probes(const struct config *c, struct probe *probes)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_apps; i++) {
		const struct config_app *app = &c->apps[i];

		for (size_t k = 0; k < app->n_endpoints; k++, n++) {
			if (probes)
				probes[n] = (struct probe){
					.app = app->app.id,
					.endpoint = &app->endpoints[k]};
		}
	}
	return n;
}

static int probe_all(struct probe *probes, size_t n)
{
	struct loop *loop = NULL;
	struct workers *workers = NULL;
	struct http_client *client = NULL;
	int err = loop_new(&loop);

	if (!err)
		err = workers_new("lookup", LOOKUPS, &workers);
	if (!err) {
		const struct http_client_config config = {
			.max_connections = PROBES,
			.user_agent = "tapeop",
			.workers = workers,
			.dns_ttl_us = 60 * CLOCK_US_PER_S,
		};

		err = http_client_new(loop, &config, &client);
	}
	for (size_t i = 0; i < n && !err; i += PROBES)
		run_probes(loop, client, probes + i,
			   n - i < PROBES ? n - i : PROBES);
	http_client_free(client);
	workers_free(workers);
	if (loop)
		loop_turn(loop, 0); /* what is still on its way */
	loop_free(loop);
	return err;
}

enum doctor_way doctor_judge_way(const char *url)
{
	char host[256];
	struct addr addr;
	uint16_t port;
	struct err e;

	if (!str_starts_with(url, "http:") ||
	    http_url_target(url, host, sizeof(host), &port, &e))
		return DOCTOR_WAY_CLOSED;
	if (addr_parse(host, &addr))
		return DOCTOR_WAY_BY_NAME;
	return addr_is_global(&addr) ? DOCTOR_WAY_OPEN : DOCTOR_WAY_CLOSED;
}

void doctor_check_bucket_way(struct doctor *d)
{
	const char *url = d->config->s3.endpoint;
	const struct notify_endpoint ep = {.url = url};
	struct probe p = {.endpoint = &ep};
	enum doctor_way way;

	if (d->config->storage_kind != UPLOAD_S3)
		return;
	way = doctor_judge_way(url);
	/* What the HTTP client refuses is this machine, or a private network;
	   whether a name is known is told by doctor_check_bucket. */
	if (way == DOCTOR_WAY_BY_NAME)
		way = probe_all(&p, 1) || p.result.refused_address ||
				      p.result.not_found
			      ? DOCTOR_WAY_CLOSED
			      : DOCTOR_WAY_OPEN;
	if (way == DOCTOR_WAY_OPEN)
		doctor_say(d, DOCTOR_WARN, "storage.s3.endpoint",
			   "%s: http to an address that is not in your own "
			   "network: whoever is on the way hears the "
			   "recordings; use https",
			   url);
}

void doctor_check_callbacks(struct doctor *d)
{
	const struct config *c = d->config;
	size_t n = list_probes(c, NULL);
	struct probe *probes = n ? mem_zalloc_n(n, sizeof(*probes)) : NULL;
	int err = n && !probes ? ENOMEM : 0;

	if (!c->n_apps)
		doctor_say(d, DOCTOR_WARN, "apps",
			   "none is declared: make one in the console, or "
			   "by the API; until then nothing can be recorded");
	for (size_t i = 0; i < c->n_apps; i++) {
		if (!c->apps[i].n_endpoints)
			doctor_say(d, DOCTOR_WARN, "callbacks",
				   "app %" PRIu32 " has none: nobody is told "
				   "of its recordings",
				   c->apps[i].app.id);
	}
	if (probes) {
		(void)list_probes(c, probes);
		err = probe_all(probes, n);
	}
	if (err)
		doctor_say(d, DOCTOR_FAIL, "callbacks", "cannot be tried: %s",
			   strerror(err));
	for (size_t i = 0; i < n && !err; i++)
		say_probe(d, &probes[i]);
	mem_free(probes);
}
