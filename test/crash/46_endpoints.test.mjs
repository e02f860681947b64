// kill -9 while endpoints are made, changed and removed: what was answered is
// so, what was not is whole, the old or the new.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {crashPoints} from '../aid/crash.mjs';
import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

const LIST = `/v1/apps/${APP}/endpoints`;
const points = ['store.commit.before:1', 'store.commit.after:1', 'store.commit.before:2',
  'store.commit.after:2', 'store.commit.before:3', 'store.commit.after:3',
  ...crashPoints().filter((name) => name.startsWith('endpoint.')).map((name) => `${name}:1`)];
const MADE = {name: 'new', url: 'http://127.0.0.1:9/new', dialect: 'live', key: 'k',
  allow_private: true, retry: '1h'};

const endpoints = async (server) => Object.fromEntries(
  (await server.ask(200, 'GET', LIST)).endpoints.map((e) => [e.name, e]));
const deliveries = async (server) =>
  (await server.ask(200, 'GET', '/v1/deliveries?limit=1000')).deliveries;

/** What is done, and how it is seen afterwards that it was. */
const acts = {
  make: {
    call: () => ['POST', LIST, MADE],
    isDone: ({list}) => list.new?.url === MADE.url && list.new.has_key,
    isNot: ({list}) => !list.new,
  },
  change: {
    call: (id) => ['PATCH', `/v1/endpoints/${id}`, {timeout: '9s', enabled: false}],
    isDone: ({list}) => list.old?.timeout === '9s' && !list.old.enabled,
    isNot: ({list}) => list.old?.timeout === '5s' && list.old.enabled,
  },
  remove: {
    call: (id) => ['DELETE', `/v1/endpoints/${id}`],
    isDone: ({list, states}) => !list.old && states === 'expired',
    isNot: ({list, states}) => list.old && states === 'pending',
  },
};

async function look(server) {
  const list = await endpoints(server);
  // a removal goes on by itself
  const all = await until('its deliveries are all of one state', async () => {
    const rows = await deliveries(server);
    return new Set(rows.map((d) => d.state)).size === 1 &&
      (list.old || rows[0].state !== 'pending') && rows;
  });
  assert.ok(all.length >= 10);
  if (all[0].state === 'expired')
    all.forEach((d) => assert.equal(d.last_error, 'the endpoint was removed'));
  return {list, states: all[0].state};
}

test('kill_9_leaves_an_endpoint_as_it_was_or_as_it_was_wanted', {concurrency: 4}, (t) =>
  Promise.all(Object.entries(acts).flatMap(([name, act]) => points.map((where) =>
    t.test(`${name} ${where}`, async (t) => {
      const end = await startEndpoint(t, endpointAnswers(500));
      const server = await startServer(t);
      const {endpoint_id: id} = await server.ask(201, 'POST', LIST, {name: 'old',
        url: end.url, dialect: 'live', allow_private: true, retry: '1h'});
      await server.join('room', 'alice');
      for (let i = 0; i < 5; i++)
        await server.finish(await server.record('room'));
      await until('some were tried', async () =>
        (await deliveries(server)).filter((d) => d.attempts).length >= 5);
      await server.stop();

      const proc = server.startToDie({TAPEOP_CRASH_AT: where});
      let answered = false;
      const at = await until('it listens, or is dead', () =>
        proc.ended ? 'dead' : /on (http:\/\/\S+)/.exec(proc.text)?.[1]);
      if (at !== 'dead') {
        server.url = at;
        const answer = await server.api(...act.call(id)).catch(() => null);
        answered = answer !== null;
        if (answered)
          assert.ok(answer.status < 300, answer.text);
        // The later points are in the removal's slices: of others, no commit follows.
        if (answered && name !== 'remove')
          await server.kill();
        await until('it is dead', async () => {
          if (!proc.ended && name === 'remove' &&
              (await deliveries(server).catch(() => [])).every((d) => d.state === 'expired'))
            proc.child.kill('SIGKILL');
          return proc.ended;
        });
      }
      server.proc = proc;
      await server.start();
      const seen = await look(server);
      assert.ok(act.isDone(seen) || (!answered && act.isNot(seen)),
        `answered: ${answered}; ${JSON.stringify(seen)}`);
      // It can be done (again), whatever it was.
      if (!act.isDone(seen)) {
        const answer = await server.api(...act.call(id));
        assert.ok(answer.status < 300, answer.text);
        assert.ok(act.isDone(await look(server)));
      }
      const m = await server.metrics();
      assert.equal(m.deliveries_in, m.deliveries_delivered + m.deliveries_pending +
        m.deliveries_dead + m.deliveries_expired);
      await server.stop();
    })))));
