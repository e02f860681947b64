// test/aid/endpoint.mjs -- a callback URL that behaves as a test tells it.
// SPDX-License-Identifier: Apache-2.0
//
// Signatures are checked here with Node's crypto, not with our code.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';

import {KEY, until} from './tapeop.mjs';

/** What a live backend answers. */
export const LIVE_OK = {ActionStatus: 'OK', ErrorCode: 0, ErrorInfo: ''};

/** `Signature` of the gme dialect. */
export function signGme(body, {key = KEY, encoding = 'base64'} = {}) {
  return crypto.createHmac('sha1', key).update(body).digest(encoding);
}

/** Send a gme body to a receiver as its sender would: the status. */
export async function postGme(receiver, body, key = KEY) {
  const r = await fetch(`${receiver.url}/hook`, {method: 'POST', body,
    headers: {Signature: signGme(body, {key})}});
  await r.arrayBuffer();
  return r.status;
}

/** Send them all, some at a time; each must be taken. */
export async function postAllGme(receiver, bodies) {
  const rest = bodies.values();
  await Promise.all(Array.from({length: 16}, async () => {
    for (const body of rest)
      assert.equal(await postGme(receiver, body), 200);
  }));
}

/** `Sign` of the live dialect. */
export function signLive(token, requestTime) {
  return crypto.createHash('sha256').update(token + requestTime).digest('hex');
}

/**
 * An HTTP server on a port of its own.  Every request is kept in .requests:
 * {method, url (URL), headers, raw (Buffer), body (parsed or null), at}.
 *
 * endpoint.answer  async (request, response, n) => ...: deals with the
 *                  request; default: 200 and LIVE_OK.  May be changed.
 */
export async function startEndpoint(t, answer) {
  const endpoint = {requests: [], sockets: new Set()};
  endpoint.answer = answer ?? endpointAnswers(200);
  const server = http.createServer(async (request, response) => {
    const parts = [];
    try {
      for await (const part of request)
        parts.push(part);
    } catch {
      return; // the sender has gone
    }
    const raw = Buffer.concat(parts);
    let body = null;
    try {
      body = JSON.parse(raw);
    } catch { /* stays null */ }
    const seen = {
      method: request.method,
      url: new URL(request.url, 'http://endpoint'),
      headers: request.headers,
      raw,
      body,
      at: Date.now(),
    };
    endpoint.requests.push(seen);
    await endpoint.answer(seen, response, endpoint.requests.length);
  });
  server.on('connection', (socket) => {
    endpoint.sockets.add(socket);
    socket.on('close', () => endpoint.sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  endpoint.port = server.address().port;
  endpoint.url = `http://127.0.0.1:${endpoint.port}`;
  endpoint.close = () => new Promise((done) => {
    server.close(done);
    endpoint.sockets.forEach((s) => s.destroy());
  });
  endpoint.got = (what, fn, ms) =>
    until(what, () => endpoint.requests.filter(fn).length && endpoint.requests.filter(fn), ms);
  t.after(endpoint.close);
  return endpoint;
}

/** Answer always with this status (and LIVE_OK, so that both dialects agree). */
export function endpointAnswers(status, headers = {}) {
  return (seen, response) => {
    response.writeHead(status, {'Content-Type': 'application/json', ...headers});
    response.end(JSON.stringify(LIVE_OK));
  };
}

/** What stays the same when an event is sent again. */
export function eventKey({body}) {
  if (body.CallbackCommand)
    return `live ${body.EventInfo.TaskId} ${body.EventType} ${body.EventInfo.EventMsTs}`;
  // TaskID passes through a double unharmed: its low six bits are zero.
  return `gme ${body.TaskID} ${body.UserID} ${body.RecordMode} ` +
    `${body.Detail.SeqNo} ${body.EventType}`;
}
