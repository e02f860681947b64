// ffmpeg and GStreamer speak; what was recorded is decoded and listened to.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import path from 'node:path';
import {test} from 'node:test';

import {RATE, decode, ffmpegSend, gstSend, level, onset, tone, tool} from '../aid/sound.mjs';
import {startServer, tempDir, until} from '../aid/tapeop.mjs';

const speech = path.resolve('assets/demo/alice.opus');
const TOLERANCE_MS = 100; // live, on a noisy machine

// 440 Hz from 0.5 s to 1.5 s, 880 Hz from 2.0 s to 3.0 s
const tune = "aevalsrc='0.4*(between(t,0.5,1.5)*sin(2*PI*440*t)" +
  "+between(t,2,3)*sin(2*PI*880*t))':s=48000:d=3";
const TUNE_MS = 3000;

/** A server whose files end soon after their sender does. */
const quick = (t) => startServer(t, {recording: {mic_off_after: '700ms'}});

/** Record what `send(port)` sends: {segment, pcm, late_ms}. */
async function record(server, room, send, nominal_ms) {
  const {port} = await server.join(room, 'voice');
  const task = await server.record(room);
  const began = Date.now();
  const sender = send(port);
  const {code} = await sender.done;
  assert.equal(code, 0, sender.text);
  // how much longer than it should the sender took: it started, or stalled
  const late_ms = Math.max(0, Date.now() - began - nominal_ms - 1000);
  await until(`${room}: the file is closed`, async () =>
    (await server.segments(task)).some((s) => s.state === 'closed'));
  const segments = await server.finish(task);
  assert.equal(segments.length, 1, `${room}: a pause is not the end of a file`);
  const pcm = await decode(server.file(segments[0]));
  assert.ok(Math.abs(pcm.length / RATE * 1000 - segments[0].duration_ms) < 25);
  return {segment: segments[0], pcm, late_ms};
}

function checkTune(what, {pcm, late_ms}) {
  const ms = pcm.length / RATE * 1000;
  const allowed = TOLERANCE_MS + late_ms;
  assert.ok(Math.abs(ms - TUNE_MS) < allowed, `${what}: ${ms} ms`);
  const first = onset(pcm, 0.1); // over the comfort noise of DTX
  const at = (s) => first + Math.round((s - 0.5) * RATE);
  assert.ok(Math.abs(first / RATE - 0.5) * 1000 < allowed, `${what}: starts at ${first / RATE} s`);
  // between the two tones the machine's noise at the start does not count
  const second = at(1.75) + onset(pcm.subarray(at(1.75)), 0.1);
  assert.ok(Math.abs((second - first) / RATE - 1.5) * 1000 < 30 + late_ms,
    `${what}: ${(second - first) / RATE} s from tone to tone`);
  const hz = [220, 440, 660, 880, 1760];
  const a = tone(pcm, hz, at(0.7), at(1.3));
  const b = tone(pcm, hz, second + RATE / 5, second + RATE * 4 / 5);
  assert.deepEqual([a.hz, b.hz], [440, 880], what);
  assert.ok(a.share > 0.9 && b.share > 0.9, `${what}: pure tones, ${a.share} ${b.share}`);
  assert.ok(level(pcm, at(1.6), at(1.9)) < 0.03, `${what}: a pause is silent`);
}

/** Loudness every 10 ms. */
function envelope(pcm) {
  const step = RATE / 100;
  return Array.from({length: Math.floor(pcm.length / step)},
    (_, i) => level(pcm, i * step, (i + 1) * step));
}

/** How alike two envelopes are (1: the same shape), at their best lag. */
function likeness(a, b, lag_max) {
  let best = 0;
  for (let lag = -lag_max; lag <= lag_max; lag++) {
    let ab = 0, aa = 0, bb = 0;
    for (let i = 0; i < a.length; i++) {
      const x = a[i], y = b[i + lag] ?? 0;
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    best = Math.max(best, ab / Math.sqrt(aa * bb || 1));
  }
  return best;
}

test('ffmpeg_and_gstreamer_send_a_tune_in_every_form_of_opus', async (t) => {
  const server = await quick(t);
  const wav = path.join(tempDir(t), 'tune.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', tune, wav]);
  const ffmpeg = (output) => (port) => ffmpegSend(t, ['-f', 'lavfi', '-i', tune], port, output);
  const gst = (enc, pay = '') => (port) =>
    gstSend(t, `filesrc location=${wav} ! wavparse`, port, enc, pay);
  const forms = {
    ffmpeg_mono: ffmpeg(['-ac', '1']),
    ffmpeg_stereo: ffmpeg(['-ac', '2', '-b:a', '96k']),
    ffmpeg_type_96: ffmpeg(['-payload_type', '96']),
    ffmpeg_type_127: ffmpeg(['-payload_type', '127']),
    ffmpeg_2_5_ms: ffmpeg(['-frame_duration', '2.5']),
    ffmpeg_5_ms: ffmpeg(['-frame_duration', '5']),
    ffmpeg_10_ms: ffmpeg(['-frame_duration', '10']),
    ffmpeg_40_ms: ffmpeg(['-frame_duration', '40']),
    ffmpeg_60_ms: ffmpeg(['-frame_duration', '60']),
    gst_20_ms: gst('opusenc'),
    gst_type_111: gst('opusenc', 'pt=111'),
    gst_60_ms: gst('opusenc frame-size=60'),
    gst_2_5_ms: gst('opusenc frame-size=2'),
    gst_dtx: gst('opusenc dtx=true bitrate=24000'),
  };
  const names = Object.keys(forms);
  await Promise.all([0, 1, 2, 3].map(async (worker) => { // four at a time
    for (let i = worker; i < names.length; i += 4)
      checkTune(names[i], await record(server, names[i], forms[names[i]], TUNE_MS));
  }));
  const m = await server.metrics();
  assert.equal(m.rtp_bad, 0);
  assert.equal(m.rtp_bad_opus, 0);
  assert.equal(m.rtp_stranger, 0);
  await server.stop();
});

