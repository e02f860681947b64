// Several people in a room: who comes late, leaves, moves, is not wanted.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, envelope, ffmpegSend, level, oggPackets, onset, rtpPacket, sendPackets,
  tone} from '../aid/sound.mjs';
import {STEADY, rtpRange, startServer, until} from '../aid/tapeop.mjs';

const TONES = [330, 440, 550, 660, 770];
const packets = oggPackets('assets/demo/alice.opus');

const sine = (t, hz, seconds, port) => ffmpegSend(t,
  ['-f', 'lavfi', '-i', `sine=${hz}:duration=${seconds}`, '-af', 'volume=4'], port);

const byUser = (segments, user) => segments.filter((s) => s.user === user);

/** Send these packets from this local port, 20 ms apart by their numbers; with
 *  `fresh` each from a socket that is closed at once, so that the port is
 *  closed to whatever comes back. */
async function sendFrom(local, port, from, to, {ssrc = 0x5eed, fresh = false} = {}) {
  const open = async () => {
    const socket = dgram.createSocket('udp4');
    socket.on('error', () => {});
    await new Promise((done) => socket.bind(local, '127.0.0.1', done));
    return socket;
  };
  const close = (socket) => new Promise((done) => socket.close(done));
  const began = Date.now();
  let socket = fresh ? null : await open();
  for (let n = from; n < to; n++) {
    await sleep(Math.max(0, began + (n - from) * 20 - Date.now()));
    if (fresh)
      socket = await open();
    await new Promise((done) => socket.send(rtpPacket(packets[n % packets.length], n, {ssrc}),
      port, '127.0.0.1', done));
    if (fresh)
      await close(socket);
  }
  if (!fresh)
    await close(socket);
}

/** The longest stretch without any sound [ms]. */
function longestSilence(pcm) {
  let [longest, now] = [0, 0];
  for (const x of envelope(pcm)) {
    now = x < 0.0005 ? now + 10 : 0;
    longest = Math.max(longest, now);
  }
  return longest;
}

/** A UDP port that nobody else is given. */
const freePort = async () => Number((await rtpRange()).split('-')[0]);

/** The counters, once so many packets have come, whoever sent them. */
const counted = (server, n) => until(`${n} packets are counted`, async () => {
  const m = await server.metrics();
  return m.rtp_packets + m.rtp_stranger >= n && m;
});

