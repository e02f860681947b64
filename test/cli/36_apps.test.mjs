// test/cli/36_apps.test.mjs -- apps made, changed and removed while the server
// runs, their keys, and who wins when the file has the same.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {API_KEYS, SECRET_ID, call, refused} from '../aid/cloud.mjs';
import {isProblem} from '../aid/http.mjs';
import {APP, KEY, startServer, until} from '../aid/tapeop.mjs';

const LIST = '/v1/apps';
const ID = 4711;
const WHERE = `${LIST}/${ID}`;

const ids = async (server) =>
  (await server.ask(200, 'GET', LIST)).apps.map((a) => [a.id, a.source]);

/** Change the file by `fn` and read it again: what it said. */
async function reload(server, fn) {
  const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
  fn(config);
  fs.writeFileSync(server.config, JSON.stringify(config));
  const before = server.proc.text.length;
  const said = () => server.proc.text.slice(before);
  process.kill(server.proc.pid, 'SIGHUP');
  await until('it has read the file again', () => /(info|error) reload: /.test(said()));
  return said();
}

/** All that the server has written, and its files but the database. */
function written(server) {
  const files = fs.readdirSync(server.dir, {recursive: true, withFileTypes: true})
    .filter((f) => f.isFile() && !/^tapeop\.(db|yaml)/.test(f.name))
    .map((f) => fs.readFileSync(path.join(f.parentPath ?? f.path, f.name), 'latin1'));
  return [server.proc.text, ...files].join('\n');
}

test('an_app_of_the_file_is_shown_with_its_settings_and_no_secret', async (t) => {
  const server = await startServer(t, {recording: {auto: 'mixed', segment: '90m'},
    app: {previous_secret_key: 'old-hush', ...API_KEYS},
    callbacks: [{name: 'a', url: 'http://127.0.0.1:9/'}]});
  const {text, json} = await server.api('GET', LIST);
  assert.doesNotMatch(text, /hush|a-secret/);
  assert.equal(json.apps.length, 1);
  const [app] = json.apps;
  assert.deepEqual(await server.ask(200, 'GET', `${LIST}/${APP}`), app);
  assert.deepEqual([app.id, app.name, app.source, app.file, app.endpoints, app.has_secret_key,
    app.has_previous_secret_key, app.previous_until_ms],
  [APP, 'test', 'file', server.config, 1, true, true, null]);
  assert.deepEqual([app.recording.auto, app.recording.segment, app.recording.format],
    ['mixed', '90m', 'mp3']);
  assert.deepEqual(app.api_keys,
    [{secret_id: SECRET_ID, has_previous_secret_key: false, actions: null}]);
  // Its key is shown when that is asked for, and the log has it.
  const answer = await server.api('POST', `${LIST}/${APP}/keys/reveal`);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.deepEqual(answer.json, {id: APP, secret_key: KEY, previous_secret_key: 'old-hush',
    previous_until_ms: null});
  assert.match(server.proc.text, new RegExp(`warn app=${APP} key revealed to=127\\.0\\.0\\.1`));
  // It is changed in the file, which is named.
  for (const [method, where, body] of [['PATCH', '', {name: 'x'}], ['DELETE', ''],
    ['POST', '/keys', {}], ['DELETE', '/keys/previous'], ['POST', '/api_keys', {}],
    ['PATCH', `/api_keys/${SECRET_ID}`, {actions: null}],
    ['DELETE', `/api_keys/${SECRET_ID}`]]) {
    isProblem(await server.api(method, `${LIST}/${APP}${where}`, body), 409,
      {field: 'app', says: /it is changed in the file/});
  }
  assert.deepEqual(await server.ask(200, 'GET', `${LIST}/${APP}`), app);
  await server.stop();
});

