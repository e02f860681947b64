// Recordings that were kept for as long as they were to be: files, objects and rows go.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {commandsAt} from '../aid/lines.mjs';
import {checkBucket, s3Storage, startProxy, startStore, whyNoStore} from '../aid/s3.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, background, startServer, until} from '../aid/tapeop.mjs';
import {checkManifest, checkTruth, filesBelow, sql} from '../aid/truth.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const OTHER = APP + 1;

/** Files of a task that are closed. */
const closed = async (server, task) =>
  (await server.segments(task)).filter((s) => s.state === 'closed');

async function join(t, server, room, app = APP) {
  const input = await server.ask(201, 'POST', `/v1/apps/${app}/rooms/${room}/inputs`,
    {user: 'alice', kind: 'rtp'});
  sendPackets(t, packets, input.port);
}

/** Three files of a second; still running. */
async function record(server, room, app = APP) {
  const {task_id: task} = await server.ask(201, 'POST', `/v1/apps/${app}/rooms/${room}/tasks`,
    {mode: 'single'});
  await until('it has three files', async () => (await closed(server, task)).length >= 3);
  return task;
}

/** Change recording.* of the first app, and read the file again. */
async function setRecording(server, change) {
  const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
  Object.assign(config.apps[0].recording, change);
  fs.writeFileSync(server.config, JSON.stringify(config));
  const before = server.proc.text.length;
  server.proc.child.kill('SIGHUP');
  await until('it has read the file again', () =>
    /reload: app \d+ changed/.test(server.proc.text.slice(before)));
}

/** So many looks have begun and ended from now on. */
async function looks(server, n = 1) {
  const from = (await server.metrics()).retention_looks;
  await until('retention has looked', async () =>
    (await server.metrics()).retention_looks > from + n);
}

const isGone = (server, task) => until(`task ${task} is gone`, async () =>
  (await server.api('GET', `/v1/tasks/${task}`)).status === 404);

async function checkTotals(server) {
  const m = await server.metrics();
  assert.equal(m.deliveries_in, m.deliveries_delivered + m.deliveries_pending +
    m.deliveries_dead + m.deliveries_expired);
  return m;
}

/** No table has a row of it. */
async function checkRows(server, task) {
  for (const [table, column] of [['task', 'id'], ['segment', 'task'], ['track', 'task'],
    ['event', 'task'], ['delivery', 'lane']])
    assert.deepEqual(await sql(server, `SELECT * FROM ${table} WHERE ${column}=${task}`), []);
  assert.deepEqual(await sql(server, 'SELECT * FROM attempt WHERE delivery NOT IN ' +
    '(SELECT id FROM delivery)'), []);
}

test('what_was_kept_long_enough_goes_and_nothing_else', async (t) => {
  const endpoint = await startEndpoint(t);
  const recording = {segment: '1s'};
  const server = await startServer(t, {recording,
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme', timeout: '2s',
      retry: Array(32).fill('2s').join()}],
    more_apps: [{id: OTHER, secret_key: 'other', recording: {...recording,
      keep: '30d', keep_history: '30d'}}]});
  await join(t, server, 'one');
  await join(t, server, 'two');
  await join(t, server, 'away');
  await join(t, server, 'kept', OTHER);

  const [told, kept] = await Promise.all([record(server, 'one'),
    record(server, 'kept', OTHER)]);
  const [keptFiles] = await Promise.all([server.finish(kept), server.finish(told)]);
  await server.drained();
  await checkTruth(server, endpoint, told);
  // the endpoint is down: one is finished, and nobody has been told; one goes on
  endpoint.answer = endpointAnswers(503);
  const [untold, running] = await Promise.all([record(server, 'away'),
    record(server, 'two')]);
  const untoldFiles = await server.finish(untold);
  const [{segment_id: segment}] = await server.segments(told);
  const before = await server.metrics();
  assert.equal(before.retention_segments + before.retention_rows, 0);

  await setRecording(server, {keep: '1s', keep_history: '1s'});
  await isGone(server, told);
  await looks(server, 2);
  assert.deepEqual(await server.segments(untold), untoldFiles);
  checkManifest(server, untold, untoldFiles);
  for (const s of [...untoldFiles, ...keptFiles])
    assert.equal(fs.statSync(server.file(s)).size, s.size);
  for (const s of await closed(server, running))
    assert.equal(fs.statSync(server.file(s)).size, s.size);
  assert.ok((await closed(server, running)).length >= 3);
  await checkRows(server, told);
  assert.deepEqual(filesBelow(server.storage).filter((f) => f.includes(told)), []);
  assert.deepEqual(fs.readdirSync(server.storage).filter((f) => f.includes('_one_')), []);
  assert.equal((await server.api('GET', `/v1/segments/${segment}/audio`)).status, 404);
  assert.ok((await checkTotals(server)).retention_segments >= 3);
  assert.match(server.proc.text, new RegExp(`retention task=${told} segments=\\d+ bytes=\\d+`));

  // who comes back with a cursor before that is told so, once; from 0 nobody is
  const listener = background(t, ['listen', '--from', '1', '--server', server.url]);
  await until('it is told', () => /events are missing/.test(listener.text) &&
    / segment\.started /.test(listener.out));
  const fromStart = background(t, ['listen', '--from', 'start', '--server', server.url]);
  await until('it has what is left', () => / segment\.started /.test(fromStart.out));
  assert.doesNotMatch(fromStart.text, /missing/);
  assert.equal(listener.text.match(/events are missing/g).length, 1);

  // told at last, and then it goes
  endpoint.answer = endpointAnswers(200);
  const {endpoints: [{endpoint_id: backend}]} = await server.ask(200, 'GET', '/v1/endpoints');
  const tried = await server.ask(200, 'POST', `/v1/endpoints/${backend}/test`);
  assert.ok(tried.delivered); // its breaker is closed, or would rest for 30 s
  await isGone(server, untold);
  const ids = new Set(endpoint.requests.filter((r) => r.body.TaskID === Number(untold) &&
    r.body.EventType === 3).map((r) => r.headers['tapeop-event-id']));
  assert.equal(ids.size, untoldFiles.length, 'each was told as uploaded');
  await checkRows(server, untold);
  await server.finish(running);
  await isGone(server, running);
  await checkRows(server, running);
  await checkTotals(server);
  assert.deepEqual(await server.segments(kept), keptFiles);
  checkManifest(server, kept, keptFiles);
  assert.deepEqual(filesBelow(server.storage).filter((f) => !f.includes(kept)), []);
  assert.deepEqual(filesBelow(path.join(server.data, 'quarantine')), []);
  const out = await commandsAt(t, server.url)('status');
  assert.match(out, /^retention {2}\d+ files \(.+\) and \d+ rows went since the start/m);
  await server.stop();
});

