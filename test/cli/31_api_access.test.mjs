// Who may ask: without a token this machine only, with one whoever has it.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import {isProblem, rawRequest, request, routesOfSource} from '../aid/http.mjs';
import {APP, command, rtpRange, startServer, tempDir} from '../aid/tapeop.mjs';

const TOKEN = 'open-sesame-0123456789';
const tasks = `/v1/apps/${APP}/rooms/r/tasks`;

/** A call of each route that is not open, with an id that may be anything. */
const closed = routesOfSource().filter((r) => !r.open)
  .map((r) => [r.method, r.path.replaceAll('{}', '1')]);
/** Those that are, but to log in and out, which 36_login.test.mjs proves, and to
 *  send by WebRTC, which 85_whip_api.test.mjs does. */
const open = routesOfSource().filter((r) => r.open && !r.path.startsWith('/whip/'))
  .filter((r) => r.path !== '/v1/login' || r.method === 'GET')
  .map((r) => [r.method, r.path.replace('*', 'app/main.mjs')]);

const loopbackHosts = ['localhost', 'localhost:1', 'LocalHost:65535', '127.0.0.1',
  '127.0.0.1:80', '127.0.0.2:8080', '[::1]', '[::1]:8080', '[::ffff:127.0.0.1]'];
const otherHosts = ['example.com', 'example.com:80', 'localhost.evil.com',
  'localhost.evil.com:80', '127.0.0.1.evil.com', '127.0.0.1.evil.com:80',
  'localhost@evil.com', 'localhost:80@evil.com', '127.0.0.1:80@evil.com',
  'user:pass@localhost', 'evil.com:localhost', 'evil.com#localhost', 'xlocalhost',
  'localhost.', 'localhost:', 'localhost:x', 'localhost:0', 'localhost:-1',
  'localhost:65536', 'localhost:80:80', 'localhost:80/', 'localhost/', 'localhost\\',
  'localhost evil.com', 'localhost,evil.com', '127.0.0.1:', '127.0.0.1:80x',
  '127.0.0.1 evil.com', '127.1', '2130706433', '0x7f000001', '0177.0.0.1',
  '10.0.0.1', '192.168.0.1:80', '0.0.0.0', '[::]', '[::1', '[::1]evil', '[::1]:x',
  '[::1].evil.com', '[::1]:80@evil.com', '[127.0.0.1]',
  '[::ffff:10.0.0.1]', '%6cocalhost', '-', 'x'.repeat(5000)];

const loopbackOrigins = ['http://localhost', 'http://localhost:3000',
  'https://127.0.0.1:8443', 'http://[::1]:8080'];
const otherOrigins = ['null', 'http://evil.com', 'https://evil.com:443',
  'http://localhost.evil.com', 'http://127.0.0.1.evil.com:80', 'http://localhost@evil.com',
  'http://localhost:80@evil.com', 'http://evil.com#http://localhost', 'http://', 'https://',
  'localhost', '//localhost', 'http:/localhost', 'ftp://localhost', 'file://',
  'chrome-extension://abcdef', 'http://localhost/', 'http://localhost http://evil.com',
  'http://10.0.0.1', 'HTTP://evil.com'];

const forwarding = ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host',
  'X-Forwarded-Proto', 'X-Forwarded-Port', 'X-Forwarded-Server', 'X-Real-IP',
  'X-Client-IP', 'X-Cluster-Client-IP', 'True-Client-IP', 'CF-Connecting-IP', 'Via'];

/** No answer may invite the pages of other sites. */
function invitesNobody(answer) {
  assert.deepEqual(Object.keys(answer.headers)
    .filter((h) => h.startsWith('access-control-')), []);
}

