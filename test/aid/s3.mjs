// test/aid/s3.mjs -- an S3 store (s3rver), and one that stands before it and misbehaves.
// SPDX-License-Identifier: Apache-2.0
import {execFile, execFileSync} from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import {createRequire} from 'node:module';
import net from 'node:net';
import path from 'node:path';
import {promisify} from 'node:util';

import {tempDir} from './tapeop.mjs';

export const KEYS = {access_key: 'S3RVER', secret_key: 'S3RVER'};
export const BUCKET = 'recordings';

const require = createRequire(import.meta.url);

/** Why there can be no store, or undefined. */
export function whyNoStore() {
  try {
    require.resolve('s3rver');
  } catch {
    return 's3rver is not installed: tools/setup test';
  }
  try {
    execFileSync('aws', ['--version'], {stdio: 'pipe'});
  } catch {
    return 'awscli is not installed: tools/setup test';
  }
  return undefined;
}

/**
 * A store with one bucket.  stop() and start() may be repeated: port and folder
 * stay.  .aws(args..) asks it with awscli; .read(key) gives an object's bytes
 * by it, .keys() what is there, .head(key) what is known of it.
 */
export async function startStore(t, {vhost = false} = {}) {
  const S3rver = require('s3rver');
  const dir = tempDir(t);
  const store = {dir, port: 0};
  store.start = async () => {
    store.rver = new S3rver({port: store.port, address: '127.0.0.1', silent: true,
      directory: path.join(dir, 'store'), vhostBuckets: vhost,
      configureBuckets: [{name: BUCKET}]});
    const {port} = await store.rver.run();
    store.port = port;
    store.url = `http://127.0.0.1:${port}`;
  };
  store.stop = async () => {
    const {rver} = store;
    store.rver = undefined;
    if (!rver)
      return;
    rver.httpServer.closeAllConnections();
    await rver.close();
  };
  store.aws = async (...args) => {
    const {stdout} = await promisify(execFile)('aws',
      ['--endpoint-url', store.url, '--region', 'us-east-1', ...args], {
        encoding: 'buffer', maxBuffer: 1 << 28,
        env: {PATH: process.env.PATH, HOME: dir, AWS_ACCESS_KEY_ID: KEYS.access_key,
          AWS_SECRET_ACCESS_KEY: KEYS.secret_key, AWS_EC2_METADATA_DISABLED: 'true'},
      });
    return stdout;
  };
  store.keys = async () => {
    const text = (await store.aws('s3api', 'list-objects-v2', '--bucket', BUCKET)).toString();
    return text.trim() ? (JSON.parse(text).Contents ?? []).map((o) => o.Key).sort() : [];
  };
  store.head = async (key) => JSON.parse(await store.aws('s3api', 'head-object',
    '--bucket', BUCKET, '--key', key));
  store.read = async (key) => {
    const file = path.join(dir, crypto.randomUUID());
    await store.aws('s3api', 'get-object', '--bucket', BUCKET, '--key', key, file);
    const bytes = fs.readFileSync(file);
    fs.rmSync(file);
    return bytes;
  };
  t.after(store.stop);
  await store.start();
  return store;
}

/**
 * A proxy before a store.  `proxy.rule(request)` is asked of each request, with
 * method, url, headers and n (its number): undefined lets it through, and
 *   {status, code, body}   it is answered so, and the store is not asked
 *   {reset: n}             the connection is broken after n bytes of the body
 *   {swallow: true}        the store is asked, its answer never comes back
 *   {slow_ms}              the answer comes that much later
 *   {hang: true}           nothing comes, ever
 *   {edit(answer)}         the answer's headers may be changed
 * proxy.requests lists what came: method, url, status.
 */
export async function startProxy(t, store) {
  const proxy = {requests: [], rule: () => undefined};
  const sockets = new Set();
  const server = http.createServer((req, res) => {
    const request = {n: proxy.requests.length, method: req.method, url: req.url,
      headers: req.headers, status: 0};
    proxy.requests.push(request);
    const rule = proxy.rule(request) ?? {};
    if (rule.hang) {
      req.resume();
      return;
    }
    if (rule.status) {
      const code = rule.code ?? 'Refused';
      const body = rule.body ?? (req.method === 'HEAD' ? ''
        : `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>told &amp; refused</Message></Error>`);
      request.status = rule.status;
      req.resume();
      req.on('end', () => {
        res.writeHead(rule.status, {'content-type': 'application/xml', ...rule.headers});
        res.end(body);
      });
      return;
    }
    const on = http.request({host: '127.0.0.1', port: store.port, method: req.method,
      path: req.url, headers: req.headers}, (answer) => {
      const headers = {...answer.headers};
      if (rule.swallow) {
        answer.resume();
        answer.on('end', () => req.socket.destroy());
        return;
      }
      rule.edit?.(headers);
      setTimeout(() => {
        request.status = answer.statusCode;
        res.writeHead(answer.statusCode, headers);
        answer.pipe(res);
      }, rule.slow_ms ?? 0);
    });
    on.on('error', () => req.socket.destroy());
    if (rule.reset !== undefined) {
      let taken = 0;
      req.on('data', (chunk) => {
        taken += chunk.length;
        if (taken >= rule.reset) {
          on.destroy();
          req.socket.resetAndDestroy();
        }
      });
      if (rule.reset === 0)
        req.socket.resetAndDestroy();
      return;
    }
    req.pipe(on);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return proxy;
}

/** A port where nobody listens. */
export async function deadPort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const {port} = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** storage of a configuration. */
export function s3Storage(endpoint, more = {}) {
  return {kind: 's3', s3: {endpoint, bucket: BUCKET, prefix: 'a/b', ...KEYS, ...more}};
}
