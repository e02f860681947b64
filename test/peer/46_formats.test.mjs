// Every format, live: Ogg Opus as it came and as a mix, and the MP3 presets.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, ffmpegSend, level, oggPackets, sendPackets, startRelay, tone,
  tool} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');
const sine = (t, hz, seconds, port) => ffmpegSend(t,
  ['-f', 'lavfi', '-i', `sine=${hz}:duration=${seconds}`, '-af', 'volume=4'], port);

async function probe(file) {
  const out = await tool('ffprobe', ['-v', 'error', '-show_entries',
    'stream=codec_name,sample_rate,channels:format=format_name,duration,bit_rate', '-of', 'json',
    file]);
  const {streams: [stream], format} = JSON.parse(out);
  return {codec: stream.codec_name, rate: Number(stream.sample_rate), name: format.format_name,
    duration_ms: Number(format.duration) * 1000, bit_s: Number(format.bit_rate)};
}

/** Where the packets `part` begin in `whole`, or -1. */
const placeOf = (whole, part) => whole.findIndex((_, at) =>
  part.every((p, i) => whole[at + i]?.equals(p)));

describe('formats', {concurrency: true}, () => {
  testInRealTime('ogg_keeps_the_packets_of_a_speaker_as_they_came', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'a');
    const task = await server.record('room', {format: 'ogg'});
    const s = sendPackets(t, speech, port);
    await s.reached(200);
    s.stop();
    await until('all have come', async () => (await server.metrics()).rtp_packets >= s.sent());
    const [segment] = await server.finish(task);
    const m = await server.metrics();
    assert.match(segment.file, /_audio\.ogg$/);
    assert.equal(m.frames_decoded, 0, 'nothing was decoded');
    const {codec, name, duration_ms} = await probe(server.file(segment));
    assert.deepEqual([codec, name], ['opus', 'ogg']);
    assert.ok(Math.abs(duration_ms - segment.duration_ms) < 25,
      `${duration_ms} of ${segment.duration_ms} ms`);
    const packets = oggPackets(server.file(segment));
    const sent = Array.from({length: 190}, (_, i) => speech[i % speech.length]);
    assert.notEqual(placeOf(packets, sent), -1, 'what was sent is in the file, whole');
    await server.stop();
  });

  testInRealTime('ogg_has_a_packet_that_makes_up_for_each_that_is_lost', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'a');
    const relay = await startRelay(t, port, (n) => (n % 20 === 19 ? [] : [0]));
    const task = await server.record('room', {format: 'ogg'});
    const s = sendPackets(t, speech, relay.port);
    await s.reached(300);
    s.stop();
    await until('all have come', async () =>
      (await server.metrics()).rtp_packets >= s.sent() - relay.dropped);
    const [segment] = await server.finish(task);
    // the last one that is lost may have nothing behind it
    const {rtp_lost} = await server.metrics();
    assert.ok(rtp_lost === relay.dropped || rtp_lost === relay.dropped - 1);
    const {duration_ms} = await probe(server.file(segment));
    // it ends with the last packet, or with the mic: never short
    assert.ok(duration_ms > 5900 && Math.abs(duration_ms - segment.duration_ms) < 25);
    const packets = oggPackets(server.file(segment));
    const at = placeOf(packets, speech.slice(0, 19));
    assert.notEqual(at, -1);
    for (let i = 0; i < 280; i++) {
      const p = packets[at + i];
      if (i % 20 === 19)
        assert.ok(p.length <= 3, `packet ${i} has no data`);
      else
        assert.ok(p.equals(speech[i % speech.length]), `packet ${i} is as it was sent`);
    }
    await server.stop();
  });

  testInRealTime('ogg_segments_follow_each_other_without_a_gap', async (t) => {
    const server = await startServer(t, {recording: {segment: '2s', format: 'ogg'}});
    const {port} = await server.join('room', 'a');
    const task = await server.record('room', {mode: 'both'});
    await sine(t, 440, 7, port).done;
    const segments = await server.finish(task);
    for (const user of ['a', '0']) {
      const mine = segments.filter((x) => x.user === user);
      assert.ok(mine.length >= 4);
      const pcm = [];
      for (const [i, x] of mine.entries()) {
        assert.match(x.file, /_audio\.ogg$/);
        if (i)
          assert.ok(Math.abs(x.start_ms - mine[i - 1].start_ms - mine[i - 1].duration_ms) <= 1);
        pcm.push(await decode(server.file(x)));
        assert.ok(Math.abs(pcm.at(-1).length * 1000 / RATE - x.duration_ms) <= 1,
          `${user} ${i}: ${pcm.at(-1).length * 1000 / RATE} of ${x.duration_ms} ms`);
      }
      // two that follow each other, put together: the tone goes on
      for (let i = 1; i < mine.length - 2; i++) {
        const [a, b] = [pcm[i], pcm[i + 1]];
        const seam = new Int16Array(RATE / 2);
        seam.set(a.subarray(a.length - RATE / 4));
        seam.set(b.subarray(0, RATE / 4), RATE / 4);
        assert.ok(level(seam) > 0.05);
        // drift is followed by up to 0.07 %: 0.3 Hz
        const near = Array.from({length: 13}, (_, k) => 439.7 + k * 0.05);
        const {share} = tone(seam, near);
        assert.ok(share > 0.99, `${user} ${i}: ${share} of the seam is the tone`);
      }
    }
    await server.stop();
  });

  testInRealTime('mp3_presets_have_their_rate_and_length', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'a');
    const presets = [[48000, 64000], [24000, 48000], [16000, 32000]];
    const tasks = [];
    for (const [sample_rate] of presets)
      tasks.push(await server.record('room', {mode: 'both', sample_rate}));
    await sine(t, 440, 3, port).done;
    for (const [i, [rate, bit_s]] of presets.entries()) {
      const segments = await server.finish(tasks[i]);
      assert.equal(segments.length, 2);
      for (const s of segments) {
        const p = await probe(server.file(s));
        assert.deepEqual([p.codec, p.rate], ['mp3', rate]);
        assert.ok(Math.abs(p.bit_s - bit_s) < 100, `${p.bit_s} bit/s`);
        const pcm = await decode(server.file(s));
        assert.ok(Math.abs(pcm.length * 1000 / RATE - s.duration_ms) < 2);
        assert.ok(tone(pcm, [330, 440], 0, pcm.length).hz === 440);
      }
    }
    await server.stop();
  });

  testInRealTime('kill_9_leaves_an_ogg_file_that_plays_and_the_task_goes_on', async (t) => {
    const server = await startServer(t);
    const {port} = await server.join('room', 'a');
    const task = await server.record('room', {mode: 'both', format: 'ogg'});
    const s = sendPackets(t, speech, port);
    await until('both are recorded', async () => (await server.segments(task))
      .filter((x) => x.state === 'recording').length === 2);
    await sleep(4000);
    await server.kill();
    await server.start();
    await sleep(3000);
    s.stop();
    const segments = await server.finish(task);
    for (const user of ['a', '0']) {
      const mine = segments.filter((x) => x.user === user);
      assert.deepEqual(mine.map((x) => [x.seq, x.state]), [[0, 'closed'], [1, 'closed']]);
      assert.ok(mine[0].duration_ms > 1500, `${mine[0].duration_ms} ms before the kill`);
      for (const x of mine) {
        const {duration_ms} = await probe(server.file(x));
        assert.ok(Math.abs(duration_ms - x.duration_ms) < 25);
        assert.ok(level(await decode(server.file(x))) > 0.005);
      }
    }
    await server.stop();
  });
});
