// test/cli/10_commands.test.mjs -- help, usage, and servers that are not there.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {commandNames, commandsAt, oneLine} from '../aid/lines.mjs';
import {command, startServer, tempDir} from '../aid/tapeop.mjs';

// each with what it needs to reach the server
const clients = {start: ['--app', '1', '--room', 'r'], stop: ['64'],
  pause: ['64'], resume: ['64'],
  status: [], rooms: [], tasks: [], deliveries: [], replay: ['1'],
  erase: ['--task', '64', '--yes']};

test('every_command_has_help_and_refuses_what_it_does_not_know', async (t) => {
  const names = await commandNames(t);
  for (const name of ['serve', 'receive', 'demo', 'publish', 'start', 'stop',
    'pause', 'resume', 'status', 'rooms', 'tasks', 'erase', 'deliveries', 'replay',
    'sign', 'verify', 'doctor', 'version'])
    assert.ok(names.includes(name), name);
  for (const name of names) {
    const help = await command(t, [name, '--help']);
    assert.equal(help.code, 0, help.text);
    assert.match(help.out, new RegExp(`^usage: tapeop ${name}`));
    assert.equal(help.text, '');
    for (const line of help.out.split('\n'))
      assert.ok(line.length <= 80, `${name}: ${line}`);
    oneLine(await command(t, [name, '--no-such-option']), name, 2);
    oneLine(await command(t, [name, '-x']), name, 2);
    // the first option with a value, without one
    const option = /^ +(?:-\w, )?(--[\w-]+) [A-Z]/m.exec(help.out)?.[1];
    if (option)
      oneLine(await command(t, [name, option]), name, 2, /needs a value|needs? /);
  }
});

test('an_unknown_command_is_told_its_neighbour', async (t) => {
  const near = await command(t, ['strat']);
  assert.equal(near.code, 2);
  assert.match(near.text, /^tapeop: there is no command strat; did you mean start\?\n$/);
  const none = await command(t, []);
  assert.equal(none.code, 2);
  assert.equal(none.out, '');
});

test('a_client_command_shows_an_example_and_its_common_options', async (t) => {
  for (const name of Object.keys(clients)) {
    const {out} = await command(t, [name, '-h']);
    assert.match(out, new RegExp(`^Example: tapeop ${name}`, 'm'));
    for (const option of ['--server', '--token', '--json', '--help'])
      assert.match(out, new RegExp(`^ .*${option}\\b`, 'm'), name);
  }
});

test('the_receiver_shows_an_example_its_folder_its_retries_and_its_exit_codes', async (t) => {
  const {out} = await command(t, ['receive', '-h']);
  for (const says of [/^Example: tapeop receive --app /m, /\.\/tapeop-inbox, made /,
    /^What --forward and --exec fail to hand on is tried again [^]* 7 days /m,
    /^Exit codes: 0 .*, 1 failed, 2 usage\.$/m])
    assert.match(out, says);
});

test('a_missing_server_is_said_in_one_line', async (t) => {
  for (const [name, more] of Object.entries(clients)) {
    const cli = commandsAt(t, 'http://127.0.0.1:1');
    await cli.fails(1, /no server answers at http:\/\/127\.0\.0\.1:1; start one with `tapeop serve`, .*--server/,
      name, ...more);
    await cli.fails(1, /no server answers/, name, ...more, '--json');
  }
  await commandsAt(t, 'http://nothing.invalid')
    // (or the machine's DNS hangs)
    .fails(1, /nothing\.invalid(: there is no such host; .*| did not answer.*)--server/, 'rooms');
});