describe('rooms', {concurrency: true}, () => {
  test('five_at_once_and_one_who_joins_late_get_a_file_each_with_only_their_voice', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    await server.join('room', 'listener'); // never says anything: no file
    const task = await server.record('room');
    const early = await Promise.all(TONES.slice(0, 4).map(async (hz) =>
      sine(t, hz, 3, (await server.join('room', `u${hz}`)).port)));
    await until('the early are recorded', async () =>
      (await server.segments(task)).filter((s) => s.state === 'recording').length === 4);
    const joined_ms = Date.now();
    const late = sine(t, TONES[4], 2, (await server.join('room', `u${TONES[4]}`)).port);
    await Promise.all([...early, late].map((s) => s.done));
    const segments = await server.finish(task);
    assert.deepEqual(segments.map((s) => s.user).sort(), TONES.map((hz) => `u${hz}`));
    for (const s of segments) {
      const pcm = await decode(server.file(s));
      const {hz, share} = tone(pcm, TONES, RATE, 1.25 * RATE);
      assert.equal(`u${hz}`, s.user);
      assert.ok(share > 0.9, `${s.user}: only ${share} of the power is theirs`);
      assert.equal(s.seq, 0);
      assert.equal(s.mode, 'single');
    }
    const [last] = byUser(segments, `u${TONES[4]}`);
    assert.ok(last.start_ms >= joined_ms - 100, 'it starts when the first packet came');
    assert.ok(last.start_ms < joined_ms + 5000 + last.duration_ms);
    assert.ok(segments.every((s) => s === last || s.start_ms < last.start_ms));
    await server.stop();
  });

  test('who_leaves_and_comes_back_has_two_files_and_nobody_else_is_cut', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const stayer = await server.join('room', 'stays');
    const task = await server.record('room');
    const stays = sine(t, 440, 5, stayer.port);
    const first = await server.join('room', 'leaver');
    const s1 = sine(t, 550, 1.5, first.port);
    await s1.done;
    await server.ask(200, 'DELETE', `/v1/inputs/${first.input_id}`);
    await until('the file is closed at once', async () =>
      byUser(await server.segments(task), 'leaver')[0]?.state === 'closed');
    const left_ms = Date.now();
    const second = await server.join('room', 'leaver');
    assert.notEqual(second.input_id, first.input_id);
    await sine(t, 660, 1.5, second.port).done;
    await stays.done;
    const segments = await server.finish(task);
    assert.equal(byUser(segments, 'stays').length, 1);
    const mine = byUser(segments, 'leaver');
    assert.deepEqual(mine.map((s) => s.seq), [0, 1]);
    assert.notEqual(mine[0].file, mine[1].file);
    assert.ok(mine[1].start_ms >= left_ms - 100);
    assert.equal(tone(await decode(server.file(mine[0])), TONES).hz, 550);
    assert.equal(tone(await decode(server.file(mine[1])), TONES).hz, 660);
    await server.stop();
  });

  test('lists_say_who_is_recorded_and_may_change_while_people_speak', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const join = (room) => Promise.all(['a', 'b', 'c'].map((user) => server.join(room, user)));
    const inputs = [...await join('only'), ...await join('but')];
    const only = await server.record('only', {subscribe: ['a']});
    const but = await server.record('but', {unsubscribe: ['a']});
    const all = inputs.map(({port}, i) => sine(t, TONES[i % 3], 6, port));
    const recording = async (task) => (await server.segments(task))
      .filter((s) => s.state === 'recording').map((s) => s.user).sort().join();
    await until('a alone', async () => await recording(only) === 'a');
    await until('all but a', async () => await recording(but) === 'b,c');
    await server.ask(200, 'PATCH', `/v1/tasks/${only}`, {subscribe: ['b', 'c']});
    await server.ask(200, 'PATCH', `/v1/tasks/${but}`, {unsubscribe: []});
    await until('b and c now', async () => await recording(only) === 'b,c');
    await until('everybody now', async () => await recording(but) === 'a,b,c');
    await Promise.all(all.map((s) => s.done));
    for (const task of [only, but]) {
      const segments = await server.finish(task);
      assert.deepEqual(segments.map((s) => s.user).sort(), ['a', 'b', 'c']);
      for (const s of segments)
        assert.equal(tone(await decode(server.file(s)), TONES).hz,
          TONES['abc'.indexOf(s.user)], s.user);
    }
    await server.stop();
  });

  test('a_sender_whose_port_is_closed_to_answers_is_recorded_to_its_end', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const {port} = await server.join('room', 'me');
    const task = await server.record('room');
    await sendFrom(await freePort(), port, 0, 100, {fresh: true});
    const segments = await server.finish(task);
    assert.equal(segments.length, 1);
    assert.ok(segments[0].duration_ms >= 1500, `${segments[0].duration_ms} ms`);
    assert.ok(level(await decode(server.file(segments[0]))) > 0.02);
    const m = await counted(server, 100);
    assert.equal(m.rtp_packets, 100);
    assert.equal(m.rtp_lost + m.rtp_stranger + m.rtp_bad, 0);
    await server.stop();
  });

  testInRealTime('a_sender_that_comes_back_from_another_port_takes_over_after_three_seconds',
    async (t) => {
      const server = await startServer(t, {recording: {mic_off: 'silence'}});
      const {port, input_id} = await server.join('room', 'me');
      const task = await server.record('room');
      const began = Date.now();
      await sendFrom(await freePort(), port, 0, 50);
      // at once, from elsewhere: a stranger
      await sendFrom(await freePort(), port, 50, 60, {ssrc: 7});
      const before = await until('all are counted', async () => {
        const m = await server.metrics();
        return m.rtp_stranger + m.rtp_packets === 60 && m;
      });
      assert.ok(before.rtp_stranger > 0);
      // a second one goes on, and is heard once the first was silent for 3 s
      const second = await freePort();
      let n = 60;
      await until('it has taken over', async () => {
        await sendFrom(second, port, n, n += 5, {ssrc: 8});
        return (await server.metrics()).rtp_packets > before.rtp_packets;
      });
      await sendFrom(second, port, n, n + 50, {ssrc: 8});
      const wall = Date.now() - began;
      assert.ok(wall > 3000);
      const segments = await server.finish(task);
      assert.equal(segments.length, 1, 'one file goes on');
      const pcm = await decode(server.file(segments[0]));
      const long = pcm.length * 1000 / RATE;
      assert.ok(long > 3900 && long < wall + 2000, `${long} ms of ${wall} ms`);
      const first = onset(pcm); // the file begins with the task
      assert.ok(first >= 0 && level(pcm, first, first + RATE / 2) > 0.01, 'the first is heard');
      assert.ok(level(pcm, pcm.length - 1.2 * RATE) > 0.01, 'so is the second');
      assert.ok(longestSilence(pcm.subarray(first)) > 2500, 'silence between');
      const m = await counted(server, n + 50);
      assert.equal(m.rtp_packets + m.rtp_stranger, n + 50);
      await until('its new address is shown', async () =>
        (await server.ask(200, 'GET', `/v1/inputs/${input_id}`)).sender === `127.0.0.1:${second}`);
      await server.stop();
    });

  test('a_source_that_is_pinned_is_the_only_one_that_is_heard', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const mine = await freePort();
    const {port} = await server.join('room', 'me', {source: `127.0.0.1:${mine}`});
    const task = await server.record('room');
    await sendFrom(await freePort(), port, 0, 20, {ssrc: 3}); // first, but not it
    await sendFrom(mine, port, 0, 50);
    const segments = await server.finish(task);
    assert.equal(segments.length, 1);
    const m = await counted(server, 70);
    assert.equal(m.rtp_stranger, 20);
    assert.equal(m.rtp_packets, 50);
    await server.stop();
  });

  test('a_microphone_that_the_api_switches_off_ends_the_file_and_on_begins_one', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const {port, input_id} = await server.join('room', 'me');
    const task = await server.record('room');
    const s = sendPackets(t, packets, port);
    const state = (n, what) => until(`file ${n} is ${what}`, async () =>
      (await server.segments(task))[n]?.state === what);
    await state(0, 'recording');
    assert.equal((await server.ask(200, 'PATCH', `/v1/inputs/${input_id}`, {mic: 'off'})).mic,
      'disabled');
    await state(0, 'closed');
    await s.reached(s.sent() + 25); // it still sends; nobody listens
    assert.equal((await server.segments(task)).length, 1);
    await server.ask(200, 'PATCH', `/v1/inputs/${input_id}`, {mic: 'on'});
    await state(1, 'recording');
    s.stop();
    const segments = await server.finish(task);
    assert.deepEqual(segments.map((x) => x.seq), [0, 1]);
    assert.ok(segments[1].start_ms >= segments[0].start_ms + segments[0].duration_ms + 400);
    await server.stop();
  });
});
