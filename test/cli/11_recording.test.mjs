// test/cli/11_recording.test.mjs -- start, stop, status, rooms and tasks.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {commandsAt, oneLine} from '../aid/lines.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, command, startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/alice.opus');
const app = String(APP);

test('a_recording_is_started_seen_and_stopped', async (t) => {
  // one file, also where the sender stands still for a while
  const server = await startServer(t, {recording: {mic_off_after: '1h'}});
  const cli = commandsAt(t, server.url);
  const room = 'a room with ü';

  assert.match(await cli('rooms'), /no rooms/);
  assert.match(await cli('tasks'), /no tasks/);
  assert.match(await cli('status'), /^server +\S+ +ready\nrooms +0, with 0 inputs/);
  const input = await server.join(room, 'zoë');
  assert.match(await cli('rooms'), new RegExp(`room ${room}: not recorded`));
  const sending = sendPackets(t, speech, input.port);
  const task = (await cli('start', '--app', app, '--room', room,
    '--unsubscribe', 'bot,robot')).trim();
  assert.match(task, /^\d+$/);
  await cli.fails(1, new RegExp(`task ${task} records this room already`),
    'start', '--app', app, '--room', room, '--unsubscribe', 'robot', '--unsubscribe', 'bot');

  await until('a file is recorded', async () =>
    (await server.segments(task))[0]?.state === 'recording');
  const recorded_ms = Date.now();
  await until('the sender is known', async () =>
    /127\.0\.0\.1:\d+ +[1-9]/.test(await cli('rooms')));
  const rooms = await cli('rooms');
  assert.match(rooms, new RegExp(`^app ${app}, room ${room}: task ${task}\n`));
  assert.match(rooms, /zoë +on +- +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ +\d+ +\d/);
  const [seen] = (await cli.json('rooms')).rooms;
  assert.equal(seen.task_id, task);
  assert.equal(seen.inputs[0].user, 'zoë');

  const overview = await cli('status');
  assert.match(overview, /\ntasks +1 running, 0 failed/);
  assert.match(overview, new RegExp(`\n +${task} +app ${app}, room ${room}, for 0:\\d\\d\\.\\d\\d, 1 files open\n`));
  assert.match(overview, /\ndisk +[\d.]+ [MGT]B free/);
  assert.match(overview, /\ncallbacks +0 delivered, 0 pending, 0 dead/);
  const all = await cli.json('status');
  assert.equal(all.ready, true);
  assert.equal(all.tasks[0].task_id, task);
  assert.equal(all.rooms.length, 1);
  assert.ok(all.disk_free_bytes > 1e6);

  const shown = await cli('status', task);
  assert.match(shown, new RegExp(`^task ${task}: app ${app}, room ${room}: running\n`));
  assert.match(shown, /\n {2}started \S+ \S+, for 0:\d\d\.\d\d now\n/);
  assert.match(shown, /\n {2}single, mp3 of 48 kHz\n/);
  assert.match(shown, /\n {2}records all but bot, robot\n/);
  assert.match(shown, /zoë +0 +recording/);
  assert.match(await cli('tasks', '--state', 'running'),
    new RegExp(`${task} +${app} +${room} +single +running +\\S+ \\S+ +0:\\d\\d`));
  assert.match(await cli('tasks', '--state', 'failed'), /no tasks/);

  await until('a second is recorded', () => Date.now() - recorded_ms > 1000);
  const stopped = await cli('stop', task);
  sending.stop();
  assert.match(stopped, new RegExp(`^task ${task}: stopped\n`));
  assert.match(stopped, /\n {2}USER +SEQ +STATE +START +LENGTH +SIZE +FILE\n/);
  assert.match(stopped, /zoë +0 +stored +\S+ \S+ +0:\d\d\.\d\d +[\d.]+ kB +\d+_a%20room/);
  assert.match(await cli('stop', task), /: stopped\n/); // twice is fine
  for (const name of ['stop', 'status', 'tasks']) {
    const [, below] = /\n {2}stored below (\/.+)\n/.exec(await cli(name, task));
    const {segments: [{file}], storage} = await cli.json(name, task);
    assert.equal(below, storage);
    assert.ok(fs.existsSync(path.join(storage, file)), storage);
  }
  assert.match(await cli('status', task), /started .*, ended .*, 0:\d\d\.\d\d long/);

  for (const args of [['stop', task], ['status', task]]) {
    const json = await cli.json(...args);
    assert.equal(json.task_id, task);
    assert.equal(json.segments.length, 1);
    assert.equal(json.segments[0].uploaded, true);
    assert.ok(json.segments[0].duration_ms >= 1000);
  }
  assert.equal((await cli.json('stop', task, '--no-wait')).segments, undefined);
  const {tasks, more} = await cli.json('tasks', '--app', app, '--room', room);
  assert.deepEqual(tasks.map((x) => x.task_id), [task]);
  assert.equal(more, false);
});

