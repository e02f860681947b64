// The console's Deliveries in Chromium: how endpoints do, what was sent and
// answered, replays and tests; live.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {fits, isClean, isDark, nameless, openConsole} from '../aid/console.mjs';
import {LIVE_OK, endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {APP, KEY, startServer, until} from '../aid/tapeop.mjs';

const HOSTILE = '<img src=x onerror="window.hacked=1">';

/** An endpoint that says no, in a way that must not become markup, until
 *  endpoint.well. */
async function startMoody(t) {
  const endpoint = await startEndpoint(t, async (seen, response) => {
    await new Promise((done) => setTimeout(done, endpoint.slow_ms ?? 0));
    response.writeHead(endpoint.well ? 200 : 500);
    response.end(endpoint.well ? JSON.stringify(LIVE_OK) : HOSTILE);
  });
  return endpoint;
}

async function startWorld(t) {
  const good = await startEndpoint(t);
  const moody = await startMoody(t);
  const how = {dialect: 'trtc', key: KEY, events: ['task_started', 'task_stopped']};
  const server = await startServer(t, {callbacks: [
    {name: 'good', url: `${good.url}/hook?secret=${KEY}`, ...how},
    {name: 'moody', url: moody.url, ...how, retry: '10ms'}]});
  await server.join('lobby', 'alice');
  return {good, moody, server};
}

test('deliveries', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();

  await t.test('endpoints_and_deliveries_are_shown_as_they_change', async (tt) => {
    const {moody, server} = await startWorld(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries'});
    const endpoint = (pattern, what) => page.sees(what, '.endpoints tbody tr', pattern);
    await endpoint(/good[^]*trtc[^]*healthy/, 'it is healthy');
    await page.sees('that there are none', '.note', /Nothing was sent yet/);
    await page.selectOption('select[aria-label=State]', 'dead');
    await page.sees('that none is so', '.note', /No delivery matches/);
    await page.selectOption('select[aria-label=State]', '');
    const task = await server.record('lobby');
    await page.sees('one is taken', '.list tbody tr', /task started[^]*good[^]*lobby[^]*delivered/);
    await page.sees('one is dead', '.list tbody tr', /task started[^]*moody[^]*dead[^]*2[^]*HTTP 500/);
    await endpoint(/moody[^]*failing[^]*since/, 'since when it fails');
    await until('its dead are counted', async () => (await page.locator(
      '.endpoints tr:has-text("moody") td[data-title=Dead]').innerText()) === '1');
    await endpoint(/good[^]*0\.02\/s/, 'how many it took');

    // filters
    const states = () => page.locator('.list .badge').evaluateAll((all) =>
      all.map((b) => b.dataset.state).join());
    await page.selectOption('select[aria-label=State]', 'dead');
    await until('only the dead', async () => await states() === 'dead');
    await page.selectOption('select[aria-label=State]', '');
    await page.selectOption('select[aria-label=Endpoint]', {label: `good (${APP})`});
    await until('only the good', async () => await states() === 'delivered');
    await page.selectOption('select[aria-label=Endpoint]', {label: `moody (${APP})`});
    await until('only the moody', async () => await states() === 'dead');

    // who looks at one and comes back finds what was chosen
    await page.click('.list tbody a');
    await page.sees('one', 'h2', /to moody/);
    await page.goBack();
    await until('the same ones', async () => await states() === 'dead');
    await page.selectOption('select[aria-label=State]', 'delivered');
    await page.waitForSelector('button:text("Replay these")', {state: 'hidden'});
    await page.selectOption('select[aria-label=State]', '');

    // replay what is shown
    moody.well = true;
    await page.click('button:text("Replay these")');
    await page.sees('how many', 'dialog', /1 delivery/);
    await page.click('dialog button:text("Replay 1")');
    await until('it is delivered', async () => await states() === 'delivered');
    await endpoint(/moody[^]*healthy/, 'it is well again');
    // pressed again before it is done, it does nothing
    await page.click('button:text("Replay these"):not([aria-busy=true])');
    await page.sees('that there is none', '.toast', /nothing dead or expired/);
    await server.finish(task);
    await page.selectOption('select[aria-label=Endpoint]', '');
    await until('what came since', async () =>
      await states() === 'delivered,delivered,delivered,delivered');
    isClean(page);
  });

  await t.test('an_endpoint_says_how_it_does', async (tt) => {
    let held = null;
    const broken = await startEndpoint(tt, async (seen, response) => {
      await held;
      return endpointAnswers(held ? 200 : 500)(seen, response);
    });
    const ends = {gone: await startEndpoint(tt, endpointAnswers(410)), broken, waits: await startEndpoint(tt),
      slow: await startEndpoint(tt)};
    const how = {broken: {retry: Array(15).fill('10ms').join()}, slow: {rate: 0.5}};
    const server = await startServer(tt);
    const ids = {};
    for (const [name, {url}] of Object.entries(ends))
      ids[name] = (await server.ask(201, 'POST', `/v1/apps/${APP}/endpoints`, {name, url,
        dialect: 'trtc', key: KEY, allow_private: true, events: ['task_started'],
        ...how[name]})).endpoint_id;
    await server.ask(200, 'PATCH', `/v1/endpoints/${ids.waits}`, {enabled: false});
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries'});
    const cell = (name, title) => page.locator('.endpoints tr', {has: page.locator(
      `bdi:text-is("${name}")`)}).locator(`td[data-title="${title}"]`);
    const shows = (name, title, pattern) => until(`${name}: ${title} ${pattern}`, async () =>
      pattern.test(await cell(name, title).innerText()));
    await server.join('lobby', 'alice');
    await server.record('lobby');
    await shows('gone', 'State', /^gone\s+it answered 410/);
    await shows('broken', 'State', /^breaker open[^]*next probe \d/);
    await shows('broken', 'Pending', /^1$/);
    await shows('waits', 'State', /^off\s+what is pending waits/);
    await shows('waits', 'Pending', /^0$/);
    await shows('slow', 'Rate', /^0\.02\/s of 0\.5\/s$/);
    await shows('gone', 'Dead', /^1$/);

    let letGo;
    held = new Promise((done) => (letGo = done));
    await server.ask(200, 'POST', '/v1/deliveries/replay', {endpoint: 'broken', app: APP});
    await shows('broken', 'State', /^half open\s+a probe is under way/);
    letGo();
    await shows('broken', 'State', /^healthy/);
    isClean(page);
  });

  await t.test('a_replay_is_of_what_is_shown_and_of_nothing_else', async (tt) => {
    const moody = await startMoody(tt);
    const grim = await startMoody(tt);
    const late = await startMoody(tt);
    const how = {dialect: 'trtc', key: KEY, events: ['task_started'], retry: '10ms'};
    const server = await startServer(tt, {callbacks: [{name: 'moody', url: moody.url, ...how},
      {name: 'grim', url: grim.url, ...how},
      {name: 'late', url: late.url, ...how, retry: '1h', expire_after: '1s'}]});
    await server.join('lobby', 'alice');
    await server.record('lobby');
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries'});
    const states = async () => (await server.ask(200, 'GET', '/v1/deliveries')).deliveries
      .map((d) => `${d.endpoint} ${d.state}`).sort().join();
    await until('they have ended', async () =>
      await states() === 'grim dead,late expired,moody dead');
    moody.well = grim.well = late.well = true;
    const replay = page.locator('button:text("Replay these")');
    for (const state of ['pending', 'delivered']) {
      await page.selectOption('select[aria-label=State]', state);
      await until(`${state} cannot be replayed`, async () => !await replay.isVisible());
    }
    await page.selectOption('select[aria-label=State]', 'dead');
    await page.selectOption('select[aria-label=Endpoint]', {label: `moody (${APP})`});
    await replay.click();
    await page.click('dialog button:text("Replay 1")');
    await until('it is delivered', async () =>
      await states() === 'grim dead,late expired,moody delivered');
    await page.selectOption('select[aria-label=Endpoint]', '');
    await page.selectOption('select[aria-label=State]', 'expired');
    await replay.click();
    await page.click('dialog button:text("Replay 1")');
    await until('the expired one is delivered', async () =>
      await states() === 'grim dead,late delivered,moody delivered');
    isClean(page);
  });

  await t.test('a_test_event_shows_what_was_sent_and_answered', async (tt) => {
    const {good, server} = await startWorld(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries'});
    await page.click('button[aria-label="Send a test event to good"]');
    await page.sees('it was taken', 'dialog[open]', /delivered[^]*200[^]*POST http[^]*"ErrorCode": 0/);
    assert.equal(good.requests.length, 1);
    assert.ok(!(await page.content()).includes(KEY), 'no secret is shown');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', {state: 'detached'});
    await page.click('button[aria-label="Send a test event to moody"]');
    await page.sees('it was refused', 'dialog[open]', /failed[^]*HTTP 500[^]*<img/);
    assert.equal(await page.evaluate(() => window.hacked ?? null), null);
    isClean(page);
  });

  await t.test('a_delivery_shows_request_signature_and_attempts_and_is_replayed', async (tt) => {
    const {moody, server} = await startWorld(tt);
    moody.slow_ms = 200;
    await server.record('lobby');
    await server.drained();
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries?state=dead'});
    await page.click('.list tbody a');
    await page.sees('which', 'h2', /task started to moody/);
    const rows = await page.texts('.attempts tbody tr');
    assert.equal(rows.length, 2);
    const [, took_ms] = /^1\s[^]*\s(\d+) ms\s+500\s+HTTP 500\s+<img src=x/.exec(rows[0]);
    assert.ok(took_ms >= 190, rows[0]); // more, where the machine stood still
    // what is shown is what came, and its base gives its signature
    const base = await page.locator('.base pre').textContent();
    const value = await page.locator('.value pre').textContent();
    const last = moody.requests.at(-1);
    assert.equal(base, last.raw.toString());
    assert.equal(value, last.headers.sign);
    assert.equal(crypto.createHmac('sha256', KEY).update(base).digest('base64'), value);
    assert.match(await page.locator('.sent pre').textContent(),
      new RegExp(`^POST ${moody.url}[^]*Tapeop-Attempt: 2`));
    const sent = await page.locator('.sent pre').textContent();
    assert.equal(sent.slice(sent.indexOf('\n\n')).replace(/\s/g, ''), base.replace(/\s/g, ''));
    moody.well = true;
    await page.click('button:text("Replay")');
    await page.sees('it was taken', '.attempts tbody tr', /^3\s[^]*200\s+taken/);
    await page.waitForSelector('.bar .badge[data-state=delivered]');
    assert.equal(await page.locator('button:text("Replay")').count(), 0);
    assert.equal(await page.evaluate(() => window.hacked ?? null), null);
    await page.click('p a:has-text("All deliveries")');
    await page.sees('the list', '.list tbody tr', /delivered/);
    isClean(page);
  });

  await t.test('a_body_in_lines_has_every_digit_that_was_sent', async (tt) => {
    const page = await openConsole(tt, browser, await startServer(tt));
    const pretty = (text) => page.evaluate(async (what) =>
      (await import('/console/app/pages/callbacks.mjs')).pretty(what), text);
    assert.equal(await pretty('{"TaskID":57138721269743617,"n":1.0,"e":[{}, [ ]],"s":"\\"{,: \\u00e9"}'),
      '{\n  "TaskID": 57138721269743617,\n  "n": 1.0,\n  "e": [\n    {},\n    []\n  ],\n' +
      '  "s": "\\"{,: \\u00e9"\n}');
    for (const text of ['not {json', '', '7', '"x"', '{}'])
      assert.equal(await pretty(text), text);
  });

  await t.test('without_endpoints_it_says_what_to_do', async (tt) => {
    const server = await startServer(tt);
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries'});
    await page.sees('what to do', '.empty', /tapeop endpoints add/);
    // what is made elsewhere is there by itself: not only what a page finds when it begins
    for (const name of ['one', 'two', 'three']) {
      await server.ask(201, 'POST', `/v1/apps/${APP}/endpoints`,
        {name, url: 'https://example.com/', enabled: false});
      await page.sees(name, '.endpoints tbody tr', new RegExp(`${name}[^]*off`));
    }
    await page.goto(`${server.url}/#/deliveries/999`);
    await page.sees('that there is none', '[role=alert]', /there is no delivery 999/);
    isClean(page);
  });

  await t.test('a_phone_in_the_dark_needs_no_horizontal_scroll', async (tt) => {
    const {server} = await startWorld(tt);
    await server.record('lobby');
    await server.drained();
    const page = await openConsole(tt, browser, server, {hash: '#/deliveries',
      options: {viewport: {width: 360, height: 700}, colorScheme: 'dark'}});
    await page.waitForSelector('.list tbody tr');
    assert.equal(await isDark(page), true);
    assert.equal(await fits(page), true, 'the list');
    assert.deepEqual(await nameless(page), []);
    await page.click('.list tbody a');
    await page.waitForSelector('.value');
    assert.equal(await fits(page), true, 'a delivery');
    assert.deepEqual(await nameless(page), []);
    isClean(page);
  });
});
