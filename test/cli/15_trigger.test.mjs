// test/cli/15_trigger.test.mjs -- made-up events are taken by whoever takes real ones.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {createHmac, createPublicKey, verify} from 'node:crypto';
import {test} from 'node:test';

import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {oneLine} from '../aid/lines.mjs';
import {command} from '../aid/tapeop.mjs';

const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';
const env = {
  KEY: SECRET,
  PRIVATE: `whsk_${Buffer.alloc(32, 7).toString('base64')}`, // an Ed25519 seed
};
const PUBLIC = '6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=';

const hmac = (digest, key, body) => createHmac(digest, key).update(body).digest('base64');
const trigger = (t, ...args) => command(t, ['trigger', ...args], {env});
async function accepted(t, ...args) {
  const r = await trigger(t, ...args);
  assert.equal(r.code, 0, r.text + r.out);
  assert.equal(r.text, '');
  return r.out;
}

/** What standard signs. */
function content({headers, raw}) {
  return Buffer.concat([
    Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), raw]);
}

function assertSigned(dialect, r) {
  if (dialect === 'gme')
    assert.equal(r.headers.signature, hmac('sha1', SECRET, r.raw));
  if (dialect === 'trtc') {
    assert.equal(r.headers.sign, hmac('sha256', SECRET, r.raw));
    assert.equal(r.headers.sdkappid, '7');
  }
  if (dialect === 'live')
    assert.match(r.url.search, /^\?from=test&SdkAppid=7&CallbackCommand=Follow\.[^]*&Sign=[0-9a-f]{64}&RequestTime=\d+$/);
  if (dialect === 'standard')
    assert.equal(r.headers['webhook-signature'],
      `v1,${hmac('sha256', Buffer.from(SECRET.slice(6), 'base64'), content(r))}`);
}

test('a_story_is_sent_in_each_dialect_and_signed_as_a_real_one', async (t) => {
  const endpoint = await startEndpoint(t);
  const types = {
    gme: [1, 2, 3],
    trtc: [301, 307, 302, 303, 305, 310],
    live: [301, 307, 302, 303, 305, 310],
    standard: ['task.started', 'segment.started', 'segment.completed', 'task.stopped',
      'task.upload_started', 'segment.uploaded', 'task.upload_stopped', 'task.files_ready'],
  };
  for (const [dialect, want] of Object.entries(types)) {
    endpoint.requests.length = 0;
    const said = await accepted(t, 'story', '--dialect', dialect, '--to',
      `${endpoint.url}?from=test`, '--key', 'env:KEY', '--app', '7', '--room', 'r m');
    assert.equal(said.match(/ accepted: HTTP 200 in \d+ ms: \{/g).length, want.length);
    assert.deepEqual(endpoint.requests.map(({body}) => body.EventType ?? body.type), want);
    for (const r of endpoint.requests)
      assertSigned(dialect, r);
  }
});

test('standard_can_be_signed_with_ed25519', async (t) => {
  const endpoint = await startEndpoint(t, endpointAnswers(201));
  await accepted(t, 'segment.uploaded', '--dialect', 'standard', '--to', endpoint.url,
    '--key', 'env:PRIVATE');
  const [r] = endpoint.requests;
  const key = createPublicKey({format: 'jwk',
    key: {kty: 'OKP', crv: 'Ed25519', x: Buffer.from(PUBLIC, 'base64').toString('base64url')}});
  const [version, signature] = r.headers['webhook-signature'].split(',');
  assert.equal(version, 'v1a');
  assert.ok(verify(null, content(r), key, Buffer.from(signature, 'base64')));
});

test('the_same_task_is_the_same_event_again', async (t) => {
  const endpoint = await startEndpoint(t);
  for (let i = 0; i < 2; i++)
    await accepted(t, '302', '--dialect', 'trtc', '--to', endpoint.url,
      '--task', '471000000000000000');
  const [a, b] = endpoint.requests;
  assert.deepEqual(a.body.EventInfo, b.body.EventInfo);
  assert.equal(a.body.EventInfo.TaskId, '471000000000000000');
});

test('what_the_backend_says_is_told_and_is_the_exit_code', async (t) => {
  const endpoint = await startEndpoint(t, (seen, response) => response.end(
    '{"ActionStatus":"FAIL","ErrorCode":7,"ErrorInfo":"no"}'));
  const args = ['task_started', '--to', endpoint.url];
  assert.match(await accepted(t, ...args, '--dialect', 'trtc'), /^task_started accepted: HTTP 200/);
  const r = await trigger(t, ...args, '--dialect', 'live');
  assert.equal(r.code, 1);
  assert.match(r.out, /^task_started NOT accepted: HTTP 200 [^\n]*\n {2}answered ActionStatus FAIL, ErrorCode 7: no\n$/);
  assert.match(await accepted(t, ...args, '--dialect', 'live', '--verdict', 'status'), /accepted/);
  endpoint.answer = (seen, response) => {
    response.statusCode = 500;
    response.end('\u001b[31mred\nline');
  };
  const bad = await trigger(t, ...args, '--dialect', 'trtc');
  assert.equal(bad.code, 1);
  assert.match(bad.out, /^task_started NOT accepted: HTTP 500 in \d+ ms: \?\[31mred\?line\n$/);
});

test('print_shows_the_request_and_sends_nothing', async (t) => {
  const endpoint = await startEndpoint(t);
  const said = await accepted(t, '1', '--dialect', 'gme', '--to', endpoint.url, '--key', 'env:KEY',
    '--print');
  assert.match(said, /^POST http[^\n]+\nContent-Type: application\/json\nSignature: [^\n]+\n\n\{"BizID":1400000000,[^\n]+\}\n$/);
  assert.doesNotMatch(said, /whsec_/);
  assert.equal(endpoint.requests.length, 0);
});

test('wrong_usage_is_told_in_one_line_and_sends_nothing', async (t) => {
  const endpoint = await startEndpoint(t);
  const to = ['--to', endpoint.url];
  const trtc = ['--dialect', 'trtc', ...to];
  for (const [args, why] of [
    [[], /EVENT is missing/],
    [['started', ...to], /--dialect must be gme, live, trtc or standard/],
    [['begun', ...trtc], /there is no event: begun/],
    [['completed', ...trtc], /this dialect has no word for: completed/],
    [['started', 'again', ...trtc], /unexpected argument: again/],
    [['started', '--dialect', 'trtc'], /--to is missing/],
    [['started', '--dialect', 'trtc', '--to', 'ftp://h'], /--to: /],
    [['started', '--dialect', 'gme', ...to], /this dialect needs --key/],
    [['started', '--dialect', 'standard', '--key', 'env:HOME', ...to], /--key: dialect standard needs whsec_/],
    [['started', '--task', '0', ...trtc], /--task must be/],
    [['started', '--seq', '-1', ...trtc], /--seq must be/],
    [['started', '--room', 'a/b', ...trtc], /--room must not contain/],
    [['started', '--verdict', 'x', ...trtc], /--verdict must be/],
    [['started', '--encoding', 'hex', ...trtc], /--encoding is for/],
  ])
    oneLine(await trigger(t, ...args), 'trigger', 2, why);
  assert.equal(endpoint.requests.length, 0);
  oneLine(await trigger(t, 'started', '--dialect', 'trtc', '--to', 'http://127.0.0.1:1/'),
    'trigger', 1, /refused/);
});
