// What the console asks for: requests and signatures, answers, waveforms.
// SPDX-License-Identifier: Apache-2.0
//
// Signatures are checked with Node's crypto, against what really came.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import {LIVE_OK, startEndpoint} from '../aid/endpoint.mjs';
import {isProblem} from '../aid/http.mjs';
import {s3Storage, startStore, whyNoStore} from '../aid/s3.mjs';
import {RATE, decode, oggPackets, sendPackets, tool} from '../aid/sound.mjs';
import {APP, KEY, STEADY, startServer, until} from '../aid/tapeop.mjs';

const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';

/** What `signature` says must come out, by the dialect. */
const signs = {
  live: (base) => crypto.createHash('sha256').update(KEY + base).digest('hex'),
  trtc: (base) => crypto.createHmac('sha256', KEY).update(base).digest('base64'),
  standard: (base) => `v1,${crypto.createHmac('sha256',
    Buffer.from(SECRET.slice(6), 'base64')).update(base).digest('base64')}`,
};

test('a_delivery_shows_what_was_sent_signed_and_answered', async (t) => {
  const endpoints = {};
  for (const dialect of Object.keys(signs)) {
    endpoints[dialect] = await startEndpoint(t, (seen, response, n) => {
      response.writeHead(n === 1 ? 500 : 200);
      response.end(n === 1 ? '{"oh":\n"no \u0007\u{1f4a5}"}' : JSON.stringify(LIVE_OK));
    });
  }
  const server = await startServer(t, {callbacks: Object.entries(endpoints).map(
    ([dialect, {url}]) => ({name: dialect, url: `${url}?own=${KEY}`, dialect, retry: '10ms',
      events: ['task_started'], key: dialect === 'standard' ? SECRET : KEY}))});
  await server.join('r', 'u');
  const task = await server.record('r');
  await server.drained();
  const {deliveries} = await server.ask(200, 'GET', `/v1/deliveries?task=${task}`);
  assert.equal(deliveries.length, 3);
  for (const {delivery_id, endpoint: dialect} of deliveries) {
    const shown = await server.ask(200, 'GET', `/v1/deliveries/${delivery_id}`);
    const [first, second] = endpoints[dialect].requests;
    const {request, attempts_log: log} = shown;
    assert.ok(!JSON.stringify(shown).includes(KEY), 'no secret is shown');
    assert.deepEqual(log.map((a) => [a.n, a.status, a.answer]),
      [[1, 500, '{"oh": "no ?\u{1f4a5}"}'], [2, 200, JSON.stringify(LIVE_OK)]]);
    assert.ok(log[0].at_ms <= first.at && log[1].at_ms >= log[0].at_ms);
    assert.equal(request.attempt, 2);
    assert.equal(request.sent, true);
    assert.equal(request.method, second.method);
    assert.equal(request.body, second.raw.toString(), `${dialect}: byte for byte`);
    for (const [name, value] of Object.entries(request.headers))
      assert.equal(second.headers[name.toLowerCase()], value, `${dialect}: ${name}`);
    const {signature} = request;
    assert.equal(signs[dialect](signature.base), signature.value, dialect);
    const sent = dialect === 'live' ? second.url.searchParams.get('Sign')
      : second.headers[signature.where.replace('header ', '').toLowerCase()];
    assert.equal(signature.value, sent, dialect);
    const [where, own] = request.url.split('?...');
    assert.equal(where, endpoints[dialect].url);
    assert.equal(`?own=${KEY}${own}`, second.url.search);
  }
  const [{delivered_last_minute: n}] = (await server.ask(200, 'GET', '/v1/endpoints')).endpoints;
  assert.equal(n, 1);
});

