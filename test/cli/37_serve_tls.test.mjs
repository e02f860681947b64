// HTTPS of the server itself, by certificate files that are read again.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import test from 'node:test';

import {makeCertificate} from '../aid/hostile.mjs';
import {command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const TOKEN = 'open-sesame-0123456789';

/** One request over TLS: {status, headers, text, subject}. */
const ask = (server, ca, method, where, body, headers = {}) => new Promise((done, fail) => {
  const request = https.request(server.url + where, {method, ca, headers, agent: false},
    (answer) => {
      const {subject} = answer.socket.getPeerCertificate();
      let text = '';
      answer.on('data', (d) => (text += d));
      answer.on('end', () => done({status: answer.statusCode, headers: answer.headers, text,
        subject: subject.CN}));
    });
  request.on('error', fail);
  request.end(body);
});

test('everything_is_served_over_tls_and_only_so', async (t) => {
  const dir = tempDir(t);
  const one = makeCertificate(dir, 'one');
  const server = await startServer(t, {dir, http: {admin_token: 'env:TOKEN', tls_cert: one.cert,
    tls_key: one.key}, env: {TOKEN}});
  assert.match(server.proc.text, /listening on https:\/\/127/);
  const page = await ask(server, one.pem, 'GET', '/');
  assert.equal(page.status, 200);
  assert.match(page.text, /<title>tapeop</);
  const login = await ask(server, one.pem, 'POST', '/v1/login', JSON.stringify({token: TOKEN}));
  assert.match(login.headers['set-cookie'][0], /; HttpOnly; SameSite=Strict; Secure$/);
  const [cookie] = login.headers['set-cookie'][0].split(';');
  assert.equal((await ask(server, one.pem, 'GET', '/v1/rooms', undefined, {cookie})).status, 200);
  const plain = await fetch(server.url.replace('https', 'http'));
  assert.deepEqual([plain.status, /tapeop</.test(await plain.text())], [400, false]);
  await assert.rejects(ask(server, undefined, 'GET', '/'), /self.signed/i);
  const told = await command(t, ['status', '--server', server.url, '--token', TOKEN]);
  assert.match(told.text, /self.signed certificate; this machine must trust who signed it: .*update-ca-certificates/);
  await server.stop();
});

test('a_renewed_certificate_is_used_from_sighup_on_and_a_bad_one_is_not', async (t) => {
  const dir = tempDir(t);
  const one = makeCertificate(dir, 'one');
  const two = makeCertificate(dir, 'two');
  const server = await startServer(t, {dir, http: {tls_cert: one.cert, tls_key: one.key}});
  const put = (c) => {
    fs.writeFileSync(one.cert, c.pem);
    fs.writeFileSync(one.key, c.keyPem);
  };
  assert.equal((await ask(server, one.pem, 'GET', '/healthz')).subject, 'one');
  put({pem: 'rubbish', keyPem: two.keyPem});
  server.proc.child.kill('SIGHUP');
  await until('it is refused', () => /reload: .*one.pem.*nothing was changed/.test(server.proc.text));
  assert.equal((await ask(server, one.pem, 'GET', '/healthz')).subject, 'one');
  put(two);
  server.proc.child.kill('SIGHUP');
  await until('the new one is used', async () =>
    (await ask(server, [one.pem, two.pem], 'GET', '/healthz')).subject === 'two');
  await server.stop();
});

test('a_certificate_that_cannot_be_used_stops_the_start', async (t) => {
  const dir = tempDir(t);
  const one = makeCertificate(dir, 'one');
  const two = makeCertificate(dir, 'two');
  const refuses = async (http, says) => {
    const server = await startServer(t, {dir, http, start: false});
    const r = await command(t, ['serve', '-c', server.config]);
    assert.equal(r.code, 1, r.text);
    assert.match(r.text.trimEnd().split('\n').at(-1), says);
  };
  await refuses({tls_cert: path.join(dir, 'none.pem'), tls_key: one.key}, /none\.pem/);
  await refuses({tls_cert: one.cert, tls_key: two.key}, /key/);
  await refuses({tls_cert: one.cert}, /http\.tls_key: is missing: tls_cert and tls_key belong/);
});
