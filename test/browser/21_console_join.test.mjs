// The console's Join in Chromium: a person speaks into a room and is recorded,
// mutes, leaves; what is said when it cannot be; how it comes back.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';

import {noBrowser, startMicrophone} from '../aid/browser.mjs';
import {fits, isClean, isDark, nameless, openConsole, restartAt} from '../aid/console.mjs';
import {RATE, decode, level, tool} from '../aid/sound.mjs';
import {APP, rtpRange, startServer, tempDir, until} from '../aid/tapeop.mjs';
import {startWebRtcRelay} from '../aid/whip.mjs';

const TOKEN = 'open-sesame-0123456789';
const admin = {authorization: `Bearer ${TOKEN}`};

/** A server whose ports stay the same over a restart. */
const serve = async (t, options = {}) => startServer(t, {...options,
  media: {udp_port: Number((await rtpRange()).split('-')[0])}});

async function speech(t) {
  const wav = path.join(tempDir(t), 'speech.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', 'assets/demo/alice.opus', '-ar',
    String(RATE), wav]);
  return wav;
}

async function join(page, {room = 'lobby', user = 'carol'} = {}) {
  await page.waitForSelector('form.talk');
  await page.getByLabel('Room', {exact: true}).fill(room);
  await page.getByLabel('Your name', {exact: true}).fill(user);
  await page.locator('form.talk button').click();
}

const isIn = (page) => page.waitForSelector('.talk[data-state=in]');

/** The input of somebody as the server has it. */
const inputOf = async (server, user, headers) =>
  (await server.api('GET', '/v1/rooms', undefined, headers)).json.rooms
    .flatMap((r) => r.inputs).find((i) => i.user === user);

/** The greatest value that a meter shows in a while is over `dbfs`. */
const moves = (page, label, dbfs) => until(`${label} moves`, () =>
  page.getByLabel(label).evaluate((m, over) => m.value > over, dbfs));

