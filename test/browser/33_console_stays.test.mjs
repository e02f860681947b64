// The console in Chromium that stays open: tabs that nobody sees, changes from
// elsewhere, long lists, one console too many.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {isClean, openConsole} from '../aid/console.mjs';
import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

const ID = 4711;

/** As if another tab was before it, or no more. */
const hide = (page, hidden) => page.evaluate((h) => {
  Object.defineProperty(document, 'visibilityState',
    {value: h ? 'hidden' : 'visible', configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);

test('console_stays', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();

  await t.test('a_tab_that_nobody_sees_holds_no_connection', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    const task = await server.record('lobby');
    const streams = async () => {
      const {live_streams: live, event_streams: events} = await server.metrics();
      return [live, events].join();
    };
    const context = await browser.newContext();
    tt.after(() => context.close());
    const pages = [];
    // a browser has six connections to a server, for all tabs
    for (let i = 0; i < 7; i++) {
      const page = await openConsole(tt, context, server, {hash: `#/recordings/${task}`});
      await page.sees('its beginning', '.event', /task started/);
      await hide(page, true);
      pages.push(page);
    }
    await until('no stream is open', async () => await streams() === '0,0');
    await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
    await hide(pages[0], false);
    await pages[0].sees('what happened meanwhile', '.event', /task stopped/);
    assert.equal(await pages[0].locator('.event[data-kind=task_started]').count(), 1, 'once');
    await until('both streams are open again', async () => await streams() === '1,1');
    pages.forEach(isClean);
  });

  await t.test('what_happened_while_nobody_looked_is_listed_afterwards', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    const page = await openConsole(tt, browser, server, {hash: '#/recordings'});
    await page.waitForSelector('.empty');
    await hide(page, true);
    await until('nobody listens', async () => (await server.metrics()).event_streams === 0);
    await server.record('lobby');
    await hide(page, false);
    await page.sees('it is listed', 'tbody tr', /lobby/);
    isClean(page);
  });

  await t.test('callbacks_of_a_recording_change_as_they_are_taken', async (tt) => {
    let status = 500;
    const backend = await startEndpoint(tt, (seen, response) => endpointAnswers(status)(seen,
      response));
    // no event comes that would have it looked at again
    const server = await startServer(tt, {recording: {no_audio_after: '0s'},
      callbacks: [{name: 'backend', url: backend.url, dialect: 'trtc', retry: '10ms',
        events: ['task_started']}]});
    await server.join('lobby', 'alice');
    const task = await server.record('lobby');
    const page = await openConsole(tt, browser, server, {hash: `#/recordings/${task}`});
    const states = () => page.locator('.event .callback').evaluateAll((all) =>
      all.map((c) => c.dataset.state).join());
    await until('it is dead', async () => await states() === 'dead');
    await page.sees('it belongs to its event', '.event[data-kind=task_started]', /backend\s+dead/);
    status = 200;
    await server.ask(200, 'POST', '/v1/deliveries/replay', {});
    await until('it is delivered', async () => await states() === 'delivered');
    isClean(page);
  });

  await t.test('many_files_are_listed_piece_by_piece_and_drawn_no_finer_than_seen', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    const task = await server.record('lobby');
    const page = await openConsole(tt, browser, server, {live: false});
    const segment = {segment_id: '1', task_id: task, user: 'alice', mode: 'single', seq: 0,
      state: 'closed', start_ms: Date.now(), duration_ms: 1000, size: 8000, file: 'a/b.mp3',
      uploaded: false, reason: 'upload_denied', reason_text: 'the bucket refused it'};
    const segments = [segment, ...Array.from({length: 249}, (_, i) => ({...segment,
      segment_id: String(i + 2), seq: i + 1, uploaded: true, reason: ''}))];
    await page.route('**/segments*', (r) => r.fulfill({json: {segments, next: null}}));
    const peaks = Array(4096).fill(0);
    peaks[4095] = 255; // the loudest is seen, however many there are
    await page.route('**/waveform', (r) => r.fulfill({json: {segment_id: '1', bucket_ms: 10, peaks}}));
    await page.goto(`${server.url}/#/recordings/${task}`);
    await page.sees('the first', '.files tr', /closed\s+not stored yet: upload denied/);
    assert.equal(await page.locator('.files >> text=not stored yet').count(), 1);
    const rows = () => page.locator('.files tbody tr').count();
    assert.equal(await rows(), 200);
    await page.click('text=Show more');
    assert.equal(await rows(), 250);
    assert.equal(await page.locator('button:text("Show more")').isVisible(), false);
    const d = await page.locator('.timeline .wave').first().getAttribute('d');
    assert.ok(d.split('L').length < 2100, `${d.split('L').length} points`);
    assert.match(d, / 0\.0L/, 'as high as it gets');
    isClean(page);
  });

  await t.test('long_lists_come_page_by_page_and_move_while_much_happens', async (tt) => {
    const backend = await startEndpoint(tt);
    const server = await startServer(tt, {callbacks: [{name: 'backend', url: backend.url,
      dialect: 'trtc', events: ['task_started', 'task_stopped']}]});
    await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'other'});
    for (let i = 0; i < 20; i++)
      await server.join(`room-${i}`, 'alice');
    const page = await openConsole(tt, browser, server, {hash: '#/recordings'});
    const rows = () => page.locator('.list tbody tr').count();
    await page.waitForSelector('.empty');
    let n = 0, hasMoved = false;
    const busy = (async () => {
      for (; n < 60 || (!hasMoved && n < 1000); n++)
        await server.ask(200, 'DELETE', `/v1/tasks/${await server.record(`room-${n % 20}`)}`);
    })();
    await until('it moves', async () => n === 1000 || await rows() > 0);
    assert.notEqual(n, 1000, 'it moves before it is over');
    hasMoved = true;
    await busy;
    await server.ask(201, 'POST', `/v1/apps/${ID}/rooms/den/inputs`, {user: 'bob'});
    await server.ask(201, 'POST', `/v1/apps/${ID}/rooms/den/tasks`, {mode: 'single'});
    await page.sees('the newest', '.list tbody tr', /den/);
    await until('a page', async () => await rows() === 50);
    await page.sees('that there are more', '.note', /^50 recordings and more/);
    /** Have them all listed, a page of 50 after the other. */
    const listAll = async (all) => {
      for (let shown = 50; shown < all;) {
        await page.click('text=Show more');
        shown = Math.min(all, shown + 50);
        await until(`${shown} of ${all}`, async () => await rows() === shown);
      }
      assert.equal(await page.locator('button:text("Show more")').isVisible(), false);
    };
    await listAll(n + 1);
    const ids = await page.locator('.list tbody a').evaluateAll((all) => all.map((a) => a.href));
    assert.equal(new Set(ids).size, n + 1);

    await page.reload(); // the page knows the apps from its beginning
    await page.waitForSelector('.list tbody tr');
    await page.selectOption('select[aria-label=App]', String(ID));
    await until('those of an app', async () => await rows() === 1);
    // a day is one of the browser's
    const day = (after) => page.evaluate((n) => {
      const at = new Date(Date.now() + n * 86_400_000);
      return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((d) =>
        String(d).padStart(2, '0')).join('-');
    }, after);
    await page.fill('input[type=date] >> nth=0', await day(1));
    await page.sees('none from tomorrow on', '.note', /No recording matches/);
    await page.fill('input[type=date] >> nth=0', await day(0));
    await until('from today on', async () => await rows() === 1);
    await page.fill('input[type=date] >> nth=1', await day(0));
    await until('until today', async () => await rows() === 1);

    await server.drained();
    // more can be listed before the rooms of those before have names
    await page.route(/\/v1\/tasks\/\d+$/, () => {});
    await page.goto(`${server.url}/#/deliveries`);
    await until('a page of callbacks', async () => await rows() === 50);
    await listAll(2 * n);
    isClean(page);
  });

  await t.test('what_is_changed_elsewhere_is_shown_and_what_is_typed_stays', async (tt) => {
    const broken = await startEndpoint(tt, endpointAnswers(500));
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'before'});
    const page = await openConsole(tt, browser, server, {hash: `#/app/${ID}`});
    const chosen = 'select[aria-label=App] option:checked';
    const is = (text) => until(`it is called ${text}`, async () =>
      (await page.locator(chosen).textContent()).startsWith(text));
    await is('before');
    const add = page.locator('form[aria-label="Add an endpoint"]');
    const rotate = page.locator('form[aria-label="Rotate the key"]');
    await add.getByLabel('URL').fill('https://example.com/typed');
    await add.getByLabel('Dialect').selectOption('live');
    await add.getByLabel('private address').check();
    await page.click('summary:has-text("Rotate the key")');
    await rotate.getByLabel('stays good for').selectOption('7d');
    await page.locator('h2').first().click();
    await server.ask(200, 'PATCH', `/v1/apps/${ID}`, {name: 'after'});
    await is('after');
    const typed = async () => [await add.getByLabel('URL').inputValue(),
      await add.getByLabel('Dialect').inputValue(),
      await add.getByLabel('private address').isChecked(),
      await rotate.getByLabel('stays good for').inputValue()];
    const all = ['https://example.com/typed', 'live', true, '7d'];
    assert.deepEqual(await typed(), all);
    await add.getByText('the callback key; without one there is no Sign').waitFor();

    // not under the fingers of who types
    await add.getByLabel('Name').focus();
    await page.keyboard.type('back');
    await server.ask(200, 'PATCH', `/v1/apps/${ID}`, {name: 'again'});
    await new Promise((done) => setTimeout(done, 2500));
    await page.keyboard.type('end');
    assert.equal(await add.getByLabel('Name').inputValue(), 'backend');
    assert.match(await page.locator(chosen).textContent(), /^after/);
    await page.locator('h2').first().click();
    await is('again');
    assert.equal(await add.getByLabel('Name').inputValue(), 'backend');
    assert.deepEqual(await typed(), all);

    // saving one thing leaves what was typed elsewhere; what was sent is over
    await page.getByRole('textbox', {name: 'Name', exact: true}).first().fill('saved');
    await page.click('text=Save the name');
    await is('saved');
    assert.deepEqual(await typed(), all);
    await add.getByLabel('URL').fill(broken.url);
    await add.getByText('Add it').click();
    const card = page.locator('[data-endpoint=backend]');
    await card.locator('.badge:text-is("on")').waitFor();
    assert.equal(await add.getByLabel('URL').inputValue(), '');

    // how an endpoint does moves by itself; what a test event brought stays
    await card.getByText('Send a test event').click();
    await card.locator('.tested.bad').waitFor();
    await server.ask(201, 'POST', `/v1/apps/${ID}/rooms/r/inputs`, {user: 'alice'});
    await server.ask(201, 'POST', `/v1/apps/${ID}/rooms/r/tasks`, {mode: 'single'});
    await card.locator('text=failing since').waitFor();
    assert.equal(await card.locator('.tested.bad').count(), 1);
    // and an endpoint that others make or switch off
    const [{endpoint_id: id}] = (await server.ask(200, 'GET', `/v1/apps/${ID}/endpoints`)).endpoints;
    await server.ask(200, 'PATCH', `/v1/endpoints/${id}`, {enabled: false});
    await card.locator('.badge:text-is("off")').waitFor();
    await server.ask(201, 'POST', `/v1/apps/${ID}/endpoints`,
      {name: 'second', url: 'https://example.com/', enabled: false});
    await page.waitForSelector('[data-endpoint=second]');
    isClean(page);
  });

  await t.test('what_was_saved_is_drawn_though_it_is_read_anew_meanwhile', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'before'});
    const page = await openConsole(tt, browser, server, {hash: `#/app/${ID}`});
    await page.waitForSelector('.app .card');
    const held = [];
    let answered = 0;
    await page.route('**/v1/apps', (route) => held.push(route));
    page.on('response', (r) => (answered += r.url().endsWith('/endpoints')));
    await page.getByRole('textbox', {name: 'Name', exact: true}).first().fill('saved');
    await page.click('text=Save the name');
    // one read of who has saved, one as the settings have changed
    await until('it is read twice', () => held.length === 2);
    await page.evaluate(() => {
      window.seen = [];
      new MutationObserver(() => window.seen.push(document.querySelector(
        'select[aria-label=App] option:checked').textContent)).observe(
        document.querySelector('.page.app'), {childList: true, subtree: true});
    });
    await held[0].continue();
    await until('the first has come', () => answered === 1);
    await held[1].continue();
    await page.waitForSelector('form[data-sending]', {state: 'detached'});
    assert.deepEqual(await page.evaluate(() => [...new Set(window.seen)]), [`saved ${ID}`]);
    isClean(page);
  });

  await t.test('what_moves_between_what_was_read_and_the_first_state_is_drawn', async (tt) => {
    let take;
    const backend = await startEndpoint(tt, (seen, response) =>
      (take = () => endpointAnswers(200)(seen, response)));
    const server = await startServer(tt, {recording: {no_audio_after: '0s'},
      callbacks: [{name: 'backend', url: backend.url, dialect: 'trtc', timeout: '1m',
        events: ['task_started']}]});
    await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'before'});
    await server.join('lobby', 'alice');
    const task = await server.record('lobby');
    await until('it is asked', () => take);
    /** A page that hears of the state of the rooms once `go` is called. */
    const openLate = async (where) => {
      const page = await openConsole(tt, browser, server, {live: false});
      await page.waitForSelector('#state[data-state=live]');
      const held = [];
      await page.route('**/v1/live*', (route) => held.push(route));
      await page.goto('about:blank');
      await page.goto(`${server.url}/${where}`);
      await until('it wants to hear', () => held.length);
      page.go = () => held.map((route) => route.continue());
      return page;
    };
    const app = await openLate(`#/app/${ID}`);
    const called = (name) => until(`it is called ${name}`, async () =>
      (await app.locator('select[aria-label=App] option:checked').textContent()).startsWith(name));
    await called('before');
    const story = await openLate(`#/recordings/${task}`);
    const state = (is) => until(`it is ${is}`, async () =>
      (await story.locator('.event .callback').evaluateAll((all) =>
        all.map((c) => c.dataset.state).join())) === is);
    await state('pending');

    await server.ask(200, 'PATCH', `/v1/apps/${ID}`, {name: 'after'});
    take();
    await server.drained();
    for (const page of [app, story])
      page.go();
    await called('after');
    await state('delivered');
    [app, story].forEach(isClean);
  });

  await t.test('one_console_too_many_says_so_and_its_lists_are_there', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    await server.record('lobby');
    const others = [];
    for (let i = 0; i < 32; i++)
      others.push(await listen(tt, server, {path: '/v1/live'}));
    const page = await openConsole(tt, browser, server, {hash: '#/recordings', live: false});
    await page.sees('why', '#state', /32 consoles are open/);
    await page.sees('the list', 'tbody tr', /lobby/);
    others.forEach((o) => o.close());
    await page.waitForSelector('#state[data-state=live]');
    isClean(page);
  });

  await t.test('a_dialog_goes_with_its_page', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID});
    const page = await openConsole(tt, browser, server, {hash: `#/app/${ID}`});
    await page.click('text=Remove this app');
    await page.waitForSelector('dialog[open]');
    await page.evaluate(() => (location.hash = '#/rooms'));
    await page.waitForSelector('.page.rooms');
    await page.waitForSelector('dialog[open]', {state: 'detached'});
    await server.ask(200, 'GET', `/v1/apps/${ID}`);
    isClean(page);
  });

  await t.test('who_could_not_log_out_is_told', async (tt) => {
    const server = await startServer(tt, {http: {admin_token: 'env:TOKEN'},
      env: {TOKEN: 'open-sesame-0123456789'}});
    const page = await openConsole(tt, browser, server, {live: false});
    await page.fill('#token', 'open-sesame-0123456789');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#state[data-state=live]');
    await page.route('**/v1/login', (r) => r.abort());
    await page.click('#logout');
    await page.sees('it is said', '.toast.bad', /still logged in/);
    assert.equal(await page.locator('#logout').isVisible(), true);
  });
});
