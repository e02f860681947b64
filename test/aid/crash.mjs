// test/aid/crash.mjs -- a room in which people speak while the server dies.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import {startEndpoint} from './endpoint.mjs';
import {oggPackets, sendPackets} from './sound.mjs';
import {PATIENCE_MS, startServer, until} from './tapeop.mjs';
import {checkTruth, sql} from './truth.mjs';

const speech = oggPackets('assets/demo/alice.opus');

/** The named places of src/ at which a process can be killed. */
export function crashPoints() {
  const names = new Set();
  for (const entry of fs.readdirSync('src', {recursive: true})) {
    if (!entry.endsWith('.c'))
      continue;
    const text = fs.readFileSync(path.join('src', entry), 'utf8');
    for (const m of text.matchAll(/\bcrash_point\(([^)]*)\)/g)) {
      const [, name] = /^"([a-z0-9_.]+)"$/.exec(m[1]) ?? [];
      assert.ok(name || entry === 'base/crash.c', `${entry}: what is ${m[0]}?`);
      if (name)
        names.add(name);
    }
  }
  assert.ok(names.size > 15, 'crash points are found by their calls');
  return [...names].sort();
}

/**
 * A server with two people in a room who speak all the time, over its deaths,
 * and two endpoints: gme, which `callbacks` and `answer` are for, and live,
 * which is always well (`alone`: without it).  Segments of a second, so every step comes often.
 */
export async function startStage(t, {callbacks = {}, recording = {}, answer, alone = false} = {}) {
  const endpoint = await startEndpoint(t, answer);
  const live = alone ? undefined : await startEndpoint(t);
  const server = await startServer(t, {
    recording: {segment: '1s', ...recording},
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme',
      retry: '100ms,200ms,200ms,500ms,500ms,1s,1s,1s,2s,2s,2s,5s,5s,5s,5s,5s',
      timeout: '2s', ...callbacks},
    ...live ? [{name: 'live', url: live.url, dialect: 'live'}] : []],
  });
  const stage = {server, endpoint, live, task: null, senders: []};
  for (const user of ['alice', 'bob'])
    stage.senders.push(sendPackets(t, speech, (await server.join('room', user)).port));

  /** The running task, or a new one. */
  stage.record = async () => {
    stage.task = (await stage.running())[0] ?? await server.record('room');
    return stage.task;
  };
  stage.segments = () => server.segments(stage.task);
  stage.running = async () => (await server.ask(200, 'GET', '/v1/tasks?state=running'))
    .tasks.map((task) => task.task_id);
  stage.truth = (task = stage.task, more = {}) =>
    checkTruth(server, endpoint, task, {live, ...more});

  /** Start with the server set to die at `where`, record, roll over, stop and
   *  begin again until it is dead.  Gives what it had acknowledged: the newest
   *  task, how many of its files were closed, was its stop asked for. */
  stage.dieAt = async (where) => {
    const proc = server.startToDie({TAPEOP_CRASH_AT: where});
    let known = {task: stage.task, seqs: 0, stop: false};
    const end = Date.now() + PATIENCE_MS;
    while (!proc.ended) {
      assert.ok(Date.now() < end, `${where} was not reached`);
      try {
        const at = /on http:\/\/(\S+)/.exec(proc.text)?.[1];
        if (at) {
          server.url = `http://${at}`;
          const task = await stage.record();
          if (task !== known.task)
            known = {task, seqs: 0, stop: false};
          const n = (await stage.segments()).filter((s) => s.state === 'closed').length;
          known.seqs = Math.max(known.seqs, n);
          if (n >= 4) { // roll-overs did not reach it: then the end of a task does
            known.stop = true;
            await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
          }
        }
      } catch { /* it may be dead, or the request with it */ }
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);
    return known;
  };

  /** The server is up again: the task goes on by itself, rolls over (where its
   *  segments are short), then is stopped.  `known`: what dieAt gave; default:
   *  stage.task was recorded, and nobody wanted it to stop. */
  stage.goOn = async ({rolls = true, known = {task: stage.task, stop: false}} = {}) => {
    // asked for now: it may be recorded further before it can be asked again
    const ids = new Set((await sql(server, 'SELECT id FROM segment')).map((s) => String(s.id)));
    const further = async () => (await stage.segments()).filter((s) => !ids.has(s.segment_id));
    await server.start();
    if (known.task && !known.stop)
      assert.deepEqual(await stage.running(), [known.task], 'it is resumed');
    await stage.record();
    await until('both are recorded further', async () =>
      new Set((await further()).map((s) => s.user)).size === 2);
    if (rolls)
      await until('a file is closed again', async () =>
        (await further()).some((s) => s.state === 'closed'));
    await server.finish(stage.task);
  };
  return stage;
}
