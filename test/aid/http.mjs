// test/aid/http.mjs -- requests as no library would send them, and problems.
// SPDX-License-Identifier: Apache-2.0
//
// `fetch` mends paths and refuses bodies on GET; these send what they are told.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

const agent = new http.Agent({keepAlive: true, maxSockets: 4});

function answerOf(status, headers, text) {
  const type = headers['content-type'] ?? '';
  return {
    status,
    headers,
    type,
    text,
    json: /json/.test(type) && text ? JSON.parse(text) : null,
  };
}

/** One request whose path is sent as it is; `body`: string, Buffer or none. */
export function request(url, method, path, body, headers = {}) {
  const at = new URL(url);
  return new Promise((done, fail) => {
    const r = http.request({
      agent,
      host: at.hostname,
      port: at.port,
      method,
      path,
      headers: {
        ...(body === undefined ? {} : {'content-length': Buffer.byteLength(body)}),
        ...headers,
      },
    }, (answer) => {
      const parts = [];
      answer.on('data', (d) => parts.push(d));
      answer.on('error', fail);
      answer.on('end', () => done(answerOf(answer.statusCode, answer.headers,
        Buffer.concat(parts).toString())));
    });
    r.on('error', fail);
    r.end(body);
  });
}

/**
 * Bytes over a connection of their own, and what came back until it was
 * closed; `more(socket)` goes on sending after `bytes`.  Null: no answer.
 */
export function rawRequest(url, bytes, more = () => {}) {
  const at = new URL(url);
  return new Promise((done, fail) => {
    const socket = net.connect(Number(at.port), at.hostname);
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (d) => (text += d));
    socket.on('connect', () => {
      socket.write(bytes);
      more(socket);
    });
    // a reset after the answer is how a server gets rid of an endless sender
    socket.on('error', (e) => (text ? undefined : fail(e)));
    socket.on('close', () => {
      const head = /^HTTP\/1\.[01] (\d+)[^\r]*\r\n([^]*?)\r\n\r\n/.exec(text);
      if (!head)
        return done(null);
      const headers = Object.fromEntries(head[2].split('\r\n').map((line) => {
        const i = line.indexOf(':');
        return [line.slice(0, i).toLowerCase(), line.slice(i + 1).trim()];
      }));
      done(answerOf(Number(head[1]), headers, text.slice(head[0].length)));
    });
  });
}

/**
 * The answer is a problem (RFC 9457) of this status; `field` and `says` (a
 * regular expression of its detail) when they are given.
 */
export function isProblem(answer, status, {field, says} = {}, what = '') {
  const told = `${what}: ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.equal(answer.status, status, told);
  assert.equal(answer.type, 'application/problem+json', told);
  const {title, detail} = answer.json;
  assert.equal(answer.json.status, status, told);
  assert.equal(answer.json.type, 'about:blank', told);
  assert.ok(typeof title === 'string' && title && title !== 'Refused', told);
  assert.ok(typeof detail === 'string' && detail, told);
  if (field !== undefined)
    assert.equal(answer.json.field, field, told);
  if (says !== undefined)
    assert.match(detail, says, told);
}

/** Every route of the API as the source declares it: {method, path, open}; but for
 *  WHIP, which has rules of its own (test/peer/85_whip_api.test.mjs). */
export function routesOfSource() {
  const source = fs.readFileSync(
    new URL('../../src/control/control.c', import.meta.url), 'utf8');
  return [...source.matchAll(/^\t\{"([A-Z]+)", "(\/[^"]*)", \w+, ([^}]*)\}/gm)]
    .map(([, method, path, flags]) => ({method, path, open: /\bOPEN\b/.test(flags)}))
    .filter((r) => !r.path.startsWith('/whip/'));
}