test('an_app_made_at_run_time_records_changes_and_goes', async (t) => {
  const server = await startServer(t);
  const made = await server.ask(201, 'POST', LIST, {id: ID, name: 'made',
    recording: {auto: 'off', segment: '1h', sample_rate: 24000}});
  assert.deepEqual([made.source, made.file, made.has_secret_key, made.endpoints],
    ['api', null, true, 0]);
  assert.deepEqual(await server.ask(200, 'GET', WHERE), made);
  isProblem(await server.api('POST', LIST, {id: ID}), 409, {field: 'id'});
  isProblem(await server.api('POST', LIST, {id: APP}), 409,
    {field: 'id', says: /in the configuration file/});

  // Only what changes; null is the default again.
  const changed = await server.ask(200, 'PATCH', WHERE,
    {name: null, recording: {auto: 'single', segment: null}});
  assert.deepEqual([changed.name, changed.recording.auto, changed.recording.segment,
    changed.recording.sample_rate], ['', 'single', '2h', 24000]);

  // What it has under way keeps it.
  const input = await server.ask(201, 'POST', `${WHERE}/rooms/r/inputs`, {user: 'alice'});
  const [task] = await until('it is recorded by itself', async () => {
    const {tasks} = await server.ask(200, 'GET', `/v1/tasks?app=${ID}`);
    return tasks.length && tasks;
  });
  assert.deepEqual([task.mode, task.sample_rate, task.auto], ['single', 24000, true]);
  isProblem(await server.api('DELETE', WHERE), 409, {field: 'app', says: /the room r is in use/});
  const {endpoint_id: end} = await server.ask(201, 'POST', `${WHERE}/endpoints`,
    {name: 'e', url: 'http://127.0.0.1:9/', enabled: false});
  assert.equal((await server.ask(200, 'GET', WHERE)).endpoints, 1);
  await server.ask(200, 'DELETE', `/v1/inputs/${input.input_id}`);
  isProblem(await server.api('DELETE', WHERE), 409,
    {field: 'app', says: /has 1 endpoint: remove it first/});
  await server.ask(200, 'DELETE', `/v1/endpoints/${end}`);
  await until('its task is over', async () =>
    (await server.api('DELETE', WHERE)).status === 200);
  assert.deepEqual(await ids(server), [[APP, 'file']]);
  for (const call of [['GET', WHERE], ['DELETE', WHERE], ['PATCH', WHERE, {}],
    ['POST', `${WHERE}/rooms/r/inputs`, {user: 'alice'}]])
    isProblem(await server.api(...call), 404, {field: 'app'});

  // What is known of its recordings stays, and it may come again.
  assert.equal((await server.task(task.task_id)).app, ID);
  const log = server.proc.text;
  for (const what of ['made', 'changed', 'removed'])
    assert.match(log, new RegExp(`info app=${ID} ${what} from=127\\.0\\.0\\.1`));
  await server.ask(201, 'POST', LIST, {id: ID});
  await server.kill();
  await server.start();
  assert.deepEqual(await ids(server), [[APP, 'file'], [ID, 'api']]);
  await server.stop();
});

test('a_key_is_rotated_with_an_overlap_that_ends_by_itself', async (t) => {
  const server = await startServer(t);
  await server.ask(201, 'POST', LIST, {id: ID, secret_key: 'hush-1'});
  const rotate = (status, body) => server.ask(status, 'POST', `${WHERE}/keys`, body);
  const reveal = () => server.ask(200, 'POST', `${WHERE}/keys/reveal`);

  const before = Date.now();
  const second = await rotate(200); // 24 h, and a key that is drawn
  assert.equal(second.previous_secret_key, 'hush-1');
  assert.match(second.secret_key, /^[0-9a-f]{64}$/);
  assert.ok(second.previous_until_ms >= before + 86400e3 &&
    second.previous_until_ms <= Date.now() + 86400e3);
  assert.deepEqual(await reveal(), second);
  const shown = await server.ask(200, 'GET', WHERE);
  assert.deepEqual([shown.has_previous_secret_key, shown.previous_until_ms],
    [true, second.previous_until_ms]);
  isProblem(await server.api('POST', `${WHERE}/keys`, {overlap: '1h'}), 409, {field: 'overlap'});
  assert.deepEqual(await reveal(), second);
  // A change of something else keeps both, and so does kill -9.
  await server.ask(200, 'PATCH', WHERE, {name: 'n'});
  await server.kill();
  await server.start();
  assert.deepEqual(await reveal(), second);
  await server.ask(200, 'DELETE', `${WHERE}/keys/previous`);
  assert.deepEqual(await reveal(), {...second, previous_secret_key: null, previous_until_ms: null});
  isProblem(await server.api('DELETE', `${WHERE}/keys/previous`), 404, {field: 'app'});

  const third = await rotate(200, {overlap: '1s', secret_key: 'hush-3'});
  assert.deepEqual([third.secret_key, third.previous_secret_key],
    ['hush-3', second.secret_key]);
  const ended = await until('the one before has ended', async () => {
    const keys = await reveal();
    return !keys.previous_secret_key && keys;
  });
  assert.ok(Date.now() >= third.previous_until_ms);
  assert.equal(ended.secret_key, 'hush-3');

  // Known to others: what was before ends at once.
  await rotate(200, {overlap: '1d'});
  const last = await rotate(200, {overlap: '0s', secret_key: 'hush-5'});
  assert.deepEqual(last, {id: ID, secret_key: 'hush-5', previous_secret_key: null,
    previous_until_ms: null});
  const text = written(server);
  for (const secret of ['hush-', second.secret_key, KEY])
    assert.ok(!text.includes(secret), 'no key is in the log or in another file');
  assert.match(text, new RegExp(`warn app=${ID} key rotated from=127\\.0\\.0\\.1`));
  await server.stop();
});

