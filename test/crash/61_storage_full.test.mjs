// Storage that is full: the file stays in the spool until there is room.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {startServer, tempDir, until} from '../aid/tapeop.mjs';

test('a_file_waits_in_the_spool_until_storage_has_room', async (t) => {
  const dir = tempDir(t);
  const mount = path.join(dir, 'recordings');
  fs.mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount], {stdio: 'pipe'});
  } catch (e) {
    t.skip(`no mount here: ${e.stderr ?? e.message}`);
    return;
  }
  try {
    const filler = path.join(mount, 'filler');
    fs.writeFileSync(filler, Buffer.alloc(1 << 20));
    const endpoint = await startEndpoint(t);
    // one file, also where the sender stands still for a while
    const server = await startServer(t, {dir, recording: {mic_off: 'silence'}, callbacks: [
      {name: 'a', url: endpoint.url, dialect: 'gme'}]});
    const {port} = await server.join('r', 'u');
    const task = await server.record('r');
    const sending = sendPackets(t, oggPackets('assets/demo/bob.opus'), port);
    await until('it records', async () =>
      (await server.segments(task)).some((s) => s.state === 'recording'));
    await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
    await until('uploads fail', async () => (await server.metrics()).uploads_failed >= 2);
    sending.stop();

    const [waits] = await server.segments(task);
    assert.equal(waits.state, 'closed');
    assert.equal(waits.uploaded, false);
    const audio = `/v1/segments/${waits.segment_id}/audio`;
    const bytes = fs.readFileSync(server.file(waits));
    assert.equal(bytes.length, waits.size, 'whole in the spool');
    assert.equal((await server.api('GET', audio)).status, 200);
    assert.equal((await server.task(task)).state, 'stopped');
    assert.equal((await server.task(task)).finished_ms, null);
    await until('its end was told', () => endpoint.requests.length >= 2);
    assert.deepEqual(endpoint.requests.map((r) => r.body.EventType), [1, 2]);
    assert.deepEqual(fs.readdirSync(mount, {recursive: true})
      .filter((f) => f.endsWith('.mp3')), [], 'no half of a file');

    // a restart forgets nothing
    await server.stop();
    await server.start();
    await until('it is tried again', async () =>
      (await server.metrics()).uploads_failed >= 1);
    fs.rmSync(filler);
    await until('it is stored', async () => (await server.task(task)).finished_ms);
    const metrics = await server.drained();
    assert.equal(metrics.uploads_done, 1);
    assert.equal(metrics.uploads_pending, 0);
    const [stored] = await server.segments(task);
    assert.equal(stored.uploaded, true);
    assert.ok(fs.readFileSync(path.join(mount, stored.file)).equals(bytes));
    assert.equal((await server.api('GET', audio)).status, 200);
    assert.ok(!fs.existsSync(path.join(server.data, 'spool', stored.file)));
    assert.deepEqual(endpoint.requests.map((r) => r.body.EventType), [1, 2, 3]);
    await server.stop();
  } finally {
    execFileSync('umount', ['-l', mount]);
  }
});
