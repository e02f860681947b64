// test/aid/browser.mjs -- Chromium with a file for its microphone.
// SPDX-License-Identifier: Apache-2.0
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const CHROMIUM = '/usr/bin/chromium';

const playwright = await import('playwright-core').catch(() => null);

/** Why there can be no browser here, or false. */
export const noBrowser = !fs.existsSync(CHROMIUM) ? 'chromium is not installed (packages.txt)' :
  playwright ? false : 'playwright-core is not installed (tools/setup test)';

/** The page and its modules; localhost, so that it may have a microphone. */
async function servePages(t, module) {
  const files = ['publisher.mjs', 'janus_client.mjs', 'whip_page.mjs'];
  const server = http.createServer((ask, answer) => {
    const name = ask.url.slice(1);
    if (name === '')
      answer.setHeader('content-type', 'text/html').end(
        '<!doctype html><title>publisher</title>' +
        `<script type=module src=/${module}></script>`);
    else if (files.includes(name))
      answer.setHeader('content-type', 'text/javascript').end(
        fs.readFileSync(path.join(here, name)));
    else
      answer.writeHead(404).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A browser that may play sound by itself: an empty page of it. */
export async function startPage(t) {
  const browser = await playwright.chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'],
  });
  t.after(() => browser.close());
  return browser.newPage();
}

/** A browser whose microphone plays `wav` from the moment it is opened, once or
 *  (loop) over and over.  args: more of them; ui false: pages ask for it. */
export async function startMicrophone(t, wav, loop, args = [], {ui = true} = {}) {
  const browser = await playwright.chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox', // root in a container has none
      ...(ui ? ['--use-fake-ui-for-media-stream'] : []),
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${wav}${loop ? '' : '%noloop'}`,
      '--allow-loopback-in-peer-connection',
      ...args,
    ],
  });
  t.after(() => browser.close());
  return browser;
}

/** Open a page, and wait until it can be asked. */
async function openPage(where, url) {
  const page = await where.newPage();
  page.on('pageerror', (e) => console.log(`page: ${e}`));
  await page.goto(url);
  await page.waitForFunction('window.ready');
  return page;
}

/** Its publisher page, into Janus. */
export async function startPublisher(t, wav, {loop = false} = {}) {
  const url = await servePages(t, 'publisher.mjs');
  const browser = await startMicrophone(t, wav, loop);
  const page = await openPage(browser, url);
  return {
    browser,
    page,
    version: browser.version(),
    publish: (how) => page.evaluate((h) => window.publish(h), how),
    bridge: (how) => page.evaluate((h) => window.bridge(h), how),
    /** When [Unix ms] the microphone was opened, to some 100 ms. */
    opened: () => page.evaluate(() => window.opened_ms),
    mute: (on) => page.evaluate((o) => window.mute(o), on),
    hold: (on) => page.evaluate((o) => window.hold(o), on),
    leave: () => page.evaluate(() => window.leave()),
  };
}

/**
 * A browser with pages that send by WHIP (whip_page.mjs), from a site of its own.
 *
 * .origin  of that site, for http.allowed_origins
 * .open()  a tab: {page, join, mute, hold, .. as the page has them, reload}
 */
export async function startWhip(t, wav, {loop = true} = {}) {
  const url = await servePages(t, 'whip_page.mjs');
  const browser = await startMicrophone(t, wav, loop);
  const context = await browser.newContext();
  const open = async () => {
    const page = await openPage(context, url);
    const call = (name) => (arg) => page.evaluate(([n, a]) => window[n](a), [name, arg]);
    const tab = {page, story: () => page.evaluate(() => window.story)};
    for (const name of ['join', 'state', 'mute', 'hold', 'changeDevice', 'restart', 'leave',
      'setRelay'])
      tab[name] = call(name);
    /** When [Unix ms] the microphone was opened. */
    tab.opened = () => page.evaluate(() => window.opened_ms);
    tab.reload = async () => {
      await page.reload();
      await page.waitForFunction('window.ready');
    };
    return tab;
  };
  return {browser, open, origin: new URL(url).origin, version: browser.version()};
}
