// test/aid/s3.mjs -- an S3 store (s3rver), and one that stands before it and misbehaves.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFile, execFileSync} from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import {createRequire} from 'node:module';
import net from 'node:net';
import path from 'node:path';
import {promisify} from 'node:util';

import {tempDir, until} from './tapeop.mjs';
import {filesBelow} from './truth.mjs';

export const KEYS = {access_key: 'S3RVER', secret_key: 'S3RVER'};
export const BUCKET = 'recordings';
export const PREFIX = 'a/b';

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
export async function startStore(t) {
  const S3rver = require('s3rver');
  const dir = tempDir(t);
  const store = {dir, port: 0};
  store.start = async () => {
    store.rver = new S3rver({port: store.port, address: '127.0.0.1', silent: true,
      directory: path.join(dir, 'store'), serviceEndpoint: 'localhost',
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
 * proxy.requests lists what came: method, url, status; proxy.unsigned what was
 * not signed as the documentation of S3 says (s3rver does not look).
 */
export async function startProxy(t, store) {
  const proxy = {requests: [], unsigned: [], rule: () => undefined};
  const sockets = new Set();
  const server = http.createServer((req, res) => {
    const request = {n: proxy.requests.length, method: req.method, url: req.url,
      headers: req.headers, status: 0};
    proxy.requests.push(request);
    const parts = [];
    req.on('data', (chunk) => parts.push(chunk));
    req.on('end', () => {
      const why = whyUnsigned(request, Buffer.concat(parts));
      if (why)
        proxy.unsigned.push(`${request.method} ${request.url}: ${why}`);
    });
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

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');
const encode = (text) => encodeURIComponent(text)
  .replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

/** Signature Version 4 as the documentation of S3 says, by nothing of ours. */
function sign({method, path: at, query, headers, signed, payload, date, scope, secret}) {
  const canonical = [method, at,
    query.map(([k, v]) => `${encode(k)}=${encode(v)}`).sort().join('&'),
    ...signed.map((name) => `${name}:${headers[name].trim().replace(/ +/g, ' ')}`), '',
    signed.join(';'), payload].join('\n');
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = scope.split('/').reduce(hmac, `AWS4${secret}`);
  return hmac(key, text).toString('hex');
}

/** Why a request is not signed as it should be, or undefined. */
export function whyUnsigned({method, url, headers}, body, secret = KEYS.secret_key) {
  const m = new RegExp('^AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ' +
    'SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$').exec(headers.authorization ?? '');
  if (!m)
    return `Authorization: ${headers.authorization}`;
  const [, id, scope, names, signature] = m;
  const {pathname, searchParams} = new URL(url, 'http://store');
  const signed = names.split(';');
  for (const name of Object.keys(headers)) {
    if ((name === 'host' || name === 'content-type' || name === 'content-md5' ||
        name.startsWith('x-amz-')) && !signed.includes(name))
      return `${name} is not signed`;
  }
  if (id !== KEYS.access_key)
    return `the key is ${id}`;
  if (headers['x-amz-content-sha256'] !== sha256(body))
    return 'x-amz-content-sha256 is of another body';
  const good = sign({method, path: pathname, query: [...searchParams], headers, signed,
    payload: headers['x-amz-content-sha256'], date: headers['x-amz-date'], scope, secret});
  return good === signature ? undefined : 'the signature is another one';
}

/** Why a presigned URL is none, or undefined. */
export function whyNotPresigned(text, expires, secret = KEYS.secret_key) {
  const url = new URL(text);
  const query = [...url.searchParams];
  const get = (name) => url.searchParams.get(name);
  if (get('X-Amz-Expires') !== String(expires))
    return `it expires after ${get('X-Amz-Expires')}`;
  const scope = get('X-Amz-Credential').split('/').slice(1).join('/');
  const good = sign({method: 'GET', path: url.pathname,
    query: query.filter(([name]) => name !== 'X-Amz-Signature'), headers: {host: url.host},
    signed: ['host'], payload: 'UNSIGNED-PAYLOAD', date: get('X-Amz-Date'), scope, secret});
  return good === get('X-Amz-Signature') ? undefined : 'the signature is another one';
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
  return {kind: 's3', s3: {endpoint, bucket: BUCKET, prefix: PREFIX, ...KEYS, ...more}};
}

/**
 * A finished task is in the bucket: every file as the API tells of it, read by
 * awscli, once told as uploaded; a manifest in each folder; the spool is empty.
 */
export async function checkBucket(server, store, endpoint, task) {
  await until(`task ${task} is finished`, async () => (await server.task(task)).finished_ms);
  await server.drained();
  await until('the spool is empty', () =>
    filesBelow(path.join(server.data, 'spool')).length === 0);
  assert.deepEqual(filesBelow(path.join(server.data, 'quarantine')), []);
  const segments = await server.segments(task);
  const dir = fs.mkdtempSync(path.join(store.dir, 'read-'));
  await store.aws('s3', 'sync', '--only-show-errors', `s3://${BUCKET}/`, dir);
  const found = filesBelow(dir).filter((f) => f.includes(`_${task}_`));
  const manifests = found.filter((f) => f.endsWith('_manifest.json'));
  assert.deepEqual(found.filter((f) => !manifests.includes(f)),
    segments.map((s) => `${PREFIX}/${s.file}`).sort());
  for (const s of segments) {
    const bytes = fs.readFileSync(path.join(dir, PREFIX, s.file));
    assert.deepEqual([s.state, s.uploaded, s.reason, bytes.length, sha256(bytes)],
      ['closed', true, '', s.size, s.sha256]);
    const ids = new Set(endpoint.requests.filter((r) => r.body.TaskID === Number(task) &&
      r.body.EventType === 3 && r.body.Detail.FileName === s.file)
      .map((r) => r.headers['tapeop-event-id']));
    assert.equal(ids.size, 1, `${s.file} is told as uploaded once`);
  }
  const folders = [...new Set(segments.map((s) => `${PREFIX}/${path.dirname(s.file)}`))];
  assert.deepEqual(manifests.map((f) => path.dirname(f)), folders.sort());
  for (const file of manifests) {
    const {segments: told} = JSON.parse(fs.readFileSync(path.join(dir, file)));
    assert.deepEqual(told.map((s) => [s.file, s.sha256]), segments.map((s) => [s.file, s.sha256]));
  }
  fs.rmSync(dir, {recursive: true});
  return segments;
}
