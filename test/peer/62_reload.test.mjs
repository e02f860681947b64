// SIGHUP: the settings and their secrets are read again while the server runs.
// SPDX-License-Identifier: Apache-2.0
//
// Signatures are checked here with Node's crypto, not with our code.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {LIVE_OK, endpointAnswers, signGme, startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, KEY, rtpRange, startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/bob.opus');

const configOf = (server) => JSON.parse(fs.readFileSync(server.config, 'utf8'));

const linesOf = (server) => server.proc.text.split('\n')
  .filter((l) => / reload: /.test(l)).map((l) => l.replace(/^\S+ /, ''));

/** Put the file into place at once, as an editor or a deployment does. */
function write(file, text) {
  fs.writeFileSync(`${file}.new`, text);
  fs.renameSync(`${file}.new`, file);
}

/** SIGHUP, until it says what came of it, in `n` lines or more: the lines that it wrote. */
async function hup(server, n = 1) {
  const before = linesOf(server).length;
  const lines = () => linesOf(server).slice(before);
  process.kill(server.proc.pid, 'SIGHUP');
  await until('it has read the file again', () => lines().length >= n &&
    lines().some((l) => !/^warn/.test(l) || / at the next start$/.test(l)));
  return lines();
}

/** Change the configuration by `fn`, and read it again. */
async function change(server, fn, n) {
  const config = configOf(server);
  fn(config, config.apps[0], config.apps[0].callbacks);
  write(server.config, JSON.stringify(config, null, 1));
  return hup(server, n);
}

const signTrtc = (raw, key) => crypto.createHmac('sha256', key).update(raw).digest('base64');

/** An endpoint that knows `endpoint.keys`, and refuses all other signatures. */
async function startStrict(t, keys) {
  const endpoint = await startEndpoint(t, (seen, response) => {
    seen.good = endpoint.keys.some((key) => signTrtc(seen.raw, key) === seen.headers.sign);
    endpointAnswers(seen.good ? 200 : 401)(seen, response);
  });
  endpoint.keys = keys;
  return endpoint;
}

/** Tasks that begin and end in rooms of their own, until it is stopped. */
function startTraffic(server, rooms = 4) {
  const traffic = {over: false, tasks: 0};
  const one = async (room) => {
    await server.join(room, 'alice');
    while (!traffic.over) {
      const task = await server.record(room);
      await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
      await until('it is over', async () => (await server.task(task)).state !== 'stopping');
      traffic.tasks++;
    }
  };
  const all = Promise.all(Array.from({length: rooms}, (_, i) => one(`traffic${i}`)));
  all.catch(() => {}); // told by stop()
  traffic.more = (n) => {
    const end = traffic.tasks + n;
    return Promise.race([until('traffic goes on', () => traffic.tasks >= end), all]);
  };
  traffic.stop = () => {
    traffic.over = true;
    return all;
  };
  return traffic;
}

/** Each event was taken once, and refused once at most. */
function tookEach(endpoint) {
  const byEvent = new Map();
  for (const r of endpoint.requests) {
    const id = r.headers['tapeop-event-id'];
    byEvent.set(id, [...(byEvent.get(id) ?? []), r.good]);
  }
  for (const [id, goods] of byEvent) {
    assert.equal(goods.filter(Boolean).length, 1, `event ${id}: ${goods}`);
    assert.ok(goods.length <= 2, `event ${id}: ${goods}`);
  }
  return byEvent.size;
}

