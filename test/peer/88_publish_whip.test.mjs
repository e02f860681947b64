// test/peer/88_publish_whip.test.mjs -- `tapeop publish --via whip`: at our server, and at
// one that is not ours (werift).
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import {describe, test} from 'node:test';

import {inRealTime} from '../aid/calm.mjs';
import {RATE, decode, likeness, oggPackets, tool} from '../aid/sound.mjs';
import {APP, KEY, background, command, tempDir, until} from '../aid/tapeop.mjs';
import {ticket} from '../aid/ticket.mjs';
import {checkTruth} from '../aid/truth.mjs';
import {ROOM, startWhipServer} from '../aid/whip.mjs';

const werift = await import('werift').catch(() => null);
const noWerift = werift ? false : 'werift is not installed (tools/setup test)';
const SPEECH = path.resolve('assets/demo/bob.opus');
const SDP = 'application/sdp';

/** A server that wants a ticket, and records whoever comes. */
const startServer = async (t, more) => {
  const server = await startWhipServer(t, {http: {admin_token: 'master'}, listen: '127.0.0.1:0',
    media: {udp_port: 0}, recording: {auto: 'single', mic_off: 'silence'}, ...more});
  const {api} = server;
  server.api = (method, where, body, headers) =>
    api(method, where, body, {authorization: 'Bearer master', ...headers});
  return server;
};

const at = (server, user = 'alice') => ['--via', 'whip', '--server', server.url, '--app',
  String(APP), '--room', ROOM, '--user', user];
const env = {APP_KEY: KEY};
const byKey = ['--key', 'env:APP_KEY'];

/** The task of who has left: its segments; all promises about them hold. */
async function finished(server) {
  await until('the room is left', async () => (await server.inputs()).length === 0);
  const {tasks: [task]} = await server.ask(200, 'GET', '/v1/tasks');
  await server.ask(200, 'DELETE', `/v1/tasks/${task.task_id}`);
  return (await checkTruth(server, server.endpoint, task.task_id)).segments;
}

/** Publish the speech to its end: what was recorded, and what was said. */
async function publish(t, ...bad) {
  const server = await startServer(t);
  const p = background(t, ['publish', SPEECH, ...at(server), ...byKey, ...bad], env);
  const input = await server.hears('alice');
  const end = await p.exit;
  assert.deepEqual(end, {code: 0, signal: null}, p.text);
  assert.equal(p.text, '');
  const metrics = await server.metrics();
  const segments = await finished(server);
  assert.equal(segments.length, 1);
  return {server, input, out: p.out, metrics, segments,
    pcm: await decode(server.file(segments[0]))};
}

/** What was recorded is what was said, at the same times, from beginning to end; it may
 *  begin with the silence of ICE and DTLS. */
async function checkSpeech(r) {
  const said = await decode(SPEECH);
  const {share, lag_ms} = likeness(said, r.pcm, 2000);
  assert.ok(share > 0.95, `${share} alike at ${lag_ms} ms`);
  assert.ok(lag_ms >= -30, `${lag_ms} ms of the beginning are missing`);
  const more_ms = (r.pcm.length - said.length) * 1000 / RATE - lag_ms;
  assert.ok(more_ms > -150 && more_ms < 1000, `${more_ms} ms longer`);
  const m = r.metrics;
  assert.equal(m.rtp_bad + m.rtp_bad_opus + m.rtp_stranger + m.rtp_lost + m.frames_concealed +
    m.srtp_refused + m.webrtc_other + m.webrtc_strangers + m.webrtc_no_consent, 0);
}

async function speech(t) {
  const r = await publish(t);
  await checkSpeech(r);
  assert.deepEqual([r.input.kind, r.input.opus_pt, r.input.red_pt, r.input.audio_level_ext],
    ['whip', 111, 63, 1]);
  assert.equal(r.metrics.rtp_packets, oggPackets(SPEECH).length);
  assert.match(r.out, new RegExp('^bob.opus, 5\\.7 s of Ogg Opus, is alice in room lobby ' +
    `\\(127\\.0\\.0\\.1:${r.input.port}, SRTP_AEAD_AES_128_GCM, RED\\)\n`));
  assert.match(r.out, /sent 5\.7 s in \d+ packets; by its last report 0 did not reach it\n$/);
}