test('a_task_is_paused_and_resumed_beside_another', async (t) => {
  const server = await startServer(t, {recording: {format: 'ogg'}});
  const cli = commandsAt(t, server.url);

  await server.join('room', 'alice');
  const start = async (...more) =>
    (await cli('start', '--app', app, '--room', 'room', ...more)).trim();
  const ogg = await start('--mode', 'both');
  const mp3 = await start('--format', 'mp3', '--sample-rate', '16000');
  await cli.fails(1, /sample_rate: of format mp3 only; ogg, as the app is set up, has 48000/,
    'start', '--app', app, '--room', 'room', '--sample-rate', '24000');
  assert.match(await cli('rooms'),
    new RegExp(`^app ${app}, room room: tasks ${ogg}, ${mp3}\n`));
  assert.match(await cli('status', ogg), /\n {2}both, ogg\n/);

  const paused = /\n {2}single, mp3 of 16 kHz, paused: silence is recorded\n/;
  for (let i = 0; i < 2; i++) // twice is fine
    assert.match(await cli('pause', mp3), paused);
  assert.match(await cli('status', mp3), paused);
  assert.match(await cli('tasks'), new RegExp(`${mp3} +${app} +room +single +paused `));
  assert.match(await cli('tasks'), new RegExp(`${ogg} +${app} +room +both +running `));
  assert.equal((await cli.json('resume', mp3)).paused, false);
  assert.match(await cli('resume', mp3), /\n {2}single, mp3 of 16 kHz\n/);
  for (const task of [ogg, mp3])
    await cli('stop', task);
  await cli.fails(1, /there is no running task|is stopp/, 'pause', mp3);
  await server.stop();
});

test('ids_may_be_any_text', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const rooms = ['a b', '日本 語', '%2F', '?x=1&y#z', '"quoted"', "it's", '-x', '+', '...'];

  for (const room of rooms) {
    await server.join(room, `user of ${room}`);
    const task = (await cli('start', '--app', app, `--room=${room}`)).trim();
    const {tasks} = await cli.json('tasks', `--room=${room}`);
    assert.deepEqual(tasks.map((x) => [x.task_id, x.room]), [[task, room]]);
    assert.ok((await cli('status', task)).includes(`room ${room}: running`));
    assert.equal((await cli.json('status', task)).room, room);
  }
  const seen = (await cli.json('rooms')).rooms.map((r) => r.room).sort();
  assert.deepEqual(seen, [...rooms].sort());
  const lines = (await cli('tasks')).split('\n');
  for (const room of rooms)
    assert.ok(lines.some((line) => line.includes(` ${room} `)), room);
});

test('who_starts_in_an_empty_room_is_told_how_to_fill_it', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, `${server.url}/`);
  const room = "it's empty";

  await cli.fails(1, /let somebody in: `tapeop publish FILE --app \d+ --room lobby --user NAME`/,
    'start', '--app', app, '--room', 'lobby');
  const said = (await command(t, ['start', '--app', app, '--room', room,
    '--server', `${server.url}/`])).text;
  // what is said does it
  const [, body, url] = /, or curl -d '(.*)' (\S+)$/m.exec(said);
  assert.equal((await fetch(url, {method: 'POST', body})).status, 201);
  assert.equal((await cli.json('rooms')).rooms[0].room, room);
  assert.ok(said.includes(`--room 'it'\\''s empty' --user`), said);
  assert.match(await cli('start', '--app', app, '--room', room), /^\d+\n$/);
});

test('an_input_that_was_left_over_is_removed', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const [a, b] = [await server.join('r', 'zoë'), await server.join('r', 'bob')];

  assert.equal(await cli('rooms', '--remove', a.input_id),
    `zoë has left room r (input ${a.input_id})\n`);
  const [{inputs}] = (await cli.json('rooms')).rooms;
  assert.deepEqual(inputs.map((i) => i.user), ['bob']);
  await cli.fails(1, /there is no input/, 'rooms', '--remove', a.input_id);
  assert.equal((await cli.json('rooms', '--remove', b.input_id)).user, 'bob');
  assert.match(await cli('rooms'), /no rooms/);
  for (const bad of ['x', '-1', '1/../2', ''])
    await cli.fails(2, /--remove must be/, 'rooms', '--remove', bad);
});

