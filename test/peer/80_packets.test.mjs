// Datagrams that are no sound, from whoever: counted, and nobody is harmed.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, level, likeness, oggPackets, rtpPacket, sendPackets} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const SPEECH = 'assets/demo/alice.opus';
const packets = oggPackets(SPEECH);

/** A socket that throws anything at a port. */
async function thrower(t) {
  const socket = dgram.createSocket('udp4');
  socket.on('error', () => {});
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  t.after(() => socket.close());
  return (bytes, port) => new Promise((done) =>
    socket.send(bytes, 0, bytes.length, port, '127.0.0.1', done));
}

const set = (packet, at, value) => {
  const copy = Buffer.from(packet);
  copy[at] = value;
  return copy;
};

const good = rtpPacket(packets[10], 100);

/** What nobody should send: by the counter that counts it. */
const rubbish = {
  rtp_bad: {
    'nothing at all': Buffer.alloc(0),
    'one byte': Buffer.from([0x80]),
    'half a header': good.subarray(0, 11),
    'version 0': set(good, 0, 0x00),
    'version 1': set(good, 0, 0x40),
    'version 3': set(good, 0, 0xc0),
    'list of sources that is not there': set(good.subarray(0, 20), 0, 0x8f),
    'extension that is not there': set(good.subarray(0, 13), 0, 0x90),
    'extension longer than the packet': Buffer.concat([set(good.subarray(0, 12), 0, 0x90),
      Buffer.from([0xbe, 0xde, 0xff, 0xff, 1, 2, 3, 4])]),
    'padding longer than the packet': set(set(good, 0, 0xa0), good.length - 1, 0xff),
    'padding of no bytes': set(set(good, 0, 0xa0), good.length - 1, 0),
    'a line of HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    'STUN': Buffer.from('000100002112a442000102030405060708090a0b', 'hex'),
    'DTLS': Buffer.from('16fefd0000000000000000', 'hex'),
  },
  rtp_bad_opus: {
    'no payload': good.subarray(0, 12),
    'G.711': rtpPacket(Buffer.alloc(160, 0x55), 100, {type: 0}),
    'comfort noise': rtpPacket(Buffer.from([0x40]), 100, {type: 13}),
    'type 95': rtpPacket(packets[0], 100, {type: 95}),
    'more frames than fit 120 ms': rtpPacket(Buffer.from([0x1b, 0x3f, 1, 2]), 100),
    'a count of no frames': rtpPacket(Buffer.from([0x03, 0x00]), 100),
    'a payload over the limit': rtpPacket(Buffer.alloc(1600, 0xfc), 100),
  },
  udp_too_long: {
    '60 KiB of zeros': Buffer.alloc(60 * 1024),
    '2 KiB and a byte': Buffer.concat([good, Buffer.alloc(2049 - good.length)]),
  },
  rtcp_packets: {
    'sender report': Buffer.concat([Buffer.from('80c80006', 'hex'), Buffer.alloc(24)]),
    'goodbye': Buffer.from('81cb000100005eed', 'hex'),
  },
};

