// test/peer/86_whip_browser.test.mjs -- Chromium comes by WHIP, and is recorded right.
// SPDX-License-Identifier: Apache-2.0
//
// Its microphone is a file: speech, or a tick each second, so that what was
// recorded can be compared with what was said, and when.
import assert from 'node:assert/strict';
import path from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {noBrowser, startWhip} from '../aid/browser.mjs';
import {inRealTime} from '../aid/calm.mjs';
import {RATE, decode, likeness, tool} from '../aid/sound.mjs';
import {tempDir, until} from '../aid/tapeop.mjs';
import {ticket} from '../aid/ticket.mjs';
import {checkTruth} from '../aid/truth.mjs';
import {ROOM, checkOnClock, longestPause, startWebRtcRelay, startWhipServer, ticksFile, ticksOf}
  from '../aid/whip.mjs';

const SPEECH = 'assets/demo/alice.opus';

async function speechFile(t) {
  const wav = path.join(tempDir(t), 'speech.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', SPEECH, '-ar', String(RATE), wav]);
  return wav;
}

/** A browser, a server that permits its site, and a relay between the two that
 *  drops what `plan` says; who comes needs a ticket. */
async function begin(t, {wav, loop, recording = {mic_off: 'split'}, plan, ...more} = {}) {
  const browser = await startWhip(t, wav ?? await ticksFile(t), {loop});
  const server = await startWhipServer(t, {recording,
    http: {admin_token: 'env:TAPEOP_TEST_ADMIN', allowed_origins: [browser.origin]},
    env: {TAPEOP_TEST_ADMIN: 'master'}, ...more});
  const api = server.api;
  server.api = (method, where, body, headers) =>
    api(method, where, body, {authorization: 'Bearer master', ...headers});
  server.relay = await startWebRtcRelay(t, server.udp_port, plan);
  return {browser, server};
}

const how = (server, user, more) =>
  ({url: server.whip(user), ticket: ticket({user}), relay: server.relay.port, ...more});

/** Whoever records: the task, from when the user is heard on. */
async function comeAndRecord(server, tab, more) {
  await tab.join(how(server, 'alice', more));
  await server.hears('alice');
  const asked = Date.now();
  const task = await server.record(ROOM);
  server.began = [asked, Date.now()];
  return task;
}

/** End it: {segments, callbacks, ticks}; every promise about events and files holds. */
async function end(server, task) {
  const asked = Date.now();
  await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
  server.ended = [asked, Date.now()];
  const {segments, callbacks} = await checkTruth(server, server.endpoint, task);
  return {segments, callbacks, ticks: await ticksOf(server, segments)};
}

const wall = (segments) => segments.at(-1).start_ms + segments.at(-1).duration_ms -
  segments[0].start_ms;

/** As long as what came of one run by RTP time, between the calls that began and
 *  ended the recording. */
function checkLength(server, ms) {
  const {trace} = server.relay;
  const between = (from, to) => {
    const came = trace.filter(({at}) => at >= from && at <= to);
    return came.length && ((came.at(-1).ts - came[0].ts) >>> 0) / 48 + 20;
  };
  const least = between(server.began[1], server.ended[0]);
  const most = between(server.began[0], server.ended[1]);
  assert.ok(least > 1000, `${least} ms came`);
  assert.ok(ms > least - 60 && ms < most + 60, `${ms} ms of ${least} to ${most} that came`);
}

function near(what, is, wanted, slack) {
  assert.ok(Math.abs(is - wanted) <= slack, `${what}: ${is}, not ${wanted} +- ${slack}`);
}

async function speech(t) {
  const wav = await speechFile(t);
  const {browser, server} = await begin(t, {wav, loop: false});
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab);
  await sleep(5000);
  const {segments} = await end(server, task);

  assert.equal(segments.length, 1);
  const pcm = await decode(server.file(segments[0]));
  checkLength(server, pcm.length * 1000 / RATE);
  const {share, lag_ms} = likeness((await decode(wav)).subarray(0, pcm.length + 2 * RATE), pcm, 3000);
  assert.ok(share > 0.9, `${share} alike at ${lag_ms} ms`);
  const [input] = await server.inputs();
  assert.deepEqual([input.kind, input.session, input.opus_pt, input.red_pt, input.audio_level_ext],
    ['whip', 'connected', 111, 63, 1]);
  assert.match(input.sender, /^127\.0\.0\.1:\d+$|^\d+\.\d+\.\d+\.\d+:\d+$/);
  const m = await server.metrics();
  assert.equal(m.rtp_bad + m.rtp_bad_opus + m.rtp_stranger, 0);
  assert.equal(await tab.leave(), 200);
  await until('the room is gone', async () => (await server.inputs()).length === 0);
}

