// Tickets of users, made by the API: those that an app's backend makes.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import zlib from 'node:zlib';

import {isProblem} from '../aid/http.mjs';
import {ticket} from '../aid/ticket.mjs';
import {APP, startServer} from '../aid/tapeop.mjs';

/** What a ticket says. */
const read = (text) => JSON.parse(zlib.inflateSync(Buffer.from(
  text.replace(/[*_-]/g, (c) => ({'*': '+', '-': '/', '_': '='})[c]), 'base64')));

test('a_ticket_is_the_one_that_the_apps_backend_would_make', async (t) => {
  const server = await startServer(t);
  for (const [body, expire] of [[{user: 'alice'}, 86400], [{user: 'bob', expires_s: 60}, 60],
    [{user: 'zo\u00eb', expires_s: 180 * 86400}, 180 * 86400]]) {
    const before = Math.floor(Date.now() / 1000);
    const made = await server.ask(201, 'POST', `/v1/apps/${APP}/tickets`, body);
    const said = read(made.ticket);
    const time = said['TLS.time'];
    assert.ok(time >= before && time <= Date.now() / 1000, String(time));
    assert.deepEqual(said, read(ticket({user: body.user, expire, time})));
    assert.deepEqual([made.user, made.expires_ms], [body.user, (time + expire) * 1000]);
  }
  await server.stop();
  assert.doesNotMatch(server.proc.text, /TLS\.sig|eJ/);
});

test('an_app_without_a_key_has_no_tickets', async (t) => {
  const server = await startServer(t, {app: {secret_key: undefined, callbacks: []}});
  isProblem(await server.api('POST', `/v1/apps/${APP}/tickets`, {user: 'alice'}), 409,
    {field: 'app', says: /no secret_key/});
  await server.stop();
});
