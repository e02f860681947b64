// kill -9 while apps are made, changed, rotated and removed: what was answered is
// so, what was not is whole, the old or the new.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {crashPoints} from '../aid/crash.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

const ID = 4711;
const WHERE = `/v1/apps/${ID}`;
const points = ['store.commit.before:1', 'store.commit.after:1',
  ...crashPoints().filter((name) => name.startsWith('app.')).map((name) => `${name}:1`)];

/** What is done, and how it is seen afterwards that it was. */
const acts = {
  make: {
    call: ['POST', '/v1/apps', {id: 7, name: 'new', secret_key: 'k', recording: {auto: 'both'}}],
    isDone: ({apps}) => apps[7]?.name === 'new' && apps[7].recording.auto === 'both' &&
      apps[7].has_secret_key,
    isNot: ({apps}) => !apps[7],
  },
  change: {
    call: ['PATCH', WHERE, {name: 'next', recording: {segment: '1h', auto: 'mixed'}}],
    isDone: ({apps}) => apps[ID].name === 'next' && apps[ID].recording.segment === '1h' &&
      apps[ID].recording.auto === 'mixed',
    isNot: ({apps}) => apps[ID].name === 'old' && apps[ID].recording.segment === '2h' &&
      apps[ID].recording.auto === 'off',
  },
  rotate: {
    call: ['POST', `${WHERE}/keys`, {secret_key: 'k2', overlap: '1h'}],
    isDone: ({keys}) => keys.secret_key === 'k2' && keys.previous_secret_key === 'k1' &&
      keys.previous_until_ms > Date.now(),
    isNot: ({keys}) => keys.secret_key === 'k1' && !keys.previous_secret_key,
  },
  remove: {
    call: ['DELETE', WHERE],
    isDone: ({apps}) => !apps[ID],
    isNot: ({apps}) => apps[ID].name === 'old',
  },
};

async function look(server) {
  const {apps} = await server.ask(200, 'GET', '/v1/apps');
  assert.ok(apps.find((a) => a.id === APP));
  return {
    apps: Object.fromEntries(apps.map((a) => [a.id, a])),
    keys: (await server.api('POST', `${WHERE}/keys/reveal`)).json,
  };
}

test('kill_9_leaves_an_app_as_it_was_or_as_it_was_wanted', {concurrency: 4}, (t) =>
  Promise.all(Object.entries(acts).flatMap(([name, act]) => points.map((where) =>
    t.test(`${name} ${where}`, async (t) => {
      const server = await startServer(t);
      await server.ask(201, 'POST', '/v1/apps', {id: ID, name: 'old', secret_key: 'k1'});
      await server.stop();
      const proc = server.startToDie({TAPEOP_CRASH_AT: where});
      server.url = `http://${await until('it listens', () =>
        /on http:\/\/(\S+)/.exec(proc.text)?.[1])}`;
      const answer = await server.api(...act.call).catch(() => null);
      if (answer) // the commit was answered before its crash point
        assert.ok(answer.status < 300, answer.text);
      await until('it is dead', () => proc.ended);
      assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);
      await server.start();
      const seen = await look(server);
      const done = act.isDone(seen);
      assert.ok(done || act.isNot(seen), JSON.stringify(seen));
      if (answer || /after|committed/.test(where))
        assert.ok(done, JSON.stringify(seen));
      if (/before/.test(where))
        assert.ok(!done, JSON.stringify(seen));
      // It can be done (again), whatever it was.
      if (!done) {
        const again = await server.api(...act.call);
        assert.ok(again.status < 300, again.text);
        assert.ok(act.isDone(await look(server)));
      }
      await server.kill();
      await server.start();
      assert.ok(act.isDone(await look(server)), 'it stays so');
      await server.stop();
    })))));
