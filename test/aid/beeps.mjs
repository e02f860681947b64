// test/aid/beeps.mjs -- two beeps at known places, sent, recorded, found again.
// SPDX-License-Identifier: Apache-2.0
//
// The places are measured between the two beeps, both inside the recording, so
// when exactly a sender began does not matter.
import assert from 'node:assert/strict';
import path from 'node:path';

import {RATE, decode, likeness, onset, tone, tool} from './sound.mjs';
import {tempDir, until} from './tapeop.mjs';

/** What beepsFile makes [ms, Hz]. */
export const BEEPS = {at: [500, 2000], hz: [600, 1000], length: 500, all: 3000};
const CANDIDATES = [300, 440, 600, 800, 1000, 1200, 2000];

/** A WAV of BEEPS; in stereo the first is left only, the second right only. */
export async function beepsFile(t, channels = 1) {
  const file = path.join(tempDir(t), 'beeps.wav');
  const beep = (i) => `0.5*sin(2*PI*${BEEPS.hz[i]}*t)*between(t,${BEEPS.at[i] / 1000},` +
    `${(BEEPS.at[i] + BEEPS.length) / 1000})`;
  const sides = channels === 1 ? `${beep(0)}+${beep(1)}` : `${beep(0)}|${beep(1)}`;
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
    `aevalsrc='${sides}':s=${RATE}:d=${BEEPS.all / 1000}`, file]);
  return file;
}

/**
 * Record one user in a room of its own while `send(port)` sends: a sender, or
 * a promise of one.
 * Gives {segments, input_id, sender, pcm}.
 */
export async function recordOne(server, room, send, input = {}) {
  const {port, input_id} = await server.join(room, 'me', input);
  const task = await server.record(room);
  const sender = await send(port);
  const {code} = await sender.done;
  assert.equal(code, 0, sender.text);
  // Until a stop, a pause is silence; a microphone that is off ends the file
  // where the last packet ended.
  await until(`the file of ${room} is closed`, async () => {
    const all = await server.segments(task);
    return all.length && all.every((s) => s.state === 'closed');
  });
  const segments = await server.finish(task);
  assert.equal(segments.length, 1, JSON.stringify(segments));
  const pcm = await decode(server.file(segments[0]));
  return {segments, input_id, sender, pcm};
}

/** The inputs of all rooms by id, once their numbers (which are told once a
 *  second) have come up with the counters.  Nobody may be sending. */
export function inputsOf(server) {
  return until('numbers of the inputs are those of now', async () => {
    const m = await server.metrics();
    const {rooms} = await server.ask(200, 'GET', '/v1/rooms');
    const inputs = rooms.flatMap((r) => r.inputs);
    const sum = (name) => inputs.reduce((n, i) => n + i[name], 0);
    return sum('packets') === m.rtp_packets && sum('lost') === m.rtp_lost &&
      Object.fromEntries(inputs.map((i) => [i.input_id, i]));
  });
}

/** As long as was sent [ms], to 100 ms; what the sender stalled is allowed. */
export function checkLength(r, sent_ms) {
  const long = r.pcm.length * 1000 / RATE;
  assert.equal(Math.round(long), r.segments[0].duration_ms);
  const stalled = Math.max(0, r.sender.wall_ms - sent_ms - 1500);
  assert.ok(long > sent_ms - 100 && long < sent_ms + 100 + stalled,
    `${long} ms of ${sent_ms} ms, sender ran ${r.sender.wall_ms} ms`);
}

/** Right tones, right places, right length (`tail`: the silence at the end was
 *  sent, too). */
export function checkBeeps(r, {slack_ms = 10, share = 0.9, tail = true} = {}) {
  const frames = (ms) => Math.round(ms * RATE / 1000);
  const apart = frames(BEEPS.at[1] - BEEPS.at[0]);
  const first = onset(r.pcm);
  assert.ok(first >= 0, 'there is sound');
  const gap = first + frames(BEEPS.length + 200);
  const second = gap + onset(r.pcm.subarray(gap));
  assert.ok(Math.abs(first - frames(BEEPS.at[0])) <= frames(100),
    `first sound at ${first} of ${frames(BEEPS.at[0])}`);
  assert.ok(Math.abs(second - first - apart) <= frames(slack_ms),
    `${second - first} frames apart, not ${apart}`);
  [first, second].forEach((at, i) => {
    const heard = tone(r.pcm, CANDIDATES, at + frames(50), at + frames(BEEPS.length - 50));
    assert.equal(heard.hz, BEEPS.hz[i]);
    assert.ok(heard.share > share, `${heard.share} of the power is the tone`);
  });
  if (tail)
    checkLength(r, BEEPS.all);
  else
    assert.ok(r.pcm.length > second + frames(BEEPS.length) - frames(10));
}

/** The words of `source` are heard, at the same times. */
export async function checkSpeech(r, source, sent_ms) {
  const said = (await decode(source)).subarray(0, sent_ms * RATE / 1000);
  const {share, lag_ms} = likeness(said, r.pcm);
  assert.ok(share > 0.9, `${share} alike at ${lag_ms} ms`);
  assert.ok(Math.abs(lag_ms) <= 100, `${lag_ms} ms off`);
  checkLength(r, sent_ms);
}