/** `quiet` for so long, in the midst of ticks: what is in the files. */
async function pause(t, mic_off, quiet_ms, quiet) {
  const {browser, server} = await begin(t, {recording: {mic_off, input_lost_after: '2s'}});
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab);
  const began = Date.now();
  await sleep(3000);
  await quiet(tab, true);
  await sleep(quiet_ms);
  assert.equal((await server.inputs())[0].warning, '', 'who is quiet is not lost');
  await quiet(tab, false);
  await sleep(3500);
  const ends = Date.now();
  const {segments, callbacks, ticks} = await end(server, task);

  checkOnClock(ticks, server.relay.wandered());
  const missing = longestPause(ticks);
  assert.ok(missing >= quiet_ms - 1000 && missing <= quiet_ms + 2000, `${missing} ms without ticks`);
  assert.ok(ticks.length >= 4, JSON.stringify(ticks));
  near('from begin to end', wall(segments), ends - began, 500);
  if (mic_off === 'silence') {
    assert.equal(segments.length, 1, 'the pause is silence in the file');
    return;
  }
  // the rule of GME: mic off ends the file, mic on begins the next
  assert.deepEqual(segments.map((s) => s.seq), [0, 1]);
  assert.deepEqual(callbacks.filter((c) => c.body.EventType < 3)
    .map((c) => [c.body.EventType, c.body.Detail.SeqNo]), [[1, 0], [2, 0], [1, 1], [2, 1]]);
  near('the gap between the files', segments[1].start_ms - segments[0].start_ms -
    segments[0].duration_ms, quiet_ms, 700);
}

async function reload(t, mic_off) {
  const {browser, server} = await begin(t, {recording: {mic_off}});
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab);
  const began = Date.now();
  const [{input_id}] = await server.inputs();
  await sleep(3000);
  await tab.reload();
  await tab.join(how(server, 'alice'));
  await until('the new session', async () => {
    const [input] = await server.inputs();
    return input?.input_id !== input_id && input?.session === 'connected' && input.packets > 0;
  });
  assert.equal((await server.inputs()).length, 1);
  await sleep(3500);
  const ends = Date.now();
  const {segments, ticks} = await end(server, task);

  assert.deepEqual(segments.map((s) => [s.user, s.seq]), [['alice', 0], ['alice', 1]]);
  near('from begin to end', wall(segments), ends - began, 500);
  // the microphone's file begins anew with the page: each file has its own clock
  for (const seq of [0, 1])
    checkOnClock(ticks.filter((tick) => tick.seq === seq), server.relay.wandered());
}

async function twoTabs(t) {
  const {browser, server} = await begin(t);
  const [first, second] = [await browser.open(), await browser.open()];
  const task = await comeAndRecord(server, first);
  await sleep(2500);
  await second.join(how(server, 'alice'));
  await until('the first has been told', async () => (await first.story()).includes('replaced'));
  await server.hears('alice');
  assert.equal((await server.inputs()).length, 1);
  await sleep(2500);
  assert.equal(await second.state(), 'connected');
  assert.ok(!(await second.story()).includes('comes back'));
  const {segments} = await end(server, task);
  assert.deepEqual(segments.map((s) => [s.user, s.seq]), [['alice', 0], ['alice', 1]]);
}

async function lossy(t) {
  // a loss just before DTX has no copy: let there be none
  const {browser, server} = await begin(t, {wav: await ticksFile(t, 0.2), loop: true,
    plan: (n) => n % 20 !== 19});
  const {relay} = server;
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab);
  await sleep(8000);
  const {segments, ticks} = await end(server, task);
  const m = await server.metrics();

  assert.equal(segments.length, 1);
  checkOnClock(ticks, server.relay.wandered());
  assert.ok(relay.dropped > 10, `${relay.dropped} of ${relay.media} dropped`);
  assert.ok(m.rtp_recovered_red >= relay.dropped - 3,
    `${m.rtp_recovered_red} of ${relay.dropped} brought by RED`);
  assert.equal(m.frames_concealed, 0);
  assert.equal(m.rtp_lost, 0);
}

