// test/aid/truth.mjs -- after whatever happened: is anything lost, or twice?
// SPDX-License-Identifier: Apache-2.0
//
// Looks from outside: at the callbacks as they came, at the files on the disk,
// at the rows with the sqlite3 tool, at the API and the metrics.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import {eventKey, signGme} from './endpoint.mjs';
import {tool} from './sound.mjs';
import {APP, until} from './tapeop.mjs';

export function filesBelow(dir) {
  if (!fs.existsSync(dir))
    return [];
  return fs.readdirSync(dir, {recursive: true, withFileTypes: true})
    .filter((e) => e.isFile())
    .map((e) => path.relative(dir, path.join(e.parentPath ?? e.path, e.name)))
    .sort();
}

/** A query with the sqlite3 tool: rows as objects. */
export async function sql(server, text) {
  const out = await tool('sqlite3', ['-json', '-readonly',
    path.join(server.data, 'tapeop.db'), text]);
  return out.length ? JSON.parse(out) : [];
}

/** The gme callbacks of a task, the first of each event, in order of arrival;
 *  repeats must be the same event but for the time of sending. */
export function firstCallbacks(requests, task) {
  const first = new Map();
  for (const r of requests) {
    if (!r.body || r.body.TaskID !== Number(task)) // no bit is lost
      continue;
    assert.equal(r.headers.signature, signGme(r.raw));
    const key = eventKey(r);
    const id = r.headers['tapeop-event-id'];
    const seen = first.get(key);
    if (!seen) {
      first.set(key, r);
      continue;
    }
    assert.equal(id, seen.headers['tapeop-event-id'], `${key} has two ids`);
    assert.deepEqual({...r.body, Timestamp: 0}, {...seen.body, Timestamp: 0});
  }
  return [...first.values()];
}

/** Each live event of a task once, in the order of its life, each under one id:
 *  307 a file, 308 at most once a file, of the others one of each. */
function checkLive(live, task, segments) {
  const first = new Map();
  for (const r of live.requests) {
    if (r.body?.EventInfo?.TaskId !== task)
      continue;
    const id = r.headers['tapeop-event-id'];
    const seen = first.get(id) ?? r;
    assert.deepEqual({...r.body, CallbackTs: 0}, {...seen.body, CallbackTs: 0});
    first.set(id, seen);
  }
  const told = [...first.values()];
  const types = told.map((r) => r.body.EventType);
  assert.deepEqual(types.filter((type) => type !== 307 && type !== 308),
    [301, 303, 302, 305, 310]);
  assert.deepEqual(told.filter((r) => r.body.EventType === 307)
    .map((r) => r.body.EventInfo.Payload.FileName).sort(), segments.map((s) => s.file).sort());
  assert.ok(types.lastIndexOf(307) < types.indexOf(302));
  assert.ok(types.filter((type) => type === 308).length <= segments.length);
}

const isManifest = (file) => /_\d+_manifest\.json$/.test(file);

/** In the folder of each track lies the manifest, which tells of the same
 *  segments as the API. */
export function checkManifest(server, task, segments) {
  const found = filesBelow(server.storage)
    .filter((f) => f.endsWith(`_${task}_manifest.json`));
  const facts = (s) => [s.user, s.seq, s.file, s.state, s.size, s.sha256];
  assert.deepEqual(found.map((f) => path.dirname(f)),
    [...new Set(segments.map((s) => path.dirname(s.file)))].sort());
  for (const file of found) {
    const manifest = JSON.parse(fs.readFileSync(path.join(server.storage, file)));
    assert.equal(manifest.task_id, task);
    assert.deepEqual(manifest.segments.map(facts), segments.map(facts));
  }
}

