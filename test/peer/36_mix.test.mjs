// One file for all: the mix, beside the singles and alone.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, ffmpegSend, level, tone} from '../aid/sound.mjs';
import {APP, command, startServer, until} from '../aid/tapeop.mjs';

const TONES = [330, 440, 550, 660, 770];

const sine = (t, hz, seconds, port, volume = 2) => ffmpegSend(t,
  ['-f', 'lavfi', '-i', `sine=${hz}:duration=${seconds}`, '-af', `volume=${volume}`], port);

const ofUser = (segments, user) => segments.filter((s) => s.user === user);
const endOf = (s) => s.start_ms + s.duration_ms;

/** The second in which the weakest of these tones is strongest (senders do not
 *  begin at the same time): from where to where, and their shares. */
function together(pcm, tones_hz) {
  let best = {weakest: -1};
  for (let from = 0; from + RATE <= pcm.length; from += RATE / 4) {
    const shares = tones_hz.map((hz) => tone(pcm, [hz], from, from + RATE).share);
    if (Math.min(...shares) > best.weakest)
      best = {from, to: from + RATE, shares, weakest: Math.min(...shares)};
  }
  return best;
}

/** Where `one` fits into `pcm` best: at `at`, or up to 1.5 ms beside it, as
 *  times in rows are rounded to 1 ms. */
function fit(pcm, one, at) {
  let best = {at, dot: -Infinity};
  for (let lag = at - RATE / 666; lag <= at + RATE / 666; lag++) {
    let dot = 0;
    for (let i = Math.max(0, -Math.floor(lag)); i < one.length; i += 7)
      dot += one[i] * (pcm[Math.floor(lag) + i] ?? 0);
    if (dot > best.dot)
      best = {at: Math.floor(lag), dot};
  }
  return best.at;
}

/** What of `mix` is not in the sum of the singles, as a part of its power. */
async function residue(server, mix, singles) {
  const pcm = await decode(server.file(mix));
  const sum = new Float64Array(pcm.length);
  for (const s of singles) {
    const one = await decode(server.file(s));
    const at = fit(pcm, one, Math.round((s.start_ms - mix.start_ms) * RATE / 1000));
    for (let i = Math.max(0, -at); i < one.length && at + i < sum.length; i++)
      sum[at + i] += one[i];
  }
  let [power, rest] = [0, 0];
  for (let i = 0; i < pcm.length; i++) {
    power += pcm[i] ** 2;
    rest += (pcm[i] - sum[i]) ** 2;
  }
  return {pcm, share: rest / power};
}