test('bad_words_are_usage', async (t) => {
  for (const [name, ...args] of [
    ['start'], ['start', '--app', '1'], ['start', '--room', 'r'],
    ['start', '--app'], ['start', '--app', '', '--room', 'r'],
    ['start', '--app', '1', '--room', 'r', 'more'],
    ['start', '--app', '1', '--room', 'r', '--subscribe', 'a', '--unsubscribe', 'b'],
    ['stop'], ['stop', 'x'], ['stop', '-1'], ['stop', '1', '2'],
    ['stop', '1', '--timeout', '0'], ['stop', '99999999999999999999'],
    ['pause'], ['pause', 'x'], ['pause', '1', '2'], ['resume'], ['resume', '-1'],
    ['status', 'x'], ['status', '1', '2'], ['rooms', 'x'],
    ['tasks', '--limit', '0'], ['tasks', '--limit', '1000001'], ['tasks', 'x'],
    ['deliveries', 'x'], ['deliveries', '1', '2'], ['deliveries', '--limit', 'many'],
    ['replay'], ['replay', 'x'], ['replay', '1', '--dry-run'], ['replay', '1', '2'],
    ['replay', '1', '--state', 'dead'], ['replay', '--dry-run'], ['replay', '--app', '1'],
    ['replay', '--state', 'dead', '--app', 'x'],
    ['erase'], ['erase', '64'], ['erase', '--task', 'x', '--yes'], ['erase', '--task', '64'],
    ['erase', '--app', '1', '--yes'], ['erase', '--user', 'a', '--yes'],
    ['erase', '--app', 'x', '--user', 'a', '--yes'],
    ['status', '--server', 'ftp://x'], ['status', '--server', '127.0.0.1:8080'],
    ['status', '--server', 'http://127.0.0.1/?x'],
    ['status', '--token', 'env:NO_SUCH_NAME'], ['status', '--token', 'file:/no/such'],
    ['status', '--json=yes'],
    ['doctor'], ['doctor', '-c'], ['doctor', '-c', 'a', 'b'], ['version', 'x'],
    ['serve'], ['serve', '-c'], ['serve', '-c', 'a', 'b'],
  ])
    oneLine(await command(t, [name, ...args]), name, 2);
});

test('wrong_values_are_named_by_the_server', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const start = (app, room, ...more) =>
    ['start', '--app', app, '--room', room, ...more];

  for (const [says, ...args] of [
    [/^tapeop start: app: a number from 1/, ...start('x', 'r')],
    [/^tapeop start: app: there is no app 77;/, ...start('77', 'r')],
    [/^tapeop start: room: /, ...start('1400000000', 'nobody is here')],
    [/^tapeop start: room must not contain '\/'/, ...start('1400000000', 'a/b')],
    [/^tapeop start: room must not contain '\/'/, ...start('1400000000', '../tasks')],
    [/^tapeop start: room must not be "\." or "\.\."/, ...start('1400000000', '..')],
    [/^tapeop start: [^\n]*bytes/, ...start('1400000000', 'x'.repeat(129))],
    [/^tapeop start: mode: must be one of: single, mixed, both/,
      ...start('1400000000', 'r', '--mode', 'double')],
    [/^tapeop start: subscribe: .* 1 to 32 user ids/,
      ...start('1400000000', 'r', '--subscribe', Array.from({length: 33}, (_, i) => `u${i}`).join())],
    [/^tapeop stop: task: there is no task 64/, 'stop', '64'],
    [/^tapeop stop: task: a number from 1/, 'stop', '0'],
    [/^tapeop pause: task: there is no running task 64/, 'pause', '64'],
    [/^tapeop resume: task: a number from 1/, 'resume', '0'],
    [/^tapeop status: task: there is no task 64/, 'status', '64'],
    [/^tapeop tasks: state: must be one of: running,/, 'tasks', '--state', 'asleep'],
    [/^tapeop tasks: app: there is no app 2;/, 'tasks', '--app', '2'],
    [/^tapeop tasks: room must not contain/, 'tasks', '--room', 'a/b'],
    [/^tapeop deliveries: state: must be one of: pending,/, 'deliveries', '--state', 'gone'],
    [/^tapeop deliveries: endpoint: there is none of the name é&x=/,
      'deliveries', '--endpoint', 'é&x='],
    [/^tapeop deliveries: delivery: there is no delivery 9/, 'deliveries', '9'],
    [/^tapeop replay: delivery: there is no delivery 9/, 'replay', '9'],
    [/^tapeop replay: state: must be one of: dead, expired, all/, 'replay', '--state', 'x'],
    [/^tapeop replay: endpoint: there is none/, 'replay', '--state', 'dead', '--endpoint', 'e'],
  ])
    await cli.fails(1, says, ...args);
  // and nothing has come of it
  assert.deepEqual((await cli.json('tasks')).tasks, []);
});