describe('packets', {concurrency: true}, () => {
  test('what_is_no_sound_is_counted_by_its_kind_and_latches_nobody', async (t) => {
    const server = await startServer(t);
    const {port, input_id} = await server.join('room', 'me');
    const task = await server.record('room');
    const send = await thrower(t);
    for (const [counter, cases] of Object.entries(rubbish)) {
      for (const [name, bytes] of Object.entries(cases)) {
        const before = await server.metrics();
        await send(bytes, port);
        const after = await until(`${name} is counted`, async () => {
          const m = await server.metrics();
          return m[counter] > before[counter] && m;
        });
        for (const other of [...Object.keys(rubbish), 'rtp_packets', 'rtp_stranger'])
          assert.equal(after[other], before[other] + (other === counter), `${name}: ${other}`);
      }
    }
    const {sender, mic} = await server.ask(200, 'GET', `/v1/inputs/${input_id}`);
    assert.equal(sender, null);
    assert.equal(mic, 'off');
    assert.deepEqual(await server.finish(task), [], 'no file was made of it');
    await server.stop();
  });

  testInRealTime('a_recording_is_not_harmed_by_rubbish_and_strangers', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'me');
    const task = await server.record('room');
    const s = sendPackets(t, packets, port);
    await until('it is heard', async () => (await server.metrics()).rtp_packets > 0);
    const send = await thrower(t);
    const bad = Object.values(rubbish.rtp_bad);
    let thrown = 0;
    let strange = 0;
    while (s.sent() < 200) {
      for (let i = 0; i < 5; i++, thrown++)
        await send(bad[thrown % bad.length], port);
      for (let i = 0; i < 5; i++, strange++) // the right SSRC and numbers, another voice
        await send(rtpPacket(packets[120], s.sent() + i), port);
      await s.reached(s.sent() + 2);
    }
    s.stop();
    const segments = await server.finish(task);
    assert.equal(segments.length, 1);
    const m = await until('all is counted', async () => {
      const now = await server.metrics();
      return now.rtp_packets === s.sent() && now.rtp_bad === thrown &&
        now.rtp_stranger === strange && now;
    });
    assert.equal(m.rtp_lost, 0);
    assert.equal(m.rtp_duplicate, 0);
    const pcm = await decode(server.file(segments[0]));
    const said = (await decode(SPEECH)).subarray(0, s.sent() * RATE / 50);
    const {share, lag_ms} = likeness(said, pcm);
    assert.ok(share > 0.9 && Math.abs(lag_ms) <= 100, `${share} alike at ${lag_ms} ms`);
    assert.ok(pcm.length > (s.sent() * 20 - 100) * RATE / 1000);
    await server.stop();
  });

  test('each_payload_type_from_96_to_127_is_taken', async (t) => {
    // one file each, also where the senders stand still for a while
    const server = await startServer(t, {recording: {mic_off_after: '1h'}});
    const types = Array.from({length: 32}, (_, i) => 96 + i);
    const inputs = await Promise.all(types.map((type) => server.join('room', `u${type}`)));
    const task = await server.record('room');
    const senders = types.map((type, i) => sendPackets(t, packets, inputs[i].port, {type}));
    await Promise.all(senders.map((s) => s.reached(75)));
    senders.forEach((s) => s.stop());
    const segments = await server.finish(task);
    assert.deepEqual(segments.map((s) => s.user).sort(), types.map((type) => `u${type}`).sort());
    const sent = senders.reduce((sum, s) => sum + s.sent(), 0);
    const m = await until('all have come', async () => {
      const now = await server.metrics();
      return now.rtp_packets >= sent && now;
    });
    assert.equal(m.rtp_packets, sent);
    assert.equal(m.rtp_bad + m.rtp_bad_opus + m.rtp_lost + m.rtp_stranger, 0);
    for (const s of [segments[0], segments.at(-1)])
      assert.ok(level(await decode(server.file(s))) > 0.01, s.user);
    await server.stop();
  });

  test('a_change_of_type_in_a_run_is_not_sound', async (t) => {
    // e.g. telephone-event between the packets of a voice
    const server = await startServer(t);
    const {port} = await server.join('room', 'me');
    const task = await server.record('room');
    const send = await thrower(t);
    for (let n = 0; n < 60; n++)
      await send(rtpPacket(n % 6 === 5 ? Buffer.from([1, 0x8a, 3, 0x20]) : packets[n], n,
        {type: n % 6 === 5 ? 101 : 111}), port);
    await until('all is counted', async () => (await server.metrics()).rtp_bad_opus === 10);
    const segments = await server.finish(task);
    assert.equal(segments.length, 1);
    assert.equal((await server.metrics()).rtp_packets, 50);
    await server.stop();
  });

  test('no_packet_that_was_cut_short_is_taken_for_another', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'me');
    const send = await thrower(t);
    for (let n = 0; n < good.length; n++)
      await send(good.subarray(0, n), port);
    const m = await until('all are counted', async () => {
      const now = await server.metrics();
      return now.rtp_bad + now.rtp_bad_opus + now.rtp_packets + now.rtp_duplicate +
        now.rtp_late >= good.length && now;
    });
    assert.equal(m.rtp_bad, 12, 'without a whole header');
    assert.ok(m.rtp_bad_opus >= 1, 'without a payload');
    await server.stop();
  });

  testInRealTime('the_right_sender_may_leap_too_and_nothing_is_made_of_it', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'me');
    const task = await server.record('room');
    const send = await thrower(t);
    const leap = (n, ts, seq = n) => {
      const p = rtpPacket(packets[n], n);
      p.writeUInt16BE(seq & 0xffff, 2);
      p.writeUInt32BE(ts >>> 0, 4);
      return p;
    };
    const began_ms = Date.now();
    for (let n = 0; n < 120; n++) {
      await sleep(Math.max(0, began_ms + 20 * n - Date.now()));
      if (n === 50)
        await send(leap(50, 0x7fffffff), port); // half a day ahead
      else if (n === 51)
        await send(leap(51, 51 * 960, 40000), port); // a number far off, alone
      else
        await send(rtpPacket(packets[n], n), port);
      if (n === 52)
        await send(leap(20, 20 * 960), port); // one of before
    }
    const m = await until('they are counted', async () => {
      const now = await server.metrics();
      return now.rtp_duplicate + now.rtp_late >= 1 && now.rtp_packets >= 119 && now;
    });
    assert.equal(m.rtp_bad_opus, 0);
    const segments = await server.finish(task);
    const wall_ms = Date.now() - began_ms;
    const long = segments.reduce((sum, s) => sum + s.duration_ms, 0);
    assert.ok(long >= 2000 && long < wall_ms + 1000, `${long} ms in ${wall_ms} ms`);
    for (const s of segments)
      await decode(server.file(s));
    await server.stop();
  });

  test('random_bytes_in_masses_are_survived_and_counted', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'me');
    const task = await server.record('room');
    const send = await thrower(t);
    const sum = (m) => m.rtp_bad + m.rtp_bad_opus + m.rtcp_packets + m.rtp_packets +
      m.rtp_stranger + m.rtp_late;
    for (let i = 0; i < 2000; i++) {
      const bytes = crypto.randomBytes(crypto.randomInt(0, 1400));
      if (bytes.length && i % 2)
        bytes[0] = 0x80; // a header that could be one
      if (bytes.length > 1 && i % 4 === 3)
        bytes[1] = 111;
      await send(bytes, port);
      if (i % 50 === 49) // not faster than the socket's buffer is emptied
        await until('all are counted', async () => sum(await server.metrics()) >= i + 1);
    }
    await server.finish(task);
    const s = sendPackets(t, packets, (await server.join('next', 'me')).port);
    const next = await server.record('next');
    await s.reached(75);
    s.stop();
    const segments = await server.finish(next);
    assert.ok(level(await decode(server.file(segments[0]))) > 0.02);
    await server.stop();
  });
});
