// test/aid/crash.mjs -- a room in which people speak while the server dies.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import {startEndpoint} from './endpoint.mjs';
import {oggPackets, sendPackets} from './sound.mjs';
import {startServer, until} from './tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');

/** The named places of src/ at which a process can be killed. */
export function crashPoints() {
  const names = new Set();
  for (const entry of fs.readdirSync('src', {recursive: true})) {
    if (!entry.endsWith('.c'))
      continue;
    const text = fs.readFileSync(path.join('src', entry), 'utf8');
    for (const m of text.matchAll(/crash_point\("([a-z.]+)"\)/g))
      names.add(m[1]);
  }
  assert.ok(names.size > 15, 'crash points are found by their calls');
  return [...names].sort();
}

/**
 * A server with two people in a room who speak all the time, over its deaths,
 * and a gme endpoint.  Segments of a second, so every step comes often.
 */
export async function startStage(t, {callbacks = {}, recording = {}, answer} = {}) {
  const endpoint = await startEndpoint(t, answer);
  const server = await startServer(t, {
    recording: {segment: '1s', ...recording},
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme',
      retry: '100ms,200ms,200ms,500ms,500ms,1s,1s,1s,2s,2s,2s,5s,5s,5s,5s,5s',
      timeout: '2s', ...callbacks}],
  });
  const stage = {server, endpoint, task: null, senders: []};
  for (const user of ['alice', 'bob'])
    stage.senders.push(sendPackets(t, speech, (await server.join('room', user)).port));

  /** The running task, or a new one. */
  stage.record = async () => {
    const {tasks} = await server.ask(200, 'GET', '/v1/tasks?state=running');
    stage.task = tasks[0]?.task_id ?? await server.record('room');
    return stage.task;
  };
  stage.segments = () => server.segments(stage.task);

  /** Start with the server set to die at `where`, record, roll over, stop and
   *  begin again until it is dead.  Gives what it had acknowledged. */
  stage.dieAt = async (where) => {
    const proc = server.startToDie({TAPEOP_CRASH_AT: where});
    const known = {task: stage.task, seqs: 0};
    const end = Date.now() + 30_000;
    while (!proc.ended) {
      assert.ok(Date.now() < end, `${where} was not reached`);
      try {
        const at = /on http:\/\/(\S+)/.exec(proc.text)?.[1];
        if (at) {
          server.url = `http://${at}`;
          known.task = await stage.record();
          const n = (await stage.segments()).filter((s) => s.state === 'closed').length;
          known.seqs = Math.max(known.seqs, n);
          if (n >= 4) // roll-overs did not reach it: then the end of a task does
            await server.finish(known.task);
        }
      } catch { /* it may be dead, or the request with it */ }
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);
    return known;
  };

  /** The server is up again: the task goes on by itself, rolls over (where its
   *  segments are short), then is stopped. */
  stage.goOn = async ({rolls = true} = {}) => {
    await server.start();
    await stage.record();
    const before = (await stage.segments()).length;
    await until('both are recorded further', async () => {
      const now = (await stage.segments()).slice(before);
      return new Set(now.map((s) => s.user)).size === 2;
    });
    if (rolls)
      await until('a file is closed again', async () =>
        (await stage.segments()).slice(before).some((s) => s.state === 'closed'));
    await server.finish(stage.task);
  };
  return stage;
}
