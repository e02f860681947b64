// The gme dialect to the byte, checked by Node's crypto and by openssl.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {endpointAnswers, signGme, startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, KEY, STEADY, command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');

// Source: Tencent GME, "Recording Callback Description", 2025-08-26, section
// "Sample callback"; its keys, their order and types are what a backend gets.
const SAMPLE = `{
"BizID":1400000000,
"RoomID":"100",
"UserID":"999",
"TaskID":446946705284000000,
"RecordMode":1,
"Timestamp":1675930605,
"EventType":1,
"Detail":{
"SeqNo":0,
"FileName":"1400000000_100_999/2023-02-09-16-16-45_446946705284000000_audio.mp3"
}
}
`;
// The same in one line, and its signatures: computed with openssl.
const BODY = SAMPLE.replaceAll('\n', '');
const VECTOR = {
  key: 'test-secret-key',
  base64: 'EMTFXJmucWK6euDoP44qXaUF5u8=',
  hex: '10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef',
};

/** HMAC-SHA1 by the openssl program: hex. */
function opensslHmac(bytes, key) {
  const {status, stdout, stderr} = spawnSync('openssl',
    ['dgst', '-sha1', '-hmac', key, '-hex'], {input: bytes});
  assert.equal(status, 0, String(stderr));
  return /([0-9a-f]{40})\s*$/.exec(String(stdout))[1];
}

/** Names, order and types of an object, all the way down. */
const shape = (value) => value === null || typeof value !== 'object' ? typeof value
  : Object.entries(value).map(([k, v]) => [k, shape(v)]);

/** The body byte for byte; groups: TaskID, RecordMode, Timestamp, EventType,
 *  SeqNo, FileName. */
const EXACT = new RegExp('^\\{"BizID":1400000000,"RoomID":"100","UserID":"999",' +
  '"TaskID":([1-9]\\d*),"RecordMode":([01]),"Timestamp":([1-9]\\d*),"EventType":([123]),' +
  '"Detail":\\{"SeqNo":(\\d+),"FileName":"([^"\\\\]+)"\\}\\}$');

/** The local time of a zone, as in file names. */
function stamp(ms, offset_minutes) {
  return new Date(ms + offset_minutes * 60_000).toISOString().slice(0, 19)
    .replace(/[T:]/g, '-');
}

/** Record a bit of speech of one user; gives {task, segments}. */
async function speak(t, server, room, user, {n = 40} = {}) {
  const {port} = await server.join(room, user);
  const task = await server.record(room);
  const s = sendPackets(t, packets, port);
  await s.reached(n);
  s.stop();
  const segments = await server.finish(task);
  assert.ok(segments.length >= 1);
  return {task, segments};
}

