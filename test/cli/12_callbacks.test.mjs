// test/cli/12_callbacks.test.mjs -- deliveries and replay.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {startEndpoint, endpointAnswers} from '../aid/endpoint.mjs';
import {commandsAt} from '../aid/lines.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

const app = String(APP);

test('a_dead_callback_is_listed_shown_and_replayed', async (t) => {
  const endpoint = await startEndpoint(t, endpointAnswers(500));
  const server = await startServer(t, {callbacks: [
    {name: 'live', url: endpoint.url, dialect: 'live', retry: '100ms'},
    {name: 'other', url: endpoint.url, dialect: 'live', retry: '100ms'}]});
  const cli = commandsAt(t, server.url);

  assert.match(await cli('deliveries'), /^no deliveries\n$/);
  await server.join('r', 'u');
  const task = await server.record('r');
  await until('they are dead', async () =>
    (await server.metrics()).deliveries_dead === 2);
  assert.match(await cli('status'), /, 2 dead,/);
  const list = await cli('deliveries', '--state', 'dead', '--endpoint', 'live');
  assert.match(list, /^ID +STATE +ENDPOINT +EVENT +TASK +ATTEMPTS +LAST +ANSWER\n/);
  assert.match(list, new RegExp(`dead +live +task_started +${task} +2 +\\S+ \\S+ +HTTP 500`));
  assert.doesNotMatch(list, /other/);
  for (const args of [['replay', '--state', 'dead'], ['deliveries']])
    await cli.fails(1, /endpoint: there is none of the name othre; there are: live, other\n/,
      ...args, '--endpoint', 'othre');
  const {deliveries} = await cli.json('deliveries', '--task', task, '--app', app);
  assert.deepEqual(deliveries.map((d) => d.endpoint).sort(), ['live', 'other']);
  const older = (await cli.json('deliveries', '--task', task, '--oldest')).deliveries;
  assert.deepEqual(older, [...deliveries].reverse());
  assert.ok(BigInt(older[0].delivery_id) < BigInt(older[1].delivery_id));
  const id = deliveries.find((d) => d.endpoint === 'live').delivery_id;
  const shown = await cli('deliveries', id);
  assert.match(shown, new RegExp(`^delivery ${id}: task_started of task ${task} to live: dead\n`));
  assert.match(shown, /\n {2}event \d+ of \S+ \S+\n {2}ATTEMPT +AT +TOOK +ANSWER\n/);
  assert.match(shown, /\n +1 +\S+ \S+ +\d+ ms +HTTP 500\n +2 +\S+ \S+ +\d+ ms +HTTP 500\n$/);
  assert.equal((await cli.json('deliveries', id)).attempts_log.length, 2);

  assert.match(await cli('replay', '--state', 'dead', '--dry-run'), /^2 would be sent again\n$/);
  assert.deepEqual(await cli.json('replay', '--state', 'all', '--endpoint', 'live', '--dry-run'),
    {would_replay: 1, dry_run: true});
  assert.match(await cli('replay', '--state', 'expired', '--dry-run'), /^0 would/);
  const asked = endpoint.requests.length; // a dry run sends nothing
  assert.equal(asked, 4);
  endpoint.answer = endpointAnswers(200);
  await sleep(1100); // so that its text would show another second
  assert.match(await cli('replay', '--state', 'dead', '--endpoint', 'live', '--app',
    app, '--task', task), /^1 pending again\n$/);
  await server.drained();
  assert.match(await cli('deliveries', id), /: delivered\n[^]*\n +3 +[^\n]* 200\n$/);
  assert.equal(endpoint.requests.length, asked + 1);

  // A replay renews when it expires; what it tells of was when it was.
  const before = deliveries.find((d) => d.delivery_id === id);
  const after = await cli.json('deliveries', id);
  assert.ok(before.event_ms <= before.created_ms && before.created_ms < after.created_ms);
  assert.equal(after.event_ms, before.event_ms);
  const eventLine = (text) => text.split('\n')[1].split(',')[0];
  assert.equal(eventLine(await cli('deliveries', id)), eventLine(shown));
  assert.match(eventLine(shown), / of \d{4}-/);

  const other = deliveries.find((d) => d.endpoint === 'other').delivery_id;
  assert.deepEqual(await cli.json('replay', other), {replayed: 1});
  await server.drained();
  await cli.fails(1, /delivery \d+ is not dead or expired/, 'replay', other);
  assert.match(await cli('replay', '--state', 'all'), /^0 pending again\n$/);
});

test('a_waiting_callback_says_when_it_is_tried_again', async (t) => {
  const endpoint = await startEndpoint(t, endpointAnswers(503));
  const server = await startServer(t, {callbacks: [
    {name: 'live', url: endpoint.url, dialect: 'live', retry: '1h'}]});
  const cli = commandsAt(t, server.url);

  await server.join('r', 'u');
  await server.record('r');
  await until('it was tried', async () =>
    (await cli.json('deliveries', '--state', 'pending')).deliveries[0]?.attempts === 1);
  const [{delivery_id: id}] = (await cli.json('deliveries')).deliveries;
  assert.match(await cli('deliveries', id),
    /: pending[^\n]*\n {2}event \d+ of \S+ \S+, next attempt \d{4}-\S+ \S+\n/);
  await cli.fails(1, /not dead or expired/, 'replay', id);
});
