// Microphones that go off and on, told by each of the three signals, and pauses
// that are none: what of it splits a file, in both modes.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import {describe} from 'node:test';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, level, oggPackets} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');
const silence = Buffer.from([0xf8, 0xff, 0xfe]);
const LEVEL_EXT = 3;
const [TALK, OFF] = [100, 300]; // packets of 20 ms: 2 s, 6 s

/** An RTP packet; level [-dBov] goes into a header extension (RFC 6464). */
function packet(payload, seq, ts, level_dbov) {
  const head = Buffer.alloc(level_dbov === undefined ? 12 : 20);
  head[0] = level_dbov === undefined ? 0x80 : 0x90;
  head[1] = 111;
  head.writeUInt16BE(seq & 0xffff, 2);
  head.writeUInt32BE(ts >>> 0, 4);
  head.writeUInt32BE(7, 8);
  if (level_dbov !== undefined) {
    head.writeUInt16BE(0xbede, 12);
    head.writeUInt16BE(1, 14);
    head[16] = LEVEL_EXT << 4;
    head[17] = level_dbov;
  }
  return Buffer.concat([head, payload]);
}

/**
 * What is sent in step n of 20 ms: a packet or nothing; `seq` counts packets.
 * Talk, then OFF steps of something else, then talk.
 */
const talks = (n) => n < TALK || n >= TALK + OFF;
const speak = (n, seq, ts = n * 960, level_dbov) =>
  packet(speech[n % speech.length], seq, ts, level_dbov);
const senders = {
  // -127 dBov all the while
  level: (n, seq) => (talks(n) ? speak(n, seq, n * 960, 30) : packet(silence, seq, n * 960, 127)),
  // nothing at all; RTP time goes on
  packets: (n, seq) => (talks(n) ? speak(n, seq) : null),
  // the voice system says so (below); it sends on
  api: (n, seq) => speak(n, seq),
  // DTX: a packet each 400 ms
  dtx: (n, seq) => (talks(n) ? speak(n, seq) :
    n % 20 === 0 ? packet(Buffer.from([0xf8]), seq, n * 960) : null),
  // the track was replaced by nothing: number and time stand still
  frozen: (n, seq) => (talks(n) ? speak(n, seq, seq * 960) : null),
};

/** Send by the clock until all is sent. */
function send(t, port, make, at = {}) {
  const socket = dgram.createSocket('udp4');
  t.after(() => socket.close());
  const began = performance.now();
  let [n, seq] = [0, 0];
  return new Promise((done, failed) => {
    const timer = setInterval(() => {
      for (; n <= (performance.now() - began) / 20; n++) {
        if (n === 2 * TALK + OFF) {
          clearInterval(timer);
          done();
          return;
        }
        at[n]?.().catch(failed);
        const bytes = make(n, seq);
        if (bytes) {
          socket.send(bytes, port, '127.0.0.1');
          seq++;
        }
      }
    }, 5);
    t.after(() => clearInterval(timer));
  });
}

async function record(t, mic_off) {
  const server = await startServer(t, {recording: {mic_off}});
  const inputs = {};
  for (const user of Object.keys(senders))
    inputs[user] = await server.join('room', user, {audio_level_ext: LEVEL_EXT});
  const task = await server.record('room', {mode: 'both'});
  const mic = (on) => () =>
    server.ask(200, 'PATCH', `/v1/inputs/${inputs.api.input_id}`, {mic: on ? 'on' : 'off'});
  await Promise.all(Object.entries(senders).map(([user, make]) => send(t, inputs[user].port, make,
    user === 'api' ? {[TALK]: mic(false), [TALK + OFF]: mic(true)} : {})));
  await until('all have come', async () => (await server.metrics()).rtp_packets > 0);
  const segments = await server.finish(task);
  const files = {};
  for (const s of segments)
    (files[s.user] ??= []).push({...s, pcm: await decode(server.file(s))});
  await server.stop();
  return files;
}

/** It is heard at its beginning and its end. */
function isHeard({pcm, user}) {
  assert.ok(level(pcm, 0, RATE) > 0.005, `${user} is heard at the beginning`);
  assert.ok(level(pcm, pcm.length - 1.5 * RATE) > 0.005, `${user} is heard at the end`);
}

const whole_ms = (2 * TALK + OFF) * 20;

function isOneFile(files, user) {
  assert.equal(files[user].length, 1, `${user} has one file`);
  const [f] = files[user];
  // a file of silence mode begins with the task and ends with it
  assert.ok(f.duration_ms > whole_ms - 100, `${user}: ${f.duration_ms} of ${whole_ms} ms`);
  const middle = f.pcm.length - (TALK + OFF / 2) * 20 * RATE / 1000;
  assert.ok(level(f.pcm, middle - RATE, middle + RATE) < 0.001, `${user} is silent in between`);
  assert.ok(level(f.pcm, f.pcm.length - 1.5 * RATE) > 0.005, `${user} is heard at the end`);
}

describe('microphones', {concurrency: true}, () => {
  testInRealTime('split_ends_a_file_for_each_signal_and_for_nothing_else', async (t) => {
    const files = await record(t, 'split');
    for (const user of ['level', 'packets', 'api', 'frozen']) {
      assert.deepEqual(files[user].map((f) => f.seq), [0, 1], `${user} has two files`);
      const [a, b] = files[user];
      files[user].forEach(isHeard);
      assert.ok(a.duration_ms > TALK * 20 - 150 && a.duration_ms < TALK * 20 + 400,
        `${user}: the first has ${a.duration_ms} ms`);
      const gap = b.start_ms - a.start_ms - a.duration_ms;
      assert.ok(Math.abs(gap - OFF * 20) < 500, `${user}: ${gap} ms between them`);
    }
    assert.equal(files.dtx.length, 1, 'a pause under DTX splits nothing');
    assert.ok(Math.abs(files.dtx[0].duration_ms - whole_ms) < 400);
    assert.equal(files['0'].length, 1, 'a mix is not split');
  });

  testInRealTime('silence_keeps_one_file_of_the_right_length', async (t) => {
    const files = await record(t, 'silence');
    for (const user of Object.keys(senders))
      isOneFile(files, user);
    assert.equal(files['0'].length, 1);
    const [mix] = files['0'];
    assert.ok(mix.duration_ms > whole_ms - 100);
  });
});