describe('mix', {concurrency: true}, () => {
  testInRealTime('the_mix_of_a_room_is_the_sum_of_its_singles_in_time', async (t) => {
    const server = await startServer(t);
    const early = await server.join('room', 'early');
    const leaver = await server.join('room', 'leaver');
    const began_ms = Date.now();
    const task = await server.record('room', {mode: 'both'});
    const s1 = sine(t, 440, 5, early.port);
    const s2 = sine(t, 550, 2, leaver.port);
    await sleep(1500);
    const s3 = sine(t, 660, 2.5, (await server.join('room', 'late')).port);
    await s2.done;
    await server.ask(200, 'DELETE', `/v1/inputs/${leaver.input_id}`);
    await Promise.all([s1.done, s3.done]);
    const stopped_ms = Date.now();
    const segments = await server.finish(task);
    assert.deepEqual(segments.map((s) => `${s.mode} ${s.user} ${s.seq}`).sort(),
      ['mixed 0 0', 'single early 0', 'single late 0', 'single leaver 0']);
    const [mix] = ofUser(segments, '0');
    assert.match(mix.file, /_0\/[\d-]+_\d+_audio\.mp3$/);
    assert.ok(Math.abs(mix.start_ms - began_ms) < 1000, 'it begins with the task');
    assert.ok(endOf(mix) >= stopped_ms - 20 && endOf(mix) < stopped_ms + 1000,
      'and ends with it');
    const {pcm, share} = await residue(server, mix,
      segments.filter((s) => s.mode === 'single'));
    assert.ok(level(pcm) > 0.05);
    // both are coded by MP3: they differ by its noise only
    assert.ok(share < 0.02, `${share} of the power is not in the singles`);
    await server.stop();
  });

  testInRealTime('only_the_mix_is_written_when_only_that_is_wanted', async (t) => {
    const server = await startServer(t);
    const inputs = await Promise.all(TONES.map((hz) => server.join('room', `u${hz}`)));
    const task = await server.record('room', {mode: 'mixed', subscribe: ['u440', 'u660']});
    const all = inputs.map(({port}, i) => sine(t, TONES[i], 3, port));
    await Promise.all(all.map((s) => s.done));
    const segments = await server.finish(task);
    assert.equal(segments.length, 1);
    const pcm = await decode(server.file(segments[0]));
    assert.ok(together(pcm, [440, 660]).weakest > 0.4);
    for (const hz of [330, 550, 770])
      assert.ok(tone(pcm, [hz], 0, pcm.length).share < 0.01, `${hz} Hz is not on the list`);
    await server.stop();
  });

  testInRealTime('two_at_full_scale_do_not_wrap_and_a_third_is_heard', async (t) => {
    const server = await startServer(t);
    const inputs = await Promise.all(['a', 'b', 'c'].map((u) => server.join('room', u)));
    const task = await server.record('room', {mode: 'mixed'});
    const all = [sine(t, 440, 3, inputs[0].port, 8), sine(t, 550, 3, inputs[1].port, 8),
      sine(t, 1000, 3, inputs[2].port, 1)];
    await Promise.all(all.map((s) => s.done));
    const [mix] = await server.finish(task);
    const pcm = await decode(server.file(mix));
    const {from, to, shares} = together(pcm, [440, 550]);
    assert.ok(level(pcm, from, to) > 0.35, 'it is loud');
    // what is wrapped or clipped is full of other tones
    assert.ok(shares[0] + shares[1] > 0.95, `only ${shares} of it are the two tones`);
    assert.ok(tone(pcm, [1000], 0, pcm.length).share > 0.0005, 'the third is heard');
    await server.stop();
  });

  testInRealTime('a_mix_has_a_file_while_somebody_is_there_and_the_next_when_somebody_comes', async (t) => {
    const server = await startServer(t);
    const first = await server.join('room', 'first');
    const task = await server.record('room', {mode: 'mixed'});
    await sine(t, 440, 1.5, first.port).done;
    await server.ask(200, 'DELETE', `/v1/inputs/${first.input_id}`);
    const left_ms = Date.now();
    await until('the first is closed', async () =>
      (await server.segments(task))[0]?.state === 'closed');
    const joined_ms = Date.now();
    const second = await server.join('room', 'second');
    await sine(t, 660, 1.5, second.port).done;
    const segments = await server.finish(task);
    assert.deepEqual(segments.map((s) => s.seq), [0, 1]);
    assert.ok(endOf(segments[0]) < left_ms + 200);
    assert.ok(segments[1].start_ms >= joined_ms - 50);
    assert.equal(tone(await decode(server.file(segments[0])), TONES).hz, 440);
    assert.equal(tone(await decode(server.file(segments[1])), TONES).hz, 660);
    await server.stop();
  });

  testInRealTime('a_mix_ends_with_the_last_who_ends', async (t) => {
    const server = await startServer(t);
    const inputs = await Promise.all(['a', 'b'].map((u) => server.join('room', u)));
    const task = await server.record('room', {mode: 'both'});
    const all = inputs.map(({port}, i) => sine(t, TONES[i], 5, port));
    await until('all are recorded', async () => (await server.segments(task))
      .filter((s) => s.state === 'recording').length === 3);
    await sleep(1500);
    // b ends first, but what b said then is waited for; a is done at once
    await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {unsubscribe: ['b']});
    await sleep(300);
    await server.ask(200, 'DELETE', `/v1/inputs/${inputs[0].input_id}`);
    await Promise.all(all.map((s) => s.done));
    const segments = await server.finish(task);
    const [mix] = ofUser(segments, '0');
    const [a] = ofUser(segments, 'a');
    assert.ok(Math.abs(endOf(mix) - endOf(a)) < 60,
      `the mix ends ${endOf(a) - endOf(mix)} ms before a does`);
    await server.stop();
  });

  testInRealTime('a_server_that_stood_still_mixes_what_came_meanwhile', async (t) => {
    const server = await startServer(t);
    const inputs = await Promise.all(['a', 'b'].map((u) => server.join('room', u)));
    const task = await server.record('room', {mode: 'both'});
    const all = inputs.map(({port}, i) => sine(t, TONES[i], 9, port));
    await until('all are recorded', async () => (await server.segments(task))
      .filter((s) => s.state === 'recording').length === 3);
    await sleep(1500);
    server.proc.child.kill('SIGSTOP');
    await sleep(3500);
    server.proc.child.kill('SIGCONT');
    await Promise.all(all.map((s) => s.done));
    const segments = await server.finish(task);
    assert.equal(segments.length, 3, 'nobody was taken for one whose mic is off');
    const singles = segments.filter((s) => s.mode === 'single');
    const {share} = await residue(server, ofUser(segments, '0')[0], singles);
    // two seconds of one voice missing would be a tenth of all there is
    assert.ok(share < 0.05, `${share} of the power is not in the singles`);
    await server.stop();
  });

  for (const mic_off of ['split', 'silence'])
    testInRealTime(`a_stall_of_the_network_is_put_in_its_place_${mic_off}`, async (t) => {
      const server = await startServer(t, {recording: {mic_off}});
      await server.join('room', 'listener');
      const tasks = [await server.record('room', {mode: 'both'}),
        await server.record('room', {mode: 'both', format: 'ogg'})];
      const said = await command(t, ['publish', 'assets/demo/alice.opus', '--app', String(APP),
        '--room', 'room', '--user', 'alice', '--server', server.url, '--stall', '1500ms,1800ms']);
      assert.equal(said.code, 0, said.text);
      const was_held_up = /held up here/.test(said.text);
      const of = [];
      for (const task of tasks)
        of.push(...await server.finish(task));
      const m = await server.metrics();
      if (was_held_up) { // a longer stall than was asked for
        t.diagnostic('the machine stood still: nothing is known');
        return;
      }
      assert.equal(m.mix_late + m.track_late, 0, `${m.mix_late} and ${m.track_late} frames are late`);
      for (const format of ['mp3', 'ogg']) {
        const mine = of.filter((s) => s.file.endsWith(format));
        const [mix] = ofUser(mine, '0');
        const {share} = await residue(server, mix, ofUser(mine, 'alice'));
        // a copy is not what is mixed: its decoder begins cold
        assert.ok(format === 'ogg' || share < 0.02, `${share} of the mix is not alice`);
      }
      await server.stop();
    });

  testInRealTime('three_who_speak_among_three_hundred', async (t) => {
    const server = await startServer(t, {ports: 600});
    for (let i = 0; i < 297; i += 9)
      await Promise.all(Array.from({length: 9}, (_, k) =>
        server.join('room', `listener${i + k}`)));
    const inputs = await Promise.all(['a', 'b', 'c'].map((u) => server.join('room', u)));
    const task = await server.record('room', {mode: 'mixed'});
    const all = inputs.map(({port}, i) => sine(t, TONES[i], 3, port));
    await Promise.all(all.map((s) => s.done));
    const [mix] = await server.finish(task);
    const pcm = await decode(server.file(mix));
    assert.ok(together(pcm, TONES.slice(0, 3)).weakest > 0.25);
    const m = await server.metrics();
    assert.equal(m.mix_late, 0);
    await server.stop();
  });

  testInRealTime('who_is_taken_out_keeps_the_sound_up_to_there_and_who_is_taken_in_begins_there',
    async (t) => {
      const server = await startServer(t);
      const inputs = await Promise.all(['a', 'b'].map((u) => server.join('room', u)));
      const task = await server.record('room', {mode: 'both', unsubscribe: ['b']});
      const all = inputs.map(({port}, i) => sine(t, TONES[i], 6, port));
      await until('a is recorded', async () =>
        ofUser(await server.segments(task), 'a')[0]?.state === 'recording');
      await sleep(1500);
      const asked_ms = Date.now();
      await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {unsubscribe: ['a']});
      const changed_ms = Date.now();
      await Promise.all(all.map((s) => s.done));
      const segments = await server.finish(task);
      const [a] = ofUser(segments, 'a');
      const [b] = ofUser(segments, 'b');
      assert.equal(segments.length, 3);
      const between = (ms) => ms > asked_ms - 50 && ms < changed_ms + 100;
      assert.ok(between(endOf(a)), `a ends ${endOf(a) - asked_ms} ms from the call`);
      assert.ok(between(b.start_ms), `b begins ${b.start_ms - asked_ms} ms from the call`);
      const [pcm_a, pcm_b] = [await decode(server.file(a)), await decode(server.file(b))];
      assert.ok(level(pcm_a, pcm_a.length - RATE / 5, pcm_a.length - RATE / 25) > 0.05,
        'a sounds to its end');
      assert.ok(level(pcm_b, RATE / 25, RATE / 5) > 0.05, 'b from its beginning');
      const mix = await decode(server.file(ofUser(segments, '0')[0]));
      const cut = Math.round((asked_ms - ofUser(segments, '0')[0].start_ms) * RATE / 1000);
      assert.equal(tone(mix, TONES, cut - RATE, cut - RATE / 10).hz, TONES[0]);
      assert.equal(tone(mix, TONES, cut + RATE / 2, cut + RATE).hz, TONES[1]);
      await server.stop();
    });
});
