// test/cli/10_commands.test.mjs -- the commands that ask a running server.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startEndpoint, endpointAnswers} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');

/** One line on stderr that starts with the command's name. */
function oneLine(r, name, code) {
  assert.equal(r.code, code, r.text);
  assert.match(r.text, new RegExp(`^tapeop ${name}: [^\n]+\n$`));
  assert.equal(r.out, '');
}

async function commands(t) {
  const {out} = await command(t, ['--help']);
  return [...out.matchAll(/^ {2}(\w+) {2,}\S/gm)].map((m) => m[1]);
}

test('every_command_has_help_and_refuses_what_it_does_not_know', async (t) => {
  const names = await commands(t);
  for (const name of ['serve', 'receive', 'demo', 'publish', 'start', 'stop',
    'status', 'rooms', 'tasks', 'deliveries', 'replay', 'sign', 'verify',
    'doctor', 'version'])
    assert.ok(names.includes(name), name);
  for (const name of names) {
    const help = await command(t, [name, '--help']);
    assert.equal(help.code, 0, help.text);
    assert.match(help.out, new RegExp(`^usage: tapeop ${name}`));
    assert.equal(help.text, '');
    const bad = await command(t, [name, '--no-such-option']);
    assert.equal(bad.code, 2, `${name}: ${bad.text}`);
    assert.equal(bad.text.trim().split('\n').length, 1, bad.text);
  }
  const near = await command(t, ['strat']);
  assert.equal(near.code, 2);
  assert.match(near.text, /did you mean start\?/);
  assert.equal((await command(t, [])).code, 2);
});

test('a_missing_server_is_said_in_one_line', async (t) => {
  const args = {start: ['--app', '1', '--room', 'r'], stop: ['64'],
    status: [], rooms: [], tasks: [], deliveries: [], replay: ['1']};
  for (const [name, more] of Object.entries(args)) {
    const r = await command(t, [name, ...more, '--server', 'http://127.0.0.1:1']);
    oneLine(r, name, 1);
    assert.match(r.text, /no server answers at http:\/\/127\.0\.0\.1:1; start one/);
  }
});

test('bad_words_are_usage', async (t) => {
  for (const [name, ...args] of [
    ['start'], ['start', '--app', '1'], ['start', '--app'],
    ['start', '--app', '1', '--room', 'r', 'more'],
    ['stop'], ['stop', 'x'], ['stop', '1', '2'], ['stop', '1', '--timeout', '0'],
    ['status', 'x'], ['rooms', 'x'], ['tasks', '--limit', '0'], ['tasks', 'x'],
    ['deliveries', 'x'], ['deliveries', '--limit', 'many'], ['replay'],
    ['replay', 'x'], ['replay', '1', '--dry-run'], ['replay', '1', '2'],
    ['replay', '--state', 'dead', '--app', 'x'],
    ['status', '--server', 'ftp://x'], ['status', '--token', 'env:NO_SUCH_NAME'],
    ['doctor'], ['version', 'x'],
  ])
    oneLine(await command(t, [name, ...args]), name, 2);
});

test('a_recording_is_started_seen_and_stopped', async (t) => {
  const server = await startServer(t);
  const at = ['--server', server.url];
  const room = 'a room/with ü'.replace('/', ' ');
  const cli = async (...args) => {
    const r = await command(t, [...args, ...at]);
    assert.equal(r.code, 0, r.text);
    return r.out;
  };

  assert.match(await cli('rooms'), /no rooms/);
  assert.match(await cli('tasks'), /no tasks/);
  oneLine(await command(t, ['start', '--app', String(APP), '--room', room, ...at]),
    'start', 1);
  const input = await server.join(room, 'zoë');
  const sending = sendPackets(t, speech, input.port);
  const task = (await cli('start', '--app', String(APP), '--room', room,
    '--unsubscribe', 'bot,robot')).trim();
  assert.match(task, /^\d+$/);

  const again = await command(t, ['start', '--app', String(APP), '--room', room, ...at]);
  oneLine(again, 'start', 1);
  assert.match(again.text, new RegExp(`task ${task} records this room already`));

  await until('a file is open', async () => (await server.segments(task)).length);
  await until('the sender is known', async () =>
    /127\.0\.0\.1:\d+ +\d/.test(await cli('rooms')));
  const rooms = await cli('rooms');
  assert.match(rooms, new RegExp(`room ${room}: task ${task}`));
  assert.match(rooms, /zoë +on /);
  assert.match(await cli('status'), /ready[^]*tasks +1 running/);
  const shown = await cli('status', task);
  assert.match(shown, /: running\n {2}started .* for 0:\d\d\.\d\d now/);
  assert.match(shown, /all but bot, robot/);
  assert.match(shown, /zoë +0 +recording/);
  assert.match(await cli('tasks', '--state', 'running'), new RegExp(task));
  assert.match(await cli('tasks', '--state', 'failed'), /no tasks/);

  await until('a second was sent', () => sending.sent() > 50);
  const stopped = await cli('stop', task);
  sending.stop();
  assert.match(stopped, new RegExp(`^task ${task}: stopped\n`));
  assert.match(stopped, /zoë +0 +stored +\S+ \S+ +0:0\d\.\d\d +[\d.]+ kB +\d+_a%20room/);
  assert.match(await cli('stop', task), /stopped/);

  for (const args of [['rooms'], ['tasks'], ['status'], ['status', task],
    ['deliveries'], ['stop', task], ['replay', '--state', 'all']])
    JSON.parse(await cli(...args, '--json'));
  assert.equal(JSON.parse(await cli('status', task, '--json')).task_id, task);
});

