// The console's Recordings in Chromium: found, looked at, listened to, live.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {fits, isClean, isDark, nameless, openConsole} from '../aid/console.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {s3Storage, startStore, whyNoStore} from '../aid/s3.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const HOSTILE = '<img src=x onerror="window.hacked=1">';
const speech = oggPackets('assets/demo/alice.opus');

/** Alice, then bob as well, speak in a room: the task, still running. */
async function record(t, server, room, {users = ['alice', 'bob'], n = 120} = {}) {
  const sending = [];
  let task;
  for (const user of users) {
    const input = await server.join(room, user);
    task ??= await server.record(room);
    const sender = sendPackets(t, speech, input.port);
    sending.push(sender);
    await sender.reached(n);
  }
  await until('each has a file', async () =>
    (await server.segments(task)).filter((s) => s.state === 'recording').length === users.length);
  return {task, stop: () => sending.forEach((s) => s.stop())};
}

test('recordings', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();
  const backend = await startEndpoint(t);
  // one file each, also where the senders stand still for a while
  const options = {recording: {mic_off_after: '1h'},
    callbacks: [{name: 'backend', url: backend.url, dialect: 'gme'}]};

  await t.test('an_empty_list_says_what_to_do_and_fills_by_itself', async (tt) => {
    const server = await startServer(tt, options);
    const page = await openConsole(tt, browser, server, {hash: '#/recordings'});
    await page.sees('what to do', '.empty', /press Record/);
    const {task} = await record(tt, server, 'lobby', {users: ['alice']});
    await page.sees('it is listed', 'tbody tr', /lobby[^]*recording/);
    await server.finish(task);
    await page.sees('it has stopped', 'tbody tr', /lobby[^]*stopped/);
    isClean(page);
  });

  await t.test('a_search_finds_by_room_user_state_and_day', async (tt) => {
    const server = await startServer(tt, options);
    for (const [room, user] of [['daily', 'alice'], ['weekly', 'bob'], [HOSTILE, HOSTILE]]) {
      const {task, stop} = await record(tt, server, room, {users: [user], n: 40});
      await server.finish(task);
      stop();
    }
    await server.join('running', 'u');
    await server.record('running');
    const page = await openConsole(tt, browser, server, {hash: '#/recordings'});
    const rooms = async () => (await page.locator('tbody bdi').allTextContents()).sort();
    const shows = (what, want) => until(what, async () =>
      JSON.stringify(await rooms()) === JSON.stringify([...want].sort()));
    await shows('all', ['daily', 'weekly', HOSTILE, 'running']);
    await page.fill('input[type=search]', 'da');
    await shows('by room', ['daily']);
    await page.fill('input[type=search]', 'bob');
    await shows('by user', ['weekly']);
    await page.click('tbody a');
    await page.sees('the room', 'h2', /Room weekly/);
    await page.goBack(); // what was searched for is still there
    await shows('by user', ['weekly']);
    assert.equal(await page.locator('input[type=search]').inputValue(), 'bob');
    await page.fill('input[type=search]', '<img');
    await shows('by a strange name', [HOSTILE]);
    await page.fill('input[type=search]', 'nobody');
    await page.sees('that there is none', '.note', /No recording matches/);
    await page.fill('input[type=search]', '');
    await page.selectOption('select[aria-label=State]', 'running');
    await shows('by state', ['running']);
    await page.selectOption('select[aria-label=State]', '');
    await page.fill('input[type=date] >> nth=1', '2020-01-01');
    await page.sees('that there is none', '.note', /No recording matches/);
    assert.equal(await page.evaluate(() => window.hacked ?? null), null);
    assert.equal(await page.evaluate(() =>
      document.querySelectorAll('main :is(img, script)').length), 0);
    isClean(page);
  });

  await t.test('a_recording_is_shown_while_it_runs_and_played_when_it_has_ended', async (tt) => {
    const server = await startServer(tt, options);
    const {task, stop} = await record(tt, server, 'lobby');
    const page = await openConsole(tt, browser, server, {hash: '#/recordings'});
    await page.click('tbody a');
    await page.sees('the room', 'h2', /Room lobby/);
    await until('a row a speaker', async () =>
      (await page.texts('.timeline .who')).sort().join() === 'alice,bob');
    await page.sees('an open file', '.files tr', /alice[^]*recording/);
    assert.equal(await page.locator('.timeline .part.recording').count(), 2);
    // the files get longer, and who is at the slider stays there
    await page.focus('input[type=range]');
    const length = () => page.locator('input[type=range]').evaluate((s) => Number(s.max));
    const before = await length();
    await until('it gets longer', async () => await length() > before);
    assert.equal(await page.evaluate(() => document.activeElement.type), 'range');
    await page.click('button:text("Stop")');
    await until('waveforms', async () => await page.locator('.timeline .wave').count() === 2);
    const heights = await page.locator('.timeline .wave').evaluateAll((all) =>
      all.map((wave) => wave.getBBox().height));
    assert.ok(Math.min(...heights) > 10, `somebody speaks: ${heights}`);
    stop();
    const segments = await server.finish(task);
    const [alice, bob] = ['alice', 'bob'].map((u) => segments.find((s) => s.user === u));

    // on one axis of wall time: bob came later
    const lefts = await page.locator('.timeline .part').evaluateAll((all) =>
      all.map((part) => Number(part.getAttribute('x'))));
    const total = Math.max(...segments.map((s) => s.start_ms + s.duration_ms)) - alice.start_ms;
    const want = 1000 * (bob.start_ms - alice.start_ms) / total;
    assert.ok(Math.min(...lefts) === 0 && Math.abs(Math.max(...lefts) - want) < 2, `${lefts}, ${want}`);

    // events in order, each with its callbacks
    await page.sees('the last event', '.event', /files ready/);
    const events = await page.locator('.event').evaluateAll((all) => all.map((e) => e.dataset.kind));
    assert.equal(events[0], 'task_started');
    assert.ok(events.indexOf('started') < events.indexOf('completed'));
    assert.equal(events.filter((k) => k === 'started').length, 2);
    await until('all are delivered', async () => {
      const states = await page.locator('.event[data-kind=started] .callback').evaluateAll((all) =>
        all.map((c) => c.dataset.state));
      return states.join() === 'delivered,delivered';
    });

    // the player: by hand, by keyboard, by a click into the picture
    const audio = (what) => page.evaluate((w) => document.querySelector('audio')[w], what);
    await page.click(`button[aria-label="Play alice 0"]`);
    await until('alice is heard', async () => await audio('currentTime') > 0.3 && !await audio('paused'));
    assert.equal(await page.locator('.timeline').getAttribute('data-segment'), alice.segment_id);
    await page.click('button:text("Pause")');
    await until('it is still', () => audio('paused'));
    await page.focus('input[type=range]');
    await page.keyboard.press('Home');
    await until('at the beginning', async () => await audio('currentTime') === 0);
    for (let i = 0; i < 10; i++)
      await page.keyboard.press('ArrowRight');
    await until('a second later', async () => Math.abs(await audio('currentTime') - 1) < 0.05);
    const row = page.locator('.row[data-track="single bob"] svg');
    const box = await row.boundingBox();
    await row.click({position: {x: box.width * 0.95, y: 10}});
    await until('bob is chosen', async () =>
      await page.locator('.timeline').getAttribute('data-segment') === bob.segment_id);
    const at_s = (alice.start_ms + 0.95 * total - bob.start_ms) / 1000;
    await until('where the click was', async () =>
      Math.abs(await audio('currentTime') - at_s) < 0.1);

    // the file itself
    const [download] = await Promise.all([page.waitForEvent('download'),
      page.click('.files tr:has-text("alice") a:text("Download")')]);
    assert.equal(download.suggestedFilename(), alice.file.replaceAll('/', '_'));
    assert.deepEqual(fs.readFileSync(await download.path()), fs.readFileSync(server.file(alice)));

    await page.click('.event[data-kind=started] .callback >> nth=0');
    await page.sees('its delivery', 'h2', /started to backend/);
    isClean(page);
  });

  await t.test('the_player_goes_on_into_the_next_file_and_steps', async (tt) => {
    const server = await startServer(tt);
    const input = await server.join('lobby', 'alice');
    const task = await server.record('lobby');
    const sender = sendPackets(tt, speech, input.port);
    const mic = (is) => server.ask(200, 'PATCH', `/v1/inputs/${input.input_id}`, {mic: is});
    await sender.reached(150);
    await mic('off');
    const [one] = await until('its file has ended', async () => {
      const all = await server.segments(task);
      return all[0]?.state === 'closed' && all;
    });
    await mic('on');
    await until('there is another', async () => (await server.segments(task)).length === 2);
    await sender.reached(Math.max(450, sender.sent() + 150)); // it has some length, too
    const two = (await server.finish(task)).find((s) => s.segment_id !== one.segment_id);
    sender.stop();
    const page = await openConsole(tt, browser, server, {hash: `#/recordings/${task}`});
    const clock = (what, pattern) => page.sees(what, '.clock', pattern);
    await clock('the beginning', /^0:00 of/);
    await page.click('button[aria-label="Five seconds on"]');
    await clock('a step', /^0:05 of/);
    await page.click('button[aria-label="Five seconds back"]');
    await clock('and back', /^0:00 of/);
    await page.locator('input[type=range]').evaluate((slider, s) => {
      slider.value = s;
      slider.dispatchEvent(new Event('input'));
    }, one.duration_ms / 1000 - 0.5);
    await page.click('button:text("Play")');
    await until('the next is heard', () => page.evaluate((id) =>
      document.querySelector('.timeline').dataset.segment === id &&
      document.querySelector('audio').currentTime > 0.2, two.segment_id));
    isClean(page);
  });

  await t.test('a_file_in_the_bucket_is_played_from_there', {skip: whyNoStore() ?? false},
    async (tt) => {
      const store = await startStore(tt);
      const server = await startServer(tt, {file_storage: s3Storage(store.url)});
      const {task, stop} = await record(tt, server, 'lobby', {users: ['alice']});
      const [segment] = await server.finish(task);
      stop();
      assert.equal(segment.uploaded, true);
      const page = await openConsole(tt, browser, server, {hash: `#/recordings/${task}`});
      await page.waitForSelector('.timeline .wave');
      await page.click('button[aria-label="Play alice 0"]');
      await until('alice is heard', () => page.evaluate(() =>
        document.querySelector('audio').currentTime > 0.3));
      assert.deepEqual(page.wrong, []);
      assert.ok(page.foreign.length > 0);
      assert.ok(page.foreign.every((url) => url.startsWith(`${store.url}/`)), page.foreign.join());
    });

  await t.test('a_phone_in_the_dark_needs_no_horizontal_scroll', async (tt) => {
    const server = await startServer(tt, options);
    const {task, stop} = await record(tt, server, 'r'.repeat(128), {users: ['u'.repeat(128)], n: 40});
    await server.finish(task);
    stop();
    const page = await openConsole(tt, browser, server, {hash: '#/recordings',
      options: {viewport: {width: 360, height: 700}, colorScheme: 'dark'}});
    assert.equal(await isDark(page), true);
    await page.waitForSelector('tbody tr');
    assert.equal(await fits(page), true, 'the list');
    await page.click('tbody a');
    await page.waitForSelector('.timeline .wave');
    await page.waitForSelector('.event');
    assert.equal(await fits(page), true, 'a recording');
    assert.deepEqual(await nameless(page), []);
    isClean(page);
  });
});
