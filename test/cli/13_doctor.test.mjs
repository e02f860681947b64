// test/cli/13_doctor.test.mjs -- `tapeop doctor` finds what would not run.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import {test} from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {makeCertificate} from '../aid/hostile.mjs';
import {oneLine} from '../aid/lines.mjs';
import {APP, command, rtpRange, startServer, tempDir} from '../aid/tapeop.mjs';

/** A configuration that nothing runs with; change() rewrites it. */
async function sheet(t, options = {}) {
  const server = await startServer(t, {start: false, ...options});
  const read = () => JSON.parse(fs.readFileSync(server.config));
  return Object.assign(server, {
    change(fn) {
      const config = read();
      fn(config);
      fs.writeFileSync(server.config, JSON.stringify(config));
    },
    doctor: (...more) => command(t, ['doctor', '-c', server.config, ...more]),
    /** The checks of this name: "state text". */
    async checks(what) {
      const r = await command(t, ['doctor', '-c', server.config, '--json']);
      const all = JSON.parse(r.out);
      assert.equal(r.text, '');
      assert.equal(r.code, all.failed ? 1 : 0);
      for (const state of ['failed', 'warned'])
        assert.equal(all[state], all.checks.filter((c) =>
          c.state === {failed: 'FAIL', warned: 'warn'}[state]).length);
      return all.checks.filter((c) => c.what === what)
        .map((c) => `${c.state} ${c.text}`);
    },
  });
}

/** Listen on a port of 127.0.0.1 until the test ends. */
async function listen(t, server) {
  const sockets = new Set();
  server.on('connection', (s) => sockets.add(s.on('error', () => {})));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    sockets.forEach((s) => s.destroy());
    server.close();
  });
  return server.address().port;
}

test('a_good_configuration_is_fit_to_run_and_leaves_no_trace', async (t) => {
  const endpoint = await startEndpoint(t);
  const at = await sheet(t, {callbacks: [{name: 'here', url: endpoint.url, dialect: 'gme'}]});
  const before = fs.readdirSync(at.dir);

  const well = await at.doctor();
  assert.equal(well.code, 0, well.out);
  assert.equal(well.text, '');
  for (const line of well.out.trim().split('\n').slice(0, -1))
    assert.match(line, /^(ok   |warn ) \S.*/);
  assert.match(well.out, /^ok +configuration +\S+tapeop\.yaml: apps: 1, callbacks: 1$/m);
  assert.match(well.out, /^ok +data_dir +\S+ will be made$/m);
  assert.match(well.out, /^ok +space +[\d.]+ [MGT]B free at /m);
  assert.match(well.out, /^\w+ +clock +\d{4}-/m);
  assert.match(well.out, /^(ok|warn) +media\.rtp_ports +\d+ (of 40 )?ports are /m);
  assert.match(well.out, /^(ok|warn) +socket of WebRTC +holds \d+ KiB, a pause of 30 ms of \d+/m);
  assert.match(well.out, new RegExp(`^ok +${APP} here +127\\.0\\.0\\.1 port \\d+ answers$`, 'm'));
  assert.match(well.out, /^fit to run(; \d+ to look at)?$/m);
  // it connected and said nothing; what it tried is gone
  assert.deepEqual(endpoint.requests, []);
  assert.deepEqual(fs.readdirSync(at.dir), before);
});