async function badNetwork(t) {
  const r = await publish(t, '--loss-every', '20', '--reorder', '5', '--duplicate', '10',
    '--jitter', '60', '--seed', '4', '--rtcp');
  await checkSpeech(r);
  const [, lost, , doubled] = /(\d+) lost, (\d+) reordered, (\d+) duplicated/.exec(r.out).map(Number);
  assert.ok(lost > 10 && doubled > 10, r.out);
  assert.equal(r.metrics.rtp_recovered_red, lost);
  // a packet that comes again is known by its seal
  assert.equal(r.metrics.srtp_replayed, doubled);
  assert.match(r.out, /receiver: \d+\.\d % lost since its last report, \d+ in all/);
}

/** Without RED, with types and an id of its own, and streams that change. */
async function otherForm(t) {
  const r = await publish(t, '--red', '0', '--pt', '97', '--audio-level', '5', '--ssrc-change', '2s',
    '--ssrc-change', '4s', '--seq', '32700');
  await checkSpeech(r);
  assert.deepEqual([r.input.opus_pt, r.input.red_pt, r.input.audio_level_ext], [97, null, 5]);
  assert.doesNotMatch(r.out, /RED/);
  assert.match(r.out, /3 SSRCs/);
}

/** Who gives the wrong ticket, or none: one line that says what to do. */
async function tickets(t) {
  const server = await startServer(t, {recording: {}});
  const good = ticket({user: 'alice'});
  const say = async (args, more = {}) => {
    const p = await command(t, ['publish', SPEECH, ...at(server), ...args], {env: {...env, ...more}});
    assert.equal(p.text.trimEnd().split('\n').length, 1, p.text);
    assert.equal(p.out, '');
    return p;
  };
  for (const [args, why, more] of [
    [[], /answered 401: the request brings no ticket.*; give a ticket of the user with --ticket, or with --key/],
    [['--ticket', 'env:T'], /answered 401: UserSig.*give another --ticket/, {T: 'nonsense'}],
    [['--ticket', 'env:T'], /answered 403: UserSig/, {T: ticket({user: 'bob'})}],
    [['--key', 'env:K'], /answered 401: UserSig/, {K: 'another'}],
    [['--token', 'env:T'], /answered 401/, {T: 'wrong'}],
  ]) {
    const p = await say(args, more);
    assert.equal(p.code, 1);
    assert.match(p.text, why);
  }
  assert.deepEqual(await server.inputs(), []);
  const long = path.join(tempDir(t), 'long.wav'); // it is not over before it is heard
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
    `sine=440:d=60:sample_rate=${RATE}`, long]);
  for (const [args, more] of [[['--ticket', 'env:T'], {T: good}], [[], {TAPEOP_TICKET: good}],
    [[], {TAPEOP_ADMIN_TOKEN: 'master'}], [['--token', 'env:T'], {T: 'master'}]]) {
    const p = background(t, ['publish', long, ...at(server), ...args], {...env, ...more});
    await server.hears('alice');
    p.child.kill('SIGTERM');
    assert.equal((await p.exit).code, 1, 'it was not all sent');
    assert.equal(p.text, '');
  }
}

