// What `tapeop publish` does to its packets, as a recording shows it: the right
// length, the right sounds in the right places, and each kind of harm counted.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe} from 'node:test';

import {BEEPS, beepsFile, checkBeeps, recordOne} from '../aid/beeps.mjs';
import {testInRealTime} from '../aid/calm.mjs';
import {RATE, level, onset, tone} from '../aid/sound.mjs';
import {background, startServer} from '../aid/tapeop.mjs';

/** Publish, as a sender that recordOne understands. */
function speak(t, file, port, bad) {
  const began_ms = Date.now();
  const p = background(t, ['publish', file, '--to', `127.0.0.1:${port}`, ...bad]);
  const sender = {out: () => p.out};
  sender.done = p.exit.then((end) => {
    sender.wall_ms = Date.now() - began_ms;
    sender.text = p.text;
    return end;
  });
  return sender;
}

/** Two beeps over a bad network, recorded: what recordOne gives, with what
 *  publish said and the counters.  Once more where this machine stood still. */
async function over(t, recording, ...bad) {
  const file = await beepsFile(t);
  for (;;) {
    const server = await startServer(t, {recording});
    const r = await recordOne(server, 'room', (port) => speak(t, file, port, bad));
    r.metrics = await server.metrics();
    r.out = r.sender.out();
    await server.stop();
    if (!/held up here/.test(r.out))
      return r;
  }
}

const network = (r) => Object.fromEntries(
  [...r.out.matchAll(/(\d+) (packets|lost|reordered|duplicated|stalled)\b/g)]
    .map(([, n, what]) => [what, Number(n)]));

/** Where the beeps of one file begin [frames]. */
function beepsAt(pcm) {
  const first = onset(pcm);
  const gap = first + (BEEPS.length + 200) * RATE / 1000;
  return [first, gap + onset(pcm.subarray(gap))];
}

describe('bad_network', {concurrency: true}, () => {
  testInRealTime('lost_packets_leave_length_and_places_as_they_were', async (t) => {
    const r = await over(t, {}, '--loss-every', '20');
    checkBeeps(r, {share: 0.8});
    assert.equal(network(r).lost, 7);
    assert.equal(r.metrics.rtp_lost, 7);
    assert.equal(r.metrics.rtp_packets, 143);
  });

  testInRealTime('bursts_of_loss_leave_length_and_places_as_they_were', async (t) => {
    const r = await over(t, {}, '--loss', '10', '--burst-loss', '4', '--seed', '3');
    const {lost} = network(r);
    assert.ok(lost > 4, r.out);
    assert.equal(r.metrics.rtp_lost, lost);
    checkBeeps(r, {share: 0.6});
  });

  testInRealTime('packets_out_of_order_and_twice_lose_nothing', async (t) => {
    const r = await over(t, {}, '--reorder', '20', '--duplicate', '20', '--seed', '1');
    const {reordered, duplicated} = network(r);
    assert.ok(reordered > 10 && duplicated > 10, r.out);
    checkBeeps(r);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.rtp_late, 0);
    assert.equal(r.metrics.frames_concealed, 0);
    assert.equal(r.metrics.rtp_duplicate, duplicated);
  });

  testInRealTime('delay_and_jitter_move_no_sound_within_the_file', async (t) => {
    const r = await over(t, {}, '--delay', '200', '--jitter', '80ms', '--seed', '1');
    checkBeeps(r, {slack_ms: 25});
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.frames_concealed, 0);
    assert.equal(r.metrics.timeline_jumps, 0);
  });

  testInRealTime('a_stalled_network_moves_no_sound_within_the_file', async (t) => {
    const r = await over(t, {}, '--stall', '900ms,700ms');
    checkBeeps(r);
    assert.equal(network(r).stalled, 35);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.frames_concealed, 0);
  });

  testInRealTime('a_fast_and_a_slow_clock_lose_and_add_no_sound', async (t) => {
    await Promise.all(['300', '-300'].map(async (ppm) => {
      const r = await over(t, {}, '--drift', ppm, '--ts', '4294900000');
      checkBeeps(r);
      assert.equal(r.metrics.rtp_lost, 0);
      assert.equal(r.metrics.frames_concealed, 0);
      assert.equal(r.metrics.timeline_jumps, 0);
    }));
  });

  testInRealTime('a_clock_that_stood_is_silence_of_that_length', async (t) => {
    const r = await over(t, {mic_off_after: '5s'}, '--freeze', '1500ms,2s');
    const [first, second] = beepsAt(r.pcm);
    const apart_ms = (second - first) * 1000 / RATE;
    assert.ok(Math.abs(apart_ms - (BEEPS.at[1] - BEEPS.at[0] + 2000)) < 40, `${apart_ms} ms`);
    const all_ms = r.pcm.length * 1000 / RATE;
    assert.ok(all_ms > BEEPS.all + 2000 - 100, `${all_ms} ms`);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.frames_concealed, 0);
    assert.ok(level(r.pcm, first + 0.8 * RATE, second - 0.2 * RATE) < 0.001);
  });

  testInRealTime('who_is_muted_is_silent_and_keeps_the_time', async (t) => {
    // 200 ms of the first beep are not sent
    const r = await over(t, {}, '--mute', '700ms,200ms');
    const [first, second] = beepsAt(r.pcm);
    const ms = (n) => Math.round(n * RATE / 1000);
    assert.ok(Math.abs(second - first - ms(BEEPS.at[1] - BEEPS.at[0])) <= ms(10));
    assert.ok(level(r.pcm, first + ms(230), first + ms(370)) < 0.01);
    assert.equal(tone(r.pcm, [300, 600, 1200], first + ms(420), first + ms(490)).hz, 600);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.frames_concealed, 0);
  });

  testInRealTime('a_pause_with_tiny_packets_is_silence', async (t) => {
    const r = await over(t, {}, '--dtx');
    checkBeeps(r, {slack_ms: 25, tail: false});
    assert.match(r.out, /sender: [1-9]\d+ packets not sent, [1-9]\d* tiny ones/);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.ok(r.metrics.frames_silence >= RATE / 2, `${r.metrics.frames_silence}`);
  });

  testInRealTime('another_ssrc_goes_on_in_the_same_file', async (t) => {
    const r = await over(t, {}, '--ssrc-change', '1200ms', '--seq', '65500');
    checkBeeps(r, {slack_ms: 25});
    assert.match(r.out, /2 SSRCs/);
    assert.equal(r.metrics.rtp_lost, 0);
    assert.equal(r.metrics.rtp_stranger, 0);
  });

  testInRealTime('with_red_nothing_of_a_single_loss_is_made_up', async (t) => {
    const r = await over(t, {}, '--loss-every', '20', '--red', '1', '--red-pt', '110');
    checkBeeps(r);
    assert.equal(network(r).lost, 7);
    assert.equal(r.metrics.rtp_recovered_red, 7);
    assert.equal(r.metrics.frames_concealed, 0);
    assert.equal(r.metrics.rtp_lost, 0);
  });

  testInRealTime('with_two_generations_of_red_two_losses_in_a_row_are_whole', async (t) => {
    const r = await over(t, {}, '--loss', '8', '--burst-loss', '2', '--seed', '9',
      '--red', '4', '--red-pt', '110', '--audio-level', '1');
    const {lost} = network(r);
    assert.ok(lost >= 4, r.out);
    assert.equal(r.metrics.rtp_recovered_red, lost);
    assert.equal(r.metrics.frames_concealed, 0);
    checkBeeps(r);
  });
});
