// Janus forwards plain RTP: the mix of an AudioBridge, and what a browser says
// in a VideoRoom.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import path from 'node:path';
import {describe, test} from 'node:test';

import {BEEPS, beepsFile} from '../aid/beeps.mjs';
import {noBrowser, startPublisher} from '../aid/browser.mjs';
import {inRealTime} from '../aid/calm.mjs';
import {noJanus, noWebRtc, startJanus} from '../aid/janus.mjs';
import {RATE, decode, ffmpegSend, likeness, toneEnvelope, tool} from '../aid/sound.mjs';
import {startServer, tempDir, until} from '../aid/tapeop.mjs';

const SPEECH = 'assets/demo/alice.opus';
const SPEECH_MS = 5000;

/** Where [ms] a tone is heard first and last. */
function heardAt(pcm, hz) {
  const levels = toneEnvelope(pcm, hz);
  const loud = Math.max(...levels) / 2;
  return {
    from: 10 * levels.findIndex((v) => v > loud),
    to: 10 * (levels.findLastIndex((v) => v > loud) + 1),
    peak: 2 * loud,
  };
}

const near = (what, is, wanted, slack) =>
  assert.ok(Math.abs(is - wanted) <= slack, `${what}: ${is}, not ${wanted} +- ${slack}`);

/** All of it was sound, of one sender; what was late may be missing. */
async function checkCounters(server) {
  const m = await server.metrics();
  for (const none of ['rtp_bad', 'rtp_bad_opus', 'rtp_duplicate', 'rtp_stranger'])
    assert.equal(m[none], 0, none);
  assert.ok(m.rtp_lost <= m.rtp_late, `${m.rtp_lost} lost, ${m.rtp_late} late`);
}

const recording = {mic_off: 'silence'};

async function recordBridge(t) {
  const [server, janus, beeps] = await Promise.all([
    startServer(t, {recording}), startJanus(t, ['audiobridge']), beepsFile(t)]);
  const bridge = await janus.session.attach('janus.plugin.audiobridge');
  await bridge.ask({request: 'create', room: 7, sampling_rate: 48000,
    allow_rtp_participants: true});
  // a handle is one participant
  const guest = async (display) => {
    const handle = await janus.session.attach('janus.plugin.audiobridge');
    const {data} = await handle.ask({request: 'join', room: 7, display,
      rtp: {payload_type: 111}});
    return data.rtp.port;
  };
  const [alice, bob] = [await guest('alice'), await guest('bob')];

  const {port} = await server.join('bridge', 'mix');
  const task = await server.record('bridge');
  const began = Date.now();
  const {data: {stream_id}} = await bridge.ask({request: 'rtp_forward', room: 7,
    host: '127.0.0.1', port, ptype: 111, always_on: true});
  await until('it comes in', async () => (await server.metrics()).rtp_packets > 0);
  const came = Date.now();
  const output = ['-payload_type', '111'];
  const senders = [ffmpegSend(t, ['-i', beeps], alice, output),
    ffmpegSend(t, ['-f', 'lavfi', '-i', 'aevalsrc=0.2*sin(2*PI*2000*t):s=48000:d=3'], bob, output)];
  for (const s of senders)
    assert.equal((await s.done).code, 0, s.text);
  const ends = Date.now();
  await bridge.ask({request: 'stop_rtp_forward', room: 7, stream_id});
  const segments = await server.finish(task);
  const ended = Date.now();

  assert.equal(segments.length, 1);
  const pcm = await decode(server.file(segments[0]));
  const long = pcm.length * 1000 / RATE;
  assert.ok(long > ends - came - 300 && long < ended - began + 500,
    `${long} ms, forwarded for ${ends - came} to ${ended - began} ms`);
  const [first, second, bobs] = [...BEEPS.hz, 2000].map((hz) => heardAt(pcm, hz));
  near('between the beeps', second.from - first.from, BEEPS.at[1] - BEEPS.at[0], 40);
  near('first beep', first.to - first.from, BEEPS.length, 40);
  near('second beep', second.to - second.from, BEEPS.length, 40);
  // Janus keeps some packets back, and those it has when a voice ends
  near('the other voice', bobs.to - bobs.from, 3000, 300);
  await checkCounters(server);
  await server.stop();
}

async function recordBrowser(t) {
  const wav = path.join(tempDir(t), 'speech.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', SPEECH, '-ar', String(RATE), wav]);
  const [server, janus, browser] = await Promise.all([
    startServer(t, {recording}), startJanus(t, ['videoroom']), startPublisher(t, wav)]);
  const control = await janus.session.attach('janus.plugin.videoroom');
  await control.ask({request: 'create', room: 7});
  const {port} = await server.join('video', 'alice');
  const task = await server.record('video');

  const id = await browser.publish({url: janus.url, room: 7});
  const began = Date.now();
  const {data: {forwarders: [{stream_id}]}} = await control.ask({request: 'rtp_forward',
    room: 7, publisher_id: id, host: '127.0.0.1', streams: [{mid: '0', port}]});
  await until('it comes in', async () => (await server.metrics()).rtp_packets > 0);
  const came = Date.now();
  await until('enough was said', () => Date.now() - came >= SPEECH_MS);
  const ends = Date.now();
  await control.ask({request: 'stop_rtp_forward', room: 7, publisher_id: id, stream_id});
  await browser.leave();
  const segments = await server.finish(task);
  const ended = Date.now();

  assert.equal(segments.length, 1);
  const pcm = await decode(server.file(segments[0]));
  const long = pcm.length * 1000 / RATE;
  assert.ok(long > ends - came - 300 && long < ended - began + 500,
    `${long} ms, forwarded for ${ends - came} to ${ended - began} ms`);
  // The microphone was open for a while before it was forwarded, or it took a
  // while to begin.
  const said = (await decode(wav)).subarray(0, pcm.length);
  const {share, lag_ms} = likeness(said, pcm, 3000);
  assert.ok(share > 0.9 && lag_ms < 1000, `${share} alike at ${lag_ms} ms`);
  await checkCounters(server);
  await server.stop();
}

describe('janus', {skip: noJanus, concurrency: true}, () => {
  test('the_mix_of_an_audiobridge_is_recorded_while_it_is_forwarded', (t) =>
    inRealTime(t, recordBridge));
  test('what_a_browser_says_in_a_videoroom_is_recorded_word_for_word',
    {skip: noBrowser || noWebRtc}, (t) => inRealTime(t, recordBrowser));
});
