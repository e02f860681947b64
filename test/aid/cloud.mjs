// test/aid/cloud.mjs -- calls of the Cloud API, made by hand; tickets of users.
// SPDX-License-Identifier: Apache-2.0
//
// Signed with Node's crypto, as the documents say, not with our code.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';
import zlib from 'node:zlib';

import {APP, KEY} from './tapeop.mjs';

/** The key of the server's app (options.app of startServer). */
export const SECRET_ID = 'AKIDtest';
export const SECRET_KEY = 'a-secret-of-the-cloud-api';
export const API_KEYS = {api_keys: [{secret_id: SECRET_ID, secret_key: SECRET_KEY}]};

const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');
const hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest();

/** Headers of a request with signature v3. */
export function sign3({method = 'POST', query = '', body = '', host, action, version,
  id = SECRET_ID, key = SECRET_KEY, service = 'gme', type = 'application/json',
  at = Math.floor(Date.now() / 1000), hash = sha256(body), headers = {}}) {
  const date = new Date(at * 1000).toISOString().slice(0, 10);
  const canonical = [method, '/', query, `content-type:${type}\nhost:${host}\n`,
    'content-type;host', hash].join('\n');
  const scope = `${date}/${service}/tc3_request`;
  const text = ['TC3-HMAC-SHA256', at, scope, sha256(canonical)].join('\n');
  const signing = hmac(hmac(hmac(`TC3${key}`, date), service), 'tc3_request');
  return {
    'Content-Type': type,
    'X-TC-Action': action,
    'X-TC-Version': version,
    'X-TC-Timestamp': String(at),
    Authorization: `TC3-HMAC-SHA256 Credential=${id}/${scope}, ` +
      `SignedHeaders=content-type;host, Signature=${hmac(signing, text).toString('hex')}`,
    ...headers,
  };
}

/** Parameters of a request with signature v1. */
export function sign1({method = 'POST', host, action, version, parameters = {},
  id = SECRET_ID, key = SECRET_KEY, digest = 'sha256', at = Math.floor(Date.now() / 1000)}) {
  const all = {Action: action, Version: version, Timestamp: String(at), Nonce: '7',
    SecretId: id, SignatureMethod: digest === 'sha1' ? 'HmacSHA1' : 'HmacSHA256',
    ...parameters};
  const text = `${method}${host}/?` +
    Object.keys(all).sort().map((name) => `${name}=${all[name]}`).join('&');
  return {...all,
    Signature: crypto.createHmac(digest, key).update(text).digest('base64')};
}

/** Send bytes as they are: {status, type, headers, text, json}. */
export function send(server, {method = 'POST', path = '/', headers = {}, body = ''}) {
  const url = new URL(server.url);
  return new Promise((done, fail) => {
    const request = http.request({host: url.hostname, port: url.port, method, path, headers,
      agent: false}, async (response) => {
      const parts = [];
      for await (const part of response)
        parts.push(part);
      const text = Buffer.concat(parts).toString();
      let json = null;
      try {
        json = JSON.parse(text);
      } catch {
        // not JSON
      }
      done({status: response.statusCode, type: response.headers['content-type'],
        headers: response.headers, text, json});
    });
    request.on('error', fail);
    request.end(body);
  });
}

/** What every answer must be; gives its Response. */
export function opened(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.type, 'application/json');
  assert.deepEqual(Object.keys(answer.json), ['Response']);
  assert.match(answer.json.Response.RequestId,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  return answer.json.Response;
}

const VERSIONS = {gme: '2018-07-11', trtc: '2019-07-22'};

/** Is it an action of trtc? */
const productOf = (action) => (/CloudRecording$/.test(action) ? 'trtc' : 'gme');

/** Call an action with signature v3; `more` as of sign3.  Calls that came too
 *  fast are made again.  Gives its Response. */
export async function call(server, action, parameters, more = {}) {
  for (;;) {
    const body = typeof parameters === 'string' ? parameters : JSON.stringify(parameters);
    const host = new URL(server.url).host;
    const headers = {Host: host, ...sign3({host, action, body, service: productOf(action),
      version: VERSIONS[productOf(action)], ...more})};
    const response = opened(await send(server, {headers, body}));
    if (response.Error?.Code !== 'RequestLimitExceeded')
      return response;
    await sleep(100);
  }
}

/** The call is refused with this code, and the text names what is wrong. */
export async function refused(server, action, parameters, code, says, more) {
  const response = await call(server, action, parameters, more);
  assert.deepEqual(Object.keys(response), ['Error', 'RequestId']);
  assert.equal(response.Error.Code, code, `${action} ${JSON.stringify(parameters)}: ` +
    JSON.stringify(response));
  assert.match(response.Error.Message, says);
}

/** A UserSig, as tls-sig-api-v2 makes it. */
export function userSig(user, {app = APP, key = KEY, expire = 3600,
  at = Math.floor(Date.now() / 1000)} = {}) {
  const text = `TLS.identifier:${user}\nTLS.sdkappid:${app}\nTLS.time:${at}\n` +
    `TLS.expire:${expire}\n`;
  const ticket = {'TLS.ver': '2.0', 'TLS.identifier': user, 'TLS.sdkappid': app,
    'TLS.expire': expire, 'TLS.time': at,
    'TLS.sig': crypto.createHmac('sha256', key).update(text).digest('base64')};
  return zlib.deflateSync(JSON.stringify(ticket)).toString('base64')
    .replaceAll('+', '*').replaceAll('/', '-').replaceAll('=', '_');
}

/** Parameters of CreateCloudRecording that are taken. */
export const recording = (more = {}) => ({
  SdkAppId: APP,
  RoomId: '1987',
  UserId: 'recorder',
  UserSig: userSig(more.UserId ?? 'recorder'),
  RecordParams: {RecordMode: 1, StreamType: 1},
  StorageParams: {CloudStorage: {Vendor: 0, Region: 'ap-guangzhou', Bucket: 'local',
    AccessKey: 'any', SecretKey: 'any'}},
  ...more,
});
