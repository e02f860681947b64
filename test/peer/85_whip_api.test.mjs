// test/peer/85_whip_api.test.mjs -- WHIP as HTTP: statuses, tickets, CORS.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import {test} from 'node:test';

import {APP, KEY, OUTER, command, rtpRange, startServer, until} from '../aid/tapeop.mjs';
import {ticket} from '../aid/ticket.mjs';

const corpus = (name) => fs.readFileSync(`test/fuzz/corpus/sdp/${name}`, 'utf8');
const OFFER = corpus('chromium_audio');
const SDP = 'application/sdp';
const FRAG = 'application/trickle-ice-sdpfrag';

/** POST an offer: what fetch gives. */
const post = (server, where, {body = OFFER, ...headers} = {}) =>
  server.api('POST', where, body, {'content-type': SDP, ...headers});

const bearer = (user, more) => ({authorization: `Bearer ${ticket({user, ...more})}`});

/** A problem of RFC 9457 with this status that says this. */
function refused(answer, status, says) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.type, 'application/problem+json');
  assert.equal(answer.json.status, status);
  assert.match(answer.json.detail, says);
}

test('an_offer_is_answered_with_a_session_that_is_listed_and_can_be_left', async (t) => {
  const server = await startServer(t, {loops: 1});
  const made = await post(server, `/whip/${APP}/lobby/alice`, bearer('alice'));

  assert.equal(made.status, 201, made.text);
  assert.equal(made.type, SDP);
  assert.match(made.headers.get('location'), /^\/whip\/sessions\/[\w-]{48}$/);
  assert.match(made.headers.get('etag'), /^"\d+-0"$/);
  assert.equal(made.headers.get('accept-patch'), FRAG);
  assert.match(made.text, /^m=audio \d+ UDP\/TLS\/RTP\/SAVPF 63 111\r$/m);
  assert.match(made.text, /^a=ice-lite\r$/m);
  assert.match(made.text, /^a=fmtp:111 .*usedtx=1/m);
  const [, port] = /^a=candidate:1 1 udp \d+ 127\.0\.0\.1 (\d+) typ host\r$/m.exec(made.text);

  const {rooms: [room]} = await server.ask(200, 'GET', '/v1/rooms');
  assert.equal(room.room, 'lobby');
  const [input] = room.inputs;
  assert.deepEqual([input.user, input.kind, input.session, input.port, input.opus_pt, input.red_pt,
    input.audio_level_ext], ['alice', 'whip', 'connecting', Number(port), 111, 63, 1]);
  assert.deepEqual(await server.ask(200, 'GET', `/v1/inputs/${input.input_id}`), input);

  const where = made.headers.get('location');
  assert.equal((await server.api('DELETE', where)).status, 200);
  refused(await server.api('DELETE', where), 404, /POST again/);
  await until('the room is gone', async () =>
    (await server.ask(200, 'GET', '/v1/rooms')).rooms.length === 0);
});

test('who_comes_needs_a_ticket_of_that_user_for_that_app_that_is_good_now', async (t) => {
  const server = await startServer(t, {loops: 1, http: {admin_token: 'master'},
    app: {previous_secret_key: 'the-key-before'}, more_apps: [{id: APP + 2, name: 'no key'}]});
  const where = `/whip/${APP}/lobby/alice`;
  const now = Math.floor(Date.now() / 1000);
  const none = await post(server, where);

  refused(none, 401, /Bearer <UserSig>/);
  assert.equal(none.headers.get('www-authenticate'), 'Bearer');
  const wrong = await post(server, where, {authorization: 'Bearer nonsense'});
  refused(wrong, 401, /UserSig/);
  assert.match(wrong.headers.get('www-authenticate'), /invalid_token/);
  refused(await post(server, where, {authorization: 'Bearer open.sesame'}), 401,
    /neither a ticket .* nor http.admin_token/);
  refused(await post(server, where, bearer('alice', {key: 'another'})), 401, /UserSig/);
  refused(await post(server, where, bearer('alice', {time: now - 100, expire: 60})), 401,
    /expire/i);
  refused(await post(server, where, bearer('bob')), 403, /UserSig/);
  refused(await post(server, where, bearer('alice', {app: APP + 1})), 403, /UserSig/);
  refused(await post(server, `/whip/${APP + 1}/lobby/alice`, bearer('alice', {app: APP + 1})), 404,
    /no app/);
  refused(await post(server, `/whip/${APP + 2}/lobby/alice`, bearer('alice', {app: APP + 2, key: ''})),
    403, /secret_key/);
  for (const more of [{}, {key: 'the-key-before'}])
    assert.equal((await post(server, where, bearer('alice', more))).status, 201);
  assert.equal((await post(server, where, {authorization: 'Bearer master'})).status, 201);
});

