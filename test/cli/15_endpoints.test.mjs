// test/cli/15_endpoints.test.mjs -- endpoints made, changed, switched, tested
// and removed while the server runs: the API and the command.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {endpointAnswers, signGme, signLive, startEndpoint} from '../aid/endpoint.mjs';
import {isProblem} from '../aid/http.mjs';
import {commandsAt} from '../aid/lines.mjs';
import {APP, KEY, command, startServer, until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const app = String(APP);
const TOKEN = 'a-token-of-the-endpoint';
const LIST = `/v1/apps/${APP}/endpoints`;

/** What is told of one task: its room is its own. */
async function tell(server, room) {
  await server.join(room, 'alice');
  return server.record(room);
}

test('an_endpoint_made_at_run_time_is_told_changed_and_removed', async (t) => {
  const a = await startEndpoint(t);
  const b = await startEndpoint(t);
  const server = await startServer(t);
  const made = await server.ask(201, 'POST', LIST, {name: 'made', url: `${a.url}/a?x=secret`,
    dialect: 'live', key: TOKEN, events: ['task_started'], allow_private: true,
    timeout: '2s', retry: '1s,2s'});
  assert.equal(made.source, 'api');
  assert.equal(made.url, `${a.url}/a`);
  assert.equal(made.has_key, true);
  assert.equal(made.key, undefined);
  assert.deepEqual(made.events, ['task_started']);
  assert.deepEqual([made.timeout, made.retry, made.verdict, made.max_in_flight, made.enabled,
    made.expire_after], ['2s', '1s,2s', 'body', 8, true, '7d']);
  const where = `/v1/endpoints/${made.endpoint_id}`;
  assert.deepEqual(await server.ask(200, 'GET', where), made);
  assert.deepEqual((await server.ask(200, 'GET', LIST)).endpoints, [made]);

  await tell(server, 'one');
  const [first] = await a.got('it is told', (r) => r.body.EventType === 301);
  const query = Object.fromEntries(first.url.searchParams);
  assert.equal(query.x, 'secret');
  assert.equal(query.Sign, signLive(TOKEN, query.RequestTime));

  // Only what changes; null is the default again, "" no key.
  const changed = await server.ask(200, 'PATCH', where,
    {url: b.url, timeout: null, key: '', events: 'all'});
  assert.equal(changed.has_key, false);
  assert.equal(changed.timeout, '5s');
  assert.equal(changed.retry, '1s,2s');
  assert.ok(changed.events.includes('files_ready'));
  await tell(server, 'two');
  const [second] = await b.got('the other place is told', (r) => r.body.EventType === 301);
  assert.equal(second.url.searchParams.get('Sign'), null);
  assert.ok(!a.requests.some((r) => r.body.EventInfo.RoomId === 'two'));

  // A restart, however it comes, changes nothing of it.
  await server.drained();
  const before = await server.ask(200, 'GET', where);
  await server.kill();
  await server.start();
  assert.deepEqual(await server.ask(200, 'GET', where), {...before, delivered_last_minute: 0});
  assert.deepEqual(await server.ask(200, 'DELETE', where),
    {endpoint_id: made.endpoint_id, removed: true});
  isProblem(await server.api('GET', where), 404, {field: 'endpoint'});
  isProblem(await server.api('DELETE', where), 404, {field: 'endpoint'});
  const n = b.requests.length;
  await tell(server, 'three');
  await server.kill();
  await server.start();
  assert.deepEqual((await server.ask(200, 'GET', LIST)).endpoints, []);
  assert.equal(b.requests.length, n);
  assert.equal((await server.metrics()).deliveries_pending, 0);
  await server.stop();
});

test('no_secret_is_shown_logged_or_readable_by_others', async (t) => {
  const end = await startEndpoint(t);
  const server = await startServer(t, {log_level: 'debug'});
  const {endpoint_id: id} = await server.ask(201, 'POST', LIST, {name: 'made', key: TOKEN,
    url: `${end.url}/?q=${TOKEN}`, dialect: 'live', allow_private: true});
  const seen = [];
  for (const [method, where, body] of [
    ['GET', LIST], ['GET', '/v1/endpoints'], ['GET', `/v1/endpoints/${id}`],
    ['PATCH', `/v1/endpoints/${id}`, {timeout: '1s'}],
    ['PATCH', `/v1/endpoints/${id}`, {timeout: TOKEN + 's'.repeat(9)}],
    ['POST', `/v1/endpoints/${id}/test`], ['GET', '/metrics']])
    seen.push((await server.api(method, where, body)).text);
  await server.ask(200, 'PATCH', `/v1/endpoints/${id}`, {timeout: null});
  await tell(server, 'room');
  await server.drained();
  await server.ask(200, 'DELETE', `/v1/endpoints/${id}`);
  assert.ok(!seen.join('').includes(TOKEN));
  assert.ok(!server.proc.text.includes(TOKEN));
  for (const name of fs.readdirSync(server.data).filter((f) => f.startsWith('tapeop.db')))
    assert.equal(fs.statSync(path.join(server.data, name)).mode & 0o777, 0o600, name);
  await server.stop();
  // Not in the free pages of the file either.
  assert.ok(!fs.readFileSync(path.join(server.data, 'tapeop.db')).includes(TOKEN));
});

test('an_older_database_file_is_closed_to_the_group', async (t) => {
  const server = await startServer(t);
  await server.stop();
  fs.chmodSync(path.join(server.data, 'tapeop.db'), 0o640);
  await server.start();
  for (const name of fs.readdirSync(server.data).filter((f) => f.startsWith('tapeop.db')))
    assert.equal(fs.statSync(path.join(server.data, name)).mode & 0o777, 0o600, name);
  await server.stop();
});

test('what_the_file_declares_is_changed_there', async (t) => {
  const end = await startEndpoint(t);
  const server = await startServer(t, {callbacks: [{name: 'file', url: end.url, dialect: 'gme'}]});
  const [e] = (await server.ask(200, 'GET', LIST)).endpoints;
  assert.equal(e.source, 'file');
  assert.equal(e.retry, 'tencent');
  for (const [method, body] of [['PATCH', {enabled: false}], ['DELETE']]) {
    isProblem(await server.api(method, `/v1/endpoints/${e.endpoint_id}`, body), 409,
      {field: 'endpoint', says: /configuration file declares the endpoint file: change it there/});
  }
  isProblem(await server.api('POST', LIST, {name: 'file', url: end.url}), 409,
    {field: 'name', says: /in the configuration file/});
  assert.deepEqual((await server.ask(200, 'GET', LIST)).endpoints, [e]);
  await server.stop();
});

test('of_two_who_make_the_same_name_one_wins', async (t) => {
  const server = await startServer(t);
  const make = (i) => server.api('POST', LIST, {name: 'same', url: `http://127.0.0.1:9/${i}`});
  const answers = await Promise.all(Array.from({length: 8}, (_, i) => make(i)));
  assert.deepEqual(answers.map((a) => a.status).sort(), [201, ...Array(7).fill(409)]);
  const won = answers.find((a) => a.status === 201).json;
  answers.filter((a) => a.status === 409).forEach((a) => isProblem(a, 409, {field: 'name'}));
  const [row] = await sql(server, 'SELECT settings FROM endpoint');
  assert.equal(JSON.parse(row.settings).url, won.url);
  // Removed and made again at once, many times over.
  for (let i = 0; i < 5; i++) {
    await server.ask(200, 'DELETE', `/v1/endpoints/${won.endpoint_id}`);
    const again = await server.ask(201, 'POST', LIST, {name: 'same', url: won.url});
    assert.equal(again.endpoint_id, won.endpoint_id);
  }
  // There is an end to it.
  for (let i = 1; i < 20; i++)
    await server.ask(201, 'POST', LIST, {name: `n${i}`, url: won.url});
  isProblem(await server.api('POST', LIST, {name: 'more', url: won.url}), 409,
    {says: /has 20 endpoints/});
  await server.stop();
});

test('what_waits_for_a_removed_endpoint_expires_and_is_listed_so', async (t) => {
  const end = await startEndpoint(t, endpointAnswers(500));
  const good = await startEndpoint(t);
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const make = (name, url) => server.ask(201, 'POST', LIST,
    {name, url, dialect: 'live', allow_private: true, retry: '1h'});
  const {endpoint_id: id} = await make('bad', end.url);
  await make('good', good.url);
  for (const room of ['a', 'b', 'c'])
    await tell(server, room);
  await until('they wait', async () =>
    (await server.ask(200, 'GET', '/v1/deliveries?endpoint=bad')).deliveries
      .filter((d) => d.attempts === 1).length === 3);
  assert.match(await cli('endpoints'), /\nbad +1400000000 +api +live +failing +\d+ /);
  assert.match(await cli('endpoints', 'remove', 'bad'), /^endpoint bad is removed; .* \(\d+\)\n$/);
  const m = await server.drained();
  const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries?state=expired');
  assert.ok(deliveries.length >= 3);
  for (const d of deliveries) {
    assert.equal(d.endpoint, 'bad');
    assert.equal(d.last_error, 'the endpoint was removed');
  }
  assert.equal(m.deliveries_in,
    m.deliveries_delivered + m.deliveries_dead + m.deliveries_expired);
  assert.deepEqual((await cli.json('deliveries', '--state', 'expired', '--endpoint', 'bad'))
    .deliveries.reverse(), deliveries);
  assert.equal((await cli.json('deliveries', '--endpoint', 'bad', '--app', app)).deliveries.length,
    deliveries.length);
  await cli.fails(1, /endpoint: there is none of the name bed; there are: good\n/, 'deliveries',
    '--endpoint', 'bed');
  for (const args of [[], ['--dry-run']])
    await cli.fails(1, /the endpoint bad was removed/, 'replay', '--endpoint', 'bad', ...args);
  const [{delivery_id: one}] = deliveries;
  assert.match(await cli('deliveries', one),
    /: expired(, late)?\n {2}event \d+ of \S+ \S+\n {2}expired: the endpoint was removed\n/);
  await cli.fails(1, /endpoint: the endpoint bad was removed: .* make it again first/,
    'replay', one);
  assert.equal((await server.metrics()).deliveries_expired, deliveries.length);
  // Where it would go there is nothing: it expires again.
  await server.ask(200, 'POST', '/v1/deliveries/replay', {state: 'expired'});
  await until('they are expired again', async () =>
    (await server.metrics()).deliveries_expired === deliveries.length);
  assert.equal((await cli.json('deliveries', '--endpoint', 'good')).deliveries.length,
    deliveries.length);
  // The name made again is told what comes, and what is replayed to it.
  end.answer = endpointAnswers(200);
  const n = end.requests.length;
  assert.equal((await make('bad', end.url)).endpoint_id, id);
  await tell(server, 'd');
  await end.got('the new one is told', (r) => r.body.EventInfo.RoomId === 'd');
  assert.ok(end.requests.slice(n).every((r) => r.body.EventInfo.RoomId === 'd'));
  await until('the old removal is over', async () =>
    !(await sql(server, 'SELECT * FROM removal')).length);
  await server.ask(200, 'POST', '/v1/deliveries/replay', {state: 'expired', endpoint: 'bad'});
  await end.got('the old ones are told', (r) => r.body.EventInfo.RoomId === 'a');
  await server.drained();
  await server.stop();
});

test('switched_off_it_waits_and_burns_no_attempts', async (t) => {
  const end = await startEndpoint(t, endpointAnswers(500));
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  await server.ask(201, 'POST', LIST, {name: 'e', url: end.url, dialect: 'live',
    allow_private: true, retry: '100ms,1h', events: 'task_started'});
  await tell(server, 'a');
  await until('it was tried, and that is on disk', async () =>
    (await server.ask(200, 'GET', '/v1/deliveries')).deliveries[0]?.attempts === 2);
  assert.match(await cli('endpoints', 'off', 'e'), /^endpoint e is off; 1 pending\n$/);
  assert.match(await cli('endpoints'), /\ne .* off +1 /);
  await tell(server, 'b');
  await server.kill();
  await server.start();
  const again = commandsAt(t, server.url);
  assert.match(await again('endpoints'), /\ne .* off +1 /);
  end.answer = endpointAnswers(200);
  assert.equal(end.requests.length, 2);
  const [waits] = (await server.ask(200, 'GET', '/v1/deliveries')).deliveries;
  assert.deepEqual([waits.state, waits.attempts], ['pending', 2]);
  assert.match(await again('endpoints', 'on', 'e'), /^endpoint e is on; \d pending\n$/);
  await tell(server, 'c');
  await end.got('it goes on', (r) => r.body.EventInfo.RoomId === 'c');
  assert.ok(!end.requests.some((r) => r.body.EventInfo.RoomId === 'b'));
  await server.stop();
});

test('a_test_event_shows_what_was_sent_and_answered', async (t) => {
  const end = await startEndpoint(t);
  const server = await startServer(t, {callbacks: [
    {name: 'gme', url: `${end.url}/g?own=secret`, dialect: 'gme'},
    {name: 'off', url: end.url, dialect: 'live', enabled: false}]});
  const cli = commandsAt(t, server.url);
  const run = (name) => cli.json('endpoints', 'test', name);

  const gme = await run('gme');
  const [{headers, raw}] = end.requests;
  assert.equal(gme.delivered, true);
  assert.equal(gme.status, 200);
  assert.equal(gme.error, '');
  assert.ok(gme.duration_ms >= 0);
  assert.equal(gme.request.url, `${end.url}/g?...`);
  assert.equal(gme.request.body, raw.toString());
  assert.equal(gme.request.headers.Signature, headers.signature);
  assert.equal(headers.signature, signGme(raw, {key: KEY}));
  assert.equal(JSON.parse(gme.request.body).RoomID, 'tapeop-test');
  assert.equal(JSON.parse(gme.answer).ActionStatus, 'OK');

  const live = await run('off');
  assert.equal(live.delivered, true);
  assert.match(live.request.url, /\?SdkAppid=1400000000&CallbackCommand=/);
  assert.equal(JSON.parse(live.request.body).EventType, 301);

  const text = await cli('endpoints', 'test', 'gme');
  assert.match(text, new RegExp(`^POST ${end.url}/g\\?\\.\\.\\.\n {2}Content-Type: `));
  assert.match(text, /\n {2}Signature: \S+\n[^]*\n {2}\{"BizID":/);
  assert.match(text, /\nanswered 200 after \d+ ms\n {2}\{"ActionStatus":"OK"/);
  assert.match(text, /\nendpoint gme took it\n$/);

  // Nothing of it is in the outbox.
  assert.deepEqual((await server.ask(200, 'GET', '/v1/deliveries')).deliveries, []);
  assert.equal((await server.metrics()).deliveries_in, 0);
  await server.stop();
});

test('a_test_that_fails_says_why_and_ends_with_1', async (t) => {
  const end = await startEndpoint(t);
  const server = await startServer(t, {callbacks: [
    {name: 'e', url: end.url, dialect: 'live', timeout: '30s'},
    {name: 'nobody', url: 'http://127.0.0.1:1/', dialect: 'gme'},
    {name: 'hangs', url: end.url, dialect: 'live', timeout: '500ms'}]});
  const cli = commandsAt(t, server.url);
  const id = Object.fromEntries((await server.ask(200, 'GET', LIST)).endpoints
    .map((e) => [e.name, e.endpoint_id]));
  const answers = {
    says_no: [(seen, response) => response.end('{"ActionStatus":"FAIL","ErrorCode":1}'),
      200, /FAIL/, /^\{"ActionStatus":"FAIL"/],
    fails: [endpointAnswers(500), 500, /HTTP 500/, /ActionStatus/],
    hangs: [() => {}, 0, /time/, /^$/],
    much: [(seen, response) => {
      response.writeHead(500);
      response.end(Buffer.alloc(100000, 0xe9));
    }, 500, /HTTP 500/, /^\?{4096}$/],
    resets: [(seen, response) => response.socket.destroy(), 0, /./, /^$/],
  };
  for (const [name, [answer, status, error, text]] of Object.entries(answers)) {
    end.answer = answer;
    const r = await server.ask(200, 'POST', `/v1/endpoints/${id[name] ?? id.e}/test`);
    assert.equal(r.delivered, false, name);
    assert.equal(r.status, status, name);
    assert.match(r.error, error, name);
    assert.match(r.answer, text, name);
  }
  const r = await server.ask(200, 'POST', `/v1/endpoints/${id.nobody}/test`, {});
  assert.match(r.error, /refused/);
  for (const one of [id.e, id.hangs])
    assert.equal((await server.ask(200, 'GET', `/v1/endpoints/${one}`)).failures_in_row, 0);
  const shown = await command(t, ['endpoints', 'test', 'nobody', '--server', server.url]);
  assert.equal(shown.code, 1);
  assert.match(shown.out, /\nendpoint nobody failed: .*refused/);
  await cli.fails(1, /there is no endpoint who/, 'endpoints', 'test', 'who');

  // Many at once, and their askers gone: it stays well.
  end.answer = () => {};
  const many = Array.from({length: 12}, () => server.api('POST',
    `/v1/endpoints/${id.hangs}/test`, undefined, {}));
  const codes = (await Promise.all(many)).map((a) => a.status);
  assert.ok(codes.every((c) => c === 200 || c === 409), codes.join());
  const gone = new AbortController();
  const asked = fetch(`${server.url}/v1/endpoints/${id.hangs}/test`,
    {method: 'POST', signal: gone.signal}).catch(() => 'gone');
  gone.abort();
  assert.equal(await asked, 'gone');
  const last = server.api('POST', `/v1/endpoints/${id.hangs}/test`).catch(() => null);
  await server.stop();
  await last;
});

test('the_command_makes_changes_and_shows_them', async (t) => {
  const end = await startEndpoint(t);
  const server = await startServer(t);
  const cli = commandsAt(t, server.url, {CB_KEY: TOKEN});
  assert.equal(await cli('endpoints'), 'no endpoints\n');
  const shown = await cli('endpoints', 'add', 'e', '--app', app, `url=${end.url}`,
    'dialect=live', 'key=env:CB_KEY', 'events=task_started,task_stopped',
    'allow_private=true', 'max_in_flight=2', 'enabled=false');
  assert.match(shown, /^endpoint e of app 1400000000, from the API: off\n/);
  assert.match(shown, /\n {2}has_key +true\n/);
  assert.match(shown, /\n {2}events +\["task_started","task_stopped"\]\n/);
  assert.equal(await cli('endpoints', 'show', 'e'), shown);
  const [row] = await sql(server, 'SELECT settings FROM endpoint');
  assert.deepEqual(JSON.parse(row.settings), {name: 'e', url: end.url, dialect: 'live',
    key: TOKEN, events: ['task_started', 'task_stopped'], allow_private: true,
    max_in_flight: 2, enabled: false});
  const set = await cli.json('endpoints', 'set', 'e', 'max_in_flight=', 'key=', 'enabled=true');
  assert.deepEqual([set.max_in_flight, set.has_key, set.enabled], [8, false, true]);
  assert.equal((await cli.json('endpoints')).endpoints.length, 1);
  assert.equal((await cli.json('endpoints', '--app', app)).endpoints[0].name, 'e');

  await cli.fails(1, /there is an endpoint of the name e/, 'endpoints', 'add', 'e', '--app', app,
    `url=${end.url}`);
  await cli.fails(1, /timeout: .*a time such as/, 'endpoints', 'set', 'e', 'timeout=5');
  await cli.fails(1, /timout: unknown; did you mean "timeout"/, 'endpoints', 'set', 'e', 'timout=5s');
  await cli.fails(1, /url: is required/, 'endpoints', 'add', 'f', '--app', app);
  await cli.fails(1, /there is no app 7/, 'endpoints', 'list', '--app', '7');
  for (const [says, ...args] of [
    [/add needs --app/, 'add', 'f', `url=${end.url}`],
    [/set needs SETTING=VALUE/, 'set', 'e'], [/show needs a NAME/, 'show'],
    [/what is shwo/, 'shwo', 'e'], [/list takes no NAME/, 'list', 'e'],
    [/off takes one NAME/, 'off', 'e', 'f'], [/must be SETTING=VALUE/, 'set', 'e', 'x'],
    [/must be SETTING=VALUE/, 'set', 'e', '=x'], [/there twice/, 'set', 'e', 'order=', 'order='],
    [/key: .*NO_SUCH/, 'set', 'e', 'key=env:NO_SUCH']])
    await cli.fails(2, says, 'endpoints', ...args);
  assert.match(await cli('endpoints', 'remove', 'e'), /^endpoint e is removed/);
  await cli.fails(1, /there is no endpoint e;/, 'endpoints', 'remove', 'e');
  await server.stop();
});

/** An endpoint with one dead letter, and then its breaker open. */
async function restingEndpoint(t) {
  const end = await startEndpoint(t, endpointAnswers(500));
  const server = await startServer(t);
  await server.ask(201, 'POST', LIST, {name: 'e', url: end.url, dialect: 'live',
    allow_private: true, retry: '100ms', events: 'task_started'});
  await tell(server, 'first');
  const [{delivery_id: dead}] = await until('one is dead', async () => {
    const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries?state=dead');
    return deliveries.length > 0 && deliveries;
  });
  for (let i = 0; i < 10; i++)
    await tell(server, `r${i}`);
  const {endpoints: [e]} = await until('its breaker opens', async () => {
    const list = await server.ask(200, 'GET', LIST);
    return list.endpoints[0].breaker === 'open' && list;
  });
  assert.ok(e.next_probe_ms <= Date.now() + 30000);
  return {end, server, cli: commandsAt(t, server.url), where: `/v1/endpoints/${e.endpoint_id}`,
    dead};
}

test('a_test_that_it_takes_closes_its_breaker', async (t) => {
  const {end, server, cli, where} = await restingEndpoint(t);
  assert.match(await cli('endpoints', 'show', 'e'),
    /\n {2}breaker +open\n {2}next_probe +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n/);
  assert.match(await cli('status'), new RegExp(`\n +endpoint e of app ${app} rests after ` +
    'failures, next probe \\d{4}-.*: .tapeop endpoints test e. tries it now\n'));
  end.answer = endpointAnswers(200);
  assert.match(await cli('endpoints', 'test', 'e'),
    /\nendpoint e took it\nits breaker was open and is closed now: .* \(\d+ pending\)\n$/);
  const e = await server.ask(200, 'GET', where);
  assert.deepEqual([e.breaker, e.next_probe_ms], ['closed', null]);
  assert.match(server.proc.text, /endpoint=e breaker closed/);
  assert.equal((await server.metrics()).breaker_open, 0);
  assert.match(await cli('endpoints', 'test', 'e'), /\nendpoint e took it\n$/);
  await server.stop();
});

test('a_replay_by_id_attempts_at_once_in_spite_of_the_breaker', async (t) => {
  const {end, server, cli, dead} = await restingEndpoint(t);
  await cli.fails(1, /there is no delivery 999/, 'replay', '999');
  end.answer = endpointAnswers(200);
  assert.equal(await cli('replay', dead), '1 pending again\n');
  assert.match(server.proc.text, /endpoint=e is attempted again/);
  await until('it is delivered', async () =>
    (await server.ask(200, 'GET', `/v1/deliveries/${dead}`)).state === 'delivered');
  await cli.fails(1, /is not dead or expired/, 'replay', dead);
  await server.drained();
  await server.stop();
});

test('a_replay_by_id_attempts_again_who_answered_410', async (t) => {
  const end = await startEndpoint(t, endpointAnswers(410));
  const server = await startServer(t, {callbacks: [
    {name: 'e', url: end.url, dialect: 'live', events: ['task_started']}]});
  const cli = commandsAt(t, server.url);
  const one = async () => (await server.ask(200, 'GET', '/v1/deliveries')).deliveries[0];
  await tell(server, 'room');
  await until('it is dead', async () => (await one())?.state === 'dead');
  end.answer = endpointAnswers(200);
  assert.match(await cli('endpoints', 'test', 'e'),
    /\nit gets nothing since it answered 410, until `tapeop replay --endpoint e`\n$/);
  assert.match(await cli('endpoints'), /\ne .* gone \(410\) /);
  await cli('replay', (await one()).delivery_id);
  await until('it is delivered', async () => (await one()).state === 'delivered');
  assert.match(await cli('endpoints'), /\ne .* ok /);
  await server.stop();
});

test('a_replay_of_an_endpoint_alone_attempts_again_what_it_has', async (t) => {
  const end = await startEndpoint(t, endpointAnswers(410));
  const server = await startServer(t, {callbacks: ['e', 'other'].map((name) => (
    {name, url: end.url, dialect: 'live', events: ['task_started']}))});
  const cli = commandsAt(t, server.url);
  assert.doesNotMatch(await cli('status'), /endpoint/);
  await tell(server, 'room');
  await until('both are gone', async () => (await server.metrics()).deliveries_dead === 2);
  const status = await cli('status');
  for (const name of ['e', 'other'])
    assert.match(status, new RegExp(`\n +endpoint ${name} of app ${app} answered 410 and gets ` +
      `nothing: .tapeop replay --endpoint ${name}. `));
  end.answer = endpointAnswers(200);
  assert.equal(await cli('replay', '--endpoint', 'e', '--dry-run'), '1 would be sent again\n');
  assert.equal(await cli('replay', '--endpoint', 'e'), '1 pending again\n');
  await server.drained();
  const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries');
  assert.deepEqual(deliveries.map((d) => `${d.endpoint} ${d.state}`).sort(),
    ['e delivered', 'other dead']);
  assert.doesNotMatch(await cli('status'), /endpoint e /);
  await server.stop();
});

test('a_private_address_without_allow_private_is_warned_of_at_once', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const run = (...args) => command(t, ['endpoints', ...args, '--server', server.url]);
  const warning = (address) => `tapeop endpoints: warning: ${address} is a private address: ` +
    'callbacks to it are refused, unless allow_private=true\n';
  const made = await run('add', 'e', '--app', app, 'url=http://127.0.0.1:9/a');
  assert.deepEqual([made.code, made.text], [0, warning('127.0.0.1')]);
  for (const [url, address] of [['http://10.1.2.3', '10.1.2.3'], ['http://[::1]:9/?x', '::1'],
    ['http://192.168.0.1/path:80', '192.168.0.1']])
    assert.equal((await run('set', 'e', `url=${url}`, '--json')).text, warning(address), url);
  // These say nothing: `cli` sees to that.
  for (const url of ['http://8.8.8.8/', 'http://[2606:4700::1]/', 'http://example.com/127.0.0.1'])
    await cli('endpoints', 'set', 'e', `url=${url}`);
  await cli('endpoints', 'set', 'e', 'url=http://127.0.0.1:9/', 'allow_private=true');
  await server.stop();
});

test('the_command_takes_a_rate_of_less_than_one_a_second', async (t) => {
  const server = await startServer(t);
  const cli = commandsAt(t, server.url);
  const made = await cli.json('endpoints', 'add', 'e', '--app', app, 'url=http://127.0.0.1:9/',
    'allow_private=true', 'rate=0.5');
  assert.equal(made.rate, 0.5);
  for (const rate of ['1.5', '0.017', '2', '0'])
    assert.equal((await cli.json('endpoints', 'set', 'e', `rate=${rate}`)).rate, Number(rate));
  for (const rate of ['0.', '.5', '0.5.5', '0.5x', '0.0005'])
    await cli.fails(1, /rate: .*from 0\.017 to 10000/, 'endpoints', 'set', 'e', `rate=${rate}`);
  await server.stop();
});

test('a_standard_endpoint_needs_a_key_that_can_be_one', async (t) => {
  const server = await startServer(t);
  const make = (more) => server.api('POST', LIST, {name: 's', url: 'http://127.0.0.1:9/',
    dialect: 'standard', ...more});
  for (const key of [undefined, '', 'plain', 'whsec_short', 'whsec_!'])
    isProblem(await make({key}), 400, {field: 'key', says: /whsec_/});
  const {json} = await make({key: `whsec_${Buffer.alloc(32, 7).toString('base64')}`});
  assert.equal(json.has_key, true);
  isProblem(await server.api('PATCH', `/v1/endpoints/${json.endpoint_id}`, {key: null}), 400,
    {field: 'key', says: /whsec_/});
  const gme = await server.ask(201, 'POST', LIST, {name: 'g', url: 'http://127.0.0.1:9/',
    allow_private: true});
  assert.equal(gme.has_key, false); // the app's signs
  assert.deepEqual([gme.key_of, json.key_of], ['app', 'endpoint']);
  const cli = commandsAt(t, server.url, {CB_KEY: TOKEN});
  const set = async (...args) =>
    /\n {2}signed with +(.*)\n/.exec(await cli('endpoints', 'set', 'g', ...args))[1];
  assert.equal(await set('enabled=true'), "the app's secret_key");
  assert.equal(await set('key=env:CB_KEY'), 'its own key');
  assert.equal(await set('key=', 'dialect=live'), 'nothing');
  isProblem(await server.api('PATCH', `/v1/endpoints/${gme.endpoint_id}`,
    {dialect: 'live', signature_encoding: 'hex'}), 400,
  {field: 'signature_encoding', says: /gme only/});
  await server.stop();
});