test('the_way_to_each_callback_is_tried', async (t) => {
  const tls = tempDir(t);
  const [key, cert] = ['key.pem', 'cert.pem'].map((f) => path.join(tls, f));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
  {stdio: 'ignore'});
  let asked = 0;
  const secure = await listen(t, https.createServer(
    {key: fs.readFileSync(key), cert: fs.readFileSync(cert)}, () => asked++));
  const closed = net.createServer();
  const gone = await listen(t, closed);
  await new Promise((done) => closed.close(done));
  const at = await sheet(t, {callbacks: [
    {name: 'untrusted', url: `https://localhost:${secure}/x`, dialect: 'gme'},
    {name: 'closed', url: `http://127.0.0.1:${gone}/?token=geheim`, dialect: 'gme'},
    {name: 'private', url: 'http://10.0.0.1/', dialect: 'gme', allow_private: false},
    {name: 'name', url: `https://localhost:${secure}/`, dialect: 'gme', allow_private: false},
    {name: 'nowhere', url: 'http://nothing.invalid/', dialect: 'gme'},
  ]});
  const says = {
    untrusted: /^FAIL localhost port \d+: .*certificate.*; every callback would fail$/,
    closed: /^warn 127\.0\.0\.1 port \d+ does not answer now \(connection refused\)/,
    private: /^FAIL address 10\.0\.0\.1 is private: set allow_private/,
    name: /^FAIL address (127\.0\.0\.1|\[::1\]) of localhost is private/,
    // (or the machine's DNS hangs)
    nowhere: /^FAIL cannot resolve nothing\.invalid: .*check the URL|^warn .*looking up/,
  };

  for (const [name, text] of Object.entries(says)) {
    const found = await at.checks(`${APP} ${name}`);
    assert.equal(found.length, 1);
    assert.match(found[0], text);
  }
  assert.equal(asked, 0);
  const sick = await at.doctor();
  assert.equal(sick.code, 1);
  assert.match(sick.out, /^not fit to run: [34] failed$/m);
  assert.doesNotMatch(sick.out, /geheim/);
});

test('a_running_server_is_recognised', async (t) => {
  const server = await startServer(t);
  const at = await sheet(t);
  const port = new URL(server.url).port;

  at.change((c) => {
    c.http.listen = [`127.0.0.1:${port}`, '127.0.0.1:0'];
    c.data_dir = server.data;
  });
  assert.deepEqual(await at.checks('http.listen'),
    [`ok 127.0.0.1:${port}: a tapeop answers there already`,
      'ok 127.0.0.1:0 gets a free port']);
  assert.deepEqual(await at.checks('data_dir'),
    [`ok ${server.data} can be written to`,
      'warn a tapeop uses it now: it must end before another can start']);
  assert.equal((await at.doctor()).code, 0);
  await server.stop();
  assert.deepEqual(await at.checks('data_dir'), [`ok ${server.data} can be written to`]);
  await server.start(); // and the look has not stood in its way
});

test('a_running_server_of_tls_is_recognised_with_its_ports', async (t) => {
  const one = makeCertificate(tempDir(t), 'one');
  const udp_port = Number((await rtpRange()).split('-')[0]);
  const server = await startServer(t, {http: {tls_cert: one.cert, tls_key: one.key}, media: {udp_port}});
  const at = await sheet(t);
  const {port} = new URL(server.url);

  at.change((c) => {
    c.http.listen = `127.0.0.1:${port}`;
    c.media.udp_port = udp_port;
  });
  assert.deepEqual(await at.checks('http.listen'),
    [`ok 127.0.0.1:${port}: a tapeop answers there already`]);
  assert.match((await at.checks('media.udp_port'))[0],
    new RegExp(`^ok port ${udp_port} of \\d+ is in use, as a tapeop runs here`));
  await server.stop();
  assert.match((await at.checks('media.udp_port'))[0], /^ok \d+ ports from it on are free/);
});

test('certificate_files_are_looked_at', async (t) => {
  const at = await sheet(t);
  const [one, two] = ['one', 'two'].map((name) => makeCertificate(at.dir, name));
  const old = path.join(at.dir, 'old.pem');
  const tls = async (cert, key) => {
    at.change((c) => Object.assign(c.http, {tls_cert: cert, tls_key: key}));
    return [...await at.checks('http.tls_cert'), ...await at.checks('http.tls_key')];
  };

  assert.deepEqual(await at.checks('http.tls_cert'), []);
  const [dates, mode] = await tls(one.cert, one.key);
  assert.match(dates, /^warn \S+one\.pem is good until 20\d\d-\d\d-\d\d \d\d:\d\d UTC only: renew it/);
  assert.equal(mode, `ok ${one.key} is not for everybody`);
  fs.chmodSync(one.key, 0o644);
  assert.match((await tls(one.cert, one.key))[1], /^warn .*may be read by everybody: chmod 600/);
  assert.match((await tls(path.join(at.dir, 'none.pem'), one.key))[0],
    /^FAIL certificate \S+none\.pem: No such file/);
  assert.match((await tls(one.key, one.key))[0], /^FAIL certificate \S+one\.key: not PEM/);
  assert.match((await tls(one.cert, two.key))[0],
    /^FAIL key \S+two\.key: does not belong to certificate \S+one\.pem/);
  // one of the time before
  execFileSync('openssl', ['x509', '-in', one.cert, '-signkey', one.key, '-days', '-1', '-out', old],
    {stdio: 'ignore'});
  assert.match((await tls(old, one.key))[0], /^warn \S+old\.pem has ended 20[^]*: renew it/);
});