test('without_any_token_only_this_machine_may_come_without_a_ticket', async (t) => {
  const server = await startServer(t, {loops: 1});
  const where = `/whip/${APP}/lobby/alice`;

  assert.equal((await post(server, where)).status, 201);
  refused(await post(server, where, {'x-forwarded-for': '192.0.2.1'}), 401, /proxy/);
  refused(await post(server, where, {origin: 'https://evil.example'}), 403, /allowed_origins/);
  assert.equal((await post(server, where, {'x-forwarded-for': '192.0.2.1', ...bearer('alice')}))
    .status, 201);
});

test('what_is_no_offer_that_can_be_recorded_is_refused_with_the_right_status', async (t) => {
  const server = await startServer(t, {loops: 1});
  const where = `/whip/${APP}/lobby/alice`;
  const video = OFFER.replace('m=audio', 'm=video');

  refused(await post(server, where, {body: 'v=0\r\n'}), 400, /line/);
  refused(await post(server, where, {body: ''}), 400, /empty/);
  refused(await post(server, where, {body: OFFER.replace('k9wy', 'k')}), 400, /ice-ufrag/);
  refused(await post(server, where, {body: video}), 422, /only sound/);
  refused(await post(server, where, {body: OFFER.replace('a=sendonly', 'a=recvonly')}), 422,
    /sendonly/);
  for (const type of ['text/plain', 'application/sdpx', FRAG])
    refused(await post(server, where, {'content-type': type}), 415, /application\/sdp/);
  refused(await post(server, where, {body: `${OFFER}${'a=x\r\n'.repeat(14000)}`}), 413, /65536/);
  refused(await post(server, where, {accept: 'text/html'}), 406, /application\/sdp/);
  refused(await post(server, `/whip/0/lobby/alice`), 400, /app/);
  refused(await post(server, `/whip/${APP}/lobby/${'u'.repeat(200)}`), 400, /user/);
  refused(await server.api('GET', where), 405, /POST/);
  assert.deepEqual((await server.ask(200, 'GET', '/v1/rooms')).rooms, []);
  assert.equal((await post(server, where, {'content-type': 'application/SDP; charset=utf-8',
    accept: 'text/html, application/sdp;q=0.9'})).status, 201);
});

test('a_user_has_one_session_the_newer_takes_over_by_plain_RTP_it_is_refused', async (t) => {
  const server = await startServer(t, {loops: 1});
  const first = await post(server, `/whip/${APP}/lobby/alice`);
  const inputs = async () => (await server.ask(200, 'GET', '/v1/rooms')).rooms[0].inputs;
  const [before] = await inputs();

  await server.ask(200, 'PATCH', `/v1/inputs/${before.input_id}`, {mic: 'off'});
  const second = await post(server, `/whip/${APP}/lobby/alice`);
  assert.equal(second.status, 201);
  refused(await server.api('DELETE', first.headers.get('location')), 410, /newer/);
  const now = await inputs();
  assert.equal(now.length, 1);
  assert.notEqual(now[0].input_id, before.input_id);
  assert.equal(now[0].mic, 'disabled', 'what the API has switched off stays off');
  await server.join('lobby', 'bob');
  refused(await post(server, `/whip/${APP}/lobby/bob`), 409, /plain RTP/);
  assert.equal((await server.api('POST', `/v1/apps/${APP}/rooms/lobby/inputs`,
    {user: 'alice', kind: 'rtp'})).status, 409);
});

test('more_users_than_media_max_sessions_are_told_to_come_later', async (t) => {
  const server = await startServer(t, {loops: 1, media: {max_sessions: 2}});
  const join = (user) => post(server, `/whip/${APP}/lobby/${user}`);
  const alice = await join('alice');

  assert.equal((await join('bob')).status, 201);
  const carol = await join('carol');
  refused(carol, 503, /2 users/);
  assert.equal(carol.headers.get('retry-after'), '5');
  assert.equal((await join('bob')).status, 201, 'who takes the place of itself needs none');
  assert.equal((await server.api('DELETE', alice.headers.get('location'))).status, 200);
  assert.equal((await join('carol')).status, 201);
});

test('a_user_is_in_as_many_rooms_as_media_max_rooms_per_user', async (t) => {
  const server = await startServer(t, {loops: 1, media: {max_rooms_per_user: 2}});
  const join = (room, user = 'alice') => post(server, `/whip/${APP}/${room}/${user}`);
  const first = await join('first');

  assert.equal((await join('second')).status, 201);
  const third = await join('third');
  refused(third, 429, /alice sends to 2 rooms/);
  assert.equal(third.headers.get('retry-after'), '5');
  assert.equal((await join('third', 'bob')).status, 201, 'it is each user\'s own limit');
  assert.equal((await join('second')).status, 201, 'who takes the place of itself needs none');
  assert.equal((await server.api('DELETE', first.headers.get('location'))).status, 200);
  assert.equal((await join('third')).status, 201);
});

