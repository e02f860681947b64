// The console's files and its login: a token becomes a cookie, and a cookie is
// good for our own pages only.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import {isProblem, request} from '../aid/http.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, startServer, tempDir, until} from '../aid/tapeop.mjs';

const TOKEN = 'open-sesame-0123456789';

async function start(t) {
  const server = await startServer(t, {http: {admin_token: `env:TOKEN`}, env: {TOKEN},
    log_level: 'debug'});
  server.host = new URL(server.url).host;
  return server;
}

const login = (server, token, headers = {}) =>
  request(server.url, 'POST', '/v1/login', JSON.stringify({token}), headers);

/** "name=value" of what a login has set. */
const cookieOf = (answer) => answer.headers['set-cookie'][0].split(';')[0];

const rooms = (server, headers) => request(server.url, 'GET', '/v1/rooms', undefined, headers);

test('the_files_of_the_console_are_for_everybody_and_nothing_else_is_served', async (t) => {
  const server = await startServer(t);
  const types = {'/': 'text/html', '/console/app/main.mjs': 'text/javascript',
    '/console/app/console.css': 'text/css', '/console/shared/look.css': 'text/css',
    '/console/shared/icon.svg': 'image/svg+xml'};
  for (const [where, type] of Object.entries(types)) {
    // of another host, too: it tells nothing
    const answer = await request(server.url, 'GET', where, undefined, {host: 'example.com'});
    assert.equal(answer.status, 200, where);
    assert.match(answer.type, new RegExp(`^${type.replace('+', '\\+')}(; charset=utf-8)?$`));
    const policy = answer.headers['content-security-policy'];
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'",
      "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"])
      assert.ok(policy.split('; ').includes(part), `${part} of ${policy}`);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.headers['referrer-policy'], 'no-referrer');
    assert.match(answer.headers['permissions-policy'], /^microphone=\(self\)/);
    const tag = answer.headers.etag;
    assert.match(tag, /^"[0-9a-f]{24}"$/);
    const again = (value) => request(server.url, 'GET', where, undefined,
      {'if-none-match': value});
    for (const known of [tag, `"x", ${tag}`, `W/${tag}`]) {
      const same = await again(known);
      assert.deepEqual([same.status, same.text, same.headers.etag], [304, '', tag], known);
    }
    assert.equal((await again('"x"')).status, 200);
  }
  for (const where of ['/console', '/console/', '/console/app', '/console/app/',
    '/console/app/no.mjs', '/console/receive/receive.mjs', '/console/app/../receive/index.html',
    '/console/app/%2e%2e/receive/index.html', '/console/shared/../../demo/alice.opus',
    '/demo/alice.opus', '/console/demo/alice.opus', '/console/app/README.md',
    `/console/app/${'x'.repeat(500)}`])
    isProblem(await request(server.url, 'GET', where), 404, {}, where);
  await server.stop();
});

test('without_a_token_there_is_nothing_to_log_in_to', async (t) => {
  const server = await startServer(t);
  assert.deepEqual(await server.ask(200, 'GET', '/v1/login'),
    {needs_token: false, logged_in: true, why: ''});
  const strange = await request(server.url, 'GET', '/v1/login', undefined, {host: 'example.com'});
  assert.deepEqual(strange.json, {needs_token: false, logged_in: false,
    why: 'the Host header is not a loopback name'});
  isProblem(await login(server, 'x'), 409, {says: /no http.admin_token/});
  await server.stop();
});