test('lists_of_users_may_be_repeated_and_hold_commas', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);

  await server.join('r', 'u');
  const first = await cli.json('start', '--app', app, '--room', 'r',
    '--subscribe', 'a,b', '--subscribe', 'c d', '--subscribe', 'Doe\\, Jane,ü');
  assert.deepEqual(first.subscribe, ['a', 'b', 'c d', 'Doe, Jane', 'ü']);
  assert.equal(first.mode, 'single');
  assert.match(await cli('status', first.task_id),
    /records only a, b, c d, Doe, Jane, ü\n {2}no file: nobody has spoken\n/);
  assert.match(await cli('stop', first.task_id), /no file \(any more\): nobody has spoken, or/);
  assert.equal((await cli.json('status')).deliveries.oldest_pending_ms, null);
  const second = await cli.json('start', '--app', app, '--room', 'r',
    '--mode', 'single', '--unsubscribe', 'a', '--unsubscribe', 'b');
  assert.deepEqual(second.unsubscribe, ['a', 'b']);
  // an id that is not one is the server's to refuse
  await cli('stop', second.task_id);
  await cli.fails(1, /subscribe/, 'start', '--app', app, '--room', 'r',
    '--subscribe', 'a,,b');
});

test('stop_waits_no_longer_than_it_was_told', async (t) => {
  const never = await startEndpoint(t, (seen, response) => {
    response.writeHead(200, {'Content-Type': 'application/json'});
    response.end(JSON.stringify({task_id: '8', state: 'stopping', finished_ms: null}));
  });
  const cli = commandsAt(t, never.url);

  await cli.fails(1, /task 8 is still stopping; look again with `tapeop status 8`/,
    'stop', '8', '--timeout', '1');
  assert.equal(never.requests[0].method, 'DELETE');
  assert.ok(never.requests.length > 2);
  assert.match(await cli('stop', '8', '--no-wait'), /^task 8: stopping\n$/);
});

