// `tapeop receive -c`: several apps and keys in one process, read again at
// SIGHUP.  The senders are `tapeop trigger`; what is forwarded is verified here
// with Node's crypto.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {createHash, createHmac} from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import {describe, test} from 'node:test';

import {endpointAnswers, postGme, signGme, signLive, startEndpoint} from '../aid/endpoint.mjs';
import {makeCertificate} from '../aid/hostile.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, background, command, startReceiver, tempDir, until} from '../aid/tapeop.mjs';

const ONE = 1400000000;
const TWO = 1400000001;
const DIALECTS = ['gme', 'live', 'trtc', 'standard'];
const secret = (text) => `whsec_${Buffer.from(text.padEnd(24, '.')).toString('base64')}`;

/** JSON is YAML, too: put into place at once. */
function write(file, config) {
  fs.writeFileSync(`${file}.new`, typeof config === 'string' ? config : JSON.stringify(config, null, 1));
  fs.renameSync(`${file}.new`, file);
}

/** A receiver of a file; its folder stays.  `apps` may be a function of that. */
async function startApps(t, apps, more = {}) {
  const dir = tempDir(t);
  const r = {dir, file: path.join(dir, 'receive.yaml'), env: {}};
  r.config = {listen: '127.0.0.1:0', data_dir: path.join(dir, 'inbox'),
    apps: typeof apps === 'function' ? apps(dir) : apps, ...more};
  r.start = async () => {
    write(r.file, r.config);
    r.proc = background(t, ['receive', '-c', r.file, '--json'], r.env);
    const at = await until('it listens', () => {
      const found = /on (https?:\/\/\S+)/.exec(r.proc.text)?.[1];
      assert.ok(found || !r.proc.ended, `it ended: ${r.proc.text}`);
      return found;
    });
    r.url = at;
  };
  r.kill = () => {
    r.proc.child.kill('SIGKILL');
    return r.proc.exit;
  };
  const lines = () => r.proc.text.split('\n').filter((l) => / reload: /.test(l))
    .map((l) => l.replace(/^\S+ /, ''));
  /** SIGHUP, until it says what came of it, in so many lines. */
  r.hup = async (n = 1) => {
    const before = lines().length;
    process.kill(r.proc.pid, 'SIGHUP');
    await until('it has read the file again', () => lines().length >= before + n);
    return lines().slice(before);
  };
  r.change = (fn, n) => {
    fn(r.config);
    write(r.file, r.config);
    return r.hup(n);
  };
  r.events = () => r.proc.out.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  await r.start();
  return r;
}

/** An event by `tapeop trigger`: was it taken? */
async function trigger(t, r, app, dialect, key, ...more) {
  const {code, out, text} = await command(t, ['trigger', 'started', '--dialect', dialect, '--to',
    `${r.url}/hook`, '--app', String(app), '--key', 'env:KEY', ...more], {env: {KEY: key}});
  assert.equal(text, '', text);
  assert.equal(code === 0, / accepted/.test(out) && !/ NOT accepted/.test(out), out);
  return code === 0;
}

/** The four senders of an app, each with a task of its own. */
async function triggerAll(t, r, app, keys) {
  const taken = [];
  for (const dialect of DIALECTS)
    taken.push(await trigger(t, r, app, dialect, dialect === 'standard' ? keys.standard : keys.other));
  return taken;
}

const keysOf = (keys) => [{key: keys.other}, {dialect: 'standard', key: keys.standard}];
const KEYS_1 = {other: 'the-key-of-one', standard: secret('one')};
const KEYS_2 = {other: 'the-key-of-two', standard: secret('two')};
const ALL = [true, true, true, true];
const NONE = [false, false, false, false];

const gme = (app, seq) => JSON.stringify({BizID: app, RoomID: '100', UserID: '9', TaskID: 64,
  RecordMode: 0, Timestamp: 1675930605, EventType: 1, Detail: {SeqNo: seq, FileName: `f/${seq}.mp3`}});

/** As of when it came. */
const recent = (seen, seconds) => Math.abs(seen.at / 1000 - Number(seconds)) < 30;