test('a_token_becomes_a_cookie_that_no_script_can_read', async (t) => {
  const server = await start(t);
  const shown = async (headers) =>
    (await request(server.url, 'GET', '/v1/login', undefined, headers)).json;
  assert.deepEqual(await shown({}), {needs_token: true, logged_in: false, why: ''});
  for (const wrong of ['x', `${TOKEN}x`, TOKEN.slice(0, -1), TOKEN.toUpperCase(), ` ${TOKEN}`]) {
    const answer = await login(server, wrong);
    isProblem(answer, 401, {field: 'token'}, wrong);
    assert.equal(answer.headers['set-cookie'], undefined);
    assert.doesNotMatch(answer.text, new RegExp(TOKEN));
  }
  const answer = await login(server, TOKEN);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['set-cookie'][0],
    /^tapeop_session=[0-9a-f]{64}; Path=\/; HttpOnly; SameSite=Strict$/);
  const cookie = cookieOf(answer);
  assert.ok(!cookie.includes(TOKEN));
  assert.equal((await rooms(server, {cookie})).status, 200);
  assert.equal((await rooms(server, {cookie: `a=b; ${cookie}`})).status, 200);
  assert.deepEqual(await shown({cookie}), {needs_token: true, logged_in: true, why: ''});
  isProblem(await rooms(server, {cookie: cookie.slice(0, -1) + (cookie.endsWith('0') ? 1 : 0)}), 401);
  // of a browser that came by TLS: with us, or with the proxy before us
  const secure = await login(server, TOKEN, {'x-forwarded-proto': 'https'});
  assert.match(secure.headers['set-cookie'][0], /; Secure$/);
  assert.notEqual(cookieOf(secure), cookie);
  // who logs in once more leaves no session behind
  const another = cookieOf(await login(server, TOKEN, {cookie: cookieOf(secure)}));
  isProblem(await rooms(server, {cookie: cookieOf(secure)}), 401);
  assert.equal((await rooms(server, {cookie: another})).status, 200);
  await server.stop();
  for (const secret of [TOKEN, TOKEN.slice(0, -1), cookie.split('=')[1]])
    assert.ok(!server.proc.text.includes(secret), 'a secret in the log');
  assert.match(server.proc.text, /login from 127.0.0.1: taken/);
  assert.match(server.proc.text, /login from 127.0.0.1: refused/);
  // a new process knows nobody
  await server.start();
  isProblem(await rooms(server, {cookie}), 401);
  await server.stop();
});

test('a_cookie_is_good_for_our_own_pages_only', async (t) => {
  const server = await start(t);
  await server.api('POST', `/v1/apps/${APP}/rooms/r/inputs`, {user: 'u'},
    {authorization: `Bearer ${TOKEN}`});
  const cookie = cookieOf(await login(server, TOKEN));
  const call = (method, headers) => request(server.url, method, method === 'GET' ? '/v1/rooms' :
    `/v1/apps/${APP}/rooms/r/tasks`, method === 'GET' ? undefined : '{}', {cookie, ...headers});
  const own = [{'sec-fetch-site': 'same-origin'}, {origin: `http://${server.host}`},
    // a proxy has changed the Host, but the browser knows
    {'sec-fetch-site': 'same-origin', origin: 'https://console.example.com'}];
  const foreign = [{'sec-fetch-site': 'cross-site'}, {'sec-fetch-site': 'same-site'},
    {'sec-fetch-site': ''}, {origin: 'http://evil.com'}, {origin: 'null'}, {origin: ''},
    {origin: server.host}, {origin: `http://${server.host}.evil.com`},
    {origin: `http://evil.com/?http://${server.host}`},
    {'sec-fetch-site': 'cross-site', origin: `http://${server.host}`},
    // another port is another origin
    {origin: `http://${server.host.replace(/\d+$/, '1')}`}];
  for (const headers of foreign) {
    isProblem(await call('POST', headers), 401, {}, JSON.stringify(headers));
    isProblem(await call('GET', headers), 401, {}, JSON.stringify(headers));
  }
  // what changes something must say that it is a page of ours
  isProblem(await call('POST', {}), 401);
  isProblem(await call('POST', {'sec-fetch-site': 'none'}), 401);
  assert.equal((await call('GET', {})).status, 200);
  assert.equal((await call('GET', {'sec-fetch-site': 'none'})).status, 200);
  const {tasks} = (await request(server.url, 'GET', '/v1/tasks', undefined, {cookie})).json;
  assert.deepEqual(tasks, [], 'none of them did anything');
  for (const headers of own) {
    assert.equal((await call('GET', headers)).status, 200, JSON.stringify(headers));
    const answer = await call('POST', headers);
    assert.ok([201, 409].includes(answer.status), `${JSON.stringify(headers)} ${answer.text}`);
  }
  // a page of another site can neither log somebody in nor out
  for (const headers of foreign)
    isProblem(await login(server, TOKEN, headers), 403, {}, JSON.stringify(headers));
  for (const headers of [...foreign, {}])
    isProblem(await request(server.url, 'DELETE', '/v1/login', undefined, {cookie, ...headers}),
      403, {}, JSON.stringify(headers));
  // and with the token itself all that does not matter
  const bearer = {authorization: `Bearer ${TOKEN}`, origin: 'http://evil.com'};
  assert.equal((await call('GET', bearer)).status, 200);
  await server.stop();
});

