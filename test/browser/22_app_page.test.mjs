// The App page of the console in Chromium: an app is made, its key shown and
// rotated, its recording, callbacks and API keys are set, all by clicking.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {call} from '../aid/cloud.mjs';
import {fits, isClean, isDark, nameless, openConsole} from '../aid/console.mjs';
import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {APP, KEY, startServer, until} from '../aid/tapeop.mjs';

const ID = 4711;
const HOSTILE = '<img src=x onerror="window.hacked=1">';

test('app_page', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();

  /** The page at #/app/.. */
  async function open(tt, server, where = '', options = {}) {
    const page = await openConsole(tt, browser, server, {hash: `#/app${where}`, options});
    await page.waitForSelector('.app .card');
    page.section = (heading) => page.locator('.app .card', {has: page.locator(`h3:text-is("${heading}")`)});
    page.says = (text) => page.waitForSelector(`.toast:has-text("${text}")`);
    return page;
  }
  const app = (server, id = ID) => server.ask(200, 'GET', `/v1/apps/${id}`);

  await t.test('an_app_is_made_named_and_removed_by_clicking', async (tt) => {
    const server = await startServer(tt);
    const page = await open(tt, server);
    await page.click('text=New app');
    const form = page.locator('form[aria-label="A new app"]');
    await page.waitForFunction(() => document.activeElement.dataset.field === 'id');
    await form.getByText('Cancel').click();
    await page.waitForSelector('.declared');
    await page.click('text=New app');
    await form.getByLabel('AppID').fill('0');
    await form.getByText('Make it').click();
    // what is wrong stands at its field, which has the focus
    await page.waitForSelector('input[data-field=id][aria-invalid] + .fault:has-text("from 1 to 4294967295")');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.field), 'id');
    await form.getByLabel('AppID').fill(String(APP));
    await form.getByText('Make it').click();
    await page.waitForSelector('.fault:has-text("in the configuration file")');
    await form.getByLabel('AppID').fill(String(ID));
    await form.getByLabel('Name').fill(HOSTILE);
    await form.getByLabel('Recording').selectOption('mixed');
    await form.getByText('Make it').click();
    await page.waitForURL(`**/#/app/${ID}`);
    const made = await until('it is there', () => app(server));
    assert.deepEqual([made.name, made.recording.auto, made.has_secret_key], [HOSTILE, 'mixed', true]);
    await until('it is chosen', async () => await page.locator('select[aria-label=App] ' +
      'option:checked').textContent() === `${HOSTILE} ${ID}`);
    assert.equal(await page.evaluate(() => window.hacked ?? null), null);

    await page.section('Identity').getByRole('textbox', {name: 'Name'}).fill('lobby');
    await page.click('text=Save the name');
    await until('it is saved', async () => (await app(server)).name === 'lobby');
    await page.waitForSelector('option:checked:has-text("lobby 4711")', {state: 'attached'});

    await page.click('text=Remove this app');
    await page.click('dialog button:text-is("Cancel")');
    await page.waitForSelector('dialog:not(#login)', {state: 'detached'});
    await app(server);
    await page.click('text=Remove this app');
    await page.keyboard.press('Enter'); // the button of the dialog has the focus
    await page.says('is removed');
    assert.equal((await server.api('GET', `/v1/apps/${ID}`)).status, 404);
    await page.goto(`${server.url}/#/app/${ID}`);
    await page.waitForSelector(`text=There is no app ${ID}`);
    isClean(page);
    await server.stop();
  });

  await t.test('its_key_is_shown_when_that_is_asked_for_and_rotated', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, secret_key: 'first-key'});
    const page = await open(tt, server, `/${ID}`);
    const secrets = () => page.locator('code.secret').allTextContents();
    assert.deepEqual(await secrets(), ['••••••••']);
    assert.ok(!(await page.content()).includes('first-key'));
    await page.click('text=Show');
    await until('it is shown', async () => (await secrets())[0] === 'first-key');
    assert.match(server.proc.text, /warn app=4711 key revealed to=127/);
    await page.click('text=Hide');
    await until('it is hidden', async () => (await secrets())[0] === '••••••••');

    await page.click('summary:has-text("Rotate the key")');
    await page.getByLabel('New key').fill('second-key');
    await page.getByLabel('The key now stays good for').selectOption('1h');
    await page.locator('form[aria-label="Rotate the key"] button').click();
    await page.says('There is a new key');
    await page.waitForSelector('text=is good until');
    // for as long as was chosen, and so it is shown
    const {previous_until_ms: until_ms} = await app(server);
    assert.ok(Math.abs(until_ms - Date.now() - 3_600_000) < 60_000, String(until_ms));
    assert.equal(await page.locator('dd:has-text("is good until") time').getAttribute('datetime'),
      new Date(until_ms).toISOString());
    await page.click('text=Show');
    await until('both are shown', async () =>
      (await secrets()).join() === 'second-key,first-key');
    // one more is refused at its field, and the old one can be ended
    await page.locator('form[aria-label="Rotate the key"] button').click();
    await page.waitForSelector('select[data-field=overlap] + .fault:has-text("still good")');
    await page.click('text=End the key before it now');
    await page.click('dialog button:text-is("End it")');
    await page.says('It has ended');
    assert.equal((await app(server)).has_previous_secret_key, false);
    // a key that ends at once is asked about
    await page.getByLabel('The key now stays good for').selectOption('0s');
    await page.locator('form[aria-label="Rotate the key"] button').click();
    await page.click('dialog button:text-is("Cancel")');
    await page.locator('form[aria-label="Rotate the key"] button').click();
    await page.click('dialog button:text-is("Rotate")');
    const keys = await until('it is another', async () => {
      const k = await server.ask(200, 'POST', `/v1/apps/${ID}/keys/reveal`);
      return k.secret_key !== 'second-key' && k;
    });
    assert.match(keys.secret_key, /^[0-9a-f]{64}$/);
    assert.equal(keys.previous_secret_key, null);
    isClean(page);
    await server.stop();
  });

  await t.test('how_it_is_recorded_is_set_and_faults_stand_at_their_fields', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID});
    const page = await open(tt, server, `/${ID}`);
    const recording = async () => (await app(server)).recording;
    const mode = page.getByLabel('What every room is recorded as');
    /** Save it, and wait until it is drawn, or a fault is: what is changed before is lost. */
    const save = async () => {
      await page.click('text=Save how it is recorded');
      await page.waitForSelector('form[data-sending]', {state: 'detached'});
    };
    assert.equal(await mode.isVisible(), false);
    await page.getByRole('radio', {name: /^Every room/}).check();
    await mode.selectOption('both');
    await save();
    await until('every room is recorded', async () => (await recording()).auto === 'both');
    for (const [as, others] of [['single', false], ['mixed', true], ['both', true]]) {
      await mode.selectOption(as);
      await page.getByLabel('Others may be started on request').setChecked(others);
      await save();
      await until(`as ${as}`, async () => (await recording()).auto === as &&
        (await recording()).on_request === others);
    }
    // so it is: somebody comes, and a task is there
    await server.ask(201, 'POST', `/v1/apps/${ID}/rooms/r/inputs`, {user: 'alice'});
    await until('it records by itself', async () =>
      (await server.ask(200, 'GET', `/v1/tasks?app=${ID}`)).tasks[0]?.auto);

    await page.click('summary:has-text("Files, microphones, warnings")');
    await page.getByLabel('Format').selectOption('ogg');
    await page.getByLabel('Length of a file').fill('25h');
    await save();
    await page.waitForSelector('input[data-field="recording.segment"][aria-invalid] + .fault:has-text("24h")');
    assert.equal((await recording()).format, 'mp3');
    await page.getByLabel('Length of a file').fill('30m');
    await save();
    await until('it is set', async () => (await recording()).segment === '30m');
    assert.equal((await recording()).format, 'ogg');
    await page.getByRole('radio', {name: /^Rooms that are asked for/}).check();
    await save();
    await until('only who asks', async () => (await recording()).auto === 'off');
    assert.equal((await recording()).on_request, true);
    await page.getByRole('radio', {name: /^Off/}).check();
    await save();
    await until('nobody', async () => !(await recording()).on_request);
    const refused = await server.api('POST', `/v1/apps/${ID}/rooms/r/tasks`, {mode: 'mixed'});
    assert.deepEqual([refused.status, refused.json.field], [403, 'app']);
    await page.reload();
    await page.waitForSelector('.app .card');
    assert.equal(await page.getByRole('radio', {name: /^Off/}).isChecked(), true);
    // what the page has no word of its own for would be there as well
    assert.deepEqual((await page.locator('[data-field^="recording."]').evaluateAll((all) =>
      all.map((e) => e.dataset.field.slice(10)))).sort(), Object.keys(await recording()).sort());
    isClean(page);
    await server.stop();
  });

  await t.test('an_endpoint_is_added_tested_switched_changed_and_removed', async (tt) => {
    const end = await startEndpoint(tt);
    const broken = await startEndpoint(tt, endpointAnswers(500));
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID});
    const page = await open(tt, server, `/${ID}`);
    const list = async () => (await server.ask(200, 'GET', `/v1/apps/${ID}/endpoints`)).endpoints;
    const one = async () => (await list())[0];
    const form = page.locator('form[aria-label="Add an endpoint"]');
    await form.getByLabel('Name').fill('back end');
    await form.getByLabel('URL').fill(broken.url);
    await form.getByText('Add it').click();
    await page.waitForSelector('input[data-field=name] + .fault:has-text("letters, digits")');
    await form.getByLabel('Name').fill('backend');
    await form.getByLabel('URL').fill('ftp://example.com');
    await form.getByText('Add it').click();
    await page.waitForSelector('input[data-field=url][aria-invalid] + .fault');
    await form.getByLabel('URL').fill(broken.url);
    await form.getByLabel('Dialect').selectOption('trtc');
    await form.getByLabel('Token or key').fill('callback-key');
    await form.getByLabel('private address').check();
    await form.getByText('Add it').click();
    await page.waitForSelector('[data-endpoint=backend]');
    assert.deepEqual([(await one()).dialect, (await one()).has_key], ['trtc', true]);

    // a test event, and what came of it
    const card = page.locator('[data-endpoint=backend]');
    await card.getByText('Send a test event').click();
    await card.locator('.tested.bad:has-text("HTTP 500")').waitFor();
    await card.locator('summary:has-text("Change backend")').click();
    await card.getByLabel('URL').fill(end.url);
    await card.getByText('Save', {exact: true}).click();
    await page.says('backend is changed');
    assert.equal((await one()).has_key, true); // an empty key is kept
    await card.getByText('Send a test event').click();
    await card.locator('.tested.good').waitFor();
    await card.getByText('What was sent and answered').click();
    assert.match(await card.locator('.tested pre').first().textContent(), /^POST http.*\n[^]*Sign: /);
    assert.equal(end.requests.length, 1);

    // a switch per webhook
    const box = card.getByLabel('files ready');
    await box.uncheck();
    await until('it is off', async () => !(await one()).events.includes('files_ready'));
    await box.check();
    await until('it is on', async () => (await one()).events.includes('files_ready'));
    await page.waitForFunction(() => document.activeElement.dataset.key?.endsWith('files_ready'));
    const n = (await one()).events.length;
    for (const kind of (await one()).events.map((k) => k.replaceAll('_', ' '))) {
      const last = (await one()).events.length === 1;
      await card.getByLabel(kind, {exact: true}).click();
      if (last)
        await card.locator('.switches .fault:has-text("At least one")').waitFor();
      else
        await until(`${kind} is off`, async () =>
          !(await one()).events.includes(kind.replaceAll(' ', '_')));
    }
    assert.equal((await one()).events.length, 1);
    assert.equal(n, 7);
    // several at once, while the page is drawn anew and the first is not saved yet
    await server.ask(200, 'PATCH', `/v1/endpoints/${(await one()).endpoint_id}`, {events: 'all'});
    await until('all are on', async () => await card.locator('.switches :checked').count() === n);
    const held = [];
    await page.route('**/v1/endpoints/*', (route) => (held.length ? route.continue() :
      held.push(route)));
    await card.getByLabel('files ready').click();
    await until('it is being saved', () => held.length === 1);
    await card.getByLabel('task started').click();
    await server.ask(200, 'PATCH', `/v1/apps/${ID}`, {name: 'drawn anew'});
    await page.waitForSelector('option:checked:has-text("drawn anew")', {state: 'attached'});
    await card.getByLabel('task stopped').click();
    assert.equal(await card.locator('.switches :checked').count(), n - 3);
    await held[0].continue();
    await until('all three are off', async () => (await one()).events.length === n - 3);
    await until('that is drawn', async () =>
      await card.locator('.switches :checked').count() === n - 3);
    assert.deepEqual((await one()).events.filter((kind) =>
      ['files_ready', 'task_started', 'task_stopped'].includes(kind)), []);

    await card.getByLabel('on', {exact: true}).uncheck();
    await until('it is off', async () => !(await one()).enabled);

    // each dialect has switches for what it has a word for, and no others
    for (const dialect of ['gme', 'live', 'standard', 'trtc']) {
      await server.ask(200, 'PATCH', `/v1/endpoints/${(await one()).endpoint_id}`,
        {dialect, events: 'all', key: dialect === 'standard' ?
          `whsec_${Buffer.alloc(24, 7).toString('base64')}` : 'k', verdict: null});
      await page.reload();
      await page.waitForSelector('[data-endpoint=backend]');
      assert.deepEqual((await card.locator('.switches input').evaluateAll((all) =>
        all.map((e) => e.value))).sort(), [...(await one()).events].sort(), dialect);
    }
    await card.getByText('Remove', {exact: true}).click();
    await page.click('dialog button:text-is("Remove")');
    await until('it is removed', async () => (await list()).length === 0);
    await page.waitForSelector('text=Nobody is told');
    isClean(page);
    await server.stop();
  });

  await t.test('an_api_key_is_shown_once_restricted_and_revoked', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID});
    const page = await open(tt, server, `/${ID}`);
    const section = page.section('API keys');
    await section.getByText('Make an API key').first().click();
    await section.locator('form button').click();
    await page.waitForSelector('.once');
    const focused = (what) => page.waitForFunction((k) => document.activeElement.dataset.key === k, what);
    await focused('copy-secret');
    const [id, key] = await page.locator('.once code').allTextContents();
    const asked = await call(server, 'DescribeTaskInfo', {BizId: ID, RoomId: 'r'}, {id, key});
    assert.equal(asked.Error.Code, 'ResourceNotFound.RoomNotFound');
    await page.click('text=I have it');
    await page.waitForSelector('.once', {state: 'detached'});
    await focused('make-api-key');
    assert.ok(!(await page.content()).includes(key));
    await page.reload();
    await page.waitForSelector(`td:has-text("${id}")`);
    assert.ok(!(await page.content()).includes(key));

    // the actions are those that the server knows
    const all = (await server.api('POST', `/v1/apps/${ID}/api_keys`, {actions: ['x']}))
      .json.detail.split('list of: ')[1].split(', ');
    await section.getByText('Change').click();
    const boxes = section.locator('form[aria-label^="Actions of"] input');
    assert.deepEqual(await boxes.evaluateAll((b) => b.map((e) => e.value)), all);
    for (const box of await boxes.all())
      await box.uncheck();
    await section.getByText('Save the actions').click();
    await page.waitForSelector('fieldset[data-field=actions] .fault:has-text("empty list")');
    await boxes.first().check();
    await section.getByText('Save the actions').click();
    await page.waitForSelector('td:has-text("StartRecord")');
    assert.deepEqual((await app(server)).api_keys[0].actions, ['StartRecord']);
    await section.getByText('Revoke').click();
    await page.click('dialog button:text-is("Revoke")');
    await page.says('is revoked');
    assert.deepEqual((await app(server)).api_keys, []);
    await page.waitForFunction(() => document.activeElement.matches('summary'));
    isClean(page);
    await server.stop();
  });

  await t.test('what_the_file_declares_is_shown_and_cannot_be_changed', async (tt) => {
    const end = await startEndpoint(tt);
    const server = await startServer(tt, {recording: {auto: 'single'},
      callbacks: [{name: 'filed', url: end.url}],
      app: {api_keys: [{secret_id: 'AKIDfiled', secret_key: 's'}]}});
    const page = await open(tt, server);
    assert.match(await page.locator('.declared').innerText(),
      new RegExp(`declared in the file\\s+${server.config}`));
    assert.equal(await page.locator('code.secret').count(), 1);
    await page.click('text=Show');
    await page.waitForSelector(`code.secret:has-text("${KEY}")`);
    assert.equal(await page.getByRole('radio', {name: /^Every room/}).isChecked(), true);
    assert.deepEqual(await page.locator(
      '.app form:not([aria-label="Add an endpoint"]), .app .card :is(input, select):enabled:not(form *)')
      .evaluateAll((all) => all.map((e) => e.outerHTML)), []);
    assert.deepEqual(await page.locator('.app button.danger').count(), 0);
    const card = page.locator('[data-endpoint=filed]');
    await card.getByText('Send a test event').click();
    await card.locator('.tested.good').waitFor();
    isClean(page);
    await server.stop();
  });

  await t.test('how_an_endpoint_does_is_shown_as_it_changes', async (tt) => {
    const end = await startEndpoint(tt, endpointAnswers(500));
    const server = await startServer(tt, {callbacks: [{name: 'moody', url: end.url, dialect: 'trtc',
      events: ['task_started'], retry: Array(7).fill('2s').join()}]});
    await server.join('lobby', 'alice');
    const page = await open(tt, server);
    const says = (pattern) => page.sees(String(pattern), '[data-endpoint=moody] .how', pattern);
    await says(/^on$/);
    await page.getByText('Add an endpoint').click();
    await page.getByRole('textbox', {name: 'Name'}).fill('half'); // and is not lost meanwhile
    await server.record('lobby');
    await says(/waiting\s+1 pending, failing since/);
    end.answer = endpointAnswers(200);
    await says(/^on$/);
    assert.equal(await page.getByRole('textbox', {name: 'Name'}).inputValue(), 'half');
    // one that certainly gets nothing is not added without a word
    await page.getByRole('textbox', {name: 'URL'}).fill('http://127.0.0.1:9/');
    await page.getByText('Add it').click();
    await page.says('half is at a private address');
    isClean(page);
    await server.stop();
  });

  await t.test('a_phone_by_day_and_night_needs_no_horizontal_scroll', async (tt) => {
    const server = await startServer(tt);
    const long = 'x'.repeat(128);
    await server.ask(201, 'POST', '/v1/apps', {id: 4294967295, name: long});
    await server.ask(201, 'POST', '/v1/apps/4294967295/api_keys');
    await server.ask(201, 'POST', '/v1/apps/4294967295/endpoints',
      {name: 'e'.repeat(63), url: `https://example.com/${'y'.repeat(1000)}`, enabled: false});
    for (const colorScheme of ['light', 'dark']) {
      for (const where of ['/4294967295', '/new', '']) {
        const page = await open(tt, server, where,
          {viewport: {width: 390, height: 844}, colorScheme});
        await page.evaluate(() => document.querySelectorAll('details').forEach((d) => (d.open = true)));
        assert.ok(await fits(page), `${where} ${colorScheme}`);
        assert.equal(await isDark(page), colorScheme === 'dark');
        isClean(page);
      }
    }
    await server.stop();
  });

  await t.test('it_is_used_by_keyboard_and_everything_has_a_name', async (tt) => {
    const server = await startServer(tt);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'a'});
    await server.ask(201, 'POST', `/v1/apps/${ID}/endpoints`,
      {name: 'e', url: 'https://example.com/', enabled: false});
    await server.ask(201, 'POST', `/v1/apps/${ID}/api_keys`);
    const page = await open(tt, server, `/${ID}`);
    await page.getByRole('textbox', {name: 'Name'}).first().focus();
    await page.keyboard.type('b');
    await page.keyboard.press('Enter');
    await until('it is saved', async () => /b/.test((await app(server)).name));
    await page.waitForFunction(() => document.activeElement.dataset.key === 'save-name');
    await page.evaluate(() => document.querySelectorAll('details').forEach((d) => (d.open = true)));
    assert.deepEqual(await nameless(page), []);
    isClean(page);
    await server.stop();
  });
});
