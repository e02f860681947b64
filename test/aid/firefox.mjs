// test/aid/firefox.mjs -- Firefox with a tone for its microphone.
// SPDX-License-Identifier: Apache-2.0
//
// It is told what to do by Marionette, its own remote protocol: "length:json"
// over TCP, [0, id, command, parameters] and [1, id, error, result].
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import {PATIENCE_MS, until} from './tapeop.mjs';

const FIREFOX = '/usr/bin/firefox-esr';

/** Why there can be no Firefox here, or false. */
export const noFirefox = !fs.existsSync(FIREFOX) && 'firefox-esr is not installed (packages.txt)';

const QUIET = { // nothing of it goes out to the internet
  'app.normandy.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.safebrowsing.downloads.remote.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.update.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,#remote-settings-dummy/v1',
  'toolkit.telemetry.enabled': false,
};

/** Commands over a socket, and their results. */
function speakMarionette(socket) {
  const waiting = new Map();
  let rest = Buffer.alloc(0), ids = 0, ended = false;

  function hear(message) {
    const [, id, error, result] = message;
    const {resolve, reject} = waiting.get(id);
    waiting.delete(id);
    if (error)
      reject(new Error(`${error.error}: ${error.message}`));
    else
      resolve(result && 'value' in result ? result.value : result);
  }
  socket.on('data', (part) => {
    rest = Buffer.concat([rest, part]);
    for (;;) {
      const colon = rest.indexOf(':');
      const end = colon + 1 + Number(rest.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || rest.length < end)
        return;
      const message = JSON.parse(rest.subarray(colon + 1, end));
      rest = rest.subarray(end);
      if (Array.isArray(message)) // else it is the greeting
        hear(message);
    }
  });
  socket.on('close', () => {
    ended = true;
    waiting.forEach(({reject}) => reject(new Error('Firefox has ended')));
  });
  socket.on('error', () => {});
  return (command, parameters = {}) => new Promise((resolve, reject) => {
    if (ended)
      throw new Error('Firefox has ended');
    const text = JSON.stringify([0, ++ids, `WebDriver:${command}`, parameters]);
    waiting.set(ids, {resolve, reject});
    socket.write(`${Buffer.byteLength(text)}:${text}`);
  });
}

/**
 * A Firefox with one page, whose microphone plays a tone of `tone_hz`, and which
 * may have it without being asked.
 *
 * .goto(url)
 * .run(script, ...args)     its `return`; may be a promise
 * .click(css), .type(css, text)   the first such element
 * .sees(what, css, pattern) wait for a text in one of the elements
 */
export async function startFirefox(t, {tone_hz}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tapeop-firefox-'));
  fs.writeFileSync(path.join(dir, 'user.js'), Object.entries({
    ...QUIET,
    'marionette.port': 0,
    'media.navigator.audio.fake_frequency': tone_hz,
    'media.navigator.permission.disabled': true,
    'media.navigator.streams.fake': true,
  }).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`)
    .join(''));
  const child = spawn(FIREFOX, ['-headless', '-marionette', '-no-remote', '-profile', dir,
    'about:blank'], {stdio: 'ignore',
    env: {...process.env, HOME: dir, TMPDIR: dir, MOZ_CRASHREPORTER_DISABLE: 1}});
  const ended = new Promise((done) => child.once('exit', done));
  t.after(async () => {
    child.kill();
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(timer);
    fs.rmSync(dir, {recursive: true, force: true, maxRetries: 10}); // its children end, too
  });
  const port = await until('Firefox listens', () => child.exitCode === null &&
    Number(fs.readFileSync(path.join(dir, 'MarionetteActivePort'), 'utf8')));
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const tell = speakMarionette(socket);
  await tell('NewSession');
  const find = async (css) => Object.values(await tell('FindElement',
    {using: 'css selector', value: css}))[0];
  const run = (script, ...args) => tell('ExecuteScript', {script, args});
  return {
    goto: (url) => tell('Navigate', {url}),
    run,
    click: async (css) => tell('ElementClick', {id: await find(css)}),
    type: async (css, text) => tell('ElementSendKeys', {id: await find(css), text}),
    sees: (what, css, pattern) => until(what, async () =>
      (await run('return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)', css))
        .some((text) => pattern.test(text))),
  };
}