test('console_join', {skip: noBrowser}, async (t) => {
  const wav = await speech(t);
  const browser = await startMicrophone(t, wav, true);

  await t.test('a_person_speaks_and_is_recorded', async (tt) => {
    const server = await serve(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/join'});
    await join(page);
    await isIn(page);
    await moves(page, 'Level of your microphone', -40);
    await page.sees('the server hears it', '.levels', /it hears you · 0 of \d+ packets lost/);
    await moves(page, 'Level that the server hears', -40);
    // the call goes on where it is recorded
    await page.getByRole('link', {name: 'Record it, in Rooms'}).click();
    await page.waitForSelector('[data-room=lobby] [data-user=carol].speaks');
    await page.getByRole('button', {name: 'Record lobby'}).click();
    await page.waitForSelector('.task');
    await page.getByRole('link', {name: /speaking in/}).click();
    await page.sees('it is said', '.talk', /recording/);
    const [task] = (await server.ask(200, 'GET', '/v1/tasks?state=running')).tasks;
    await until('some seconds are recorded', async () =>
      (await inputOf(server, 'carol')).packets > 250);
    await until('a file is begun', async () =>
      (await server.segments(task.task_id)).some((s) => s.state === 'recording'));
    await page.getByRole('link', {name: 'Rooms', exact: true}).click();
    await page.getByRole('button', {name: /Stop the recording/}).click();
    const segments = await server.finish(task.task_id);
    assert.deepEqual([...new Set(segments.map((s) => s.user))], ['carol']);
    const pcm = await decode(server.file(segments[0]));
    assert.ok(level(pcm) > 0.005, `level ${level(pcm)}`);
    isClean(page);
  });

  await t.test('who_is_muted_is_not_heard_and_who_has_left_is_not_there', async (tt) => {
    const server = await serve(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/join?room=den'});
    await page.waitForSelector('form.talk');
    assert.equal(await page.getByLabel('Room', {exact: true}).inputValue(), 'den');
    await join(page, {room: 'den'});
    await isIn(page);
    const mic = (is) => until(`its microphone is ${is}`, async () =>
      (await inputOf(server, 'carol'))?.mic === is);
    await mic('on');
    await page.getByRole('button', {name: 'Mute'}).first().click();
    await page.sees('it says so', '.talk', /You are muted/);
    await mic('off');
    await page.locator('body').press('m');
    await mic('on');
    await page.keyboard.press('M');
    await mic('off');
    // also where other things are looked at, but not where it is a letter
    await page.getByRole('link', {name: 'Rooms', exact: true}).click();
    await page.waitForSelector('[data-room=den]');
    await page.locator('body').press('m');
    await mic('on');
    await page.getByLabel('Search rooms and users').pressSequentially('m');
    assert.equal(await page.locator('#call').getByRole('button', {name: 'Mute'}).count(), 1);
    await page.locator('.page h2').click();
    await page.keyboard.press('m');
    await mic('off');
    await page.getByRole('link', {name: /muted in/}).click();
    await page.locator('section.talk').getByRole('button', {name: 'Unmute'}).click();
    await mic('on');
    assert.deepEqual(await nameless(page), []);
    await page.locator('section.talk').getByRole('button', {name: 'Leave'}).click();
    await page.waitForSelector('form.talk');
    await until('it is not there', async () => !await inputOf(server, 'carol'));
    assert.equal(await page.getByLabel('Your name', {exact: true}).inputValue(), 'carol', 'it is kept');
    // who closes the page has left, too
    await page.locator('form.talk button').click();
    await isIn(page);
    await mic('on');
    await page.close();
    await until('it is not there', async () => !await inputOf(server, 'carol'));
    isClean(page);
  });

  await t.test('it_comes_back_by_itself_when_the_server_does', async (tt) => {
    const server = await serve(tt);
    const {port} = new URL(server.url);
    const page = await openConsole(tt, browser, server, {hash: '#/join'});
    await join(page);
    await isIn(page);
    await until('it is heard', async () => (await inputOf(server, 'carol'))?.packets > 0);
    await server.kill();
    await page.waitForSelector('.talk[data-state=lost]');
    await page.sees('it says so', '.talk', /Trying again/);
    await restartAt(server, port);
    await isIn(page);
    await page.sees('the server hears it', '.levels', /it hears you/);
    assert.equal((await server.ask(200, 'GET', '/v1/rooms')).rooms[0].inputs.length, 1);
    isClean(page);
  });

  await t.test('a_network_that_goes_and_comes_goes_on_in_the_same_session', async (tt) => {
    const server = await serve(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/join'});
    const asked = [], relays = {}; // a way each: as if the server was elsewhere by then
    await page.route('**/whip/**', async (route) => {
      const method = route.request().method();
      asked.push(method);
      const response = await route.fetch();
      const body = await response.text();
      const port = /^a=candidate:\S+ 1 udp \d+ \S+ (\d+)/m.exec(body)?.[1];
      if (!port)
        return route.fulfill({response, body});
      relays[method] ??= await startWebRtcRelay(tt, Number(port));
      return route.fulfill({response, body: body.replaceAll(port, relays[method].port)});
    });
    await join(page);
    await isIn(page);
    const heard = async (n) => (await inputOf(server, 'carol'))?.packets > n;
    await until('it is heard', () => heard(0));
    const before = await inputOf(server, 'carol');
    const task = await server.record('lobby');
    await until('a file is begun', async () =>
      (await server.segments(task)).some((s) => s.state === 'recording'));
    relays.POST.cut = true;
    await page.waitForSelector('.talk[data-state=lost]');
    await page.sees('it says so', '.talk', /The connection was lost. Trying again/);
    await until('it asks', () => asked.includes('PATCH'));
    await isIn(page);
    const {packets} = await inputOf(server, 'carol');
    await until('it is heard on', () => heard(packets + 50));
    assert.equal((await inputOf(server, 'carol')).input_id, before.input_id);
    assert.deepEqual([...new Set(asked)], ['POST', 'PATCH']);
    isClean(page);
    await server.finish(task);
  });

  await t.test('of_two_tabs_the_older_stays_away', async (tt) => {
    const server = await serve(tt);
    const older = await openConsole(tt, browser, server, {hash: '#/join'});
    await join(older);
    await isIn(older);
    const newer = await openConsole(tt, browser, server, {hash: '#/join'});
    await join(newer);
    await isIn(newer);
    const {input_id: id} = await inputOf(server, 'carol');
    await older.sees('it says why', '.talk .fault', /from another tab or device/);
    assert.equal(await newer.locator('.talk[data-state=in]').count(), 1);
    assert.equal((await inputOf(server, 'carol')).input_id, id);
    isClean(older);
    isClean(newer);
  });

  await t.test('with_a_login_it_comes_with_a_ticket', async (tt) => {
    const server = await serve(tt, {http: {admin_token: 'env:TOKEN'}, env: {TOKEN}});
    const context = await browser.newContext();
    tt.after(() => context.close());
    const page = await openConsole(tt, context, server, {hash: '#/join', live: false});
    const sent = [];
    page.on('request', (r) => r.method() === 'POST' && r.url().includes('/whip/') &&
      sent.push(r.headers().authorization));
    await page.waitForSelector('#login[open]');
    await page.fill('#token', TOKEN);
    await page.keyboard.press('Enter');
    await join(page);
    await isIn(page);
    await until('it is heard', async () => (await inputOf(server, 'carol', admin))?.packets > 0);
    assert.match(sent[0], /^Bearer eJ/);
    assert.ok(!sent.join().includes(TOKEN));
    // a server that was started again knows no login, but the ticket is good
    const {port} = new URL(server.url);
    await server.kill();
    await page.waitForSelector('.talk[data-state=lost]');
    await restartAt(server, port);
    await isIn(page);
    await page.waitForSelector('#login[open]');
    await until('it is heard again', async () =>
      (await inputOf(server, 'carol', admin))?.packets > 0);
    // nobody has to log in to be silent
    await page.locator('#login').getByRole('button', {name: 'Mute'}).click();
    await until('it is muted', async () => (await inputOf(server, 'carol', admin)).mic === 'off');
    await page.fill('#token', TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('header').getByRole('button', {name: 'Unmute'}).click();
    isClean(page);
  });

  await t.test('what_the_server_refuses_is_told', async (tt) => {
    const server = await serve(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/join'});
    await join(page, {user: 'a/b'});
    await page.sees('why', '.talk .fault', /\//);
    assert.equal(await page.locator('form.talk').count(), 1);
    isClean(page);
  });

  await t.test('a_page_that_may_have_no_microphone_says_why', async (tt) => {
    const server = await serve(tt, {http: {admin_token: 'env:TOKEN'}, env: {TOKEN}});
    const refusing = await startMicrophone(tt, wav, true, ['--deny-permission-prompts',
      '--host-resolver-rules=MAP console.example 127.0.0.1'], {ui: false});
    const login = async (page) => {
      await page.waitForSelector('#login[open]');
      await page.fill('#token', TOKEN);
      await page.keyboard.press('Enter');
    };
    const page = await openConsole(tt, refusing, server, {hash: '#/join', live: false});
    await login(page);
    await join(page);
    await page.sees('why', '.talk .fault', /The microphone was refused. Allow it/);
    isClean(page);
    // plain HTTP under another name than localhost
    const {port} = new URL(server.url);
    const far = await openConsole(tt, refusing, {url: `http://console.example:${port}`},
      {hash: '#/join', live: false});
    await login(far);
    await join(far);
    await far.sees('why', '.talk .fault',
      new RegExp(`only to pages on HTTPS, or on localhost: open this page as https://console.example`));
    assert.deepEqual(far.foreign, []);
  });

  await t.test('a_phone_needs_no_sideways_scroll_in_the_light_and_in_the_dark', async (tt) => {
    const server = await serve(tt);
    for (const colorScheme of ['light', 'dark']) {
      const page = await openConsole(tt, browser, server, {hash: '#/join',
        options: {viewport: {width: 360, height: 740}, colorScheme}});
      await page.waitForSelector('form.talk');
      assert.ok(await fits(page), 'form');
      await join(page, {room: 'y'.repeat(128), user: `${colorScheme}${'x'.repeat(120)}`});
      await isIn(page);
      assert.ok(await fits(page), colorScheme);
      assert.equal(await isDark(page), colorScheme === 'dark');
      isClean(page);
    }
  });
});
