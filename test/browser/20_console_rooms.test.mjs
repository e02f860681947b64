// The console's Rooms in Chromium: who is in, who speaks, recording by a click,
// logging in, names of strangers, a server that goes and comes back.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {fits, isClean, isDark, nameless, openConsole, restartAt} from '../aid/console.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, background, startServer, until} from '../aid/tapeop.mjs';

const TOKEN = 'open-sesame-0123456789';
const SPEECH = 'assets/demo/alice.opus';
const room = (name) => `[data-room="${name}"]`;

/** Somebody speaks until the test ends. */
const speak = (t, server, name, user, more = []) => background(t, ['publish', SPEECH, '--loop',
  '--app', String(APP), '--room', name, '--user', user, '--server', server.url, ...more]);

test('console_rooms', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();

  await t.test('an_empty_system_says_what_to_do_first', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server);
    await page.sees('what to do', '.empty', /Nobody is in a room yet[^]*Join from this browser/);
    const commands = await page.texts('.empty code');
    assert.equal(commands[0], `tapeop publish speech.wav --app ${APP} --room lobby --user alice ` +
      `--server ${server.url}`);
    // the command that it shows is good
    const [, url, body] = /-X POST (\S+) -d '(.*)'$/.exec(commands[1]);
    assert.equal((await fetch(url, {method: 'POST', body})).status, 201);
    await page.waitForSelector(`${room('lobby')} .user`);
    assert.equal(await page.locator('.empty').count(), 0);
    assert.deepEqual(await nameless(page), []);
    isClean(page);
  });

  await t.test('who_speaks_is_seen_and_recording_starts_and_stops_by_a_click', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/rooms'});
    await server.join('lobby', 'bob'); // and says nothing
    speak(tt, server, 'lobby', 'alice', ['--audio-level', '1']);
    const lobby = page.locator(room('lobby'));
    await page.waitForSelector(`${room('lobby')} [data-user=alice]`);
    await page.selectOption(`${room('lobby')} select`, 'both');
    await lobby.getByRole('button', {name: 'Record lobby'}).click();
    await page.sees('it is recorded', '.task', /recording[^]*both · mp3/);
    await page.sees('it is said', '.toast', /lobby is being recorded/);
    const {tasks} = await server.ask(200, 'GET', '/v1/tasks?state=running');
    assert.deepEqual(tasks.map((task) => [task.room, task.mode]), [['lobby', 'both']]);
    // levels: of her who speaks they move, his stays where it is
    await page.waitForSelector(`${room('lobby')} [data-user=alice].speaks`);
    await until('her level moves', () => page.evaluate(() => {
      const value = document.querySelector('[data-user=alice] meter').value;
      window.levels = new Set([...window.levels ?? [], value]);
      return window.levels.size > 2 && Math.max(...window.levels) > -30;
    }));
    assert.equal(await page.locator('[data-user=bob] meter').evaluate((m) => m.value), -60);
    await page.sees('he is off', '[data-user=bob]', /mic off/);
    // time runs
    const elapsed = (await page.texts('.task .number'))[0];
    await until('the clock runs', async () => (await page.texts('.task .number'))[0] !== elapsed);
    // one that is like it is refused, and the page says why
    await lobby.getByRole('button', {name: 'Record lobby'}).click();
    await page.sees('why not', '.toast.bad', /already|task/);
    await lobby.getByRole('button', {name: /Stop the recording/}).click();
    await page.waitForSelector('.task', {state: 'detached'});
    await until('it is stopped', async () =>
      (await server.ask(200, 'GET', '/v1/tasks?state=running')).tasks.length === 0);
    isClean(page);
  });

  await t.test('what_gets_lost_is_shown', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server);
    speak(tt, server, 'lobby', 'alice', ['--loss-every', '4', '--jitter', '60ms', '--seed', '1']);
    await page.sees('loss', '[data-user=alice]', /loss (2\d|1\d) %/);
    await page.sees('jitter', '[data-user=alice]', /jitter [1-9]\d* ms/);
    isClean(page);
  });

  await t.test('what_is_wrong_with_a_room_is_said', async (tt) => {
    const server = await startServer(tt, {recording: {input_lost_after: '1s'}});
    const page = await openConsole(tt, browser, server);
    await server.join('lobby', 'bob');
    const alice = speak(tt, server, 'lobby', 'alice');
    const task = await server.record('lobby');
    await page.sees('it is recorded', '.task', /recording/);
    assert.equal(await page.locator('.task >> text=paused').isVisible(), false);
    await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {paused: true});
    await page.locator('.task >> text=paused').waitFor();
    // at the same time: a machine that stands still for a second sends nothing
    await until('she speaks, and nothing is wrong', () =>
      page.locator(`${room('lobby')} [data-user=alice].speaks`).evaluate((row) =>
        ![...row.querySelectorAll('.wait')].some((badge) => badge.checkVisibility())));
    alice.child.kill('SIGKILL'); // no goodbye
    await page.locator('[data-user=alice] >> text=nothing comes').waitFor();
    isClean(page);

    // what is hard to bring about: as the server would tell it
    const state = (await listen(tt, server, {path: '/v1/live'}));
    await until('it is told', () => state.states.length);
    const [{rooms: [lobby], ...rest}] = state.states;
    lobby.inputs[0].warning = 'no_audio';
    const told = {...rest, rooms: [{...lobby, n_inputs: 7}], not_ready: 'the disk is low'};
    const far = await browser.newPage();
    tt.after(() => far.close());
    await far.route('**/v1/live*', (r) => r.fulfill({contentType: 'text/event-stream',
      body: `retry: 60000\n\nevent: state\ndata: ${JSON.stringify(told)}\n\n`}));
    await far.goto(server.url);
    await far.locator('.failures >> text=Nothing can be recorded now: the disk is low.').waitFor();
    await far.locator('.user >> text=nothing is heard').waitFor();
    await far.locator('.room >> text=and 5 more').waitFor();
  });

  await t.test('a_room_or_a_user_is_found_by_its_name', async (tt) => {
    const server = await startServer(tt, {ports: 200});
    for (let i = 0; i < 110; i++)
      await server.join(`room-${String(i).padStart(3, '0')}`, `user-${i}`);
    const page = await openConsole(tt, browser, server);
    await page.sees('not all are shown', '.bar .note', /^100 of 110/);
    assert.equal(await page.locator('.room').count(), 100);
    await page.fill('input[type=search]', 'ROOM-109');
    await until('one is left', async () => (await page.locator('.room').count()) === 1);
    await page.fill('input[type=search]', 'user-42');
    await page.waitForSelector(room('room-042'));
    await page.selectOption(`${room('room-042')} select`, 'mixed');
    await page.fill('input[type=search]', 'nobody');
    await page.sees('none', '.bar .note', /No room or user matches/);
    assert.equal(await page.locator('.empty').count(), 0);
    await page.fill('input[type=search]', '');
    await until('all again', async () => (await page.locator('.room').count()) === 100);
    assert.equal(await page.locator(`${room('room-042')} select`).inputValue(), 'mixed');
    isClean(page);
  });

  await t.test('a_room_does_not_move_away_from_under_the_hand', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server);
    for (const name of ['aa', 'bb'])
      await server.join(name, 'alice');
    const order = () => page.locator('.room').evaluateAll((all) =>
      all.map((card) => card.dataset.room).join());
    await until('both are there', async () => await order() === 'aa,bb');
    await page.getByRole('button', {name: 'Record bb'}).click();
    await page.waitForSelector(`${room('bb')} .task`);
    assert.equal(await order(), 'aa,bb');
    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(1, 1);
    await until('what is recorded comes first', async () => await order() === 'bb,aa');
    isClean(page);
  });

  await t.test('names_of_strangers_are_text_and_nothing_else', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server);
    const names = ['<img src=x onerror=window.hacked=1>', '"><svg onload=window.hacked=1>',
      'javascript:window.hacked=1', '\u202egnp.exe', '&lt;b&gt;', 'x'.repeat(128)];
    for (const name of names)
      await server.join(name, name);
    await until('all are there', async () =>
      (await page.locator('.room').count()) === names.length);
    assert.deepEqual((await page.locator('.room h4 bdi').allTextContents()).sort(),
      [...names].sort());
    await page.getByRole('button', {name: `Record ${names[0]}`}).click();
    await page.sees('it is said', '.toast', /is being recorded/);
    assert.deepEqual(await page.evaluate(() => [window.hacked ?? null, document.images.length,
      document.scripts.length, document.querySelectorAll('main :is(img, svg, script, b)').length]),
    [null, 1, 1, 0]);
    isClean(page);
  });

  await t.test('a_phone_needs_no_sideways_scroll_in_the_light_and_in_the_dark', async (tt) => {
    const server = await startServer(tt);
    for (const colorScheme of ['light', 'dark']) {
      const page = await openConsole(tt, browser, server,
        {options: {viewport: {width: 360, height: 740}, colorScheme}});
      if (colorScheme === 'light') {
        await page.waitForSelector('.empty');
        assert.ok(await fits(page), 'empty');
        await server.join('y'.repeat(128), 'x'.repeat(128));
        await server.record('y'.repeat(128));
      }
      await page.waitForSelector('.task');
      assert.ok(await fits(page), colorScheme);
      assert.equal(await isDark(page), colorScheme === 'dark');
      isClean(page);
    }
  });

  await t.test('it_comes_back_by_itself_when_the_server_does', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    const port = new URL(server.url).port;
    const page = await openConsole(tt, browser, server);
    await page.waitForSelector(room('lobby'));
    await server.kill();
    await page.waitForSelector('#state[data-state=lost]');
    await page.sees('it says so', '#state', /does not answer, trying again/);
    await page.getByRole('button', {name: 'Record lobby'}).click();
    await page.sees('a click is answered', '.toast.bad', /does not answer/);
    await restartAt(server, port);
    await page.waitForSelector('#state[data-state=live]');
    await server.join('lobby', 'bob');
    await page.waitForSelector(`${room('lobby')} [data-user=bob]`);
    await page.waitForSelector(`${room('lobby')} [data-user=alice]`);
    isClean(page);
  });

  await t.test('it_is_used_by_keyboard', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    speak(tt, server, 'lobby', 'bob');
    const page = await openConsole(tt, browser, server);
    await page.waitForSelector(`${room('lobby')} [data-user=bob]`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'page');
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    await until('Record is reached', async () => {
      await page.keyboard.press('Tab');
      return await focused() === 'Record lobby';
    });
    await page.keyboard.press('Enter');
    await page.waitForSelector('.task');
    // what moves does not take the focus away
    await until('many states later', () => page.evaluate(() => {
      window.seen = new Set([...window.seen ?? [],
        document.querySelector('.task .number').textContent]);
      return window.seen.size > 2;
    }));
    assert.equal(await focused(), 'Record lobby');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    assert.match(await focused(), /^Stop the recording/);
    await page.keyboard.press('Space');
    await page.waitForSelector('.task', {state: 'detached'});
    assert.deepEqual(await nameless(page), []);
    isClean(page);
  });

  await t.test('with_a_token_it_asks_for_that_once', async (tt) => {
    const server = await startServer(tt, {http: {admin_token: 'env:TOKEN'}, env: {TOKEN}});
    const context = await browser.newContext();
    tt.after(() => context.close());
    const page = await openConsole(tt, context, server, {live: false});
    await page.waitForSelector('#login[open]');
    assert.deepEqual(await page.texts('#state'), ['not logged in']);
    assert.equal(await page.locator('#logout').isVisible(), false);
    await page.keyboard.press('Escape'); // there is nothing behind it to see
    assert.equal(await page.locator('#login[open]').count(), 1);
    await page.fill('#token', 'wrong');
    await page.keyboard.press('Enter');
    await page.sees('it is wrong', '#login-fault', /not the admin token/);
    await page.fill('#token', TOKEN);
    await page.click('#login-form button');
    await page.waitForSelector('.empty .command');
    const [, url, proof, body] = /-X POST (\S+) -H "(.*)" -d '(.*)'$/
      .exec((await page.texts('.empty code'))[1]);
    assert.equal(proof, 'Authorization: Bearer $TAPEOP_ADMIN_TOKEN');
    assert.equal((await fetch(url, {method: 'POST', body,
      headers: {authorization: `Bearer ${TOKEN}`}})).status, 201);
    await page.waitForSelector(room('lobby'));
    await page.getByRole('button', {name: 'Record lobby'}).click();
    await page.waitForSelector('.task');
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite],
      ['tapeop_session', true, 'Strict']);
    assert.equal(await page.evaluate((token) => document.cookie +
      JSON.stringify([localStorage, sessionStorage]) + document.documentElement.outerHTML
      .includes(token), TOKEN), '[{},{}]false');
    await page.reload();
    await page.waitForSelector('.task'); // it is known
    // a server that was started again asks once more, and the page goes on
    const port = new URL(server.url).port;
    await server.kill();
    await restartAt(server, port);
    await page.waitForSelector('#login[open]');
    await page.fill('#token', TOKEN);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#state[data-state=live]');
    await page.evaluate(() => (window.location.hash = '#/recordings'));
    await page.click('#logout');
    await page.waitForSelector('#login[open]');
    assert.deepEqual(await page.texts('#state'), ['not logged in']);
    assert.equal((await page.request.get(`${server.url}/v1/rooms`)).status(), 401);
    isClean(page);
  });

  await t.test('of_another_machine_without_a_token_it_says_why_not', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server, {live: false, options: {
      extraHTTPHeaders: {'X-Forwarded-For': '192.0.2.1'}}});
    await page.sees('why', '#state', /forwarded by a proxy[^]*http.admin_token/);
  });
});