test('history_goes_and_the_files_stay_to_be_heard', async (t) => {
  const endpoint = await startEndpoint(t);
  const server = await startServer(t, {recording: {segment: '1s', keep_history: '1s'},
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}]});
  await join(t, server, 'one');
  const task = await record(server, 'one');
  const segments = await server.finish(task);
  await until('its events are gone', async () =>
    !(await sql(server, `SELECT id FROM event WHERE task=${task}`)).length);
  await looks(server, 2);
  assert.deepEqual(await server.segments(task), segments);
  checkManifest(server, task, segments);
  for (const s of segments) {
    const sound = await fetch(`${server.url}/v1/segments/${s.segment_id}/audio`);
    assert.equal((await sound.arrayBuffer()).byteLength, s.size);
  }
  const {deliveries} = await server.ask(200, 'GET', `/v1/deliveries?task=${task}`);
  assert.deepEqual(deliveries, []);
  await checkTotals(server);
  // when they are erased, the task goes, too
  await server.ask(200, 'DELETE', `/v1/recordings?task=${task}`);
  await isGone(server, task);
  await checkRows(server, task);
  await server.stop();
});

describe('of a bucket', {skip: whyNoStore() ?? false}, () => {
  test('objects_go_when_they_were_stored_and_told_and_kept', async (t) => {
    const store = await startStore(t);
    const proxy = await startProxy(t, store);
    const endpoint = await startEndpoint(t);
    const server = await startServer(t, {recording: {segment: '1s'},
      file_storage: {...s3Storage(proxy.url), left_after: '1s'},
      callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}]});
    await join(t, server, 'one');
    await join(t, server, 'two');
    const first = await record(server, 'one');
    await server.finish(first);
    await checkBucket(server, store, endpoint, first);
    // the store is away: what is not there is not looked at, however old
    proxy.rule = () => ({status: 503, code: 'SlowDown'});
    const waiting = await record(server, 'two');
    await server.ask(200, 'DELETE', `/v1/tasks/${waiting}`);
    await until('it waits', async () =>
      (await server.segments(waiting)).every((s) => s.reason === 'store_busy'));
    await setRecording(server, {keep: '1s', keep_history: '1s'});
    await until('the first cannot be removed', async () =>
      (await server.metrics()).retention_failed >= 2);
    assert.match(server.proc.text, /warn.* retention: .*DELETE/);
    const spool = filesBelow(path.join(server.data, 'spool'));
    const left = await server.segments(waiting);
    assert.deepEqual(spool.filter((f) => f.endsWith('.mp3')), left.map((s) => s.file).sort());
    assert.ok((await server.task(first)).finished_ms);
    assert.ok((await server.segments(first)).every((s) => s.state === 'erasing'));

    proxy.rule = () => undefined;
    await isGone(server, first);
    await isGone(server, waiting);
    assert.deepEqual(await store.keys(), []);
    await checkRows(server, first);
    await checkRows(server, waiting);
    const ids = new Set(endpoint.requests.filter((r) => r.body.TaskID === Number(waiting) &&
      r.body.EventType === 3).map((r) => r.headers['tapeop-event-id']));
    assert.equal(ids.size, left.length, 'each was told as uploaded');
    assert.deepEqual(filesBelow(path.join(server.data, 'spool')), []);
    assert.deepEqual(filesBelow(path.join(server.data, 'quarantine')), []);
    assert.deepEqual(proxy.unsigned, []);
    await checkTotals(server);
    await server.stop();
  });
});