test('a_delivery_that_waits_shows_what_would_be_sent', async (t) => {
  const server = await startServer(t, {callbacks: [{name: 'off', url: 'http://127.0.0.1:9/',
    dialect: 'live', key: '', enabled: true, events: ['task_started']}]});
  await server.join('r', 'u');
  const [endpoint] = (await server.ask(200, 'GET', '/v1/endpoints')).endpoints;
  assert.equal(endpoint.delivered_last_minute, 0);
  await server.record('r');
  const [{delivery_id}] = await until('there is a delivery', async () => {
    const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries');
    return deliveries.length && deliveries;
  });
  const shown = await server.ask(200, 'GET', `/v1/deliveries/${delivery_id}`);
  assert.equal(shown.request.signature, null, 'it has no key');
  assert.equal(JSON.parse(shown.request.body).EventType, 301);
  assert.match(shown.request.url, new RegExp(`SdkAppid=${APP}&`));
});

// ---- waveforms ---------------------------------------------------------------------

const speech = oggPackets('assets/demo/alice.opus');

const waveform = (server, segment, status = 200) =>
  server.ask(status, 'GET', `/v1/segments/${segment.segment_id}/waveform`);

/** Is it that of the file, as ffmpeg decodes it? */
async function isWaveOf(file, {bucket_ms, peaks}, what) {
  const pcm = await decode(file);
  const n = bucket_ms * RATE / 1000;
  const loudest = (i) => {
    let peak = 0;
    for (const v of pcm.subarray(Math.max(0, i * n), Math.max(0, (i + 1) * n)))
      peak = Math.max(peak, Math.abs(v));
    return peak / 32768 * 255;
  };
  assert.equal(bucket_ms, 10);
  assert.ok(Math.abs(peaks.length - pcm.length / n) < 8, `${what}: ${peaks.length} of ${pcm.length / n}`);
  assert.ok(Math.max(...peaks) > 30, `${what}: somebody speaks`);
  for (const [i, peak] of peaks.entries()) {
    // a codec moves what is loud a little, in time and in height
    const near = [-3, -2, -1, 0, 1, 2, 3].map((k) => loudest(i + k));
    assert.ok(peak >= Math.min(...near) - 25 && peak <= Math.max(...near) + 25,
      `${what}: ${i} is ${peak}, the file has ${near}`);
  }
}

/** Alice speaks for so many packets: the task, still running. */
async function speak(t, server, room, format, n = 100) {
  const input = await server.join(room, 'alice');
  const task = await server.record(room, {format});
  const sending = sendPackets(t, speech, input.port);
  await sending.reached(n);
  return {task, sending};
}

test('a_waveform_is_that_of_the_file_whoever_encoded_it', async (t) => {
  const server = await startServer(t, {recording: STEADY});
  for (const [room, format] of [['a', 'mp3'], ['b', 'ogg']]) {
    const {task, sending} = await speak(t, server, room, format);
    const [open] = await until('a file is open', () => server.segments(task)
      .then((s) => s[0]?.state === 'recording' && s));
    assert.match((await waveform(server, open, 409)).detail, /no finished file/);
    const [segment] = await server.finish(task);
    sending.stop();
    await until('it is stored', async () => /^[1-9]/.test(await tool('sqlite3', ['-readonly',
      path.join(server.data, 'tapeop.db'),
      `SELECT count(*) FROM wave WHERE segment=${segment.segment_id}`])));
    // nobody has asked yet, and now there is no file to make it of
    const file = path.join(server.dir, `kept.${format}`);
    fs.renameSync(server.file(segment), file);
    const wave = await waveform(server, segment);
    assert.equal(wave.segment_id, segment.segment_id);
    await isWaveOf(file, wave, format);
    await server.kill();
    await server.start();
    assert.deepEqual(await waveform(server, segment), wave);
    await server.ask(200, 'DELETE', `/v1/recordings?task=${task}`);
    isProblem(await server.api('GET', `/v1/segments/${segment.segment_id}/waveform`), 404,
      {field: 'segment'});
  }
});