test('speech_comes_out_as_it_went_in', async (t) => {
  const server = await quick(t);
  const said = envelope(await decode(speech));
  const ms = said.length * 10;
  const results = await Promise.all([
    record(server, 'ffmpeg', (port) => ffmpegSend(t, ['-i', speech], port), ms),
    record(server, 'copy', (port) => ffmpegSend(t, ['-i', speech], port, ['-c:a', 'copy']), ms),
    record(server, 'gst', (port) => gstSend(t,
      `filesrc location=${speech} ! oggdemux ! opusdec`, port), ms),
  ]);
  for (const {pcm, segment, late_ms} of results) {
    assert.ok(Math.abs(segment.duration_ms - ms) < TOLERANCE_MS + late_ms,
      `${segment.room}: ${segment.duration_ms} of ${ms} ms`);
    const alike = likeness(said, envelope(pcm), 30);
    assert.ok(alike > 0.95, `alike by ${alike}`);
  }
  await server.stop();
});

/** A network between sender and server; `act(packet, n, send)` for each. */
async function badNetwork(t, port, act) {
  const socket = dgram.createSocket('udp4');
  let n = 0;
  socket.on('message', (packet) => act(packet, n++, (p) => socket.send(p, port, '127.0.0.1')));
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  t.after(() => socket.close());
  return socket.address().port;
}

test('a_bad_network_changes_neither_length_nor_place', async (t) => {
  const server = await quick(t);
  let held = null;
  const networks = {
    loses_every_20th: (p, n, send) => n % 20 === 19 || send(p),
    sends_twice: (p, n, send) => (send(p), send(p)),
    swaps_pairs: (p, n, send) => {
      if (n % 10 === 4) {
        held = p;
        return;
      }
      send(p);
      if (held)
        send(held);
      held = null;
    },
  };
  for (const [name, act] of Object.entries(networks)) {
    const before = await server.metrics();
    const result = await record(server, name, (port) => {
      const s = {text: ''};
      s.done = badNetwork(t, port, act).then((at) => {
        const sender = ffmpegSend(t, ['-f', 'lavfi', '-i', tune], at);
        return sender.done.finally(() => (s.text = sender.text));
      });
      return s;
    }, TUNE_MS);
    checkTune(name, result);
    const after = await server.metrics();
    const rose = (counter) => after[counter] - before[counter];
    const frames = rose('rtp_packets');
    if (name === 'loses_every_20th') {
      assert.ok(rose('rtp_lost') >= 6, `${rose('rtp_lost')} of ${frames}`);
      assert.ok(rose('frames_concealed') >= 6 * 960);
    } else {
      assert.equal(rose('rtp_lost'), 0, name);
      assert.equal(rose('frames_concealed'), 0, name);
    }
    assert.equal(rose('rtp_duplicate') > 100, name === 'sends_twice', name);
  }
  await server.stop();
});

test('people_come_late_leave_come_back_and_change_their_port', async (t) => {
  const server = await startServer(t, {recording: {mic_off: 'silence'}});
  const sine = (hz, seconds) => ['-f', 'lavfi', '-i', `sine=${hz}:duration=${seconds}`];
  const alice = await server.join('room', 'alice');
  const task = await server.record('room');
  const first = ffmpegSend(t, sine(440, 5), alice.port);
  await until('alice is heard', async () => (await server.metrics()).rtp_packets > 20);
  const bob = await server.join('room', 'bob'); // while it runs
  await ffmpegSend(t, sine(880, 1), bob.port).done;
  // ffmpeg's return port is closed now: that must not end anything
  await server.ask(200, 'DELETE', `/v1/inputs/${bob.input_id}`);
  const again = await server.join('room', 'bob');
  await ffmpegSend(t, sine(660, 1), again.port).done;
  await first.done;
  // alice's program starts again on another port: taken over after 3 s
  const strangers = (await server.metrics()).rtp_stranger;
  const second = ffmpegSend(t, sine(220, 5), alice.port);
  await second.done;
  assert.ok((await server.metrics()).rtp_stranger > strangers, 'at first a stranger');
  const segments = await server.finish(task);
  const of = (user) => segments.filter((s) => s.user === user);
  assert.deepEqual(of('bob').map((s) => s.seq), [0, 1]);
  assert.equal(of('alice').length, 1, 'mic_off: silence keeps one file');
  const pcm = await decode(server.file(of('alice')[0]));
  const hz = [220, 330, 440, 550];
  assert.equal(tone(pcm, hz, RATE, 3 * RATE).hz, 440);
  assert.equal(tone(pcm, hz, pcm.length - 2 * RATE, pcm.length - RATE).hz, 220);
  for (const [i, want] of [880, 660].entries()) {
    const bobs = await decode(server.file(of('bob')[i]));
    const at = onset(bobs);
    assert.equal(tone(bobs, [440, 660, 880], at, at + RATE / 2).hz, want);
  }
  await server.stop();
});
