// A minute of a room: ffmpeg through a network that loses, GStreamer who joins
// late, ffmpeg that dies and comes back from another port, a Janus AudioBridge;
// singles and the mix.
// Runs alone: Janus mixes in real time, and loses sound when others work beside it.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {inRealTime} from '../aid/calm.mjs';
import {noJanus, startJanus} from '../aid/janus.mjs';
import {RATE, decode, ffmpegSend, gstSend, level, startRelay, tone} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const LENGTH_S = 60;
const [LOSSY, LATE, RESTARTED, BRIDGED] = [440, 550, 660, 770];

const sine = (t, hz, seconds, port) => ffmpegSend(t,
  ['-f', 'lavfi', '-i', `sine=${hz}:duration=${seconds}`, '-af', 'volume=2'], port);
const endOf = (s) => s.start_ms + s.duration_ms;

/** A Janus AudioBridge with one guest, forwarded to `to`: the guest's port. */
async function startBridge(t, to) {
  const janus = await startJanus(t, ['audiobridge']);
  const bridge = await janus.session.attach('janus.plugin.audiobridge');
  await bridge.ask({request: 'create', room: 7, sampling_rate: 48000,
    allow_rtp_participants: true});
  const guest = await janus.session.attach('janus.plugin.audiobridge');
  const {data} = await guest.ask({request: 'join', room: 7, display: 'guest',
    rtp: {payload_type: 111}});
  await bridge.ask({request: 'rtp_forward', room: 7, host: '127.0.0.1', port: to, ptype: 111,
    always_on: true});
  return data.rtp.port;
}

/** Seconds of `pcm` in which this tone is most of what is heard; a sender's clock
 *  that seems to drift is followed by 0.07 % at most. */
const nearTo = (hz) => Array.from({length: 9}, (_, i) => hz * (1 + (i - 4) * 0.0002));

function secondsOf(pcm, hz) {
  const near = nearTo(hz);
  let n = 0;
  for (let from = 0; from + RATE <= pcm.length; from += RATE)
    n += tone(pcm, near, from, from + RATE).share > 0.9;
  return n;
}

async function aMinute(t) {
  const server = await startServer(t);
  const join = (user) => server.join('room', user);
  const [lossy, late, restarted] = [await join('lossy'), await join('late'),
    await join('restarted')];
  const relay = await startRelay(t, lossy.port, (n) => (n % 20 === 19 ? [] : [0]));
  const guest = await startBridge(t, (await join('bridge')).port);
  const task = await server.record('room', {mode: 'both'});
  const began_ms = Date.now();

  const s1 = sine(t, LOSSY, LENGTH_S, relay.port);
  const s3 = sine(t, RESTARTED, LENGTH_S, restarted.port);
  const s5 = ffmpegSend(t, ['-f', 'lavfi', '-i', `sine=${BRIDGED}:duration=${LENGTH_S - 5}`,
    '-af', 'volume=2'], guest, ['-payload_type', '111']);
  await sleep(10_000);
  const late_ms = Date.now();
  const s2 = gstSend(t, `audiotestsrc wave=sine freq=${LATE} volume=0.25 is-live=true ` +
    `num-buffers=${Math.round((LENGTH_S - 15) * 44100 / 1024)}`, late.port);
  await sleep(10_000);
  s3.child.kill('SIGKILL');
  await s3.done;
  const killed_ms = Date.now();
  await sleep(1000);
  const s4 = sine(t, RESTARTED, LENGTH_S - 25, restarted.port);
  await Promise.all([s1, s2, s4, s5].map((s) => s.done));
  await until('all that was sent has come', async () => {
    const m = await server.metrics();
    return m.frames_concealed > 0 && m;
  });
  const stopped_ms = Date.now();
  const segments = await server.finish(task);
  const m = await server.metrics();
  const of = (user) => segments.filter((s) => s.user === user);

  // the lossy one: one file, the loss made up for, nothing shifted
  const [a] = of('lossy');
  assert.equal(of('lossy').length, 1);
  assert.ok(relay.dropped >= LENGTH_S * 50 / 20 - 3);
  // of what Janus mixes, some may be late on a busy machine
  assert.ok(m.rtp_lost >= relay.dropped - 1 && m.rtp_lost <= relay.dropped + m.rtp_late,
    `${m.rtp_lost} of ${relay.dropped} lost, ${m.rtp_late} late`);
  assert.ok(m.frames_concealed >= (relay.dropped - 1) * 960);
  assert.ok(a.duration_ms >= LENGTH_S * 1000 - 100, `${a.duration_ms} ms`);
  assert.ok(a.duration_ms < stopped_ms - began_ms + 100);
  assert.ok(secondsOf(await decode(server.file(a)), LOSSY) >= LENGTH_S - 4);

  // the late one begins when it came
  const [b] = of('late');
  assert.equal(of('late').length, 1);
  assert.ok(b.start_ms >= late_ms - 50);
  assert.ok(secondsOf(await decode(server.file(b)), LATE) >= LENGTH_S - 15 - 4);

  // the one who restarted has two files, with the time that it was away between
  const [c1, c2] = of('restarted');
  assert.equal(of('restarted').length, 2);
  assert.ok(endOf(c1) <= killed_ms + 2500 && endOf(c1) >= killed_ms - 500);
  assert.ok(c2.start_ms >= killed_ms + 1000);
  for (const c of [c1, c2])
    assert.ok(secondsOf(await decode(server.file(c)), RESTARTED) >= c.duration_ms / 1000 - 5);

  // what Janus mixed is one file, from before the task to behind it
  const [j] = of('bridge');
  assert.equal(of('bridge').length, 1);
  assert.ok(secondsOf(await decode(server.file(j)), BRIDGED) >= LENGTH_S - 5 - 6);

  // the mix: from the task's beginning to its end, everybody in it
  const [mix] = of('0');
  assert.ok(Math.abs(mix.start_ms - began_ms) < 1000);
  assert.ok(Math.abs(endOf(mix) - stopped_ms) < 1000);
  assert.equal(m.mix_late, 0);
  const pcm = await decode(server.file(mix));
  const at = (ms) => Math.round((ms - mix.start_ms) * RATE / 1000);
  const all = [at(c2.start_ms) + RATE, at(c2.start_ms) + 6 * RATE];
  for (const hz of [LOSSY, LATE, RESTARTED, BRIDGED])
    assert.ok(tone(pcm, nearTo(hz), all[0], all[0] + RATE).share > 0.05, `${hz} Hz is in the mix`);
  assert.ok(level(pcm, ...all) > level(pcm, at(a.start_ms) + RATE, at(late_ms)) * 0.9);
  await server.stop();
}

test('a_minute_of_a_room_with_loss_a_late_one_and_one_who_restarts', {skip: noJanus},
  (t) => inRealTime(t, aMinute, 3));