test('without_a_token_only_this_machine_may_ask', async (t) => {
  const server = await startServer(t);
  await server.join('r', 'u');
  const ask = (headers, [method, where] = ['POST', tasks]) =>
    request(server.url, method, where, undefined, headers);
  const refused = async (headers, says, call) => {
    const answer = await ask(headers, call);
    isProblem(answer, 403, {says}, `${call} ${JSON.stringify(headers)}`);
    assert.match(answer.json.detail, /without http.admin_token only direct loopback/);
    invitesNobody(answer);
  };
  let n = 0;
  const counted = async (headers, says, call) => {
    n++;
    await refused(headers, says, call);
  };

  for (const call of closed) {
    await counted({host: 'evil.com'}, /Host header/, call);
    await counted({origin: 'http://evil.com'}, /Origin header/, call);
    await counted({'x-forwarded-for': '127.0.0.1'}, /forwarded by a proxy/, call);
  }
  for (const host of otherHosts)
    await counted({host}, /Host header is not a loopback name/);
  for (const origin of [...otherOrigins, ''])
    await counted({origin}, /Origin header is another site's/);
  // sound, a picture, a frame of another site's page: they bring no Origin
  for (const as of ['audio', 'image', 'script', 'iframe', ''])
    await counted({'sec-fetch-site': 'cross-site', 'sec-fetch-dest': as},
      /another site's page has it in it/);
  await counted({'sec-fetch-site': 'cross-site'}, /another site's page has it in it/);
  for (const name of forwarding) {
    await counted({[name]: '127.0.0.1'}, /forwarded by a proxy/);
    await counted({[name.toUpperCase()]: ''}, /forwarded by a proxy/);
  }
  // a page's preflight
  await counted({origin: 'http://evil.com', 'access-control-request-method': 'POST'},
    /Origin header/, ['OPTIONS', tasks]);
  // what is not there is not told either
  await counted({host: 'evil.com'}, /Host header/, ['GET', '/nothing']);
  await counted({host: 'evil.com'}, /Host header/, ['PUT', '/v1/tasks']);
  const old = await rawRequest(server.url, 'GET /v1/rooms HTTP/1.0\r\n\r\n');
  isProblem(old, 403, {says: /Host header/});
  n++;

  const metrics = await server.metrics();
  assert.equal(metrics.http_refused, n);
  assert.equal(metrics.tasks_running, 0);
  assert.deepEqual((await server.ask(200, 'GET', '/v1/tasks')).tasks, []);

  for (const host of loopbackHosts)
    assert.equal((await ask({host}, ['GET', '/v1/rooms'])).status, 200, host);
  for (const origin of loopbackOrigins) {
    const answer = await ask({origin}, ['GET', '/v1/rooms']);
    assert.equal(answer.status, 200, origin);
    invitesNobody(answer);
  }
  // a link that is followed, and a page of another port of this machine
  for (const headers of [{'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document'},
    {'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'empty', origin: 'http://localhost:3000'},
    {'sec-fetch-site': 'same-site', 'sec-fetch-dest': 'audio'}])
    assert.equal((await ask(headers, ['GET', '/v1/rooms'])).status, 200, JSON.stringify(headers));
  // a probe may come from anywhere; it learns nothing
  for (const call of open) {
    for (const headers of [{host: 'evil.com'}, {origin: 'null'}, {via: '1.1 x'}]) {
      const answer = await ask(headers, call);
      assert.equal(answer.status, 200, `${call}`);
      assert.doesNotMatch(answer.text, /task_id|14000/);
      invitesNobody(answer);
    }
  }
  await server.stop();
});

test('with_a_token_whoever_sends_it_may_ask', async (t) => {
  const dir = tempDir(t);
  const secret = path.join(dir, 'token');
  fs.writeFileSync(secret, `${TOKEN}\n`);
  const server = await startServer(t, {dir, http: {admin_token: `file:${secret}`},
    log_level: 'debug', listen: '0.0.0.0:0'});
  server.url = server.url.replace('0.0.0.0', '127.0.0.1');
  const ask = (headers, [method, where] = ['GET', '/v1/rooms']) =>
    request(server.url, method, where, undefined, headers);

  const wrong = [undefined, '', 'Bearer', 'Bearer ', `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(0, -1)}`, `Bearer x${TOKEN}`, `Bearer ${TOKEN} x`,
    `Bearer ${TOKEN.toUpperCase()}`, `Bearer  ${TOKEN}`, `Bearer\t${TOKEN}`,
    `Bearer "${TOKEN}"`, `Bearer ${TOKEN},Bearer ${TOKEN}`, TOKEN, `Token ${TOKEN}`,
    `Basic ${TOKEN}`, `Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`,
    `Bearer=${TOKEN}`, `Bearer${TOKEN}`, `Bearer ${secret}`, `Bearer file:${secret}`,
    'Bearer wrong-guess', `Bearer ${'x'.repeat(10000)}`];
  let n = 0;
  for (const authorization of wrong) {
    for (const call of authorization === undefined ? closed : [['GET', '/v1/rooms']]) {
      const answer = await ask(authorization === undefined ? {} : {authorization}, call);
      isProblem(answer, 401, {field: 'Authorization', says: /Bearer/},
        `${call} ${authorization}`);
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
      assert.doesNotMatch(answer.text, new RegExp(TOKEN));
      n++;
    }
  }
  // nowhere else does it count
  for (const [headers, where] of [
    [{}, `/v1/rooms?token=${TOKEN}`], [{}, `/v1/rooms?access_token=${TOKEN}`],
    [{cookie: `token=${TOKEN}`}, '/v1/rooms'], [{'x-token': TOKEN}, '/v1/rooms'],
    [{'proxy-authorization': `Bearer ${TOKEN}`}, '/v1/rooms'], [{}, '/nothing']]) {
    isProblem(await ask(headers, ['GET', where]), 401, {}, where);
    n++;
  }
  const right = {authorization: `Bearer ${TOKEN}`};
  assert.equal((await ask({authorization: `bearer ${TOKEN}`})).status, 200);
  for (const more of [{}, {host: 'recorder.example.com'}, {'x-forwarded-for': '192.0.2.1'},
    {origin: 'https://admin.example.com'}]) {
    const answer = await ask({...right, ...more});
    assert.equal(answer.status, 200, JSON.stringify(more));
    invitesNobody(answer);
  }
  const {text} = await ask(right, ['GET', '/metrics']);
  assert.equal(Number(/^tapeop_http_refused_total (\d+)$/m.exec(text)[1]), n);
  for (const call of open)
    assert.equal((await ask({}, call)).status, 200);
  await server.stop();

  assert.match(server.proc.text, /listening on/);
  for (const secretText of [TOKEN, TOKEN.slice(0, -1), 'wrong-guess'])
    assert.ok(!server.proc.text.includes(secretText), 'a token in the log');
  for (const file of fs.readdirSync(server.data, {recursive: true})) {
    const at = path.join(server.data, file);
    assert.ok(!fs.statSync(at).isFile() || !fs.readFileSync(at).includes(TOKEN), at);
  }
});

test('without_a_token_no_address_but_loopback_is_listened_on', async (t) => {
  const dir = tempDir(t);
  const config = path.join(dir, 'tapeop.yaml');
  const range = await rtpRange();
  const refused = [
    ['  listen: 0.0.0.0:0', '2:11', '0.0.0.0:0'],
    ['  listen: "[::]:0"', '2:11', '[::]:0'],
    ['  listen: 192.0.2.1:8080', '2:11', '192.0.2.1:8080'],
    ['  listen: "[2001:db8::1]:8080"', '2:11', '[2001:db8::1]:8080'],
    ['  listen: "[::ffff:10.0.0.1]:80"', '2:11', '[::ffff:10.0.0.1]:80'],
    ['  listen:\n    - 127.0.0.1:0\n    - 0.0.0.0:0', '4:7', '0.0.0.0:0'],
  ];
  for (const [listen, place, shown] of refused) {
    fs.writeFileSync(config, `http:\n${listen}\nmedia: {rtp_ports: ${range}}\n` +
      `data_dir: ${dir}/data\n`);
    const r = await command(t, ['serve', '-c', config], {cwd: dir});
    assert.equal(r.code, 1, listen);
    assert.equal(r.out, '');
    assert.equal(r.text, `tapeop serve: ${config}:${place}: http.admin_token: is ` +
      `required, because http.listen has ${shown}, which is not a loopback address\n`);
    assert.deepEqual(fs.readdirSync(dir), ['tapeop.yaml']);
  }
});