test('a_file_that_a_crash_has_left_gets_its_waveform', async (t) => {
  const server = await startServer(t, {recording: STEADY});
  const tasks = [];
  for (const [room, format] of [['a', 'mp3'], ['b', 'ogg']])
    tasks.push(await speak(t, server, room, format, 150));
  await server.kill();
  tasks.forEach(({sending}) => sending.stop());
  await server.start();
  for (const {task} of tasks) {
    const [segment] = await server.finish(task);
    assert.equal(segment.state, 'closed');
    await isWaveOf(server.file(segment), await waveform(server, segment), segment.file);
  }
});

/** As of before there were any. */
const forgetWaves = (server) =>
  tool('sqlite3', [path.join(server.data, 'tapeop.db'), 'DELETE FROM wave']);

test('a_file_that_cannot_be_read_has_no_waveform', async (t) => {
  const server = await startServer(t, {recording: STEADY});
  const {task, sending} = await speak(t, server, 'a', 'mp3');
  const [segment] = await server.finish(task);
  sending.stop();
  await server.stop();
  await forgetWaves(server);
  await server.start();
  const good = await waveform(server, segment);
  await isWaveOf(server.file(segment), good, 'made when asked for');
  await server.stop();
  await forgetWaves(server);
  await server.start();
  const bytes = fs.readFileSync(server.file(segment));
  fs.rmSync(server.file(segment));
  assert.match((await waveform(server, segment, 404)).detail, /No such file/);
  fs.writeFileSync(server.file(segment), 'this is no sound, it is a letter');
  assert.match((await waveform(server, segment, 404)).detail, /waveform/);
  fs.writeFileSync(server.file(segment), bytes);
  assert.deepEqual(await waveform(server, segment), good);
});

test('a_file_that_is_in_a_bucket_has_its_waveform', {skip: whyNoStore() ?? false}, async (t) => {
  const store = await startStore(t);
  const server = await startServer(t, {recording: STEADY, file_storage: s3Storage(store.url)});
  for (const [room, format] of [['a', 'mp3'], ['b', 'ogg']]) {
    const {task, sending} = await speak(t, server, room, format);
    const [segment] = await server.finish(task);
    sending.stop();
    assert.equal(segment.uploaded, true);
    const wave = await until('its waveform', async () => {
      const r = await server.api('GET', `/v1/segments/${segment.segment_id}/waveform`);
      return r.status === 200 && r.json;
    });
    const file = path.join(server.dir, `kept.${format}`);
    const audio = await server.api('GET', `/v1/segments/${segment.segment_id}/audio`);
    assert.equal(audio.status, 200);
    fs.writeFileSync(file, Buffer.from(await (await fetch(
      `${server.url}/v1/segments/${segment.segment_id}/audio`)).arrayBuffer()));
    await isWaveOf(file, wave, format);
    await until('nothing is left in the spool', () =>
      !fs.readdirSync(path.join(server.data, 'spool'), {recursive: true}).some((f) =>
        f.endsWith(`.${format}`)));
  }
});

test('a_crash_behind_the_upload_costs_no_waveform', {skip: whyNoStore() ?? false}, async (t) => {
  const store = await startStore(t);
  const server = await startServer(t, {recording: STEADY, file_storage: s3Storage(store.url),
    env: {TAPEOP_CRASH_AT: 'segment.uploaded'}});
  const {task, sending} = await speak(t, server, 'a', 'ogg');
  await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
  await server.proc.exit;
  sending.stop();
  await server.start({TAPEOP_CRASH_AT: ''});
  const [segment] = await server.finish(task);
  assert.equal(segment.uploaded, true);
  await until('its waveform', async () => (await server.api('GET',
    `/v1/segments/${segment.segment_id}/waveform`)).status === 200);
  await until('nothing is left in the spool', () => !fs.readdirSync(
    path.join(server.data, 'spool'), {recursive: true}).some((f) => f.endsWith('.ogg')));
});