test('the_overview_names_what_waits_and_for_how_long', async (t) => {
  const stopped = (id) => ({task_id: id, stopped_ms: 2, finished_ms: null});
  const tasks = [{task_id: '9', stopped_ms: null, finished_ms: null}, stopped('8'), stopped('7'),
    stopped('6'), stopped('5')];
  const segment = (state, more) => ({state, uploaded: false, reason: '', reason_text: '', ...more});
  const failed = segment('closed', {reason: 'access_denied', reason_text: 'status 403'});
  const segments = {
    5: [segment('closed', {uploaded: true}), segment('lost', {reason: 'file_lost'})],
    6: [segment('closed'), failed, segment('erasing', {uploaded: true})],
    9: [segment('recording'), failed],
  };
  let endpoints = [];
  const fake = await startEndpoint(t, (seen, response) => {
    const url = new URL(seen.path ?? seen.url, 'http://x');
    const [, , , id] = url.pathname.split('/');
    const body = {
      '/readyz': {detail: ''},
      '/v1/rooms': {rooms: [], next: null},
      '/v1/tasks': {tasks: url.searchParams.get('finished') ? tasks : [], next: null},
      '/v1/endpoints': {endpoints, next: null},
      '/metrics': '\ntapeop_uploads_pending 5\ntapeop_deliveries_pending 3\n',
    }[url.pathname] ?? {segments: segments[id] ?? [segment('closed')], next: null};
    response.writeHead(200, {'Content-Type': 'application/json'});
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  const cli = commandsAt(t, fake.url);
  const first = await cli('status');
  assert.match(first, /\ncallbacks +0 delivered, 3 pending, 0 dead/);
  // those that are over come first, the oldest of them before the others, and no more than three
  assert.match(first, /attempts failed since the start\n +task 6: 2 wait: access_denied: status 403\n +task 7: 1 wait\n +task 8: 1 wait\n +maybe others: `tapeop tasks`\n/);
  const now = Date.now();
  endpoints = [{name: 'a', breaker: 'closed', oldest_pending_ms: now - 5000, delivered_last_minute: 4},
    {name: 'b', breaker: 'closed', oldest_pending_ms: now - 65_000, delivered_last_minute: 3},
    {name: 'c', breaker: 'closed', oldest_pending_ms: null}];
  assert.match(await cli('status'),
    /\ncallbacks +0 delivered \(7 in the last minute\), 3 pending \(the oldest for \d+:\d\d\.\d\d\), 0 dead/);
  const {deliveries} = await cli.json('status');
  assert.deepEqual([deliveries.oldest_pending_ms, deliveries.delivered_last_minute], [now - 65_000, 7]);
  tasks.length = 1;
  const running = await cli('status');
  assert.match(running, /\n +task 9: 1 wait: access_denied: status 403\n/);
  assert.doesNotMatch(running, /maybe others/);
});

test('lists_are_followed_page_by_page_and_never_cut_in_silence', async (t) => {
  const total = 7;
  const page = 2;
  const names = {'/v1/tasks': 'tasks', '/v1/deliveries': 'deliveries',
    '/v1/tasks/8/segments': 'segments'};
  const lists = await startEndpoint(t, (seen, response) => {
    const {pathname, searchParams} = seen.url;
    const after = Number(searchParams.get('after') ?? 0);
    const n = Math.min(page, Number(searchParams.get('limit')), total - after);
    const rows = Array.from({length: n}, (_, i) => String(after + i + 1));
    const next = after + n < total ? String(after + n) : null;
    response.writeHead(200, {'Content-Type': 'application/json'});
    response.end(JSON.stringify({task_id: '8', state: 'stopped', finished_ms: 1,
      [names[pathname]]: rows.map((id) => ({task_id: id, delivery_id: id,
        user: `user${id}`, room: 'r', state: 'closed'})), next}));
  });
  const cli = commandsAt(t, lists.url);

  for (const name of ['tasks', 'deliveries']) {
    const all = await cli.json(name);
    assert.equal(all[name].length, total);
    assert.equal(all.more, false);
    const some = await cli.json(name, '--limit', '5');
    assert.deepEqual(some[name].map((r) => r.task_id), ['1', '2', '3', '4', '5']);
    assert.equal(some.more, true);
    const text = await cli(name, '--limit', '3');
    assert.equal(text.trim().split('\n').length, 1 + 3 + 1);
    assert.match(text, /there are more than 3: --limit\n$/);
    assert.doesNotMatch(await cli(name, '--limit', '7'), /there are more/);
  }
  assert.match(await cli('stop', '8'), /user1 [^]*user7 /);
  assert.equal((await cli.json('status', '8')).segments.length, total);

  // a page that is empty but promises more must not be asked for for ever
  lists.requests.length = 0;
  lists.answer = (seen, response) => {
    response.writeHead(200, {'Content-Type': 'application/json'});
    response.end(JSON.stringify({tasks: [], next: '1'}));
  };
  assert.match(await cli('tasks'), /no tasks/);
  assert.equal(lists.requests.length, 1);
});

test('a_server_that_is_not_ready_is_an_exit_code', async (t) => {
  const sick = await startEndpoint(t, (seen, response) => {
    const ready = seen.url.pathname === '/readyz';
    response.writeHead(ready ? 503 : 200, {'Content-Type': 'application/json'});
    response.end(ready ? JSON.stringify({detail: 'disk low: 12 MiB free'})
      : seen.url.pathname === '/metrics'
        ? '# HELP x\ntapeop_deliveries_dead 3\ntapeop_disk_free_bytes 12582912\n'
        : JSON.stringify({rooms: [], tasks: [], next: null, endpoints: [
          {name: 'well', app: 7, gone: false, breaker: 'closed', next_probe_ms: null},
          {name: 'tired', app: 7, gone: false, breaker: 'open', next_probe_ms: 1795747142000},
          {name: 'left', app: 8, gone: true, breaker: 'closed', next_probe_ms: null}]}));
  });
  const status = (...more) => command(t, ['status', '--server', sick.url, ...more]);

  const text = await status();
  assert.equal(text.code, 1);
  assert.match(text.out, /NOT READY: disk low: 12 MiB free\n/);
  assert.match(text.out, /disk +12\.6 MB free/);
  assert.match(text.out, / 3 dead/);
  assert.match(text.out, /endpoint tired of app 7 rests after failures, next probe \S+ \S+: `tapeop endpoints test tired`/);
  assert.match(text.out, /endpoint left of app 8 answered 410 .*`tapeop replay --endpoint left`/);
  assert.doesNotMatch(text.out, /well/);
  const json = await status('--json');
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.out).deliveries,
    {delivered: 0, pending: 0, dead: 3, expired: 0, oldest_pending_ms: null,
      delivered_last_minute: null});
  sick.answer = (seen, response) => response.writeHead(404).end('{}');
  oneLine(await status(), 'status', 1);
});