describe('reload', {concurrency: true}, () => {
  test('a_key_is_rotated_under_traffic_and_no_event_is_lost_or_refused_twice', async (t) => {
    const endpoint = await startStrict(t, ['first']);
    const server = await startServer(t, {start: false, callbacks: [
      {name: 'backend', url: endpoint.url, dialect: 'trtc', retry: 'tencent'}]});
    const files = ['key', 'previous'].map((name) => path.join(server.dir, name));
    write(files[0], 'first\n');
    const config = configOf(server);
    config.apps[0].callbacks[0].key = `file:${files[0]}`;
    write(server.config, JSON.stringify(config));
    await server.start();
    const traffic = startTraffic(server);
    await traffic.more(5);

    // The sender first: it signs with both in turn, the receiver knows the old.
    write(files[0], 'second\n');
    write(files[1], 'first\n');
    assert.deepEqual(await change(server, (c, app, [cb]) => {
      cb.previous_key = `file:${files[1]}`;
    }), [`info reload: app ${APP} endpoint backend changed`]);
    await traffic.more(10);
    // The receiver follows, and forgets the old key.
    endpoint.keys = ['second', 'first'];
    await traffic.more(5);
    endpoint.keys = ['second'];
    await traffic.more(10);
    // The sender forgets it, too.
    await change(server, (c, app, [cb]) => delete cb.previous_key);
    await traffic.more(5);
    await traffic.stop();
    const m = await server.drained();
    assert.equal(m.deliveries_in, m.deliveries_delivered);
    assert.equal(tookEach(endpoint), m.deliveries_delivered);
    const refused = endpoint.requests.filter((r) => !r.good).length;
    assert.ok(refused > 0 && refused < endpoint.requests.length, `${refused} refused`);
    assert.equal(m.breaker_open, 0);
    // What is sent after the last change has the new key only.
    const last = endpoint.requests.at(-1);
    assert.equal(last.headers.sign, signTrtc(last.raw, 'second'));
    for (const secret of ['first', 'second'])
      assert.ok(!server.proc.text.includes(secret), 'no secret is in the log');
    await server.stop();
  });

  test('a_secret_in_a_file_is_read_again_when_the_settings_are_the_same', async (t) => {
    const gme = await startEndpoint(t);
    const server = await startServer(t, {start: false, callbacks: [
      {name: 'gme', url: gme.url, dialect: 'gme'}]});
    const file = path.join(server.dir, 'secret');
    const config = configOf(server);
    config.apps[0].secret_key = `file:${file}`;
    write(file, 'first');
    write(server.config, JSON.stringify(config));
    await server.start();
    const {port} = await server.join('room', 'alice');
    const speaking = sendPackets(t, speech, port);
    await speaking.reached(30);
    const task = await server.record('room');
    await gme.got('started', (r) => r.body.EventType === 1);
    write(file, 'second');
    assert.deepEqual(await hup(server), [`info reload: app ${APP} endpoint gme changed, ` +
      `app ${APP} changed`]);
    assert.deepEqual(await hup(server), ['info reload: nothing has changed']);
    await server.finish(task);
    await server.drained();
    speaking.stop();
    const [started, ...rest] = gme.requests;
    assert.equal(started.headers.signature, signGme(started.raw, {key: 'first'}));
    assert.ok(rest.length >= 2);
    for (const r of rest)
      assert.equal(r.headers.signature, signGme(r.raw, {key: 'second'}));

    // An endpoint that was made by the API stays, and signs with the new key, too.
    const made = await startEndpoint(t);
    await server.ask(201, 'POST', `/v1/apps/${APP}/endpoints`, {name: 'made', url: made.url,
      dialect: 'gme', allow_private: true});
    write(file, 'third');
    await hup(server);
    const again = sendPackets(t, speech, (await server.join('room2', 'alice')).port);
    await again.reached(30);
    const second = await server.record('room2');
    await made.got('started', (r) => r.body.EventType === 1);
    await server.finish(second);
    again.stop();
    for (const r of made.requests)
      assert.equal(r.headers.signature, signGme(r.raw, {key: 'third'}));

    // A file that is gone changes nothing.
    fs.unlinkSync(file);
    const [line] = await hup(server);
    assert.match(line, /^error reload: .*tapeop\.yaml:\d+:\d+: apps\[0\]\.secret_key: .*secret.*; nothing was changed$/);
    await server.stop();
  });

  test('a_broken_file_changes_nothing_and_says_so', async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await startServer(t, {callbacks: [
      {name: 'live', url: endpoint.url, dialect: 'live', key: 'token'}]});
    await server.join('room', 'alice');
    const good = fs.readFileSync(server.config, 'utf8');
    const broken = [
      [() => '{', 'not YAML'],
      [(c) => { c.log_levle = 'info'; }, 'did you mean'],
      [(c) => { c.apps[0].callbacks[0].url = 'ftp://host/'; }, 'http:// or https://'],
      [(c) => { c.apps[0].callbacks[0].key = 'env:TAPEOP_TEST_NOT_SET'; }, 'TAPEOP_TEST_NOT_SET'],
      [(c) => { c.apps[0].callbacks.push({name: 'x', url: 'http://h/', dialect: 'standard'}); },
        'whsec_'],
      [(c) => { c.http.previous_admin_token = 'x'; }, 'set that, too'],
      [(c) => { c.apps.push({...c.apps[0]}); }, 'must be unique'],
    ];
    for (const [spoil, says] of broken) {
      const config = JSON.parse(good);
      // what is good in it is not taken either
      config.apps[0].callbacks[0].url += '/elsewhere';
      config.apps[0].callbacks.push({name: 'another', url: endpoint.url, allow_private: true,
        dialect: 'live'});
      write(server.config, spoil(config) ?? JSON.stringify(config));
      const lines = await hup(server);
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.match(lines[0], /^error reload: .*tapeop\.yaml:\d+:\d+: .*; nothing was changed$/);
      assert.ok(lines[0].includes(says), lines[0]);
    }
    fs.unlinkSync(server.config);
    assert.match((await hup(server))[0], /^error reload: .*cannot be read.*; nothing was changed$/);
    await server.finish(await server.record('room'));
    await server.drained();
    assert.equal(endpoint.requests.length, 2);
    assert.ok(endpoint.requests.every((r) => r.url.pathname === '/'));
    const {endpoints} = await server.ask(200, 'GET', `/v1/apps/${APP}/endpoints`);
    assert.deepEqual(endpoints.map((e) => e.name), ['live']);
    write(server.config, good);
    assert.deepEqual(await hup(server), ['info reload: nothing has changed']);
    await server.stop();
  });

  test('endpoints_come_change_and_go_and_what_waits_for_a_removed_one_expires', async (t) => {
    const sick = await startEndpoint(t, endpointAnswers(500));
    const [moved, fresh] = [await startEndpoint(t), await startEndpoint(t)];
    const slow = {retry: '1h'};
    const server = await startServer(t, {callbacks: [
      {name: 'goes', url: sick.url, dialect: 'live', ...slow},
      {name: 'moves', url: sick.url, dialect: 'live', retry: '1s,1s,1s,1s,1s,1s,1s,1s,1s,1s'},
      {name: 'stays', url: sick.url, dialect: 'live', ...slow}]});
    await server.join('room', 'alice');
    const task = await server.record('room');
    await until('all have been tried', () => sick.requests.length >= 3);
    const [line] = await change(server, (c, app, cbs) => {
      cbs.shift();
      cbs[0].url = `${moved.url}/here`;
      cbs.push({name: 'new', url: fresh.url, dialect: 'live', allow_private: true});
    });
    assert.equal(line, `info reload: app ${APP} endpoint new new, app ${APP} endpoint moves ` +
      `changed, app ${APP} endpoint goes removed`);
    await server.finish(task);
    // 2 events; the new one missed the first
    await moved.got('what waited and the rest', () => moved.requests.length === 2);
    assert.ok(moved.requests.every((r) => r.url.pathname === '/here'));
    await fresh.got('all from now on', () => fresh.requests.length === 1);
    const list = async (query) => (await server.ask(200, 'GET', `/v1/deliveries?${query}`)).deliveries;
    const expired = await until('what waited for the removed one', async () => {
      const found = await list('state=expired');
      return found.length && found;
    });
    assert.deepEqual(expired.map((d) => [d.endpoint, d.last_error]),
      [['goes', 'the endpoint was removed']]);
    assert.equal((await list('state=pending')).filter((d) => d.endpoint === 'stays').length, 2);
    const m = await server.metrics();
    assert.equal(m.deliveries_in, m.deliveries_delivered + m.deliveries_pending +
      m.deliveries_dead + m.deliveries_expired);

    // Switched off, it is told nothing, and what waited still does.
    await change(server, (c, app, cbs) => {
      cbs.find((e) => e.name === 'new').enabled = false;
    });
    await server.finish(await server.record('room'));
    await moved.got('the other is told', () => moved.requests.length === 4);
    assert.equal(fresh.requests.length, 1);
    await server.stop();
  });

  test('a_name_that_the_file_borrows_for_a_while_goes_back_to_who_made_it', async (t) => {
    const [kept, file] = [await startEndpoint(t), await startEndpoint(t, endpointAnswers(500))];
    const server = await startServer(t, {callbacks: []});
    const source = async () => (await server.ask(200, 'GET', `/v1/apps/${APP}/endpoints`))
      .endpoints.map((e) => [e.name, e.source]);
    await server.ask(201, 'POST', `/v1/apps/${APP}/endpoints`,
      {name: 'backup', url: kept.url, dialect: 'live', allow_private: true, retry: '1h'});
    await server.join('room', 'alice');
    await change(server, (c, app) => {
      app.callbacks = [{name: 'backup', url: file.url, dialect: 'live', allow_private: true,
        retry: '1s,1s,1s,1s,1s,1s,1s,1s'}];
    });
    assert.deepEqual(await source(), [['backup', 'file']]);
    const task = await server.record('room');
    await file.got('it is tried there', () => file.requests.length >= 1);
    assert.deepEqual(await change(server, (c, app) => {
      app.callbacks = [];
    }), [`info reload: app ${APP} endpoint backup removed`]);
    assert.deepEqual(await source(), [['backup', 'api']]);
    await kept.got('what waited', () => kept.requests.length >= 1);
    await server.finish(task);
    await kept.got('the rest', () => kept.requests.length === 2);
    assert.equal((await server.metrics()).deliveries_expired, 0);
    await server.stop();
  });

  test('the_admin_token_is_rotated_with_an_overlap', async (t) => {
    const server = await startServer(t, {http: {admin_token: 'token-one'}});
    const status = async (token) => (await server.api('GET', '/v1/rooms', undefined,
      token ? {Authorization: `Bearer ${token}`} : {})).status;
    const all = async () => [await status('token-one'), await status('token-two'),
      await status('token-three'), await status()];
    assert.deepEqual(await all(), [200, 401, 401, 401]);
    const stream = await listen(t, server, {token: 'token-one'});
    assert.deepEqual(await change(server, (c) => Object.assign(c.http,
      {admin_token: 'token-two', previous_admin_token: 'token-one'})),
    ['info reload: http.admin_token']);
    assert.deepEqual(await all(), [200, 200, 401, 401]);
    // who listens is asked for a token again, or a stolen one would be good for ever
    await stream.ended;
    await listen(t, server, {token: 'token-one', last: stream.lastId});
    await change(server, (c) => delete c.http.previous_admin_token);
    assert.deepEqual(await all(), [401, 200, 401, 401]);
    // no file, no change: nobody gets in meanwhile
    write(server.config, '');
    await hup(server);
    assert.deepEqual(await all(), [401, 200, 401, 401]);
    await server.stop();
  });

  test('what_only_a_start_can_change_is_named_and_the_rest_is_done', async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await startServer(t);
    await server.join('room', 'alice');
    const old = await server.record('room');
    const more = {id: 7, secret_key: KEY, callbacks: [
      {name: 'seven', url: endpoint.url, dialect: 'live', allow_private: true}]};
    const range = await rtpRange();
    const lines = await change(server, (c, app) => {
      c.media.rtp_ports = range;
      c.data_dir = path.join(server.dir, 'elsewhere');
      app.recording = {format: 'ogg'};
      c.apps.push(more);
    }, 2);
    assert.deepEqual(lines, [
      `info reload: app 7 endpoint seven new, app 7 new, app ${APP} changed`,
      'warn reload: data_dir, media.rtp_ports changed: they take effect at the next start'].sort());
    assert.ok(!fs.existsSync(path.join(server.dir, 'elsewhere')));
    // a task that ran goes on as it was, a new one is as the file has it now
    assert.equal((await server.task(old)).format, 'mp3');
    assert.equal((await server.task(await server.record('room'))).format, 'ogg');
    // the new app is there
    await server.ask(201, 'POST', '/v1/apps/7/rooms/r/inputs', {user: 'u', kind: 'rtp'});
    await server.ask(201, 'POST', '/v1/apps/7/rooms/r/tasks', {mode: 'single'});
    await endpoint.got('its events', (r) => r.body.EventType === 301);
    // it stays until the next start when it goes, with its endpoint
    const gone = await change(server, (c) => c.apps.pop());
    assert.deepEqual(gone, ['warn reload: data_dir, media.rtp_ports, app 7 (gone) changed: ' +
      'they take effect at the next start']);
    await server.ask(201, 'POST', '/v1/apps/7/rooms/r2/inputs', {user: 'u', kind: 'rtp'});

    // the level of the log
    await change(server, (c) => { c.log_level = 'error'; });
    assert.match(linesOf(server).at(-2) + linesOf(server).at(-1), /log_level/);
    const n = server.proc.text.length;
    await server.record('room', {mode: 'mixed'});
    assert.ok(!/ info /.test(server.proc.text.slice(n)));
    await server.signal('SIGTERM');
  });

  test('a_supervisor_is_told_when_it_begins_and_when_it_is_over', async (t) => {
    const server = await startServer(t, {start: false});
    const socket = path.join(server.dir, 'notify');
    // Node has no datagram sockets of this kind; each message ends in a line.
    const listener = spawn('perl', ['-MSocket', '-e', `$| = 1;
      socket(S, PF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0]));
      print "ready\\n"; while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n" }`,
    socket], {stdio: ['ignore', 'pipe', 'inherit']});
    t.after(() => listener.kill());
    let told = '';
    listener.stdout.on('data', (d) => (told += d));
    await until('it listens', () => told);
    await server.start({NOTIFY_SOCKET: socket});
    await until('it is ready', () => /^READY=1$/m.test(told));
    told = '';
    await hup(server);
    await until('it was told', () => /READY/.test(told));
    assert.match(told, /^RELOADING=1 MONOTONIC_USEC=\d+\nREADY=1 STATUS=\n$/);
    told = '';
    write(server.config, '{');
    await hup(server);
    await until('it was told', () => /READY/.test(told));
    assert.match(told, /^RELOADING=1 .*\nREADY=1 STATUS=reload: .*; nothing was changed\n$/);
    await server.stop();
  });

  test('an_attempt_under_way_keeps_what_it_began_with', async (t) => {
    let release;
    const endpoint = await startEndpoint(t, (seen, response) => {
      release = () => {
        response.writeHead(200, {'Content-Type': 'application/json'});
        response.end(JSON.stringify(LIVE_OK));
      };
    });
    const server = await startServer(t, {callbacks: [
      {name: 'slow', url: endpoint.url, dialect: 'live', key: 'one', timeout: '60s'}]});
    await server.join('room', 'alice');
    await server.record('room');
    await endpoint.got('the first', () => true);
    await change(server, (c, app, cbs) => Object.assign(cbs[0],
      {key: 'two', timeout: '100ms', url: 'http://127.0.0.1:1/'}));
    await change(server, (c, app, cbs) => cbs.pop()); // and it goes
    release();
    const m = await server.drained();
    assert.deepEqual([m.deliveries_delivered, m.deliveries_expired], [1, 0]);
    await server.stop();
  });

  test('two_hundred_signals_under_load_lose_nothing', async (t) => {
    const endpoint = await startStrict(t, ['even', 'odd']);
    const server = await startServer(t, {callbacks: [
      {name: 'backend', url: endpoint.url, dialect: 'trtc', key: 'even'}]});
    const traffic = startTraffic(server);
    await traffic.more(2);
    const config = configOf(server);
    const cb = config.apps[0].callbacks[0];
    for (let i = 1; i <= 200; i++) {
      Object.assign(cb, i % 2 ? {key: 'odd', previous_key: 'even'}
        : {key: 'even', previous_key: 'odd'});
      write(server.config, i % 10 === 5 ? '{' : JSON.stringify(config));
      process.kill(server.proc.pid, 'SIGHUP');
      if (i % 20 === 0)
        await traffic.more(2);
      else
        await new Promise((done) => setImmediate(done));
    }
    // what came last is true in the end
    delete cb.previous_key;
    cb.key = 'odd';
    write(server.config, JSON.stringify(config));
    const n = linesOf(server).length;
    process.kill(server.proc.pid, 'SIGHUP');
    await until('the last is read', () => linesOf(server).length > n);
    await until('and nothing more is', async () => {
      const seen = linesOf(server).length;
      await traffic.more(1);
      return linesOf(server).length === seen && linesOf(server).at(-1);
    });
    await traffic.stop();
    const m = await server.drained();
    assert.equal(m.deliveries_in, m.deliveries_delivered);
    assert.equal(tookEach(endpoint), m.deliveries_delivered);
    endpoint.keys = ['odd'];
    const from = endpoint.requests.length;
    await server.record('traffic0');
    await endpoint.got('one more', () => endpoint.requests.length > from);
    assert.equal(endpoint.requests.at(-1).good, true);
    assert.equal(server.proc.ended, null);
    assert.deepEqual(await server.signal('SIGTERM'), {code: 0, signal: null});
  });
});