async function moves(t) {
  const {browser, server} = await begin(t);
  const {relay} = server;
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab);
  const [before] = await server.inputs();
  await sleep(2500);
  await relay.move();
  await until('it sends from elsewhere', async () => {
    const [input] = await server.inputs();
    return input.sender !== before.sender && input.packets > before.packets;
  });
  await sleep(3000);
  assert.equal(await tab.restart(), 200, 'ICE restart');
  await sleep(3000);
  assert.equal(await tab.state(), 'connected');
  assert.equal((await server.inputs())[0].input_id, before.input_id);
  const {segments, ticks} = await end(server, task);
  assert.equal(segments.length, 1, `it is one file: ${JSON.stringify([segments, ticks])}`);
  checkOnClock(ticks, relay.wandered());
  assert.equal(relay.moves, 1);
  // what it said before it was checked again was heard, too: RED brings the one
  // packet that was under way when the address was taken from it
  const m = await server.metrics();
  assert.equal(m.rtp_lost + m.frames_concealed, 0);
}

async function restarted(t) {
  const {browser, server} = await begin(t, {recording: {mic_off: 'split', auto: 'single'}});
  const tab = await browser.open();
  await tab.join(how(server, 'alice'));
  await server.hears('alice');
  const task = await until('it is recorded', async () =>
    (await server.ask(200, 'GET', '/v1/rooms')).rooms[0]?.task_id);
  await sleep(3000);
  await server.kill();
  await server.start();
  assert.deepEqual((await server.inputs()).map((i) => [i.user, i.session]), [['alice', 'away']]);
  await server.hears('alice');
  await sleep(3000);
  assert.equal((await server.task(task)).state, 'running', 'the task goes on');
  assert.equal((await server.ask(200, 'GET', '/v1/rooms')).rooms[0].task_id, task);
  const {segments, ticks} = await end(server, task);
  assert.deepEqual(segments.map((s) => [s.user, s.seq]), [['alice', 0], ['alice', 1]]);
  checkOnClock(ticks, server.relay.wandered());
  assert.ok(ticks.some((tick) => tick.seq === 1));
}

async function declined(t) {
  const {browser, server} = await begin(t);
  const tab = await browser.open();
  const task = await comeAndRecord(server, tab, {video: true, data: true});
  await sleep(3000);
  const answer = await tab.page.evaluate(() => window.answer);
  assert.match(answer, /^m=video 0 /m);
  assert.match(answer, /^m=application 0 /m);
  await tab.changeDevice();
  await sleep(2500);
  const {segments, ticks} = await end(server, task);
  assert.equal(segments.length, 1);
  assert.ok(ticks.length >= 4);
}

async function closedTab(t) {
  const {browser, server} = await begin(t, {recording: {mic_off: 'split', auto: 'single'}});
  const tab = await browser.open();
  await tab.join(how(server, 'alice'));
  await server.hears('alice');
  const task = await until('it is recorded', async () =>
    (await server.ask(200, 'GET', '/v1/rooms')).rooms[0]?.task_id);
  await sleep(2500);
  await tab.page.close();
  await until('the room is empty', async () => (await server.inputs()).length === 0);
  const {segments} = await checkTruth(server, server.endpoint, task);
  assert.equal(segments.length, 1);
}

const mute = (tab, on) => tab.mute(on);
const hold = (tab, on) => tab.hold(on);

describe('whip_browser', {skip: noBrowser}, () => {
  const cases = {
    what_chromium_says_is_recorded_word_for_word: speech,
    mute_for_5_s_splits_the_file: (t) => pause(t, 'split', 5000, mute),
    mute_for_5_s_is_silence_where_that_is_set: (t) => pause(t, 'silence', 5000, mute),
    no_track_for_6_s_splits_the_file: (t) => pause(t, 'split', 6000, hold),
    no_track_for_6_s_is_silence_where_that_is_set: (t) => pause(t, 'silence', 6000, hold),
    a_page_that_is_loaded_again_goes_on_with_the_next_file: (t) => reload(t, 'split'),
    a_page_that_is_loaded_again_goes_on_where_silence_is_set: (t) => reload(t, 'silence'),
    of_two_tabs_the_newer_takes_over: twoTabs,
    every_20th_packet_is_lost_and_nothing_is_concealed: lossy,
    another_network_and_an_ice_restart_end_no_file: moves,
    a_server_that_was_killed_is_joined_again_and_the_task_goes_on: restarted,
    video_and_data_beside_the_sound_are_declined: declined,
    a_tab_that_is_closed_leaves_the_room: closedTab,
  };
  for (const [name, run] of Object.entries(cases))
    test(name, (t) => inRealTime(t, run));
});