describe('gme', {concurrency: true}, () => {
  test('the_sample_of_the_vendor_is_signed_and_verified_by_the_commands', async (t) => {
    const file = path.join(tempDir(t), 'body.json');
    fs.writeFileSync(file, BODY);
    assert.equal(BODY.length, 232);
    assert.equal(opensslHmac(BODY, VECTOR.key), VECTOR.hex);
    assert.equal(signGme(BODY, {key: VECTOR.key}), VECTOR.base64);
    const env = {TEST_KEY: VECTOR.key};
    const run = (...args) => command(t, [...args, '--dialect', 'gme', '--key',
      'env:TEST_KEY', file], {env});
    assert.deepEqual(await run('sign'),
      {code: 0, signal: null, out: `Signature: ${VECTOR.base64}\n`, text: ''});
    assert.deepEqual(await run('sign', '--encoding', 'hex'),
      {code: 0, signal: null, out: `Signature: ${VECTOR.hex}\n`, text: ''});
    for (const signature of [VECTOR.base64, VECTOR.hex, VECTOR.hex.toUpperCase()]) {
      const {code, out} = await run('verify', '--signature', signature);
      assert.deepEqual([code, out], [0, 'ok\n']);
    }
    for (const signature of [`F${VECTOR.base64.slice(1)}`, VECTOR.hex.replace('1', '2'),
      signGme(SAMPLE, {key: VECTOR.key}), signGme(BODY, {key: 'other'}), 'x', '']) {
      const {code, out, text} = await run('verify', `--signature=${signature}`);
      assert.equal(code, 1, signature);
      assert.equal(out, '');
      assert.match(text, /^tapeop verify: .+\n$/);
    }
  });

  test('callbacks_have_the_bytes_of_the_sample_and_a_signature_of_them', async (t) => {
    const [base64, hex, own] = await Promise.all([1, 2, 3].map(() => startEndpoint(t)));
    const server = await startServer(t, {recording: STEADY, callbacks: [
      {name: 'base64', url: `${base64.url}/recording?a=1`},
      {name: 'hex', url: hex.url, signature_encoding: 'hex'},
      {name: 'own', url: own.url, key: 'of-this-endpoint', events: ['uploaded']},
    ]});
    const {task, segments: [segment]} = await speak(t, server, '100', '999');
    await server.drained();

    assert.deepEqual([base64, hex, own].map((e) => e.requests.length), [3, 3, 1]);
    for (const [i, r] of base64.requests.entries()) {
      const text = r.raw.toString('utf8');
      assert.match(text, EXACT);
      const [, id, mode, time, type, seq, name] = EXACT.exec(text);
      assert.equal(id, task);
      assert.ok(BigInt(id) > 2n ** 53n && BigInt(id) % 64n === 0n);
      assert.equal(BigInt(Number(id)), BigInt(id), 'a double holds it');
      assert.deepEqual([mode, type, seq], ['0', String(i + 1), '0']);
      assert.ok(Math.abs(Number(time) * 1000 - r.at) < 60_000, 'in seconds, of now');
      assert.equal(name, segment.file);
      assert.deepEqual(shape(r.body), shape(JSON.parse(SAMPLE)));
      assert.equal(r.method, 'POST');
      assert.equal(r.url.pathname + r.url.search, '/recording?a=1');
      assert.equal(r.headers['content-type'], 'application/json');
      assert.equal(Number(r.headers['content-length']), r.raw.length);
      assert.equal(r.headers['transfer-encoding'], undefined);
      assert.equal(r.headers.expect, undefined);
    }
    for (const [endpoint, key, encoding] of [[base64, KEY, 'base64'], [hex, KEY, 'hex'],
      [own, 'of-this-endpoint', 'base64']]) {
      for (const {raw, headers} of endpoint.requests) {
        assert.equal(headers.signature, signGme(raw, {key, encoding}));
        assert.equal(headers.signature,
          Buffer.from(opensslHmac(raw, key), 'hex').toString(encoding));
        assert.match(headers.signature,
          encoding === 'hex' ? /^[0-9a-f]{40}$/ : /^[A-Za-z0-9+/]{27}=$/);
      }
    }
    assert.equal(own.requests[0].body.EventType, 3);
    assert.deepEqual(base64.requests.map((r) => r.headers['tapeop-attempt']), ['1', '1', '1']);
    const ids = base64.requests.map((r) => r.headers['tapeop-event-id']);
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(hex.requests.map((r) => r.headers['tapeop-event-id']), ids);
    await server.stop();
  });

  test('file_names_have_the_time_of_their_zone', async (t) => {
    await Promise.all([[undefined, 480], ['-03:30', -210]].map(async ([zone, minutes]) => {
      const server = await startServer(t,
        {recording: {...STEADY, segment: '1s', ...(zone && {file_time_zone: zone})}});
      const {task, segments} = await speak(t, server, '100', '999', {n: 120});
      assert.ok(segments.length >= 2);
      for (const s of segments)
        assert.equal(s.file, `1400000000_100_999/${stamp(s.start_ms, minutes)}_${task}_audio.mp3`);
      await server.stop();
    }));
  });

  test('ids_of_any_letters_come_back_as_they_were_given', async (t) => {
    const backend = await startEndpoint(t);
    const server = await startServer(t, {recording: STEADY,
      callbacks: [{name: 'b', url: backend.url}]});
    const odd = [['räum "7"', 'ünï\u{1F600}'], ['100%', 'a b+c&d=e'], ['0', "o'hara <b>"],
      ['.hidden', '..x'], ['u\u2028v', '日本'], ['r'.repeat(128), 'u'.repeat(128)]];
    await Promise.all(odd.map(([room, user]) => speak(t, server, room, user)));
    await server.drained();
    assert.equal(backend.requests.length, 3 * odd.length);
    for (const [room, user] of odd) {
      const mine = backend.requests.filter((r) => r.body.RoomID === room);
      assert.equal(mine.length, 3, room);
      for (const r of mine) {
        assert.equal(r.body.UserID, user);
        assert.equal(r.headers.signature, signGme(r.raw));
        assert.equal(Buffer.from(r.raw.toString('utf8'), 'utf8').equals(r.raw), true);
        const parts = r.body.Detail.FileName.split('/');
        assert.equal(parts.length, 2);
        assert.ok(parts.every((p) => /^[\x21-\x7e]+$/.test(p) && p !== '..' && p.length <= 255),
          r.body.Detail.FileName);
        if (r.body.EventType === 3)
          assert.ok(fs.existsSync(path.join(server.storage, r.body.Detail.FileName)));
      }
    }
    await server.stop();
  });

  test('an_attempt_that_is_repeated_differs_in_its_time_and_signature_only', async (t) => {
    const backend = await startEndpoint(t, (seen, response, n) =>
      endpointAnswers(n <= 3 ? 500 : 200)(seen, response));
    const server = await startServer(t, {recording: STEADY, callbacks: [
      {name: 'b', url: backend.url, retry: '1100ms,1100ms,1100ms', order: 'strict',
        timeout: '30s'}]});
    await speak(t, server, '100', '999');
    await server.drained();
    assert.deepEqual(backend.requests.map((r) => r.body.EventType), [1, 1, 1, 1, 2, 3]);
    const tries = backend.requests.slice(0, 4);
    const bare = tries.map((r) => r.raw.toString('utf8').replace(/"Timestamp":\d+/, ''));
    assert.equal(new Set(bare).size, 1, 'all else is the same bytes');
    const times = tries.map((r) => r.body.Timestamp);
    for (let i = 1; i < times.length; i++)
      assert.ok(times[i] > times[i - 1], `${times}`);
    assert.equal(new Set(tries.map((r) => r.headers.signature)).size, 4);
    for (const {raw, headers} of tries) {
      assert.equal(headers.signature, signGme(raw));
      assert.equal(Buffer.from(headers.signature, 'base64').toString('hex'),
        opensslHmac(raw, KEY));
    }
    assert.deepEqual(tries.map((r) => r.headers['tapeop-attempt']), ['1', '2', '3', '4']);
    assert.equal(new Set(tries.map((r) => r.headers['tapeop-event-id'])).size, 1);
    assert.equal(new Set(tries.map((r) => r.headers['tapeop-sequence'])).size, 1);
    await server.stop();
  });

  test('a_task_is_numbered_apart_from_all_others', async (t) => {
    const backend = await startEndpoint(t);
    const server = await startServer(t, {recording: STEADY,
      callbacks: [{name: 'b', url: backend.url}]});
    const all = await Promise.all(Array.from({length: 8}, (_, i) =>
      speak(t, server, `room ${i}`, 'me')));
    await until('each has its three', () => backend.requests.length === 24);
    const ids = backend.requests.map((r) => r.body.TaskID);
    assert.equal(new Set(ids).size, 8);
    assert.ok(all.every(({task}) => ids.includes(Number(task))));
    assert.ok(backend.requests.every((r) => r.body.BizID === APP));
    await server.stop();
  });
});
