// The console in Firefox: its pages, and who joins from it on the machine of
// the server.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noFirefox, startFirefox} from '../aid/firefox.mjs';
import {RATE, decode, tone} from '../aid/sound.mjs';
import {APP, OUTER, startServer, until} from '../aid/tapeop.mjs';

const TONE_HZ = 800;
/** Where programs of this machine reach it: nothing is set. */
const HERE = {media: {address: undefined}};

async function join(fox, server, {room = 'lobby', user = 'fox'} = {}) {
  await fox.goto(`${server.url}/#/join?room=${room}`);
  await fox.sees('the form', 'form.talk button', /Join/);
  await fox.type('form.talk .field:nth-of-type(2) input', user);
  await fox.click('form.talk button');
}

test('firefox', {skip: noFirefox}, async (t) => {
  const fox = await startFirefox(t, {tone_hz: TONE_HZ});

  const lone = !OUTER && 'this machine has only loopback';
  await t.test('a_person_joins_on_the_machine_of_the_server_and_is_recorded', {skip: lone}, async (tt) => {
    const server = await startServer(tt, HERE);
    const input = async () => (await server.ask(200, 'GET', '/v1/rooms')).rooms
      .flatMap((r) => r.inputs).find((i) => i.user === 'fox');
    const packets = (n) => until(`${n} packets have come`, async () => (await input()).packets >= n);
    await join(fox, server);
    await fox.sees('the server hears it', '.levels', /it hears you · 0 of \d+ packets lost/);
    assert.equal((await input()).kind, 'whip');
    const task = await server.record('lobby');
    await packets((await input()).packets + 150);

    await fox.click('section.talk button'); // Mute
    await fox.sees('it says so', '.talk', /You are muted/);
    await until('its microphone is off', async () => (await input()).mic === 'off');
    await fox.click('section.talk button');
    await until('its microphone is on', async () => (await input()).mic === 'on');
    await packets((await input()).packets + 150);

    const segments = await server.finish(task);
    assert.equal(segments.length, 2, JSON.stringify(segments));
    for (const segment of segments) {
      const pcm = await decode(server.file(segment));
      assert.equal(tone(pcm, [300, 440, 600, 800, 1000, 1200], RATE, 2 * RATE).hz, TONE_HZ);
    }
    await fox.click('section.talk button.danger'); // Leave
    await until('it is not there', async () => !await input());

    // what was recorded can be heard in it
    await fox.goto(`${server.url}/#/recordings/${task}`);
    await fox.sees('the files', '.files tr', /fox[^]*closed/);
    await fox.click('.files button');
    assert.ok(await fox.run(`return (async () => {
      const audio = document.querySelector('audio');
      while (!(audio.currentTime > 0.5))
        await new Promise((done) => setTimeout(done, 20));
      return audio.duration;
    })()`) > 2.5);
  });

  await t.test('every_page_is_shown', async (tt) => {
    const server = await startServer(tt);
    await server.join('lobby', 'alice');
    for (const [page, says] of [['rooms', /lobby/], ['recordings', /Nothing has been recorded yet/],
      ['deliveries', /Nobody is told yet/], ['app', new RegExp(APP)]]) {
      await fox.goto(`${server.url}/#/${page}`);
      await fox.sees(page, 'main h2', new RegExp(`^${page}`, 'i'));
      await fox.sees(page, 'main', says);
    }
  });

  await t.test('it_says_why_it_does_not_connect_to_a_loopback_address', async (tt) => {
    const server = await startServer(tt);
    await join(fox, server);
    await fox.sees('why', '.talk', /to 127\.0\.0\.1 port \d+ \(UDP\).* Firefox needs it unset/);
  });
});