test('a_token_opens_the_server_and_is_never_shown', async (t) => {
  const secret = 'open-sesame';
  const server = await startServer(t, {http: {admin_token: 'env:TEST_TOKEN'},
    env: {TEST_TOKEN: secret}});
  const ask = (args, env = {}) =>
    command(t, ['rooms', '--server', server.url, ...args], {env});
  const file = path.join(tempDir(t), 'token');
  fs.writeFileSync(file, secret + '\n', {mode: 0o600});

  for (const [name, more] of Object.entries(clients)) {
    const cli = commandsAt(t, server.url);
    await cli.fails(1, /--token/, name, ...more);
    const wrong = await command(t, [name, ...more, '--server', server.url,
      '--token', 'env:T'], {env: {T: 'not-that'}});
    oneLine(wrong, name, 1, /is not http\.admin_token; give another --token/);
    assert.ok(!wrong.text.includes('not-that'));
  }
  assert.equal((await ask(['--token', 'env:T'], {T: secret})).code, 0);
  assert.equal((await ask(['--token', `file:${file}`])).code, 0);
  assert.equal((await ask([], {TAPEOP_ADMIN_TOKEN: secret})).code, 0);
  oneLine(await ask([], {TAPEOP_ADMIN_TOKEN: ''}), 'rooms', 1, /--token/);
  const literal = await ask(['--token', secret]);
  assert.equal(literal.code, 0);
  assert.match(literal.text, /^tapeop rooms: warning: the text of --token is visible/);
  assert.ok(!literal.text.includes(secret));
  assert.ok(!server.proc.text.includes(secret));
  const env = await command(t, ['rooms'], {env: {TAPEOP_SERVER: server.url,
    TAPEOP_ADMIN_TOKEN: secret}});
  assert.equal(env.code, 0, env.text);
});

test('what_is_no_tapeop_server_is_told_so', async (t) => {
  const other = await startEndpoint(t);
  const cli = commandsAt(t, other.url);
  const answers = [
    [200, 'text/html', '<html>'], [404, 'text/html', 'no'], [200, 'application/json', '[]'],
    [302, 'text/html', ''], [500, 'application/json', '{"detail":7}'], [200, 'text/plain', ''],
  ];
  for (const [status, type, text] of answers) {
    other.answer = (seen, response) => {
      response.writeHead(status, {'Content-Type': type, Location: 'http://127.0.0.1:1/'});
      response.end(text);
    };
    for (const [name, more] of Object.entries(clients))
      await cli.fails(1, /is this a tapeop server\?/, name, ...more);
  }
  other.answer = (seen, response) => response.destroy();
  await cli.fails(1, /connection closed/, 'rooms');
});

test('what_a_server_says_never_commands_the_terminal', async (t) => {
  const evil = 'a\u001b[2J\u009bb\nc';
  const other = await startEndpoint(t, (seen, response) => {
    const row = {task_id: evil, delivery_id: '1', app: 1, room: evil, state: evil,
      user: evil, kind: evil, endpoint: evil, file: evil, inputs: [{user: evil}],
      reason_text: evil, last_error: evil, created_ms: 1};
    response.writeHead(seen.url.pathname === '/v1/tasks/7' ? 404 : 200,
      {'Content-Type': 'application/json'});
    response.end(JSON.stringify({detail: evil, field: 'task', rooms: [row],
      tasks: [row], deliveries: [row], segments: [row], next: null, ...row,
      finished_ms: 1, attempts_log: [{n: 1, error: evil}]}));
  });
  for (const [name, ...args] of [['rooms'], ['tasks'], ['deliveries'], ['status'],
    ['deliveries', '1'], ['status', '8'], ['stop', '8'], ['status', '7']]) {
    const r = await command(t, [name, ...args, '--server', other.url]);
    assert.equal(r.code, args[0] === '7' ? 1 : 0, r.text);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(r.out + r.text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/, name);
    assert.match(r.out + r.text, /a\?\[2J\?\?b\?c/, name);
  }
});