test('candidates_are_taken_ICE_is_restarted_and_If_Match_holds', async (t) => {
  const server = await startServer(t, {loops: 1});
  const made = await post(server, `/whip/${APP}/lobby/alice`);
  const where = made.headers.get('location');
  const etag = made.headers.get('etag');
  const patch = (body, headers) => server.api('PATCH', where, body,
    {'content-type': FRAG, ...headers});
  const trickle = corpus('frag_trickle').replaceAll('EsAw', 'k9wy');
  const restart = corpus('frag_restart');
  const ufrag = (text) => /a=ice-ufrag:(\S+)/.exec(text)[1];

  refused(await patch(trickle), 428, /ETag/);
  refused(await patch(trickle, {'if-match': '"1-9"'}), 412, /is "\d+-0" now/);
  for (const match of [`${etag.slice(0, -1)}0"`, `W/${etag}`, etag.slice(1, -1), '"1-9", "2-9"', ''])
    refused(await patch(trickle, {'if-match': match}), 412, /is "\d+-0" now/);
  for (const match of [etag, `"1-9", ${etag}`, `${etag},"1-9"`, '*']) {
    const taken = await patch(trickle, {'if-match': match});
    assert.equal(taken.status, 204, match);
    assert.equal(taken.text, '');
    assert.equal(taken.headers.get('etag'), null, 'RFC 9725: only a restart brings a new one');
  }
  refused(await patch('a=candidate:x\r\n', {'if-match': etag}), 400, /line 1/);
  refused(await patch(trickle, {'if-match': etag, 'content-type': SDP}), 415, /sdpfrag/);
  const again = await patch(restart, {'if-match': '*'});
  assert.equal(again.status, 200, again.text);
  assert.equal(again.type, FRAG);
  assert.equal(again.headers.get('etag'), etag.replace('-0', '-1'));
  assert.notEqual(ufrag(again.text), ufrag(made.text));
  assert.match(again.text, /^a=candidate:.* typ host\r$/m);
  refused(await patch(trickle, {'if-match': etag}), 412, /-1" now/);
  assert.equal((await patch(restart, {'if-match': again.headers.get('etag')})).status, 204);
  // RFC 9725 writes it in quotes
  const third = await patch(restart.replaceAll('ysXw', 'other'), {'if-match': '"*"'});
  assert.equal(third.status, 200, third.text);
  assert.equal(third.headers.get('etag'), etag.replace('-0', '-2'));
  refused(await server.api('PATCH', '/whip/sessions/nothing', restart, {'content-type': FRAG,
    'if-match': '*'}), 404, /POST again/);
});

test('methods_that_are_reserved_are_refused_as_such_whoever_asks', async (t) => {
  const server = await startServer(t, {loops: 1, http: {admin_token: 'master'}});
  const where = `/whip/${APP}/lobby/alice`;
  const session = (await post(server, where, bearer('alice'))).headers.get('location');

  for (const [path, methods, allow] of [
    [where, ['GET', 'PUT', 'PATCH', 'DELETE'], 'POST, OPTIONS'],
    [session, ['GET', 'PUT', 'POST'], 'PATCH, DELETE, OPTIONS']]) {
    for (const method of methods) {
      const answer = await server.api(method, path);
      refused(answer, 405, /permitted here/);
      assert.equal(answer.headers.get('allow'), allow);
    }
    const head = await fetch(server.url + path, {method: 'HEAD'});
    assert.equal(head.status, 405);
  }
  // what is not open says nothing of itself
  assert.equal((await server.api('PUT', '/v1/rooms')).status, 401);
  assert.equal((await server.api('GET', '/nothing')).status, 401);
  assert.equal((await server.api('DELETE', session)).status, 200);
});

test('pages_of_permitted_sites_may_ask_others_may_not', async (t) => {
  const server = await startServer(t, {loops: 1, http: {admin_token: 'master',
    allowed_origins: ['https://app.example.com', 'http://localhost:5173']}});
  const where = `/whip/${APP}/lobby/alice`;
  const asks = {'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type'};

  for (const origin of ['https://app.example.com', 'http://localhost:5173', server.url]) {
    const before = await server.api('OPTIONS', where, undefined, {origin, ...asks});
    assert.equal(before.status, 204);
    assert.equal(before.headers.get('access-control-allow-origin'), origin);
    assert.match(before.headers.get('access-control-allow-methods'), /POST/);
    assert.match(before.headers.get('access-control-allow-headers'), /Authorization.*If-Match/);
    assert.equal(before.headers.get('accept-post'), SDP);
    const made = await post(server, where, {origin, ...bearer('alice')});
    assert.equal(made.status, 201);
    assert.equal(made.headers.get('access-control-allow-origin'), origin);
    assert.match(made.headers.get('access-control-expose-headers'), /Location, ETag, Link/);
    assert.equal(made.headers.get('vary'), 'Origin');
    const session = await server.api('OPTIONS', made.headers.get('location'), undefined,
      {origin, 'access-control-request-method': 'DELETE'});
    assert.match(session.headers.get('access-control-allow-methods'), /PATCH, DELETE/);
    assert.equal(session.headers.get('accept-patch'), FRAG);
    const bad = await post(server, where, {origin});
    refused(bad, 401, /UserSig/);
    assert.equal(bad.headers.get('access-control-allow-origin'), origin, 'it can read why not');
  }
  for (const origin of ['https://app.example.com.evil.example', 'http://app.example.com',
    'http://localhost:5174', 'null']) {
    for (const answer of [await server.api('OPTIONS', where, undefined, {origin, ...asks}),
      await post(server, where, {origin, ...bearer('alice')})]) {
      refused(answer, 403, /allowed_origins/);
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
    }
  }
  assert.equal((await server.api('OPTIONS', where)).status, 204);
});

test('tapeop_ticket_makes_a_ticket_that_lets_its_user_in', async (t) => {
  const server = await startServer(t, {loops: 1, http: {admin_token: 'master'}});
  const make = (...more) => command(t, ['ticket', '--app', String(APP), '--key', 'env:T_KEY', ...more],
    {env: {T_KEY: KEY}});
  const {code, out, text} = await make('--user', 'Zo\u00eb');
  assert.equal(code, 0, text);
  assert.match(out, /^[\w*-]+\n$/);
  const where = `/whip/${APP}/lobby/${encodeURIComponent('Zo\u00eb')}`;
  const bring = (bearerOf) => post(server, where, {authorization: `Bearer ${bearerOf}`});
  assert.equal((await bring(out.trim())).status, 201);
  refused(await bring((await make('--user', 'zoe')).out.trim()), 403, /UserSig/);
  for (const [args, says] of [[[], /--user is missing/], [['--user', 'a/b'], /--user/],
    [['--user', 'a', '--expire', '0s'], /--expire must be/], [['--user', 'a', 'b'], /no argument/]]) {
    const bad = await make(...args);
    assert.equal(bad.code, 2);
    assert.match(bad.text, says);
    assert.equal(bad.out, '');
  }
});

test('who_is_on_this_machine_is_told_its_addresses', {skip: !OUTER && 'it has only loopback'},
  async (t) => {
    const port = Number((await rtpRange()).split('-')[0]);
    const here = {loops: 1, media: {address: undefined, udp_port: port}};
    const candidates = async (server) => [...(await post(server, `/whip/${APP}/lobby/alice`,
      bearer('alice'))).text.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host\r$/mg)]
      .map((m) => `${m[1]}:${m[2]}`);
    const server = await startServer(t, here);
    const told = await candidates(server);
    assert.ok(told.includes(`${OUTER}:${port}`), String(told));
    assert.equal(told.at(-1), `127.0.0.1:${port}`);
    await server.stop();

    // another program has the port at another address: loopback is still there
    const other = dgram.createSocket('udp4');
    await new Promise((done) => other.bind(port, OUTER, done));
    t.after(() => other.close());
    const doctor = await command(t, ['doctor', '-c', server.config]);
    assert.match(doctor.out, /^warn +media\.udp_port +1 ports from it on are free at 127\.0\.0\.1 only/m);
    await server.start();
    assert.deepEqual(await candidates(server), [`127.0.0.1:${port}`]);
    assert.match(server.proc.text, /warn webrtc: only loopback is listened at.*Address already in use/);
  });

test('of_whom_nothing_comes_by_udp_is_gone_and_the_log_says_what_to_look_at', async (t) => {
  const server = await startServer(t, {loops: 1});
  const made = await post(server, `/whip/${APP}/lobby/alice`, bearer('alice'));
  const [, port] = /^a=candidate:1 1 udp \d+ 127\.0\.0\.1 (\d+) typ host\r$/m.exec(made.text);

  await until('the room is gone', async () =>
    (await server.ask(200, 'GET', '/v1/rooms')).rooms.length === 0);
  assert.match(server.proc.text, new RegExp('room=lobby user=alice input=\\d+ session ended: ' +
    `nothing came by UDP: is media\\.address as senders reach it, and port ${port} open\\?$`, 'm'));
  refused(await server.api('DELETE', made.headers.get('location')), 404, /POST again/);
});