test('a_dead_callback_is_listed_shown_and_replayed', async (t) => {
  const endpoint = await startEndpoint(t, endpointAnswers(500));
  const server = await startServer(t, {callbacks: [
    {name: 'live', url: endpoint.url, dialect: 'live', retry: '100ms'}]});
  const at = ['--server', server.url];
  const cli = async (...args) => {
    const r = await command(t, [...args, ...at]);
    assert.equal(r.code, 0, r.text);
    return r.out;
  };

  await server.join('r', 'u');
  const task = await server.record('r');
  await until('it is dead', async () =>
    (await server.metrics()).deliveries_dead === 1);
  const list = await cli('deliveries', '--state', 'dead', '--endpoint', 'live');
  assert.match(list, new RegExp(`dead +live +task_started +${task} +2 .*HTTP 500`));
  const id = JSON.parse(await cli('deliveries', '--json')).deliveries[0].delivery_id;
  assert.match(await cli('deliveries', id), /ATTEMPT[^]*1 +\S+ \S+ +\d+ ms +HTTP 500[^]*2 /);
  assert.match(await cli('replay', '--state', 'dead', '--dry-run'), /^1 would be sent/);
  endpoint.answer = endpointAnswers(200);
  assert.match(await cli('replay', '--state', 'dead', '--endpoint', 'live', '--app',
    String(APP), '--task', task), /^1 pending again/);
  await server.drained();
  assert.match(await cli('deliveries', id), /: delivered/);
  const twice = await command(t, ['replay', id, ...at]);
  oneLine(twice, 'replay', 1);
  assert.match(twice.text, /not dead or expired/);
  const none = await command(t, ['deliveries', '--endpoint', 'nobody', ...at]);
  oneLine(none, 'deliveries', 1);
  assert.match(none.text, /endpoint: there is none of the name nobody/);
});

test('a_token_opens_the_server_and_is_never_shown', async (t) => {
  const server = await startServer(t, {http: {admin_token: 'env:TEST_TOKEN'},
    env: {TEST_TOKEN: 'open-sesame'}});
  const ask = (args, env = {}) => command(t, ['rooms', '--server', server.url, ...args], {env});

  oneLine(await ask([]), 'rooms', 1);
  oneLine(await ask(['--token', 'env:T'], {T: 'wrong'}), 'rooms', 1);
  assert.equal((await ask(['--token', 'env:T'], {T: 'open-sesame'})).code, 0);
  assert.equal((await ask([], {TAPEOP_ADMIN_TOKEN: 'open-sesame'})).code, 0);
  const literal = await ask(['--token', 'open-sesame']);
  assert.equal(literal.code, 0);
  assert.match(literal.text, /warning: a token on the command line/);
  assert.ok(!literal.text.includes('open-sesame'));
  assert.ok(!server.proc.text.includes('open-sesame'));
  const env = await command(t, ['rooms'], {env: {TAPEOP_SERVER: server.url,
    TAPEOP_ADMIN_TOKEN: 'open-sesame'}});
  assert.equal(env.code, 0, env.text);
});

test('doctor_finds_what_would_not_run', async (t) => {
  const endpoint = await startEndpoint(t);
  const server = await startServer(t, {start: false, callbacks: [
    {name: 'here', url: endpoint.url, dialect: 'gme'},
    {name: 'private', url: 'http://10.0.0.1/', dialect: 'gme', allow_private: false}]});
  const doctor = (...more) => command(t, ['doctor', '-c', server.config, ...more]);

  const sick = await doctor();
  assert.equal(sick.code, 1, sick.text);
  assert.match(sick.out, /^ok +\d+ here +127\.0\.0\.1:\d+ answers$/m);
  assert.match(sick.out, /^FAIL +\d+ private +10\.0\.0\.1:80 is refused: .*allow_private$/m);
  assert.deepEqual(endpoint.requests, []);
  assert.ok(!fs.existsSync(server.data));

  const json = JSON.parse((await doctor('--json')).out);
  assert.equal(json.failed, 1);
  assert.ok(json.checks.every((c) => c.what && c.state && c.text));

  const config = JSON.parse(fs.readFileSync(server.config));
  config.apps[0].callbacks.pop();
  fs.writeFileSync(server.config, JSON.stringify(config));
  const well = await doctor();
  assert.equal(well.code, 0, well.out);
  assert.match(well.out, /^fit to run$/m);

  fs.writeFileSync(server.data, 'a file in the place of a folder');
  assert.equal((await doctor()).code, 1);
  config.no_such_key = 1;
  fs.writeFileSync(server.config, JSON.stringify(config));
  const broken = await doctor();
  assert.equal(broken.code, 1);
  assert.match(broken.text, /^tapeop doctor: \S+:\d+:\d+: [^\n]*no_such_key[^\n]*\n$/);
  assert.match((await command(t, ['doctor', '-c', path.join(tempDir(t), 'none')])).text,
    /^tapeop doctor: [^\n]+\n$/);
});