/** Would the backend of an app take this, as docs/verifying.md says? */
function verifies(seen, keys) {
  const {headers, raw, url} = seen;
  const query = url.searchParams;
  if (query.has('CallbackCommand'))
    return query.get('Sign') === createHash('sha256').update(keys.other + query.get('RequestTime')).digest('hex') &&
      recent(seen, query.get('RequestTime'));
  if (headers['webhook-id']) {
    const mac = createHmac('sha256', Buffer.from(keys.standard.slice(6), 'base64'))
      .update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`).update(raw);
    return headers['webhook-signature'] === `v1,${mac.digest('base64')}` &&
      recent(seen, headers['webhook-timestamp']);
  }
  if (headers.sdkappid)
    return headers.sign === createHmac('sha256', keys.other).update(raw).digest('base64');
  return headers.signature === signGme(raw, {key: keys.other});
}

describe('receive_apps', {concurrency: true}, () => {
  test('two_apps_are_taken_in_four_dialects_by_their_own_keys_and_go_their_own_ways', async (t) => {
    const [one, two] = [await startEndpoint(t), await startEndpoint(t)];
    const r = await startApps(t, [
      {id: ONE, name: 'one', keys: keysOf(KEYS_1)},
      {id: TWO, name: 'two', keys: keysOf(KEYS_2), forward: `${two.url}/two?x=1`},
    ], {forward: `${one.url}/all`});
    assert.match(r.proc.text, /receiving callbacks of 2 apps on http/);
    assert.deepEqual(await triggerAll(t, r, ONE, KEYS_1), ALL);
    assert.deepEqual(await triggerAll(t, r, TWO, KEYS_2), ALL);
    // the other's keys: nothing of it is taken
    assert.deepEqual(await triggerAll(t, r, ONE, KEYS_2), NONE);
    assert.deepEqual(await triggerAll(t, r, TWO, KEYS_1), NONE);
    assert.equal(await postGme(r, gme(TWO, 7), KEYS_1.other), 403);
    assert.equal(await postGme(r, gme(5, 7), KEYS_1.other), 403);
    assert.equal(await postGme(r, gme(ONE, 7), 'no key'), 401);
    await until('all is told', () => r.events().length === 8);
    assert.deepEqual(r.events().map((e) => [e.app, e.dialect]),
      [...DIALECTS.map((d) => [ONE, d]), ...DIALECTS.map((d) => [TWO, d])]);
    for (const [endpoint, keys, where] of [[one, KEYS_1, '/all'], [two, KEYS_2, '/two']]) {
      await until('all has gone on', () => endpoint.requests.length === 4);
      assert.deepEqual(endpoint.requests.map((seen) => seen.url.pathname), Array(4).fill(where));
      assert.deepEqual(endpoint.requests.map((seen) => verifies(seen, keys)), ALL);
    }
    // what is shown tells them apart
    const {recordings} = await (await fetch(`${r.url}/v1/recordings?app=${TWO}`)).json();
    assert.deepEqual([...new Set(recordings.map((x) => x.app))], [TWO]);
    const stream = await listen(t, r, {query: `?app=${TWO}&after=0`});
    await until('its events', () => stream.events.length === 4);
    assert.deepEqual([...new Set(stream.events.map((e) => e.data.app))], [TWO]);
  });

  test('a_key_is_rotated_by_sighup_the_old_one_is_refused_in_the_end', async (t) => {
    let file;
    const r = await startApps(t, (dir) => {
      file = path.join(dir, 'key');
      fs.writeFileSync(file, 'old\n');
      return [{id: ONE, keys: [{key: `file:${file}`}]}];
    });
    const both = async (seq) => [await postGme(r, gme(ONE, seq), 'old'),
      await postGme(r, gme(ONE, seq + 1), 'new')];
    assert.deepEqual(await both(0), [200, 401]);
    assert.deepEqual(await r.hup(), ['info reload: nothing has changed']);
    // the new one beside the old one
    assert.deepEqual(await r.change((c) => c.apps[0].keys.push({key: 'new'})),
      [`info reload: app ${ONE} changed`]);
    assert.deepEqual(await both(10), [200, 200]);
    for (const dialect of ['live', 'trtc']) {
      assert.equal(await trigger(t, r, ONE, dialect, 'old'), true);
      assert.equal(await trigger(t, r, ONE, dialect, 'new'), true);
    }
    // the file changes, not its name
    fs.writeFileSync(file, 'new\n');
    assert.deepEqual(await r.hup(), [`info reload: app ${ONE} changed`]);
    assert.deepEqual(await both(20), [401, 200]);
    assert.equal(await trigger(t, r, ONE, 'live', 'old'), false);
    // apps come and go
    assert.deepEqual(await r.change((c) => c.apps.push({id: TWO, keys: [{key: 'new'}]})),
      [`info reload: app ${TWO} new`]);
    assert.equal(await postGme(r, gme(TWO, 0), 'new'), 200);
    assert.deepEqual(await r.change((c) => c.apps.shift()), [`info reload: app ${ONE} removed`]);
    assert.equal(await postGme(r, gme(ONE, 30), 'new'), 403);
    assert.equal(await postGme(r, gme(TWO, 1), 'new'), 200);
  });

  test('a_broken_file_changes_nothing_and_what_needs_a_start_is_named', async (t) => {
    const r = await startApps(t, [{id: ONE, keys: [{key: 'k'}]}]);
    const good = fs.readFileSync(r.file, 'utf8');
    for (const [text, says] of [
      [good.replace('"keys"', '"kees"'), /receive\.yaml:7:4: apps\[0\]\.kees: unknown setting; did you mean "keys"\?/],
      [good.replace('"k"', '"env:TAPEOP_NO_SUCH"'), /apps\[0\]\.keys\[0\]\.key: .*TAPEOP_NO_SUCH/],
      ['apps: [', /this is not YAML/],
      ['apps: []', /apps: is missing/],
    ]) {
      write(r.file, text);
      const lines = await r.hup();
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.match(lines[0], says);
      assert.match(lines[0], /^error reload: .*; nothing was changed$/);
      assert.equal(await postGme(r, gme(ONE, Math.floor(Math.random() * 1e6)), 'k'), 200);
    }
    fs.rmSync(r.file);
    assert.match((await r.hup())[0], /cannot be read: No such file or directory; nothing was changed/);
    const [at, inbox] = [r.url, r.config.data_dir];
    assert.deepEqual(await r.change((c) => {
      c.listen = '127.0.0.1:1';
      c.data_dir = path.join(r.dir, 'elsewhere');
      c.apps[0].dialects = ['live'];
      c.log_level = 'warn';
    }, 2), [`info reload: log_level, app ${ONE} changed`,
      'warn reload: listen, data_dir changed: they take effect at the next start']);
    assert.equal(await trigger(t, r, ONE, 'live', 'k'), true, at);
    assert.equal(await postGme(r, gme(ONE, 1), 'k'), 400);
    assert.ok(fs.existsSync(inbox) && !fs.existsSync(path.join(r.dir, 'elsewhere')));
  });

  test('what_a_backend_did_not_take_for_a_while_verifies_when_it_is_back', async (t) => {
    // a port where nobody listens yet
    const probe = net.createServer();
    await new Promise((done) => probe.listen(0, '127.0.0.1', done));
    const {port} = probe.address();
    await new Promise((done) => probe.close(done));
    const r = await startApps(t, [{id: ONE, keys: keysOf(KEYS_1)}],
      {forward: `http://127.0.0.1:${port}/hook`});
    // still good for the receiver, too old for the backend (recent)
    const time = Math.floor(Date.now() / 1000) - 30;
    const query = new URLSearchParams({SdkAppid: ONE,
      CallbackCommand: 'Follow.CallbackAfterCloudRecordingChanged',
      Sign: signLive(KEYS_1.other, time), RequestTime: time});
    const live = await fetch(`${r.url}/hook?${query}`, {method: 'POST', body: JSON.stringify({
      CallbackCommand: 'Follow.CallbackAfterCloudRecordingChanged', EventGroupId: 3, EventType: 305,
      CallbackTs: 1, EventInfo: {RoomId: '1', EventTs: 1, EventMsTs: 1000, UserId: 'u', TaskId: 't',
        Payload: {Status: 0}}})});
    assert.equal(live.status, 200, await live.text());
    assert.equal(await trigger(t, r, ONE, 'standard', KEYS_1.standard), true);
    await until('it was tried', () => /forward to \S+ failed/.test(r.proc.text));
    await r.kill();
    // elsewhere, after a restart
    const backend = await startEndpoint(t, endpointAnswers(200));
    r.config.forward = `${backend.url}/hook`;
    await r.start();
    await until('both have gone on', () => backend.requests.length === 2);
    assert.deepEqual(backend.requests.map((seen) => verifies(seen, KEYS_1)), [true, true]);
    assert.notEqual(backend.requests.find((s) => s.url.searchParams.has('Sign')).url
      .searchParams.get('RequestTime'), String(time));
  });

  test('an_app_that_is_gone_keeps_what_is_pending_until_it_is_back', async (t) => {
    const backend = await startEndpoint(t, endpointAnswers(503));
    const r = await startApps(t, [{id: ONE, keys: [{key: 'k'}]},
      {id: TWO, keys: [{key: 'k'}], forward: `${backend.url}/two`}]);
    assert.equal(await postGme(r, gme(TWO, 0), 'k'), 200);
    assert.equal(await postGme(r, gme(TWO, 1), 'k'), 200);
    const [, two] = r.config.apps;
    await r.change((c) => c.apps.pop());
    await until('the log says so', () =>
      new RegExp(`app=${TWO} has no forward now pending=2: they wait`).test(r.proc.text));
    await r.kill();
    await r.start();
    assert.match(r.proc.text, new RegExp(`app=${TWO} has no forward now pending=2: they wait`));
    backend.answer = endpointAnswers(200);
    const before = backend.requests.length;
    await r.change((c) => c.apps.push(two));
    await until('they go on', () => backend.requests.length >= before + 2);
    assert.deepEqual(backend.requests.slice(before).map((seen) => seen.body.Detail.SeqNo), [0, 1]);
  });

  test('a_flood_of_refused_requests_is_counted_whole_and_does_not_flood_the_log', async (t) => {
    const r = await startApps(t, [{id: ONE, keys: [{key: 'k'}]}]);
    const began = Date.now();
    const flood = 400;
    await Promise.all(Array.from({length: 20}, async () => {
      for (let i = 0; i < flood / 20; i++)
        assert.equal(await postGme(r, gme(ONE, i), 'wrong'), 401);
    }));
    const seconds = Math.ceil((Date.now() - began) / 1000);
    const said = () => r.proc.text.match(/ callback refused: 401 /g)?.length ?? 0;
    const more = () => [...r.proc.text.matchAll(/ (\d+) more were refused in the last second/g)]
      .reduce((sum, [, n]) => sum + Number(n), 0);
    await until('all are told of', () => said() + more() === flood);
    assert.ok(said() <= 10 * (seconds + 1), `${said()} lines in ${seconds} s`);
    const metrics = await (await fetch(`${r.url}/metrics`)).text();
    assert.match(metrics, new RegExp(`^tapeop_received_bad_signature_total ${flood}$`, 'm'));
  });

  test('a_program_that_cannot_be_run_stops_the_start', async (t) => {
    const dir = tempDir(t);
    const plain = path.join(dir, 'plain');
    fs.writeFileSync(plain, '#!/bin/sh\n', {mode: 0o644});
    for (const [program, says] of [['/nonexist', 'is not there'], ['no-such-program', 'is not there, nor in PATH'],
      [plain, 'is not a file that may be executed']]) {
      const {code, text} = await command(t, ['receive', '--app', '1', '--listen', '127.0.0.1:0', '--data',
        path.join(dir, 'inbox'), '--exec', program], {ms: 10_000});
      assert.equal(code, 2, text);
      assert.equal(text, `tapeop receive: --exec: ${program} ${says}; see tapeop receive --help\n`);
    }
  });

  test('options_that_would_fight_the_file_are_refused', async (t) => {
    const file = path.join(tempDir(t), 'r.yaml');
    write(file, {apps: [{id: ONE, keys: [{key: 'k'}]}]});
    const receive = (...args) => command(t, ['receive', '-c', file, ...args], {env: {K: 'k'}});
    for (const args of [['--app', '1'], ['--key', 'env:K'], ['--listen', '127.0.0.1:0'], ['--data', 'd'],
      ['--dialect', 'auto'], ['--forward', 'http://127.0.0.1/'], ['--exec', '/bin/true']]) {
      const {code, text} = await receive(...args);
      assert.equal(code, 2, `${args}`);
      assert.match(text, /^tapeop receive: with -c FILE [^\n]*: only --json and --check go with it; see [^\n]*\n$/);
    }
    assert.deepEqual((({code, out, text}) => ({code, out, text}))(await receive('--check')),
      {code: 0, out: `${file}: ok\n`, text: ''});
    write(file, {apps: [{id: ONE, keys: [{key: 'env:TAPEOP_NO_SUCH'}]}]});
    const {code, text} = await receive('--check');
    assert.equal(code, 1);
    assert.match(text, /^tapeop receive: \S+r\.yaml:7:13: apps\[0\]\.keys\[0\]\.key: [^\n]*\n$/);
  });

  test('certificates_of_the_file_are_read_again_or_nothing_is', async (t) => {
    const certs = tempDir(t);
    const [self, other] = ['self', 'other'].map((name) => makeCertificate(certs, name));
    const r = await startApps(t, [{id: ONE, keys: keysOf(KEYS_1)}],
      {tls: {cert: self.cert, key: self.key}, max_per_address: 20});
    assert.match(r.url, /^https:/);
    const name = () => new Promise((done, failed) => {
      const socket = tls.connect({port: new URL(r.url).port, rejectUnauthorized: false}, () => {
        done(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on('error', failed);
    });
    assert.equal(await name(), 'self');
    // a key of another certificate: the new app is not taken either
    fs.writeFileSync(self.key, other.keyPem);
    const [line] = await r.change((c) => c.apps.push({id: TWO, keys: keysOf(KEYS_2)}));
    assert.match(line, /^error reload: .*self\.key: does not belong to.*nothing was changed/);
    assert.equal(await name(), 'self');
    fs.writeFileSync(self.cert, other.pem);
    assert.deepEqual(await r.hup(), [`info reload: app ${TWO} new`]);
    assert.equal(await name(), 'other');
    // other files, and the limit, need a start
    assert.deepEqual(await r.change((c) => {
      delete c.tls;
      c.max_per_address = 21;
    }), ['warn reload: max_per_address, tls changed: they take effect at the next start']);
    assert.deepEqual(await r.change((c) => {
      c.tls = {cert: self.cert, key: self.key};
    }), ['warn reload: max_per_address changed: it takes effect at the next start']);
    assert.deepEqual(await r.change((c) => {
      c.max_per_address = 20;
    }), ['info reload: nothing has changed']);
    assert.equal(await name(), 'other');
  });

  test('sighup_reads_the_keys_of_options_again_and_never_ends_a_receiver', async (t) => {
    const file = path.join(tempDir(t), 'key');
    fs.writeFileSync(file, 'old\n');
    const hup = async (r) => {
      const from = r.proc.text.length;
      r.proc.child.kill('SIGHUP');
      await until('it says what came of it', () => {
        assert.equal(r.proc.ended, null);
        return /reload: .*\n/.test(r.proc.text.slice(from));
      });
      return /(\w+ reload: .*)\n/.exec(r.proc.text.slice(from))[1];
    };
    const r = await startReceiver(t, {args: ['--key', `file:${file}`]});
    const all = async (seq) => [await postGme(r, gme(APP, seq)),
      await postGme(r, gme(APP, seq + 1), 'old'), await postGme(r, gme(APP, seq + 2), 'new')];
    assert.deepEqual(await all(0), [200, 200, 401]);
    assert.equal(await hup(r), 'info reload: the keys of files are as before');
    fs.writeFileSync(file, 'new\n');
    assert.equal(await hup(r), 'info reload: the keys of files have changed');
    assert.deepEqual(await all(10), [200, 401, 200]);
    fs.rmSync(file);
    assert.match(await hup(r), /^error reload: --key: .*; nothing was changed$/);
    assert.deepEqual(await all(20), [200, 401, 200]);
    const bare = await startReceiver(t);
    assert.equal(await hup(bare), 'info reload: there is nothing to read again: no --key is ' +
      'file:PATH, and there is no TLS');
    assert.equal(await postGme(bare, gme(APP, 0)), 200);
  });
});