/** started n, completed n, started n+1, ..: each once, in order, for a user. */
function checkOrder(user, callbacks) {
  const told = callbacks.filter((r) => r.body.UserID === user && r.body.EventType < 3);
  const seqs = [];
  for (let i = 0; i < told.length; i += 2) {
    const [a, b] = [told[i], told[i + 1]];
    assert.equal(a.body.EventType, 1, `${user}: a completed without its started`);
    assert.ok(b, `${user}: started ${a.body.Detail.SeqNo} has no completed`);
    assert.equal(b.body.EventType, 2);
    assert.deepEqual(b.body.Detail, a.body.Detail);
    seqs.push(a.body.Detail.SeqNo);
  }
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b), `${user}: SeqNos in order`);
  assert.equal(new Set(seqs).size, seqs.length);
  return seqs;
}

async function checkFile(server, s) {
  const file = server.file(s);
  const bytes = fs.readFileSync(file);
  assert.equal(bytes.length, s.size, file);
  assert.equal(crypto.createHash('sha256').update(bytes).digest('hex'), s.sha256, file);
  assert.equal(bytes.length % 192, 0, 'whole frames');
  assert.equal(s.duration_ms, bytes.length / 192 * 24);
  // ffmpeg says on stderr what it does not like; -xerror makes it fail of it
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-xerror', '-i', file, '-f', 'null', '-']);
}

/**
 * Everything that must hold once a task is finished and all is delivered.
 *
 * live         the endpoint that is told of it in dialect live, if there is one
 * lost         how many segments may have been lost (their files were taken)
 * quarantined  how many files without a row are expected
 *
 * Gives {segments, callbacks, seqs (by user)}.
 */
export async function checkTruth(server, endpoint, task,
  {live, lost = 0, quarantined = 0} = {}) {
  await until(`task ${task} is finished`,
    async () => (await server.task(task)).finished_ms);
  const metrics = await server.drained();
  const segments = await server.segments(task);
  const callbacks = firstCallbacks(endpoint.requests, task);

  assert.equal(metrics.deliveries_in, metrics.deliveries_delivered +
    metrics.deliveries_pending + metrics.deliveries_dead + metrics.deliveries_expired);
  assert.equal(segments.filter((s) => s.state === 'lost').length, lost);
  const seqs = {};
  for (const user of new Set(segments.map((s) => s.user))) {
    seqs[user] = checkOrder(user, callbacks);
    assert.deepEqual(seqs[user],
      segments.filter((s) => s.user === user).map((s) => s.seq));
  }
  const closed = segments.filter((s) => s.state !== 'lost');
  for (const s of closed) {
    assert.equal(s.state, 'closed');
    assert.ok(s.uploaded);
    await checkFile(server, s);
    assert.equal(callbacks.filter((r) => r.body.EventType === 3 &&
      r.body.UserID === s.user && r.body.Detail.SeqNo === s.seq).length, 1);
  }
  assert.equal(callbacks.length, 3 * closed.length + 2 * lost);
  const sequence = callbacks.map((r) => Number(r.headers['tapeop-sequence']));
  assert.deepEqual(sequence, [...sequence].sort((a, b) => a - b), 'the lane in order');
  if (live)
    checkLive(live, task, segments);
  checkManifest(server, task, segments);
  await until('the spool is empty', () =>
    filesBelow(path.join(server.data, 'spool')).length === 0);
  assert.equal(filesBelow(path.join(server.data, 'quarantine')).length, quarantined);
  assert.deepEqual(filesBelow(server.storage).filter((f) => f.includes(`_${task}_`) && !isManifest(f)),
    closed.map((s) => s.file).sort());
  const stored = filesBelow(server.storage);
  const known = new Set((await sql(server, 'SELECT file_name f FROM segment')).map((r) => r.f));
  assert.deepEqual(stored.filter((f) => !known.has(f) && !isManifest(f)),
    [], 'no file without a row');
  assert.deepEqual(await sql(server, 'PRAGMA integrity_check'), [{integrity_check: 'ok'}]);
  return {segments, callbacks, seqs};
}
