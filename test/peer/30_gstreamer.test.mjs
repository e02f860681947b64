// GStreamer speaks RTP/Opus: tone, place and length of what was recorded.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import path from 'node:path';
import {describe, test} from 'node:test';

import {beepsFile, checkBeeps, checkSpeech, inputsOf, recordOne} from '../aid/beeps.mjs';
import {inRealTime, testInRealTime} from '../aid/calm.mjs';
import {RATE, gstSend, startRelay, tool} from '../aid/sound.mjs';
import {startServer, tempDir} from '../aid/tapeop.mjs';

const SPEECH = path.resolve('assets/demo/bob.opus');
const SPEECH_MS = 4000;
const recording = {mic_off_after: '3s'};

const forms = ['2.5', '5', '10', '20', '40', '60'].map((frame_ms, i) => ({
  frame_ms, channels: 2 - i % 2, type: [127, 112, 110, 101, 98, 96][i]}));

const wavSource = (file) => `filesrc location=${file} ! wavparse`;

/** The first seconds of the speech, as a WAV. */
async function speechFile(t) {
  const file = path.join(tempDir(t), 'speech.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', SPEECH, '-t',
    String(SPEECH_MS / 1000), '-ar', String(RATE), file]);
  return file;
}

describe('gstreamer', {concurrency: true}, () => {
  testInRealTime('what_gstreamer_sends_is_recorded_at_its_pitch_place_and_length', async (t) => {
    const server = await startServer(t, {recording});
    const [mono, stereo] = await Promise.all([beepsFile(t, 1), beepsFile(t, 2)]);
    const all = await Promise.all(forms.map(({frame_ms, channels, type}) =>
      recordOne(server, `frames of ${frame_ms}`, (port) =>
        gstSend(t, wavSource(channels === 1 ? mono : stereo), port,
          `opusenc bitrate=128000 frame-size=${frame_ms}`, `pt=${type}`))));
    const inputs = await inputsOf(server);
    for (const [i, {frame_ms, channels, type}] of forms.entries())
      await t.part(`${frame_ms} ms, ${channels} channels, type ${type}`, () => {
        checkBeeps(all[i]);
        assert.equal(inputs[all[i].input_id].lost, 0);
      });
    const m = await server.metrics();
    for (const none of ['rtp_bad', 'rtp_bad_opus', 'rtp_lost', 'rtp_stranger',
      'rtp_ring_full', 'frames_concealed'])
      assert.equal(m[none], 0, none);
    await server.stop();
  });

  test('speech_dtx_and_a_bad_network', {concurrency: true}, async (t) => {
    const beeps = await beepsFile(t);
    const speech = await speechFile(t);
    const servers = [];
    const start = async () => {
      servers.push(await startServer(t, {recording}));
      return servers.at(-1);
    };
    const shared = await start();
    const part = (name, run) => t.test(name, (t) => inRealTime(t, run));

    await Promise.all([
      part('speech_is_recorded_word_for_word', async (t) => {
        const r = await recordOne(shared, 'speech', (port) =>
          gstSend(t, wavSource(speech), port));
        await checkSpeech(r, speech, SPEECH_MS);
      }),

      part('what_dtx_does_not_send_is_silence_in_its_place', async (t) => {
        const server = await start();
        const r = await recordOne(server, 'dtx', (port) =>
          gstSend(t, wavSource(beeps), port,
            'opusenc audio-type=voice dtx=true bitrate-type=vbr bitrate=24000',
            'dtx=true'));
        // the clock of a run behind a pause is set by arrival
        checkBeeps(r, {slack_ms: 100, share: 0.8, tail: false});
        const {packets} = (await inputsOf(server))[r.input_id];
        assert.ok(packets < 130, `${packets} packets of 150: it paused`);
        const m = await server.metrics();
        assert.ok(m.frames_silence > 200 * 48, `${m.frames_silence} frames`);
        assert.equal(m.rtp_lost, 0);
        assert.equal(m.frames_concealed, 0, 'a pause is not a loss');
      }),

      part('speech_with_dtx_is_recorded_word_for_word', async (t) => {
        const r = await recordOne(shared, 'speech with dtx', (port) =>
          gstSend(t, wavSource(speech), port,
            'opusenc audio-type=voice dtx=true', 'dtx=true'));
        await checkSpeech(r, speech, SPEECH_MS);
      }),

      part('loss_doubles_and_disorder_are_counted_and_filled', async (t) => {
        const server = await start();
        let relay;
        const r = await recordOne(server, 'room', async (port) => {
          relay = await startRelay(t, port, (n) =>
            n % 8 === 3 ? [] : n % 8 === 4 ? [0, 0, 30] : n % 8 === 6 ? [50] : [0]);
          return gstSend(t, wavSource(beeps), relay.port,
            'opusenc frame-size=10 inband-fec=true packet-loss-percentage=12');
        });
        checkBeeps(r, {share: 0.7});
        const m = await server.metrics();
        assert.ok(relay.dropped > 20 && relay.delayed > 20);
        assert.equal(m.rtp_lost, relay.dropped);
        assert.equal(m.rtp_duplicate, relay.doubled);
        assert.ok(m.rtp_late < relay.delayed / 2, `${m.rtp_late} late`);
        // most come out of the packet behind them
        assert.ok(m.rtp_recovered_fec > relay.dropped / 4, `${m.rtp_recovered_fec}`);
        assert.equal(m.frames_fec, m.rtp_recovered_fec * 480);
        const made = m.frames_concealed + m.frames_fec;
        assert.ok(made > 0.8 * relay.dropped * 480, `${made} frames`);
        assert.ok(made <= relay.dropped * 480, `${made} frames`);
      }),

      ...[{red_pt: 110, opus_pt: 111}, {}].flatMap((types) => [1, 2].map((distance) =>
        part(`every_20th_packet_lost_costs_nothing_with_red_${distance}_back` +
          `${types.red_pt ? '' : '_untold'}`, async (t) => {
          const server = await start();
          let relay;
          const r = await recordOne(server, 'room', async (port) => {
            relay = await startRelay(t, port, (n) => (n % 20 === 5 ? [] : [0]));
            return gstSend(t, wavSource(beeps), relay.port, 'opusenc',
              `pt=111 ! rtpredenc pt=110 distance=${distance}`);
          }, types);
          checkBeeps(r);
          const m = await server.metrics();
          assert.ok(relay.dropped >= 7, `${relay.dropped} of ${relay.sent}`);
          // untold, what comes before the first whole copy is not known to be RED
          const early = types.red_pt ? 0 : m.rtp_bad_opus;
          assert.ok(early <= distance + 1, `${early} packets`);
          assert.ok(m.rtp_recovered_red >= relay.dropped);
          assert.ok(m.rtp_recovered_red <= relay.dropped + early);
          for (const none of ['rtp_lost', 'rtp_bad', 'rtp_late', 'rtp_duplicate',
            'frames_concealed', 'frames_fec'])
            assert.equal(m[none], 0, none);
        }))),
    ]);
    await Promise.all(servers.map((s) => s.stop()));
  });
});