test('addresses_and_ports_that_are_taken_are_named', async (t) => {
  const at = await sheet(t);
  const port = await listen(t, net.createServer((s) => s.end('hello')));
  const udp = dgram.createSocket('udp4');
  t.after(() => udp.close());
  await new Promise((done) => udp.bind(0, '127.0.0.1', done));
  const taken = udp.address().port;

  at.change((c) => {
    c.http.listen = `127.0.0.1:${port}`;
    c.media.rtp_ports = `${taken}-${taken}`;
  });
  assert.match((await at.checks('http.listen'))[0],
    /^FAIL 127\.0\.0\.1:\d+ is taken by another program: end it/);
  assert.deepEqual(await at.checks('media.rtp_ports'),
    ['FAIL all 1 ports are taken: choose another range']);
  at.change((c) => {
    const first = Math.min(taken, 65535 - 9);
    c.media.rtp_ports = `${first}-${first + 9}`;
    c.http.listen = '192.0.2.1:8080';
    c.http.admin_token = 'long-enough-for-others';
  });
  assert.match((await at.checks('media.rtp_ports'))[0],
    /^warn \d+ of 10 ports are taken; the server passes them over$/);
  assert.match((await at.checks('http.listen'))[0], /^FAIL 192\.0\.2\.1:8080 cannot be bound \(/);
  assert.deepEqual(await at.checks('http.admin_token'), ['ok is set']);
  at.change((c) => Object.assign(c.http, {listen: '127.0.0.1:0', admin_token: 'short'}));
  assert.match((await at.checks('http.admin_token'))[0], /^warn is short/);
  at.change((c) => (c.media.address = '192.0.2.1'));
  assert.match((await at.checks('media.address'))[0], /^FAIL cannot be bound \(/);
});

test('folders_that_cannot_be_used_are_named', async (t) => {
  const at = await sheet(t);

  fs.writeFileSync(at.data, 'a file in the place of a folder');
  assert.match((await at.checks('data_dir'))[0],
    /^FAIL \S+data cannot be written to \(Not a directory\): /);
  assert.equal((await at.doctor()).code, 1);
  at.change((c) => (c.data_dir = '/proc/no/such/folder'));
  assert.match((await at.checks('data_dir'))[0], /^FAIL \/proc cannot be written to/);
  assert.equal((await at.checks('file system'))[0].slice(0, 4), 'warn');
  assert.equal((await at.checks('space of storage')).length, 1);
});

test('secrets_that_everybody_can_read_are_warned_about', async (t) => {
  const at = await sheet(t);
  const secret = path.join(at.dir, 'secret');

  fs.writeFileSync(secret, 'a secret that nobody shows\n');
  fs.chmodSync(secret, 0o644);
  fs.chmodSync(at.config, 0o600);
  at.change((c) => {
    c.apps[0].secret_key = `file:${secret}`;
    c.http.admin_token = 'a literal, long enough';
  });
  assert.deepEqual(await at.checks('secrets'),
    [`warn ${secret} may be read by everybody: chmod 600`,
      `ok ${at.config} is not for everybody`]);
  fs.chmodSync(secret, 0o600);
  fs.chmodSync(at.config, 0o644);
  assert.deepEqual(await at.checks('secrets'),
    [`ok ${secret} is not for everybody`,
      `warn ${at.config} may be read by everybody: chmod 600`]);
  assert.deepEqual(await at.checks('http.admin_token'), ['ok is set']);
  at.change((c) => (c.http.admin_token = `file:${secret}`));
  // no secret stands in it any more: everybody may read it
  assert.deepEqual(await at.checks('secrets'), [`ok ${secret} is not for everybody`]);
  const all = await at.doctor();
  assert.doesNotMatch(all.out, /nobody shows|long enough/);
});

test('keys_that_are_missing_or_on_their_way_out_are_named', async (t) => {
  const at = await sheet(t);

  assert.deepEqual(await at.checks('callback keys'), []);
  assert.deepEqual(await at.checks('previous_admin_token'), []);
  at.change((c) => {
    c.http.admin_token = 'a token that is long enough';
    c.http.previous_admin_token = 'short';
    c.apps[0].callbacks = [
      {name: 'a', url: 'http://127.0.0.1:1/', dialect: 'trtc', allow_private: true},
      {name: 'b', url: 'http://127.0.0.1:1/', dialect: 'trtc', key: 'hush', previous_key: 'hush-2',
        allow_private: true}];
    c.apps[0].api_keys = [{secret_id: 'AKIDa', secret_key: 'hush-3'},
      {secret_id: 'AKIDb', secret_key: 'hush-4', previous_secret_key: 'hush-5'}];
    c.apps.push({id: 7, api_keys: [{secret_id: 'AKIDc', secret_key: 'hush-6'}]});
  });
  assert.deepEqual(await at.checks('api keys'), [
    `ok app ${APP}, AKIDb: the previous secret is taken, too; remove it when its callers know ` +
      'the new one',
    'warn app 7 has no secret_key: no UserSig can be checked, and CreateCloudRecording is ' +
      'refused']);
  assert.deepEqual(await at.checks('callback keys'), [
    `warn app ${APP}, a: without key its callbacks carry no Sign, and anybody can forge them`,
    `ok app ${APP}, b: signs with the previous key too; remove it when its receivers know the ` +
      'new one']);
  assert.match((await at.checks('previous_admin_token'))[0], /^warn is short/);
  assert.doesNotMatch((await at.doctor()).out, /hush/);
});

test('a_configuration_that_cannot_be_read_is_one_line', async (t) => {
  const at = await sheet(t);

  at.change((c) => (c.no_such_key = 1));
  oneLine(await at.doctor(), 'doctor', 1, /: \S+:\d+:\d+: [^\n]*no_such_key/);
  assert.match((await at.checks('configuration'))[0],
    /^FAIL \S+:\d+:\d+: [^\n]*no_such_key/);
  at.change((c) => {
    delete c.no_such_key;
    c.http.listen = '0.0.0.0:8080';
  });
  oneLine(await at.doctor(), 'doctor', 1, /:\d+:\d+: http\.admin_token: is required/);
  at.change((c) => {
    c.http.listen = '127.0.0.1:0';
    c.apps[0].secret_key = 'file:/no/such/secret';
  });
  oneLine(await at.doctor(), 'doctor', 1, /:\d+:\d+: [^\n]*secret_key: the file \/no\/such\/secret: No such file/);
  oneLine(await command(t, ['doctor', '-c', path.join(at.dir, 'none')]), 'doctor', 1,
    /No such file/);
});

test('what_makes_little_sense_is_warned_about', async (t) => {
  const at = await sheet(t);

  assert.deepEqual(await at.checks('callbacks'),
    [`warn app ${APP} has none: nobody is told of its recordings`]);
  at.change((c) => {
    c.http.listen = '0.0.0.0:0';
    c.http.admin_token = 'a token of 16 bytes or more';
  });
  assert.match((await at.checks('media.address'))[0], /^warn is this machine only, and http\.listen is not/);
  at.change((c) => delete c.apps);
  assert.deepEqual(await at.checks('apps'),
    ['warn none is declared: make one in the console, or by the API; until then nothing can be recorded']);
});
