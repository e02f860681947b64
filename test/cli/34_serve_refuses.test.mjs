// A server that cannot start says why in one line, ends with 1, and leaves
// what is there as it is.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';

import {command, rtpRange, startServer, tempDir} from '../aid/tapeop.mjs';

/** Start it; it must end by itself with 1.  Gives its last line. */
async function refused(t, config, dir) {
  const file = path.join(dir, 'tapeop.yaml');
  fs.writeFileSync(file, JSON.stringify(config));
  const r = await command(t, ['serve', '-c', file], {cwd: dir, ms: 30_000});
  assert.equal(r.code, 1, `${r.signal} ${r.text}`);
  assert.equal(r.out, '');
  const lines = r.text.trimEnd().split('\n');
  assert.deepEqual(lines.filter((l) => l.startsWith('tapeop serve: ')), [lines.at(-1)],
    r.text);
  return lines.at(-1);
}

async function configOf(dir, more = {}) {
  return {
    data_dir: path.join(dir, 'data'),
    http: {listen: '127.0.0.1:0'},
    media: {udp_port: 0, rtp_ports: await rtpRange(), loops: 1},
    ...more,
  };
}

test('a_port_that_is_taken_is_named_and_tasks_wait_for_it', async (t) => {
  const other = net.createServer();
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  t.after(() => other.close());
  const at = `127.0.0.1:${other.address().port}`;
  const server = await startServer(t);
  await server.join('r', 'u');
  const task = await server.record('r');
  await server.kill();
  const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
  const line = await refused(t, {...config, http: {listen: at}}, server.dir);
  assert.equal(line, `tapeop serve: cannot listen on ${at}: Address already in use`);
  // one of two is taken
  assert.equal(await refused(t, {...config, http: {listen: ['127.0.0.1:0', at]}},
    server.dir), line);
  fs.writeFileSync(server.config, JSON.stringify(config));
  await server.start();
  assert.equal((await server.task(task)).state, 'running', 'it goes on');
  await server.finish(task);
  await server.stop();
});

test('a_receiver_names_its_options', async (t) => {
  const dir = tempDir(t);
  const other = net.createServer();
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  t.after(() => other.close());
  const at = `127.0.0.1:${other.address().port}`;
  const receive = async (data, listen) => {
    const r = await command(t, ['receive', '--app', '1', '--data', data, '--listen', listen],
      {ms: 30_000});
    assert.equal(r.code, 1, r.text);
    return r.text.trimEnd();
  };

  assert.equal(await receive(path.join(dir, 'inbox'), at), `tapeop receive: cannot listen on ${at}: ` +
    'Address already in use; choose another address with --listen');
  const file = path.join(dir, 'file');
  fs.writeFileSync(file, 'mine');
  assert.match(await receive(file, '127.0.0.1:0'),
    /^tapeop receive: --data: cannot [^\n]*Not a directory$/);
});

test('an_address_that_is_not_of_this_machine_is_named', async (t) => {
  const dir = tempDir(t);
  const config = await configOf(dir, {http: {listen: '192.0.2.1:8080', admin_token: 'a'.repeat(16)}});
  assert.equal(await refused(t, config, dir),
    'tapeop serve: cannot listen on 192.0.2.1:8080: Cannot assign requested address');
});

test('a_second_server_in_the_same_folder_is_refused', async (t) => {
  const server = await startServer(t);
  await server.join('r', 'u');
  const task = await server.record('r');
  const dir = tempDir(t);
  fs.symlinkSync(server.data, path.join(dir, 'link'));
  for (const data_dir of [server.data, `${server.data}/`, path.join(dir, 'link')]) {
    const line = await refused(t, await configOf(dir, {data_dir}), dir);
    assert.equal(line, `tapeop serve: another tapeop uses ${data_dir}: stop it, or ` +
      'choose another data_dir');
  }
  const receiver = await command(t, ['receive', '--listen', '127.0.0.1:0', '--app', '1',
    '--key', 'env:TAPEOP_TEST_KEY', '--data', server.data],
  {env: {TAPEOP_TEST_KEY: 'k'}, ms: 30_000});
  assert.equal(receiver.code, 1, receiver.text);
  assert.equal(receiver.text, `tapeop receive: another tapeop uses ${server.data}: stop it, or ` +
    'choose another folder with --data\n');
  assert.equal((await server.task(task)).state, 'running', 'the first goes on');
  await server.finish(task);
  await server.stop();
  // the lock goes with its process, also by kill -9
  await server.start();
  await server.kill();
  await server.start();
  await server.stop();
});

test('a_folder_that_cannot_be_used_is_named', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'file');
  fs.writeFileSync(file, 'mine');
  fs.symlinkSync('nowhere/at/all', path.join(dir, 'dangling'));
  const data = [
    [file, 'Not a directory'], [`${file}/below`, 'Not a directory'],
    [path.join(dir, 'dangling'), ''], ['/proc/tapeop', 'No such file or directory'],
    ['/sys/tapeop', ''], ['/dev/null', 'Not a directory'],
    [path.join(dir, 'x'.repeat(300)), 'File name too long'],
  ];
  for (const [data_dir, says] of data) {
    const line = await refused(t, await configOf(dir, {data_dir}), dir);
    assert.ok(line.startsWith('tapeop serve: ') && line.includes(data_dir.slice(0, 100)) &&
      line.endsWith(says), line);
  }
  for (const [storage, says] of [[file, 'Not a directory'], ['/proc/tapeop', '']]) {
    const line = await refused(t, await configOf(dir,
      {storage: {local: {dir: storage}}}), dir);
    assert.ok(line.includes(storage) && line.endsWith(says), line);
  }
  assert.equal(fs.readFileSync(file, 'utf8'), 'mine');
  assert.deepEqual(fs.readdirSync(dir).sort(), ['dangling', 'data', 'file', 'tapeop.yaml']);
});

test('a_database_that_is_not_ours_is_left_alone', async (t) => {
  const dir = tempDir(t);
  const data = path.join(dir, 'data');
  const database = path.join(data, 'tapeop.db');
  fs.mkdirSync(data);
  for (const bytes of [Buffer.from('this is no database'.repeat(100)),
    Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(5000, 0xff)])]) {
    fs.writeFileSync(database, bytes);
    const line = await refused(t, await configOf(dir), dir);
    assert.match(line, /^tapeop serve: .*(database|tapeop\.db)/);
    assert.ok(fs.readFileSync(database).equals(bytes), 'it was changed');
  }
  fs.rmSync(database);
  fs.mkdirSync(database);
  const line = await refused(t, await configOf(dir), dir);
  assert.ok(line.includes(database), line);
});

test('a_disk_that_is_read_only_is_named', async (t) => {
  const dir = tempDir(t);
  const mount = path.join(dir, 'disk');
  fs.mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=1m', 'tmpfs', mount],
      {stdio: 'pipe'});
  } catch (e) {
    t.skip(`no mount here: ${e.stderr ?? e.message}`);
    return;
  }
  try {
    for (const data_dir of [mount, path.join(mount, 'data')]) {
      const line = await refused(t, await configOf(dir, {data_dir}), dir);
      assert.ok(line.includes(data_dir) && line.endsWith('Read-only file system'), line);
    }
  } finally {
    execFileSync('umount', [mount]);
  }
});