test('an_api_key_made_at_run_time_calls_what_it_may_until_it_is_revoked', async (t) => {
  const server = await startServer(t);
  await server.ask(201, 'POST', LIST, {id: ID});
  const make = (body) => server.ask(201, 'POST', `${WHERE}/api_keys`, body);
  const all = await make();
  const one = await make({actions: ['DescribeTaskInfo']});
  for (const pair of [all, one]) {
    assert.match(pair.secret_id, /^AKID[A-Za-z0-9]{32}$/);
    assert.match(pair.secret_key, /^[A-Za-z0-9]{32}$/);
  }
  assert.deepEqual([all.actions, one.actions], [null, ['DescribeTaskInfo']]);
  const {text, json} = await server.api('GET', WHERE);
  assert.deepEqual(json.api_keys.map((k) => [k.secret_id, k.actions]),
    [[all.secret_id, null], [one.secret_id, ['DescribeTaskInfo']]]);
  assert.ok(!text.includes(all.secret_key));

  const as = (pair) => ({id: pair.secret_id, key: pair.secret_key});
  const describe = (pair) => call(server, 'DescribeTaskInfo', {BizId: ID, RoomId: 'r'}, as(pair));
  const stop = {BizId: ID, TaskId: 64};
  const may = async (pair) =>
    assert.equal((await describe(pair)).Error.Code, 'ResourceNotFound.RoomNotFound');
  const mayNot = (pair, code, says) =>
    refused(server, 'DescribeTaskInfo', {BizId: ID, RoomId: 'r'}, code, says, as(pair));
  await may(all);
  await may(one);
  await refused(server, 'StopRecord', stop, 'UnauthorizedOperation', /StopRecord/, as(one));
  // Of another app it may nothing.
  await refused(server, 'DescribeTaskInfo', {BizId: APP, RoomId: 'r'}, 'UnauthorizedOperation',
    /./, as(all));

  const where = (pair) => `${WHERE}/api_keys/${pair.secret_id}`;
  await server.ask(200, 'PATCH', where(all), {actions: ['StopRecord']});
  await mayNot(all, 'UnauthorizedOperation', /DescribeTaskInfo/);
  await server.ask(200, 'PATCH', where(all), {actions: null});
  await may(all);
  assert.deepEqual(await server.ask(200, 'DELETE', where(one)),
    {secret_id: one.secret_id, removed: true});
  await mayNot(one, 'AuthFailure.SecretIdNotFound', /./);
  isProblem(await server.api('DELETE', where(one)), 404, {field: 'secret_id'});
  isProblem(await server.api('PATCH', where(one), {actions: null}), 404, {field: 'secret_id'});
  await server.kill();
  await server.start();
  await may(all);
  await mayNot(one, 'AuthFailure.SecretIdNotFound', /./);
  for (let i = 1; i < 10; i++)
    await make();
  isProblem(await server.api('POST', `${WHERE}/api_keys`), 409, {says: /has 10 API keys/});
  await server.ask(200, 'DELETE', WHERE);
  await mayNot(all, 'AuthFailure.SecretIdNotFound', /./);
  assert.ok(!written(server).includes(all.secret_key));
  await server.stop();
});

test('the_file_wins_at_a_reload_and_at_the_start_and_gives_back', async (t) => {
  const server = await startServer(t);
  await server.ask(201, 'POST', LIST, {id: ID, name: 'made', recording: {auto: 'both'}});
  const pair = await server.ask(201, 'POST', `${WHERE}/api_keys`);
  const end = await server.ask(201, 'POST', `${WHERE}/endpoints`,
    {name: 'e', url: 'http://127.0.0.1:9/', dialect: 'live'});
  const clash = /warn app=4711 was made at run time and is in the configuration file: the file counts/;

  const said = await reload(server, (c) => c.apps.push({id: ID, name: 'of the file'}));
  assert.match(said, clash);
  assert.match(said, /info reload: app 4711 changed/);
  const app = await server.ask(200, 'GET', WHERE);
  assert.deepEqual([app.source, app.name, app.recording.auto, app.api_keys, app.has_secret_key,
    app.endpoints], ['file', 'of the file', 'off', [], false, 1]);
  isProblem(await server.api('PATCH', WHERE, {name: 'x'}), 409, {field: 'app'});
  await server.kill();
  await server.start();
  assert.match(server.proc.text, clash);
  assert.equal((await server.ask(200, 'GET', WHERE)).name, 'of the file');

  const back = await reload(server, (c) => c.apps.pop());
  assert.doesNotMatch(back, /gone|counts/);
  const again = await server.ask(200, 'GET', WHERE);
  assert.deepEqual([again.source, again.name, again.recording.auto, again.endpoints],
    ['api', 'made', 'both', 1]);
  assert.deepEqual(again.api_keys.map((k) => k.secret_id), [pair.secret_id]);
  assert.equal((await server.ask(200, 'GET', `/v1/endpoints/${end.endpoint_id}`)).source, 'api');
  // A fault in the file changes nothing of it either.
  assert.match(await reload(server, (c) => { c.apps[0].id = 0; }), /nothing was changed/);
  assert.deepEqual(await server.ask(200, 'GET', WHERE), again);
  await server.stop();
});

test('names_of_apps_are_text_also_in_the_log', async (t) => {
  const server = await startServer(t);
  const name = '<img src=x>"\u{1F399}';
  const app = await server.ask(201, 'POST', LIST, {id: ID, name});
  assert.equal(app.name, name);
  assert.equal((await server.ask(200, 'GET', WHERE)).name, name);
  await server.stop();
});
