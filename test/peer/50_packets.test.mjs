// What is not a packet of the sender is counted and changes nothing.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import {test} from 'node:test';

import {RATE, decode, level, oggPackets, sendPackets} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');

function rtp(seq, payload, {version = 2, type = 111, ssrc = 0x5eed, ts = seq * 960} = {}) {
  const head = Buffer.alloc(12);
  head[0] = version << 6;
  head[1] = type;
  head.writeUInt16BE(seq & 0xffff, 2);
  head.writeUInt32BE(ts >>> 0, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}

async function socket(t) {
  const s = dgram.createSocket('udp4');
  await new Promise((done) => s.bind(0, '127.0.0.1', done));
  t.after(() => s.close());
  return s;
}

test('foreign_and_broken_packets_are_counted_and_change_nothing', async (t) => {
  const server = await startServer(t);
  const {port} = await server.join('room', 'alice');
  const task = await server.record('room');
  const sending = sendPackets(t, speech, port);
  await until('the sender is latched', async () => (await server.metrics()).rtp_packets > 10);

  const stranger = await socket(t);
  const whole = rtp(7, speech[20]);
  const junk = [
    Buffer.alloc(0), Buffer.from([0x80]), Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(1500, 0xff), rtp(1, speech[0], {version: 1}), rtp(1, speech[0], {version: 0}),
    ...Array.from({length: whole.length}, (_, n) => whole.subarray(0, n)), whole,
  ];
  for (const p of junk) {
    stranger.send(p, port, '127.0.0.1');
    await new Promise((done) => setTimeout(done, 2));
  }
  const m = await until('all of them are counted', async () => {
    const now = await server.metrics();
    return now.rtp_stranger + now.rtp_bad >= junk.length - 1 && now; // 0 bytes may not count
  });
  assert.ok(m.rtp_stranger > 0);
  await until('a second more', () => sending.sent() > 150);
  sending.stop();
  const [segment, ...more] = await server.finish(task);
  assert.deepEqual(more, []);
  const pcm = await decode(server.file(segment));
  assert.ok(level(pcm, RATE, 2 * RATE) > 0.01, 'speech is in it');
  assert.equal((await server.metrics()).rtp_bad_opus, 0, 'none of them was decoded');
  await server.stop();
});

test('the_latched_sender_may_send_rubbish_too', async (t) => {
  const server = await startServer(t);
  const {port} = await server.join('room', 'alice');
  const task = await server.record('room');
  const s = await socket(t);
  const send = async (p) => {
    s.send(p, port, '127.0.0.1');
    await new Promise((done) => setTimeout(done, 5));
  };
  for (let i = 0; i < 50; i++)
    await send(rtp(i, speech[i]));
  await send(Buffer.alloc(100, 0x80));
  await send(rtp(50, Buffer.alloc(0)));
  await send(rtp(51, Buffer.from([0xff, 0xff, 0xff, 0xff]))); // no Opus packet
  await send(rtp(52, Buffer.alloc(1400, 0xaa)));
  await send(rtp(20, speech[20]));
  await send(rtp(53, speech[53], {ts: 0x7fffffff})); // a leap of 12 hours
  for (let i = 54; i < 120; i++)
    await send(rtp(i, speech[i]));
  const m = await until('they are counted', async () => {
    const now = await server.metrics();
    return now.rtp_bad_opus >= 1 && now.rtp_duplicate + now.rtp_late >= 1 && now;
  });
  assert.ok(m.rtp_packets > 100);
  const segments = await server.finish(task);
  assert.ok(segments[0].duration_ms < 60_000, 'nothing is made of a leap');
  await decode(server.file(segments[0]));
  await server.stop();
});

test('a_pinned_sender_is_the_only_one', async (t) => {
  const server = await startServer(t);
  const s = await socket(t);
  const other = await socket(t);
  const input = await server.join('room', 'alice',
    {source: `127.0.0.1:${s.address().port}`});
  for (let i = 0; i < 20; i++)
    other.send(rtp(i, speech[i]), input.port, '127.0.0.1');
  await until('strangers are counted', async () => (await server.metrics()).rtp_stranger === 20);
  for (let i = 0; i < 20; i++)
    s.send(rtp(i, speech[i]), input.port, '127.0.0.1');
  await until('the sender is heard', async () => (await server.metrics()).rtp_packets === 20);
  const now = await until('and shown', async () => {
    const in_ = await server.ask(200, 'GET', `/v1/inputs/${input.input_id}`);
    return in_.packets === 20 && in_;
  });
  assert.equal(now.sender, `127.0.0.1:${s.address().port}`);
  await server.stop();
});