test('logging_out_ends_the_session_and_its_streams', async (t) => {
  const server = await start(t);
  const cookie = cookieOf(await login(server, TOKEN));
  const other = cookieOf(await login(server, TOKEN));
  const live = await listen(t, server, {path: '/v1/live', headers: {cookie}});
  const events = await listen(t, server, {headers: {cookie}});
  await until('it is shown', () => live.states.length);
  const out = await request(server.url, 'DELETE', '/v1/login', undefined,
    {cookie, 'sec-fetch-site': 'same-origin'});
  assert.equal(out.status, 200);
  assert.match(out.headers['set-cookie'][0], /^tapeop_session=; .*Max-Age=0/);
  await live.ended;
  await events.ended;
  isProblem(await rooms(server, {cookie}), 401);
  await assert.rejects(listen(t, server, {path: '/v1/live', headers: {cookie}}), /answered 401/);
  assert.equal((await rooms(server, {cookie: other})).status, 200);
  await server.stop();
});

test('another_token_logs_everybody_out', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'token');
  fs.writeFileSync(file, TOKEN);
  const server = await startServer(t, {dir, http: {admin_token: `file:${file}`}});
  const cookie = cookieOf(await login(server, TOKEN));
  fs.writeFileSync(file, `${TOKEN}-2`);
  server.proc.child.kill('SIGHUP');
  await until('the cookie is nobody\'s', async () => (await rooms(server, {cookie})).status === 401);
  isProblem(await login(server, TOKEN), 401);
  assert.equal((await login(server, `${TOKEN}-2`)).status, 200);
  await server.stop();
});

test('who_guesses_has_to_wait', async (t) => {
  const server = await start(t);
  const statuses = [];
  // a few more where it takes so long that some are forgiven meanwhile
  while (statuses.at(-1) !== 429 && statuses.length < 100)
    statuses.push((await login(server, `guess-${statuses.length}`)).status);
  assert.ok(statuses.length > 10 && statuses.at(-1) === 429, String(statuses));
  assert.ok(statuses.slice(0, -1).every((s) => s === 401), String(statuses));
  const answer = await login(server, TOKEN); // even if it is right now
  if (answer.status !== 200) { // else so slow that the wait was over
    isProblem(answer, 429, {says: /too many wrong tokens/});
    assert.equal(answer.headers['retry-after'], '3');
  }
  await until('it may try again', async () => (await login(server, TOKEN)).status === 200);
  await server.stop();
});

test('of_elsewhere_a_page_may_play_the_files_of_the_servers_own_bucket', async (t) => {
  const bucket = {region: 'r', bucket: 'voices', access_key: 'a', secret_key: 's'};
  for (const [endpoint, path_style, origin] of [
    ['https://S3.example.com:443/', true, ' https://S3.example.com'],
    ['http://127.0.0.1:9', true, ' http://127.0.0.1:9'],
    ['https://s3.example.com', false, ' https://voices.s3.example.com'],
    ['http://[::1]:9', true, '']]) { // a policy has no name for that
    const server = await startServer(t, {file_storage:
      {kind: 's3', s3: {...bucket, endpoint, path_style}}});
    const policy = (await request(server.url, 'GET', '/')).headers['content-security-policy'];
    assert.deepEqual(policy.split('; ').filter((p) => p.includes('media') || p.includes('http')),
      [`media-src 'self'${origin}`], endpoint);
    await server.stop();
  }
});
