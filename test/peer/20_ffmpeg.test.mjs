// ffmpeg speaks RTP/Opus: tone, place and length of what was recorded.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import {BEEPS, beepsFile, checkBeeps, checkSpeech, inputsOf,
  recordOne} from '../aid/beeps.mjs';
import {inRealTime, testInRealTime} from '../aid/calm.mjs';
import {ffmpegSend, startRelay} from '../aid/sound.mjs';
import {startServer} from '../aid/tapeop.mjs';

const SPEECH = 'assets/demo/alice.opus';
const SPEECH_MS = 4000;

const forms = [2.5, 5, 10, 20, 40, 60].map((frame_ms, i) => ({
  frame_ms, channels: 1 + i % 2, type: [96, 97, 100, 111, 126, 127][i]}));

describe('ffmpeg', {concurrency: true}, () => {
  testInRealTime('what_ffmpeg_sends_is_recorded_at_its_pitch_place_and_length', async (t) => {
    const server = await startServer(t, {recording: {mic_off_after: '3s'}});
    const [mono, stereo] = await Promise.all([beepsFile(t, 1), beepsFile(t, 2)]);
    const send = ({frame_ms, channels, type}) => (port) =>
      ffmpegSend(t, ['-i', channels === 1 ? mono : stereo], port,
        ['-b:a', '64k', '-frame_duration', String(frame_ms), '-ac', String(channels),
          '-payload_type', String(type)]);
    const all = await Promise.all(forms.map((form) =>
      recordOne(server, `frames of ${form.frame_ms}`, send(form))));
    const inputs = await inputsOf(server);
    for (const [i, {frame_ms, channels, type}] of forms.entries())
      await t.part(`${frame_ms} ms, ${channels} channels, type ${type}`, () => {
        checkBeeps(all[i]);
        const {packets, lost} = inputs[all[i].input_id];
        assert.ok(Math.abs(packets * frame_ms - BEEPS.all) <= 2 * frame_ms + 10);
        assert.equal(lost, 0);
      });
    const m = await server.metrics();
    assert.equal(m.inputs, forms.length);
    assert.equal(m.segments_closed, forms.length);
    assert.equal(m.segments_open, 0);
    for (const none of ['rtp_bad', 'rtp_bad_opus', 'rtp_lost', 'rtp_stranger',
      'rtp_ring_full', 'frames_concealed'])
      assert.equal(m[none], 0, none);
    await server.stop();
  });

  test('speech_and_a_bad_network', {concurrency: true}, async (t) => {
    const server = await startServer(t, {recording: {mic_off_after: '3s'}});
    const beeps = await beepsFile(t);

    const parts = [];
    const part = (name, run) => parts.push(t.test(name, (t) => inRealTime(t, run)));
    part('speech_is_recorded_word_for_word', async (t) => {
      const r = await recordOne(server, 'speech', (port) =>
        ffmpegSend(t, ['-t', String(SPEECH_MS / 1000), '-i', SPEECH], port));
      await checkSpeech(r, SPEECH, SPEECH_MS);
    });

    part('speech_that_is_passed_on_as_it_was_encoded_is_the_same', async (t) => {
      const r = await recordOne(server, 'copied', (port) =>
        ffmpegSend(t, ['-t', String(SPEECH_MS / 1000), '-i', SPEECH], port, ['-c:a', 'copy']));
      await checkSpeech(r, SPEECH, SPEECH_MS);
    });

    part('speech_is_understood_over_loss_with_the_length_right', async (t) => {
      let relay;
      const r = await recordOne(server, 'speech, lost', async (port) => {
        relay = await startRelay(t, port, (n) => n % 10 === 3 ? [] : [0]);
        return ffmpegSend(t, ['-t', String(SPEECH_MS / 1000), '-i', SPEECH], relay.port,
          ['-application', 'voip']);
      });
      assert.ok(relay.dropped >= 15);
      await checkSpeech(r, SPEECH, SPEECH_MS);
    });

    part('lost_doubled_and_reordered_packets_are_counted_and_filled', async (t) => {
      // A server of its own, for its counters.
      const server = await startServer(t, {recording: {mic_off_after: '3s'}});
      let relay;
      const r = await recordOne(server, 'room', async (port) => {
        relay = await startRelay(t, port, (n) =>
          n % 10 === 3 || n % 50 === 14 ? [] : // also two in a row
            n % 10 === 5 ? [0, 0] : n % 10 === 7 ? [70] : n % 40 === 9 ? [0, 90] : [0]);
        return ffmpegSend(t, ['-i', beeps], relay.port);
      });
      checkBeeps(r, {share: 0.7});
      const m = await server.metrics();
      assert.ok(relay.dropped > 10 && relay.doubled > 10 && relay.delayed > 10);
      assert.equal(m.rtp_lost, relay.dropped);
      assert.equal((await inputsOf(server))[r.input_id].lost, relay.dropped);
      assert.equal(m.rtp_duplicate, relay.doubled);
      // delayed by less than the window is not late; a slow start may be
      assert.ok(m.rtp_late < relay.delayed / 2, `${m.rtp_late} late`);
      assert.equal(m.rtp_packets, relay.sent - relay.dropped + relay.doubled);
      assert.ok(m.frames_concealed > 0.8 * relay.dropped * 960);
      assert.ok(m.frames_concealed <= relay.dropped * 960);
      await server.stop();
    });

    part('many_packets_lost_in_a_row_are_silence_of_their_length', async (t) => {
      const server = await startServer(t, {recording: {mic_off_after: '3s'}});
      let relay;
      const r = await recordOne(server, 'room', async (port) => {
        relay = await startRelay(t, port, (n) => n >= 55 && n < 90 ? [] : [0]);
        return ffmpegSend(t, ['-i', beeps], relay.port);
      });
      assert.equal(relay.dropped, 35);
      assert.ok(r.pcm.subarray(48 * 1300, 48 * 1700).every((v) => Math.abs(v) < 30));
      checkBeeps(r, {slack_ms: 200}); // behind a pause, arrival counts
      const m = await server.metrics();
      assert.equal(m.rtp_lost, 35);
      assert.equal(m.frames_concealed, 4800, '100 ms, then silence');
      assert.ok(m.frames_silence >= 500 * 48);
      await server.stop();
    });

    await Promise.all(parts);
    await server.stop();
  });
});