/** Something that speaks HTTP: `answer(request, body)` gives {status, headers, body}. */
async function startHttp(t, answer) {
  const asked = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (d) => (body += d));
    request.on('end', async () => {
      asked.push({method: request.method, url: request.url, headers: request.headers, body});
      const a = await answer(request, body);
      response.writeHead(a.status, a.headers);
      response.end(a.body);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {asked, url: `http://127.0.0.1:${server.address().port}`};
}

/** In front of a server of ours: its answers changed. */
async function startFront(t, server, change) {
  return startHttp(t, async (request, body) => {
    const answer = await fetch(server.url + request.url, {method: request.method,
      body: body || undefined, headers: {'content-type': request.headers['content-type'] ?? '',
        authorization: request.headers.authorization ?? ''}});
    return {status: answer.status, body: change(await answer.text()), headers: {
      'content-type': answer.headers.get('content-type') ?? '',
      ...answer.headers.get('location') && {location: answer.headers.get('location')}}};
  });
}

async function interrupted(t) {
  const server = await startServer(t, {recording: {}});
  const p = background(t, ['publish', SPEECH, ...at(server), ...byKey, '--loop'], env);
  await server.hears('alice');
  p.child.kill('SIGINT');
  assert.deepEqual(await p.exit, {code: 0, signal: null}, p.text);
  assert.deepEqual(await server.inputs(), [], 'it has left before it ended');
  assert.match(p.out, /interrupted: sent/);
  await until('its session is closed', async () =>
    (await server.metrics()).webrtc_sessions === 0);

  const q = background(t, ['publish', SPEECH, ...at(server, 'bob'), ...byKey, '--loop'], env);
  const {input_id} = await server.hears('bob');
  await server.ask(200, 'DELETE', `/v1/inputs/${input_id}`);
  assert.equal((await q.exit).code, 1);
  assert.equal(q.text, 'tapeop publish: the server has ended the session\n');

  // also before it is connected
  const front = await startFront(t, server, (sdp) => sdp.replace(/127\.0\.0\.1 \d+ typ/,
    '127.0.0.1 9 typ'));
  const d = background(t, ['publish', SPEECH, ...at({url: front.url}, 'dave'), ...byKey], env);
  await until('dave is in the room', async () => (await server.inputs()).length === 1);
  d.child.kill('SIGINT');
  assert.equal((await d.exit).code, 1);
  assert.equal(d.out, 'interrupted before it was connected\n');
  assert.deepEqual(await server.inputs(), []);

  // and also when there is nobody left to be asked about it
  const r = background(t, ['publish', SPEECH, ...at(server, 'carol'), ...byKey, '--loop'], env);
  await server.hears('carol');
  await server.stop();
  assert.equal((await r.exit).code, 1);
  assert.equal(r.text, 'tapeop publish: the server has ended the session\n');
}

async function faults(t) {
  const server = await startServer(t, {recording: {}});
  const run = async (url, args = []) => {
    const p = await command(t, ['publish', SPEECH, '--via', 'whip', '--to', url, ...args],
      {env: {...env, T: ticket({user: 'alice'})}});
    assert.equal(p.code, 1, p.out);
    assert.equal(p.text.trimEnd().split('\n').length, 1, p.text);
    return p.text;
  };
  const answers = (a) => startHttp(t, () => a);
  for (const [a, why] of [
    [{status: 404, body: 'nobody\n'}, /answered 404: nobody; is this a WHIP endpoint \(--to\)\?/],
    [{status: 503, body: '{"detail":"too many are here"}'}, /answered 503: too many are here$/m],
    [{status: 500, body: '<html>'}, /answered 500$/m],
    [{status: 201}, /201 without a Location/],
    [{status: 201, headers: {location: '/x', 'content-type': 'text/html'}}, /not with application\/sdp/],
    [{status: 201, headers: {location: '/x', 'content-type': SDP}, body: 'v=0\r\n'},
      /the server's answer cannot be used: it ends in line 1/],
    [{status: 307, headers: {location: 'http://127.0.0.2:9/whip'}},
      /sends us to another server; if it may have the ticket, give --to http:\/\/127\.0\.0\.2:9\/whip/],
    [{status: 307, headers: {location: '/again'}}, /answered 307/],
    [{status: 307}, /307 without a Location/],
  ])
    assert.match(await run(`${(await answers(a)).url}/whip`), why);
  assert.match(await run('http://127.0.0.1:1/whip'),
    /no server answers at http:\/\/127\.0\.0\.1:1\/whip; start one, or name it with --to$/m);

  // whoever answers is not who was promised, is not there, or takes no Opus
  const fronts = [
    [(sdp) => sdp.replace(/(a=fingerprint:sha-256 )(..)/, (all, head, byte) =>
      head + (byte === '00' ? '01' : '00')), /DTLS: the certificate is not the one of the server's answer/],
    [(sdp) => sdp.replace(/127\.0\.0\.1 \d+ typ/, '127.0.0.1 9 typ'),
      /none of the addresses in the server's answer has answered a check \(ICE\) within 10 s/],
    [(sdp) => sdp.replace(/a=candidate:.*\r\n/g, ''), /the server's answer names no address/],
    [(sdp) => sdp.replace(/^m=audio \d+/m, 'm=audio 0'), /cannot be used: .*switched off/],
  ];
  await Promise.all(fronts.map(async ([change, why], i) => {
    const front = await startFront(t, server, change);
    const text = await run(`${front.url}/whip/${APP}/room${i}/alice`,
      ['--ticket', 'env:T']);
    assert.match(text, why);
    // and the session that was made is not left behind
    const last = front.asked.at(-1);
    assert.equal(last.method, 'DELETE');
    assert.match(last.url, /^\/whip\/sessions\//);
    assert.match(last.headers.authorization, /^Bearer /);
  }));
  await until('the rooms are gone', async () =>
    (await server.ask(200, 'GET', '/v1/rooms')).rooms.length === 0);
}

/** A WHIP endpoint on werift behind a balancer, which takes this part in DTLS, only this
 *  profile of SRTP, and RED if asked to: {url, got (payloads by number), pc, asked}. */
async function startWerift(t, {role, profile, takesRed}) {
  const {RTCPeerConnection, RTCRtpCodecParameters} = werift;
  const codec = (mimeType, payloadType, parameters) => new RTCRtpCodecParameters(
    {mimeType, clockRate: 48000, channels: 2, payloadType, parameters});
  const red = takesRed ? [codec('audio/red', 63, '111/111')] : [];
  const pc = new RTCPeerConnection({iceServers: [], iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    codecs: {audio: [...red, codec('audio/opus', 111)]}});
  const got = new Map();
  pc.onTrack.subscribe((track) => track.onReceiveRtp.subscribe((packet) =>
    got.set(packet.header.sequenceNumber, Buffer.from(packet.payload))));
  const server = await startHttp(t, async (request, body) => {
    if (request.method === 'DELETE')
      return {status: 200};
    if (request.url === '/live/whip')
      return {status: 307, headers: {location: '/node/7'}};
    assert.equal(request.headers['content-type'], SDP);
    await pc.setRemoteDescription({type: 'offer', sdp: body});
    pc.dtlsTransports.forEach((d) => Object.assign(d, {role, srtpProfiles: [profile]}));
    await pc.setLocalDescription(await pc.createAnswer());
    return {status: 201, body: pc.localDescription.sdp,
      headers: {location: 'session/1', 'content-type': SDP}};
  });
  t.after(() => pc.close());
  return {url: `${server.url}/live/whip`, asked: server.asked, pc, got};
}

/** It takes the sound out of RED by itself, and what was lost with it.  Once more where
 *  the machine stood still: what was lost just before has no copy. */
async function toWerift(t, how, setup, said_where) {
  let peer, p;
  do {
    peer = await startWerift(t, how);
    p = await command(t, ['publish', SPEECH, '--via', 'whip', '--to', peer.url, '--ticket',
      'env:T', ...how.takesRed ? ['--loss-every', '10'] : []], {env: {T: 'whatever it wants'}});
    assert.equal(p.code, 0, p.text);
  } while (/held up here/.test(p.out));
  assert.match(peer.pc.localDescription.sdp, setup);
  assert.match(p.out, said_where);
  assert.match(p.out, how.takesRed ? / 28 lost/ : / in 286 packets/);
  const sent = oggPackets(SPEECH);
  // it may be read later than the end of who sent it
  await until('all has come', () => peer.got.size >= sent.length);
  const said = [...peer.got].sort(([a], [b]) => a - b).map(([, payload]) => payload);
  assert.equal(said.length, sent.length, p.out);
  said.forEach((payload, i) => assert.ok(payload.equals(sent[i]), `packet ${i}`));
  assert.ok(Math.min(...peer.got.keys()) < 32768, 'SRTP can tell how often numbers have wrapped');
  assert.deepEqual(peer.asked.map((a) => [a.method, a.url]),
    [['POST', '/live/whip'], ['POST', '/node/7'], ['DELETE', '/node/session/1']]);
  peer.asked.forEach((a) => assert.equal(a.headers.authorization, 'Bearer whatever it wants'));
}

describe('publish_whip', {concurrency: true}, () => {
  test('speech_is_recorded_as_it_was_said', (t) => inRealTime(t, speech));
  test('what_a_bad_network_takes_RED_gives_back', (t) => inRealTime(t, badNetwork));
  test('types_ids_and_streams_may_be_others', (t) => inRealTime(t, otherForm));
  test('who_is_interrupted_leaves_and_who_is_removed_is_told', interrupted);
  test('the_ticket_is_what_lets_it_in', tickets);
  test('what_goes_wrong_is_said_and_nothing_is_left_behind', faults);
  test('werift_hears_each_packet_when_it_waits_for_DTLS', {skip: noWerift},
    (t) => toWerift(t, {role: 'server', profile: 7}, /a=setup:passive/, / SRTP_AEAD_AES_128_GCM\)/));
  test('werift_hears_each_packet_when_it_begins_with_DTLS', {skip: noWerift},
    (t) => toWerift(t, {role: 'client', profile: 1, takesRed: true}, /a=setup:active/,
      / SRTP_AES128_CM_SHA1_80, RED\)/));
});
