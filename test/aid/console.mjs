// test/aid/console.mjs -- the console in Chromium, and what it complains of.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';

import {until} from './tapeop.mjs';

/**
 * Open a page of the console and wait until it is live.
 *
 * browser  of startPage or another; hash: '#/rooms'; options: of newPage
 *          (viewport, colorScheme, ..); live: false does not wait
 *
 * page.wrong    what the page or its policy complained of
 * page.foreign  requests to anywhere else
 * page.sees     wait for a text in one of the elements
 */
export async function openConsole(t, browser, server, {hash = '', options = {}, live = true} = {}) {
  const page = await browser.newPage(options);
  t.after(() => page.close());
  page.setDefaultTimeout(60_000);
  page.wrong = [];
  page.foreign = [];
  page.on('pageerror', (e) => page.wrong.push(String(e)));
  page.on('console', (m) => {
    // a server that is away, or refuses, is no fault of the page
    if (m.type() === 'error' && !/net::ERR_|the server responded with a status/.test(m.text()))
      page.wrong.push(m.text());
  });
  page.on('request', (r) => {
    if (!r.url().startsWith(`${server.url}/`))
      page.foreign.push(r.url());
  });
  page.texts = (selector) => page.locator(selector).allInnerTexts();
  page.sees = (what, selector, pattern) => until(what, async () =>
    (await page.texts(selector)).some((s) => pattern.test(s)));
  page.answer = await page.goto(`${server.url}/${hash}`);
  if (live)
    await page.waitForSelector('#state[data-state=live]');
  return page;
}

/** Nothing was complained of, nothing fetched from elsewhere. */
export const isClean = (page) => assert.deepEqual([page.wrong, page.foreign], [[], []]);

/** No sideways scroll. */
export const fits = (page) => page.evaluate(() =>
  document.documentElement.scrollWidth <= document.documentElement.clientWidth);

/** Ink on ground: is it dark? */
export const isDark = (page) => page.evaluate(() => {
  const sum = (c) => c.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
  const style = getComputedStyle(document.body);
  return sum(style.backgroundColor) < sum(style.color);
});

/** What can be used and has no name. */
export const nameless = (page) => page.evaluate(() =>
  [...document.querySelectorAll('a, button, input, select, meter')].filter((e) => e.checkVisibility() &&
    !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label')))
    .map((e) => e.outerHTML));

/** Start a server again at the port where its pages look for it. */
export async function restartAt(server, port) {
  const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
  config.http.listen = `127.0.0.1:${port}`;
  fs.writeFileSync(server.config, JSON.stringify(config));
  await server.start();
}
