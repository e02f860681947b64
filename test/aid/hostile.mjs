// test/aid/hostile.mjs -- certificates, raw connections, and an honest sender.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

import {signGme} from './endpoint.mjs';
import {APP, PATIENCE_MS} from './tapeop.mjs';

/** A certificate for 127.0.0.1 in `dir`, by itself or signed by `by`. */
export function makeCertificate(dir, name, by) {
  const cert = path.join(dir, `${name}.pem`);
  const key = path.join(dir, `${name}.key`);
  const quiet = {stdio: ['ignore', 'ignore', 'pipe']};
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days', '2',
    '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
    ...(by ? ['-CA', by.cert, '-CAkey', by.key, '-addext', 'basicConstraints=critical,CA:FALSE'] : [])],
  quiet);
  fs.chmodSync(key, 0o600);
  return {cert, key, pem: fs.readFileSync(cert), keyPem: fs.readFileSync(key)};
}

/** A genuine callback, number `n`. */
export function genuine(n, more = '') {
  const body = `{"BizID":${APP},"RoomID":"100","UserID":"u${n}","TaskID":446946705284000000,` +
    `"RecordMode":0,"Timestamp":1675930605,"EventType":1,"Detail":{"SeqNo":${n},` +
    `"FileName":"${APP}_100_u${n}/x${n}.mp3"}}`;
  return {body, signature: signGme(body),
    head: `POST /hook HTTP/1.1\r\nHost: x\r\nSignature: ${signGme(body)}\r\n${more}`};
}

/** The same as bytes with a Content-Length. */
export function genuineBytes(n, more = '') {
  const {head, body} = genuine(n, more);
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/**
 * A connection of its own: .text is what came, .closed resolves at its end,
 * .statuses() of the answers so far.  options: {from, plain, ...of tls.connect}.
 */
export function dial(receiver, {from = '127.0.0.1', plain = false, ...more} = {}) {
  const [host, port] = receiver.at.split(':');
  const at = {host, port: Number(port), localAddress: from, ...more};
  const socket = receiver.url.startsWith('https') && !plain
    ? tls.connect({rejectUnauthorized: false, ...at}) : net.connect(at);
  const c = {socket, text: '', error: null, begun: Date.now()};
  socket.setEncoding('latin1');
  socket.setNoDelay(true);
  socket.on('data', (d) => (c.text += d));
  socket.on('error', (e) => (c.error = e));
  c.ready = new Promise((done) => {
    socket.once(socket.encrypted ? 'secureConnect' : 'connect', () => done(true));
    socket.once('close', () => done(false));
  });
  c.closed = new Promise((done) => {
    // the other side has ended: with an answer (end) or without (a reset)
    socket.once('end', () => done());
    socket.once('close', () => done());
  }).then(() => (c.ms = Date.now() - c.begun));
  c.statuses = () => [...c.text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((m) => Number(m[1]));
  c.send = async (bytes) => {
    await c.ready;
    socket.write(bytes, 'latin1');
  };
  return c;
}

/** Fail after the patience of all tests. */
export function patiently(what, promise, ms = PATIENCE_MS) {
  let timer;
  return Promise.race([promise, new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${ms} ms in vain: ${what}`)), ms);
  })]).finally(() => clearTimeout(timer));
}

/** A request as a program would send it: {status, text}. */
export function ask(receiver, where, {from = '127.0.0.7', agent, body, headers, ...more} = {}) {
  const send = receiver.url.startsWith('https') ? https.request : http.request;
  return patiently(where, new Promise((done, fail) => {
    const r = send(receiver.url + where, {localAddress: from, agent, headers,
      method: body === undefined ? 'GET' : 'POST', rejectUnauthorized: false, ...more},
    (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (d) => (text += d));
      answer.on('end', () => done({status: answer.statusCode, text}));
      answer.on('error', fail);
    });
    r.on('error', fail);
    r.end(body);
  }));
}

/** The counters of a receiver. */
export async function counters(receiver, more) {
  const {text} = await ask(receiver, '/metrics', {agent: false, ...more});
  return Object.fromEntries([...text.matchAll(/^tapeop_(\w+?)(?:_total)? (\d+)$/gm)]
    .map((m) => [m[1], Number(m[2])]));
}

export const fdsOf = (receiver) => fs.readdirSync(`/proc/${receiver.proc.pid}/fd`).length;

/**
 * Send genuine callbacks, one after the other, over a connection that is kept,
 * and over new ones in turn, until .stop(), which gives how many; each must be
 * answered 200.
 */
export function honestSender(receiver, {from = '127.0.0.9', first = 0} = {}) {
  const Agent = receiver.url.startsWith('https') ? https.Agent : http.Agent;
  const kept = new Agent({keepAlive: true, maxSockets: 1});
  const sender = {n: 0, stopping: false};
  const work = (async () => {
    while (!sender.stopping) {
      const {body, signature} = genuine(first + sender.n);
      const {status, text} = await ask(receiver, '/hook', {from, body,
        agent: sender.n % 2 ? kept : false, headers: {signature}});
      assert.equal(status, 200, text);
      sender.n++;
      await new Promise((done) => setTimeout(done, 5));
    }
  })();
  work.catch(() => {}); // told by stop()
  sender.stop = async () => {
    sender.stopping = true;
    await work.finally(() => kept.destroy());
    return sender.n;
  };
  return sender;
}
