// The live page of `tapeop receive` in Chromium: what it shows, what it must not
// do with names from strangers, how it comes back.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {postAllGme, postGme} from '../aid/endpoint.mjs';
import {APP, startReceiver, until} from '../aid/tapeop.mjs';

const HOSTILE = '<img src=x onerror="window.hacked=1">';
const kinds = {started: 1, completed: 2, uploaded: 3};

function gme(kind, {room = 'lobby', user = 'alice', task = 1, seq = 0, file = 'f'} = {}) {
  return JSON.stringify({BizID: APP, RoomID: room, UserID: user, TaskID: task * 64,
    RecordMode: user === '0' ? 1 : 0, Timestamp: 1675930605, EventType: kinds[kind],
    Detail: {SeqNo: seq, FileName: `${file}${seq}.mp3`}});
}

test('receive_page', {skip: noBrowser}, async (t) => {
  const browser = (await startPage(t)).context().browser();

  /** The page of a receiver; .wrong: what it or its policy complained of. */
  async function open(tt, receiver, options = {}) {
    const page = await browser.newPage(options);
    tt.after(() => page.close());
    page.wrong = [];
    page.foreign = [];
    page.on('pageerror', (e) => page.wrong.push(String(e)));
    page.on('console', (m) => {
      // a receiver that is away is no fault of the page
      if (m.type() === 'error' && !/net::ERR_/.test(m.text()))
        page.wrong.push(m.text());
    });
    page.on('request', (r) => {
      if (!r.url().startsWith(`${receiver.url}/`))
        page.foreign.push(r.url());
    });
    page.headers = (await page.goto(receiver.url)).headers();
    await page.waitForSelector('#state[data-state=live]');
    return page;
  }

  const text = (page, selector) => page.locator(selector).allInnerTexts();
  /** Wait for a fact of the page. */
  const sees = (page, what, selector, pattern) => until(what, async () =>
    (await text(page, selector)).some((s) => pattern.test(s)));
  const fits = (page) => page.evaluate(() =>
    document.documentElement.scrollWidth <= document.documentElement.clientWidth);

  await t.test('an_empty_inbox_says_what_to_do_first', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    await page.waitForSelector('#empty:not([hidden])');
    assert.deepEqual(await text(page, '#url'), [`${receiver.url}/`]);
    assert.match((await text(page, '#trigger'))[0],
      new RegExp(`^tapeop trigger story --dialect gme .*--to ${receiver.url}/$`));
    assert.equal(await postGme(receiver, gme('started')), 200);
    await page.waitForSelector('#empty', {state: 'hidden'});
    assert.deepEqual([page.wrong, page.foreign], [[], []]);
    const policy = page.headers['content-security-policy'];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  });

  await t.test('each_event_and_what_it_does_to_its_recording_appear_by_themselves', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    await postGme(receiver, gme('started'));
    await sees(page, 'the event', '#event-list li', /started.*lobby.*alice/s);
    await sees(page, 'a recording', '#running article', /recording[^]*alice #0[^]*started/);
    await postGme(receiver, gme('started', {user: '0'}));
    await sees(page, 'the mix', '#running article', /the mix #0/);
    for (const kind of ['uploaded', 'completed']) // the wrong way round
      for (const user of ['alice', '0'])
        await postGme(receiver, gme(kind, {user}));
    await sees(page, 'it is finished', '#finished article', /^uploaded[^]*6 events/);
    assert.deepEqual(await text(page, '#running article'), []);
    await until('all events are listed', async () =>
      (await text(page, '#event-list li')).length === 6);
    assert.deepEqual([page.wrong, page.foreign], [[], []]);
  });

  await t.test('a_refused_request_appears_with_its_reason', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    assert.equal(await postGme(receiver, gme('started'), 'wrong'), 401);
    await sees(page, 'it is shown', '#refused-list li', /401[^]*127\.0\.0\.1[^]*Signature/);
    await page.reload(); // it is kept
    await sees(page, 'it is shown again', '#refused-list li', /401/);
    assert.deepEqual(await text(page, '#n-refused'), ['1']);
  });

  await t.test('names_of_strangers_are_text_and_nothing_else', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    const names = [HOSTILE, '<script>window.hacked=1</script>', '"><svg onload=window.hacked=1>',
      'javascript:window.hacked=1', '\u202egnp.exe', '&lt;b&gt;'];
    for (const [i, bad] of names.entries())
      await postGme(receiver, gme('started', {room: bad, user: bad, task: i + 1, file: bad}));
    await until('all are drawn', async () =>
      (await text(page, '#running article')).length === names.length &&
      (await text(page, '#event-list li')).length === names.length);
    const rooms = (await page.locator('#running h4 bdi').allTextContents()).sort();
    assert.deepEqual(rooms, [...names].sort());
    await page.fill('#search', HOSTILE);
    await until('it is found by its name', async () =>
      (await text(page, '#running article')).length === 1);
    await page.waitForFunction(() => new Promise((done) => setTimeout(done, 300, true)));
    assert.deepEqual(await page.evaluate(() => ({
      hacked: window.hacked ?? null,
      images: document.images.length,
      scripts: document.scripts.length,
      alien: document.querySelectorAll('main :is(img, svg, script, a, b b)').length,
    })), {hacked: null, images: 1, scripts: 1, alien: 0});
    assert.deepEqual([page.wrong, page.foreign], [[], []]);
  });

  await t.test('a_phone_and_very_long_names_need_no_horizontal_scroll', async (tt) => {
    const receiver = await startReceiver(tt);
    const long = 'x'.repeat(128);
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(tt, receiver, {viewport: {width: 390, height: 844}, colorScheme});
      assert.ok(await fits(page), 'empty');
      await postGme(receiver, gme('started', {room: long, user: long, file: 'y'.repeat(500)}));
      await postGme(receiver, gme('started', {room: 'lobby', task: 2}), 'wrong');
      await sees(page, 'it is drawn', '#running article', /x{128}/);
      await sees(page, 'and what was refused', '#refused-list li', /401/);
      assert.ok(await fits(page), colorScheme);
      const [ink, ground] = await page.evaluate(() =>
        [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]
          .map((c) => c.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)));
      assert.equal(ink < ground, colorScheme === 'light', `${ink} on ${ground}`);
    }
  });

  await t.test('it_comes_back_by_itself_when_the_receiver_does_and_misses_nothing', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    await postGme(receiver, gme('started'));
    await sees(page, 'the first', '#event-list li', /alice/);
    await receiver.kill();
    await page.waitForSelector('#state[data-state=lost]');
    await receiver.start();
    await postGme(receiver, gme('started', {user: 'bob'}));
    await page.waitForSelector('#state[data-state=live]');
    await sees(page, 'what came meanwhile', '#event-list li', /bob/);
    await postGme(receiver, gme('completed', {user: 'bob'}));
    await sees(page, 'what comes now', '#event-list li', /completed[^]*bob/);
    await sees(page, 'the recording', '#running article', /bob #0[^]*completed/);
    const events = await text(page, '#event-list li');
    assert.equal(events.length, 3, 'none twice');
  });

  await t.test('thousands_of_recordings_do_not_freeze_it', async (tt) => {
    const receiver = await startReceiver(tt);
    const page = await open(tt, receiver);
    const n = 2000;
    await postAllGme(receiver, Array.from({length: n}, (_, i) =>
      gme('started', {room: `room-${i % 400}`, user: `user-${i}`, task: i + 1})));
    await postAllGme(receiver, Array.from({length: 40}, (_, i) =>
      gme('started', {room: 'long', user: 'talker', task: n + 1, seq: i})));
    await until('all are known', async () => (await text(page, '#n-recordings'))[0] === `${n + 1}`);
    const articles = async () => (await text(page, '#running article')).length;
    await until('some are drawn', async () => await articles() === 50);
    assert.ok((await text(page, '#event-list li')).length <= 15);
    // what is drawn is bounded, whatever came
    assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 3000);
    await page.click('#more-running');
    await until('more are drawn', async () => await articles() === 100);
    // one of them whole
    await page.click('[data-key^="whole "]');
    await until('all its segments', async () =>
      (await page.locator('#running article:has-text("talker") .segments li').count()) === 40);
    // and one that was not drawn is found
    await page.keyboard.press('Escape');
    await page.fill('#search', 'user-1357');
    await until('it alone is found', async () =>
      (await articles()) === 1 && /user-1357 /.test((await text(page, '#running article'))[0]));
  });

  await t.test('it_is_used_by_keyboard', async (tt) => {
    const receiver = await startReceiver(tt);
    await postGme(receiver, gme('started', {room: 'one', task: 1}));
    await postGme(receiver, gme('started', {room: 'two', task: 2}));
    const page = await open(tt, receiver);
    await until('both are drawn', async () => (await text(page, '#running article')).length === 2);
    await page.keyboard.press('/');
    await page.keyboard.type('TWO');
    await until('one is left', async () => (await text(page, '#running article')).length === 1);
    await until('of the events, too', async () => (await text(page, '#event-list li')).length === 1);
    await page.keyboard.press('Escape');
    await until('both again', async () => (await text(page, '#running article')).length === 2);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
    await page.reload();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    await until('it skips', () => page.evaluate(() => document.activeElement.id === 'recordings'));
    // everything that can be used has a name
    assert.deepEqual(await page.evaluate(() =>
      [...document.querySelectorAll('a, button, input')].filter((e) =>
        !(e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)), []);
  });
});
