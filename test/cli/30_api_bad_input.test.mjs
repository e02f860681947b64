// Every field of every call: what is wrong is named, and changes nothing.
// SPDX-License-Identifier: Apache-2.0
//
// The table `routes` holds every route and every field; the faults of a field
// follow from its kind.  Two checks keep the table whole: it is compared with
// the routes in the source, and its fields with what the server lists as
// permitted when it is sent an unknown one.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {startEndpoint} from '../aid/endpoint.mjs';
import {isProblem, rawRequest, request, routesOfSource} from '../aid/http.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

const OTHER_APP = 7; // there is no such app
const KEPT_APP = 4711; // made at run time
const NO_ID = '4611686018427387904'; // nor anything of this id
const long = (n) => 'x'.repeat(n);

// ---- kinds of fields: their faults, and what the answer must say ------------

/** Faults of text in JSON: [JSON, says]; Buffer where it is not UTF-8. */
const notText = ['null', '5', '1.5', 'true', '[]', '{}', '["a"]'];
const nul = '"a\\u0000b"';

const badNames = [
  ['', /1 to 128 bytes/], [long(129), /1 to 128 bytes/],
  [long(10240), /1 to 128 bytes/], ['a\nb', /control characters/],
  ['\x01', /control characters/], ['\x7f', /control characters/],
  ['../../etc', /'\/'/], ['a\\b', /'\\'/], ['.', /"\."/], ['..', /"\.\."/],
];

function name() {
  const says = /1 to 128 bytes/;
  return [
    ...[...notText, nul].map((json) => [json, says]),
    ...badNames.map(([text, why]) => [JSON.stringify(text), why]),
  ];
}

function choice(...names) {
  const says = new RegExp(`must be one of: ${names.join(', ')}$`);
  return [...notText, nul, '""', JSON.stringify(names[0].toUpperCase()),
    JSON.stringify(names[0] + ' '), JSON.stringify(long(10240)),
    '"../../etc"'].map((json) => [json, says]);
}

function integer(min, max) {
  const says = new RegExp(`from ${min} to ${max}$`);
  return ['null', '"5"', '1.5', '1e3', 'true', '[]', '{}', String(min - 1n),
    String(max + 1n), '-1', '18446744073709551616', '-99999999999999999999']
    .map((json) => [json, says]);
}

function bool() {
  return ['null', '0', '1', '"true"', '[]', '{}', '1e3']
    .map((json) => [json, /true or false$/]);
}

/** A payload type. */
function type() {
  return [...integer(35n, 127n), ['64', /35 to 63 or/], ['95', /35 to 63 or/]];
}

const badIds = ['0', '-1', '18446744073709551616', '9223372036854775808', '1e3',
  '0x10', 'abc', '../../etc', ' 1', '1 ', '+1', '1.0', '', long(129), long(10240)];

function id() {
  const says = /from 1 to 9223372036854775807/;
  return [...notText.map((json) => [json, says]), [nul, says],
    ...badIds.map((text) => [JSON.stringify(text), says])];
}

function address() {
  const says = /an address with a port/;
  return [...notText, nul,
    ...['', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:-1', ':5004',
      'localhost:5004', '::1', '[::1]', '256.1.1.1:5', '127.0.0.1:5004x',
      '../../etc', long(10240)].map((s) => JSON.stringify(s))]
    .map((json) => [json, says]);
}

function endpoint() {
  const says = /name of an endpoint|there is none of the name/;
  return [...notText, nul, '""', '"nobody"', '"../../etc"',
    JSON.stringify(long(129)), JSON.stringify('\u{1F399}'.repeat(40))]
    .map((json) => [json, says]);
}

// ---- settings of an endpoint: null is their default, in a change -------------

/** Text that is not of its kind, and what is not text. */
const setting = (says, ...texts) => [
  ...notText.filter((json) => json !== 'null').map((json) => [json, says]),
  ...[...texts, 'a\nb'].map((text) => [JSON.stringify(text), says])];

const time = (from, to) => setting(new RegExp(`a time such as .*, from ${from} to ${to}$`),
  '', '5', 's', '-1s', '1ms', '10000h', '99999999999999999999d', '5 s', long(10240));
const noNull = (faults) => faults.filter(([json]) => json !== 'null');

const settings = {
  url: setting(/text of 8 to 2083 bytes|URL|host|user|port|password/, '', 'x', 'ftp://example.com/',
    'http://', 'http:///', 'http://u:p@example.com/', '../../etc/passwd', 'file:///etc/passwd',
    `http://example.com/${long(3000)}`, 'http://example.com:99999/'),
  dialect: noNull(choice('gme', 'live', 'trtc', 'standard')),
  key: setting(/text|control|itself|has more than/, 'env:PATH', 'file:/etc/passwd', long(4097)),
  previous_key: setting(/text|control|itself|has more than/, 'env:PATH', 'file:/etc/passwd', long(4097)),
  signature_encoding: noNull(choice('base64', 'hex')),
  events: [...notText.filter((json) => !/null|"a"/.test(json)), '"nothing"', '""', '"STARTED"',
    '["started","started"]', '["started",5]', '["started",null]', '[["started"]]',
    '["started","no"]', '["test"]', JSON.stringify(Array(17).fill('started')),
    '["input_lost"]'].map((json) => [json, /must be|empty list|twice|no word|too many/]),
  timeout: time('100ms', '1m'),
  retry: setting(/tencent, standard or 1 to 32 times/, '', 'often', '1s,', ',1s', '-1s',
    '8d', Array(33).fill('1s').join(',')),
  order: noNull(choice('task', 'strict', 'none')),
  verdict: noNull(choice('status', 'body')),
  expire_after: time('1s', '720h|30d'),
  allow_private: noNull(bool()),
  max_in_flight: noNull(integer(1n, 64n)).map(([json]) =>
    [json, /from 1 to 64 \[attempts\]$/]),
  rate: ['-1', '0.016', '0.0005', '1e300', '10000.1', '"1"', 'true', '[1]', '{}'].map((json) =>
    [json, /from 0\.017 to 10000 with at most 3 decimals$/]),
  handshake: noNull(bool()),
  enabled: noNull(bool()),
  extended: noNull(bool()),
};
const endpointName = setting(/text of 1 to 63 bytes|letters, digits/, '', long(64), 'a b', 'a/b',
  '../../etc', '\u{1F399}', '.');

// ---- settings of an app: null is their default ----------------------------------

/** Faults of recording's settings, as they are told: [JSON, says, field]. */
const recording = [
  ...['5', '1.5', 'true', '"a"', '[]', '["a"]'].map((json) =>
    [json, /must be a JSON object/, 'recording']),
  ...Object.entries({
    auto: noNull(choice('off', 'single', 'mixed', 'both')),
    on_request: noNull(bool()),
    format: noNull(choice('mp3', 'ogg')),
    sample_rate: ['44100', '0', '-1', '"44100"', '1.5', 'true', '[]', '{}'].map((json) =>
      [json, /one of: 48000, 24000, 16000$/]),
    segment: time('1s', '24h'),
    mic_off: noNull(choice('split', 'silence')),
    mic_off_after: time('200ms', '1h'),
    max_idle: time('0s', '10d').filter(([json]) => json !== '"1ms"'),
    hold_empty: time('0s', '10d').filter(([json]) => json !== '"1ms"'),
    input_lost_after: time('0s', '24h').filter(([json]) => json !== '"1ms"'),
    no_audio_after: time('0s', '24h').filter(([json]) => json !== '"1ms"'),
    keep: time('0s', '\\d+d').filter(([json]) => json !== '"1ms"' && json !== '"10000h"'),
    keep_history: time('0s', '\\d+d').filter(([json]) => json !== '"1ms"' && json !== '"10000h"'),
    file_time_zone: setting(/from -12:00 to \+14:00$/, '', '+8', '8:00', '+15:00', '-12:30',
      '+08:60', 'UTC'),
    segmnt: [['1', /did you mean "segment"/]],
    '': [['1', /permitted: auto, /, 'recording']],
  }).flatMap(([key, faults]) => faults.map(([json, says, field]) =>
    [`{${JSON.stringify(key)}:${json}}`, says, field ?? `recording.${key}`])),
];
const appSettings = {
  name: setting(/a text of 0 to 128 bytes|control/, long(129), long(10240)),
  recording,
};
const actions = [...['5', '1.5', 'true', '{}', '""', '"Start"', '["StartRecord","StartRecord"]',
  '["StartRecord",5]', '["StartRecord",null]', '[["StartRecord"]]', '[]', '["startrecord"]',
  nul].map((json) => [json, /one or a list of: StartRecord, |empty list|twice/])];
const secret = (says) => setting(says, '', 'env:PATH', 'file:/etc/passwd', long(4097), long(10240));

/** `field` of the answer may name the item: third member. */
function users(key) {
  // an empty block list records everybody, an empty allow list would nobody
  const least = key === 'subscribe' ? 1 : 0;
  const whole = new RegExp(`a list of ${least} to 32 user ids`);
  const item = (list, n, says) => [JSON.stringify(list), says, `${key}[${n}]`];
  const many = Array.from({length: 33}, (_, i) => `u${i}`);
  return [
    ...['null', '5', '"a"', 'true', '{}', JSON.stringify(many), ...least ? ['[]'] : []]
      .map((json) => [json, whole]),
    ...[5, null, true, [], {}, 1.5].map((v) => item(['a', v], 1, /1 to 128 bytes/)),
    ...badNames.map(([text, says]) => item(['a', 'b', text], 2, says)),
    [`["a",${nul}]`, /1 to 128 bytes/, `${key}[1]`],
    item(['a', 'b', 'a'], 2, /twice: each once/),
  ];
}

/** Faults in the path and in queries: [text as sent, status, says]. */
const asSent = (list) => list.map(([text, says, status = 400]) =>
  [encodeURIComponent(text), status, says]);

const partIds = (what) => [
  ...asSent(badIds.filter((s) => s).map((s) => [s, /from 1 to 9223372036854775807/])),
  ['..%2f..%2fetc', 400, /from 1 to/], ['%ff', 400, /from 1 to/],
  [NO_ID, 404, new RegExp(`there is no .*${what}|no running ${what}`)],
];

const parts = {
  app: [
    ...asSent(['0', '-1', '4294967296', '18446744073709551616', '1e3', '0x1', 'abc',
      '../../etc', long(129), long(10240)].map((s) => [s, /from 1 to 4294967295/])),
    [String(OTHER_APP), 404, /there is no app 7; GET \/v1\/apps lists those that there are/],
  ],
  get kept() {
    return parts.app;
  },
  secret_id: ['nobody', '..%2f..%2fetc', '%ff', long(128), long(10240)].map((s) =>
    [s, 404, /has no API key/]),
  room: [
    ...asSent(badNames.filter(([s]) => s && s !== '.' && s !== '..')),
    ['..%2f..%2fetc', 400, /'\/'/], ['%2e%2e', 400, /"\.\."/], ['..', 400, /"\.\."/],
    ['%ff', 400, /UTF-8/], ['a%c3', 400, /UTF-8/],
  ],
  input: partIds('input'),
  task: partIds('task'),
  segment: partIds('segment'),
  delivery: partIds('delivery'),
  endpoint: partIds('endpoint'),
};

const page = {
  limit: asSent(['0', '-1', '1001', 'abc', '1e3', '0x10', '', '18446744073709551616',
    '1.0', ' 1'].map((s) => [s, /from 1 to 1000$/])),
  after: asSent(badIds.map((s) => [s, /from 1 to 9223372036854775807/])),
};
const queryTime = asSent(['-1', '9223372036854775808', 'x', '', '1.5', ' 1'].map((s) =>
  [s, /whole number from 0 to 9223372036854775807$/]));
const queryApp = [...parts.app, ['', 400, /from 1 to 4294967295/]];
const onlyFalse = asSent(['true', '0', '', 'FALSE', 'false '].map((s) =>
  [s, /must be false, or left out$/]));
const states = (...names) => asSent(['foo', '', names[0].toUpperCase(), long(129)]
  .map((s) => [s, new RegExp(`one of: ${names.join(', ')}$`)]));

// ---- the table ---------------------------------------------------------------

const lists = {subscribe: users('subscribe'), unsubscribe: users('unsubscribe')};
const room = `/v1/apps/{app}/rooms/{room}`;

/**
 * query   its parameters, with their faults; absent: none is permitted
 * body    its fields, with their faults; absent: none is permitted
 * good    JSON that `body` faults are put into; its fields are required,
 *         unless `optional`
 * empty   a call without a body is good
 * endless its answer has no end
 */
const routes = [
  {method: 'GET', path: '/', open: true},
  {method: 'POST', path: '/', open: true}, // 35_cloud_api.test.mjs
  {method: 'GET', path: '/console/*', open: true},
  {method: 'GET', path: '/v1/login', open: true},
  {method: 'POST', path: '/v1/login', open: true, good: {token: 'x'},
    body: {token: [...notText, nul, '""', JSON.stringify(long(4097))]
      .map((json) => [json, /must be http.admin_token, 1 to 4096 bytes/])}},
  {method: 'DELETE', path: '/v1/login', open: true},
  {method: 'GET', path: '/healthz', open: true},
  {method: 'GET', path: '/readyz', open: true},
  {method: 'GET', path: '/metrics'},
  {method: 'GET', path: '/v1/rooms'},
  {method: 'POST', path: `${room}/inputs`, good: {user: 'carol'},
    body: {user: name(), kind: choice('rtp'), source: address(),
      opus_pt: type(), red_pt: type(),
      audio_level_ext: integer(1n, 14n)}},
  {method: 'GET', path: '/v1/inputs/{input}'},
  {method: 'PATCH', path: '/v1/inputs/{input}', good: {mic: 'off'},
    body: {mic: choice('off', 'on')}},
  {method: 'DELETE', path: '/v1/inputs/{input}'},
  // the room of this one is not recorded yet
  {method: 'POST', path: `${room}/tasks`, good: {}, empty: true, room: 'idle',
    body: {mode: choice('single', 'mixed', 'both'), format: choice('mp3', 'ogg'),
      sample_rate: [...integer(16000n, 48000n), ['44100', /one of: 48000, 24000, 16000$/]],
      max_idle_ms: integer(0n, 864000000n), hold_empty_ms: integer(0n, 864000000n),
      segment_ms: integer(1000n, 86400000n),
      ...lists}},
  {method: 'GET', path: '/v1/tasks', query: {
    state: states('running', 'stopping', 'stopped', 'failed'), finished: onlyFalse,
    app: queryApp,
    room: [...parts.room, ['', 400, /1 to 128 bytes/]],
    user: [...parts.room, ['', 400, /1 to 128 bytes/]],
    text: [...parts.room, ['', 400, /1 to 128 bytes/]],
    from_ms: queryTime, to_ms: queryTime, ...page}},
  {method: 'GET', path: '/v1/tasks/{task}'},
  {method: 'PATCH', path: '/v1/tasks/{task}', good: {},
    body: {...lists, paused: bool(), mode: choice('single', 'mixed', 'both')}},
  {method: 'DELETE', path: '/v1/tasks/{task}'},
  {method: 'GET', path: '/v1/tasks/{task}/segments', query: {...page,
    presign: asSent(['0', '-1', '604801', 'x', '', '1.5', ' 1'].map((s) =>
      [s, /seconds from 1 to 604800$/]))}},
  {method: 'GET', path: '/v1/segments/{segment}/audio'},
  {method: 'GET', path: '/v1/segments/{segment}/waveform'},
  {method: 'DELETE', path: '/v1/recordings', query: {
    task: asSent(badIds.map((s) => [s, /from 1 to 9223372036854775807/])),
    app: queryApp.filter(([, status]) => status === 400),
    room: [...parts.room, ['', 400, /1 to 128 bytes/]],
    user: [...parts.room, ['', 400, /1 to 128 bytes/]]}},
  {method: 'GET', path: '/v1/apps'},
  {method: 'POST', path: '/v1/apps', good: {id: OTHER_APP},
    body: {id: integer(1n, 4294967295n), name: appSettings.name,
      secret_key: secret(/text|control|itself|is empty|more than 4096/), recording}},
  {method: 'GET', path: '/v1/apps/{kept}'},
  {method: 'PATCH', path: '/v1/apps/{kept}', good: {}, body: appSettings},
  {method: 'DELETE', path: '/v1/apps/{kept}'},
  {method: 'POST', path: '/v1/apps/{kept}/keys', good: {}, empty: true,
    body: {overlap: [...notText, nul, ...['', '5', '-1s', '31d', '99999999999999999999d',
      '5 s', long(10240), 'a\nb'].map((s) => JSON.stringify(s))].map((json) =>
      [json, /a time such as "24h", from 0s to 30d$/]),
    secret_key: [['null', /text/], [nul, /text/],
      ...secret(/text|control|itself|is empty|more than 4096/)]}},
  {method: 'POST', path: '/v1/apps/{kept}/keys/reveal', good: {}, empty: true, body: {}},
  {method: 'DELETE', path: '/v1/apps/{kept}/keys/previous'},
  {method: 'POST', path: '/v1/apps/{kept}/api_keys', good: {}, empty: true, body: {actions}},
  {method: 'PATCH', path: '/v1/apps/{kept}/api_keys/{secret_id}', good: {actions: null},
    body: {actions}},
  {method: 'DELETE', path: '/v1/apps/{kept}/api_keys/{secret_id}'},
  {method: 'GET', path: '/v1/apps/{app}/endpoints'},
  {method: 'POST', path: '/v1/apps/{app}/endpoints',
    good: {name: 'new', url: 'http://127.0.0.1:9/'}, body: {name: endpointName, ...settings}},
  {method: 'POST', path: '/v1/apps/{app}/tickets', good: {user: 'carol'},
    body: {user: name(), expires_s: integer(1n, 15552000n)}},
  {method: 'GET', path: '/v1/endpoints', query: {app: queryApp}},
  {method: 'GET', path: '/v1/endpoints/{endpoint}'},
  {method: 'PATCH', path: '/v1/endpoints/{endpoint}', good: {},
    body: {name: setting(/cannot be changed/, 'other', ''), ...settings}},
  {method: 'DELETE', path: '/v1/endpoints/{endpoint}'},
  {method: 'POST', path: '/v1/endpoints/{endpoint}/test', good: {}, empty: true, body: {}},
  {method: 'GET', path: '/v1/events', endless: true, query: {
    after: [...asSent(badIds.filter((s) => s !== '0').map((s) => [s, /the id of an event, or 0/])),
      ['4611686018427387904', 409, /of another database/]],
    app: queryApp, task: asSent(badIds.map((s) => [s, /from 1 to 9223372036854775807/])),
    room: [...parts.room, ['', 400, /1 to 128 bytes/]],
    kinds: asSent(['', 'foo', 'STARTED', 'started,', ',started', long(129)]
      .map((s) => [s, /is no kind of event/]))}},
  {method: 'GET', path: '/v1/live', endless: true, query: {
    search: [[long(129), 400, /text of 1 to 128 bytes/], ['', 400, /1 to 128/]]}},
  {method: 'GET', path: '/v1/deliveries', query: {
    state: states('pending', 'delivered', 'dead', 'expired'),
    endpoint: asSent(['nobody', '', '../../etc', long(129)]
      .map((s) => [s, /there is none of the name .*; there are: \w/])),
    task: asSent(badIds.map((s) => [s, /from 1 to 9223372036854775807/])),
    app: queryApp, order: states('oldest', 'newest'), ...page}},
  {method: 'GET', path: '/v1/deliveries/{delivery}'},
  {method: 'POST', path: '/v1/deliveries/replay', good: {},
    body: {state: choice('dead', 'expired', 'all'), endpoint: endpoint(), task: id(),
      app: integer(1n, 4294967295n), from_ms: integer(0n, 9223372036854775807n),
      to_ms: integer(0n, 9223372036854775807n), dry_run: bool()}},
  {method: 'POST', path: '/v1/deliveries/{delivery}/replay', good: {}, empty: true,
    body: {}},
];

// ---- a server in which much could change -------------------------------------

// Connections have memory; a commit that changes no byte of a file is none; how late
// a loop is, is the machine's doing; and retention looks by the clock.
const quiet = new RegExp('^(http_requests|http_refused|http_connections|control_loop_longest_us|' +
  'allocations|disk_free_bytes|store_commits|store_writes|loop_late|work_late|' +
  'retention_looks)$');

function filesBelow(dir) {
  return fs.readdirSync(dir, {recursive: true, withFileTypes: true})
    // what is committed is in the -wal first; a checkpoint may copy it any time
    .filter((f) => f.isFile() && !/\.db(-shm)?$/.test(f.name))
    .map((f) => path.join(f.parentPath ?? f.path, f.name))
    .sort()
    .map((f) => `${f} ${crypto.createHash('sha256').update(fs.readFileSync(f))
      .digest('hex')}`);
}

/** Everything that a call could have changed. */
async function world(server) {
  const get = (where) => server.ask(200, 'GET', where);
  const {tasks} = await get('/v1/tasks?limit=1000');
  const metrics = await server.metrics();
  for (const key of Object.keys(metrics)) {
    if (quiet.test(key))
      delete metrics[key];
  }
  const rooms = await get('/v1/rooms');
  // how loud it is follows the clock
  rooms.rooms.flatMap((r) => r.inputs).forEach((input) => delete input.level_dbfs);
  const endpoints = await get(`/v1/apps/${APP}/endpoints`);
  // and so does this, a minute after the last delivery
  endpoints.endpoints.forEach((e) => delete e.delivered_last_minute);
  return {
    tasks,
    rooms,
    segments: await Promise.all(tasks.map((t) =>
      get(`/v1/tasks/${t.task_id}/segments`))),
    deliveries: await get('/v1/deliveries?limit=1000'),
    apps: await get('/v1/apps'),
    keys: await server.ask(200, 'POST', `/v1/apps/${KEPT_APP}/keys/reveal`),
    endpoints,
    metrics,
    files: filesBelow(server.dir),
  };
}

/** A running task, a finished one, an idle room, delivered and dead events. */
async function startWorld(t) {
  const good = await startEndpoint(t);
  const gone = await startEndpoint(t, (seen, response) => {
    response.writeHead(500);
    response.end();
  });
  const live = {dialect: 'live', events: ['task_started', 'task_stopped']};
  // nobody is heard: that is not told after a while, as it would be a change
  const server = await startServer(t, {recording: {no_audio_after: '0s'}, callbacks: [
    {name: 'good', url: good.url, ...live},
    {name: 'gone', url: gone.url, ...live, retry: '10ms'},
  ]});
  const ids = {app: String(APP), room: 'busy', segment: NO_ID};
  ids.endpoint = (await server.ask(201, 'POST', `/v1/apps/${APP}/endpoints`,
    {name: 'made', url: gone.url, enabled: false})).endpoint_id;
  await server.ask(201, 'POST', '/v1/apps', {id: KEPT_APP, name: 'kept'});
  ids.kept = String(KEPT_APP);
  ids.secret_id = (await server.ask(201, 'POST', `/v1/apps/${KEPT_APP}/api_keys`)).secret_id;
  await server.join('idle', 'bob');
  await server.finish(await server.record('idle'));
  ids.input = (await server.join('busy', 'alice')).input_id;
  ids.task = await server.record('busy', {subscribe: ['alice']});
  const deliveries = await until('the events are delivered or dead', async () => {
    const all = (await server.ask(200, 'GET', '/v1/deliveries')).deliveries;
    return all.every((d) => d.state !== 'pending') && all;
  });
  ids.delivery = deliveries.find((d) => d.state === 'dead').delivery_id;
  assert.deepEqual(deliveries.map((d) => d.state).sort(),
    ['dead', 'dead', 'dead', 'delivered', 'delivered', 'delivered']);
  // the last commit is followed by a checkpoint
  let last;
  await until('nothing moves any more', async () => {
    const now = JSON.stringify(await world(server));
    const same = now === last;
    last = now;
    await sleep(100);
    return same;
  });
  return {server, ids};
}

const fill = (route, ids, more = {}) => route.path.replace(/\{(\w+)\}/g,
  (_, key) => more[key] ?? (key === 'room' ? route.room : undefined) ?? ids[key]);

const bodyWith = (route, key, json) => {
  const rest = Object.entries(route.good).filter(([k]) => k !== key)
    .map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`);
  return `{${[...rest, `${JSON.stringify(key)}:${json}`].join(',')}}`;
};

const partsOf = (route) => [...route.path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
const title = (route) => `${route.method} ${route.path}`;

/** Send faults, one after the other; then nothing may have changed. */
async function unchanged(server, what, fn) {
  const before = await world(server);
  await fn();
  assert.deepEqual(await world(server), before, `${what} changed something`);
}

// ---- what is wrong with the body as a whole ------------------------------------

const nest = (open, close, n) => open.repeat(n) + '1' + close.repeat(n);

function badBodies(route) {
  const keys = Object.keys(route.body);
  const must = /must be a JSON object with: /;
  const first = JSON.stringify(keys[0] ?? 'a');
  return [
    ['not json', /not JSON/], ['<a/>', /not JSON/], [' ', /not JSON/],
    ['{', /not JSON/], ['{}x', /not JSON/], ['{} {}', /not JSON/],
    ['{"a":1,}', /not JSON/], ["{'a':1}", /not JSON/], ['\ufeff{}', /not JSON/],
    ['null', /not JSON/], ['3', /not JSON/], ['"a"', /not JSON/],
    ['[]', must], ['[{}]', must],
    [nest('[', ']', 10000), /not JSON.*depth/],
    [nest('{"a":', '}', 10000), /not JSON.*depth/],
    ['['.repeat(500000), /not JSON.*depth/],
    [`{${first}:1,${first}:2}`, /duplicate object key/],
    ['{"a\\u0000b":1}', /not JSON/], ['{"a":"\\ud800"}', /not JSON/],
    [`{"a":1e999}`, /not JSON/],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not JSON.*byte 0xff/],
    [Buffer.from('{"a":"\xff"}', 'latin1'), /not JSON.*byte 0xff/],
    [Buffer.alloc(1000), /not JSON/], [crypto.randomBytes(10000), /not JSON/],
  ];
}

/** [key, field of the answer] */
const unknownKeys = [['zzz', 'zzz'], ['', undefined], ['__proto__', '__proto__'],
  ['USER', 'USER'], ['user ', 'user '], [long(10240), long(79)],
  // cut at 64 bytes, this ends inside of a character
  ['\u{1F399}'.repeat(40) + 'a', '\u{1F399}'.repeat(19)],
  ['x' + '\u{1F399}'.repeat(40), 'x' + '\u{1F399}'.repeat(19)],
  ['a\nb', 'a?b']];

async function sendBodies(server, ids, route) {
  const where = fill(route, ids);
  const send = (body) => request(server.url, route.method, where, body);
  for (const [body, says] of badBodies(route))
    isProblem(await send(body), 400, {says}, `${title(route)} ${body.slice(0, 60)}`);
  if (!route.empty)
    isProblem(await send(''), 400, {says: /must be a JSON object with: /}, title(route));
  const permitted = Object.keys(route.body).join(', ') || 'none';
  for (const [key, field] of unknownKeys) {
    const answer = await send(`{${JSON.stringify(key)}:1}`);
    isProblem(answer, 400, {field}, title(route));
    assert.ok(answer.json.detail.endsWith(`unknown; permitted: ${permitted}`),
      `${title(route)} must have a line for each of: ${answer.json.detail}`);
  }
  for (const key of route.optional ? [] : Object.keys(route.good)) {
    const rest = {...route.good};
    delete rest[key];
    isProblem(await send(JSON.stringify(rest)), 400,
      {field: key, says: /required/}, title(route));
  }
}

async function sendFields(server, ids, route) {
  const where = fill(route, ids);
  for (const [key, faults] of Object.entries(route.body)) {
    assert.ok(faults.length > 5, `${title(route)} ${key}`);
    for (const [json, says, field = key] of faults) {
      const body = bodyWith(route, key, json);
      isProblem(await request(server.url, route.method, where, body), 400,
        {field, says}, `${title(route)} ${body.slice(0, 200)}`);
    }
    // not UTF-8: there is no field to name, but the place is told
    const raw = Buffer.from(bodyWith(route, key, '"\xff"'), 'latin1');
    isProblem(await request(server.url, route.method, where, raw), 400,
      {says: /not JSON.*byte 0xff/}, `${title(route)} ${key}`);
  }
}

async function sendParts(server, ids, route) {
  for (const part of partsOf(route)) {
    for (const [text, status, says] of parts[part]) {
      const where = fill(route, ids, {[part]: text});
      const body = route.good && JSON.stringify(
        route.path.endsWith('tasks/{task}') ? {subscribe: ['a']} : route.good);
      isProblem(await request(server.url, route.method, where, body), status,
        {field: part === 'kept' ? 'app' : part, says}, `${route.method} ${where.slice(0, 200)}`);
    }
  }
}

async function sendQueries(server, ids, route) {
  const where = fill(route, ids);
  const body = route.good && JSON.stringify(route.good);
  const send = (query) => request(server.url, route.method, `${where}?${query}`, body);
  const query = route.query ?? {};
  for (const [key, faults] of Object.entries(query)) {
    for (const [text, status, says] of faults) {
      isProblem(await send(`${key}=${text}`), status, {field: key, says},
        `${title(route)} ${key}=${text.slice(0, 100)}`);
    }
    isProblem(await send(`${key}=1&${key}=2`), 400,
      {field: key, says: /twice: each once/}, title(route));
    isProblem(await send(key), 400, {field: key}, title(route));
    isProblem(await send(`${key.toUpperCase()}=1`), 400,
      {field: key.toUpperCase(), says: /unknown parameter; permitted: /});
  }
  const permitted = Object.keys(query).join(', ') || 'none';
  for (const key of ['zzz', 'x'.repeat(200), '%ff', '\u{1F399}'.repeat(40)]) {
    const answer = await send(`${encodeURI(key).replace('%25', '%')}=1`);
    isProblem(answer, 400, {}, title(route));
    assert.ok(answer.json.detail.endsWith(`unknown parameter; permitted: ${permitted}`),
      `${title(route)} must have a line for each of: ${answer.json.detail}`);
    assert.ok(answer.json.field, answer.text);
  }
  for (const bad of ['a=%', 'a=%4', 'a=%zz', '%00=1', 'a=%00', 'a&'.repeat(300)])
    isProblem(await send(bad), 400, {says: /valid percent escapes and no NUL/});
}

// ---- tests ------------------------------------------------------------------------

test('the_table_of_this_test_holds_every_route', () => {
  const shape = (r) => `${r.method} ${r.path.replace(/\{\w+\}/g, '{}')} ${!!r.open}`;
  const there = routesOfSource().filter((r) => !r.path.startsWith('/whip/')) // 85_whip_api.test.mjs
    .map(shape).sort();
  assert.ok(there.length > 20);
  assert.deepEqual(routes.map(shape).sort(), there);
});

test('bad_input_is_named_and_changes_nothing', async (t) => {
  const {server, ids} = await startWorld(t);
  await t.test('every_fault_of_every_body_is_told', async () => {
    for (const route of routes.filter((r) => r.body)) {
      await unchanged(server, title(route), () => sendBodies(server, ids, route));
    }
  });
  await t.test('every_fault_of_every_field_is_named_with_its_range', async () => {
    for (const route of routes.filter((r) => r.body))
      await unchanged(server, title(route), () => sendFields(server, ids, route));
  });
  await t.test('every_fault_of_every_part_of_a_path_is_named', async () => {
    for (const route of routes.filter((r) => partsOf(r).length))
      await unchanged(server, title(route), () => sendParts(server, ids, route));
  });
  await t.test('every_fault_of_every_query_is_named', async () => {
    for (const route of routes.filter((r) => !r.open))
      await unchanged(server, title(route), () => sendQueries(server, ids, route));
  });
  await t.test('fields_that_exclude_each_other_are_named', async () => {
    await unchanged(server, 'both lists', async () => {
      for (const route of routes.filter((r) => r.body?.subscribe)) {
        isProblem(await server.api(route.method, fill(route, ids),
          {subscribe: ['a'], unsubscribe: ['b']}), 400,
        {field: 'unsubscribe', says: /only one of the two/});
      }
      isProblem(await server.api('PATCH', `/v1/tasks/${ids.task}`, {}), 400,
        {field: 'subscribe', says: /one is required/});
      for (const [from_ms, to_ms] of [[5, 5], [5, 4]]) {
        isProblem(await server.api('POST', '/v1/deliveries/replay', {from_ms, to_ms}),
          400, {field: 'to_ms', says: /over from_ms/});
        isProblem(await server.api('GET', `/v1/tasks?from_ms=${from_ms}&to_ms=${to_ms}`),
          400, {field: 'to_ms', says: /over from_ms/});
      }
    });
  });
  await t.test('payload_types_differ', async () => {
    await unchanged(server, 'one type for both', async () => {
      isProblem(await server.api('POST', `/v1/apps/${APP}/rooms/busy/inputs`,
        {user: 'carol', opus_pt: 111, red_pt: 111}), 400,
      {field: 'red_pt', says: /opus_pt/});
    });
  });
  await t.test('what_is_known_but_not_possible_is_told', async () => {
    await unchanged(server, 'conflicts', async () => {
      const tasks = (which) => `/v1/apps/${APP}/rooms/${which}/tasks`;
      const inputs = (which) => `/v1/apps/${APP}/rooms/${which}/inputs`;
      isProblem(await server.api('POST', tasks('busy'), {subscribe: ['alice']}), 409,
        {field: 'room', says: new RegExp(ids.task)});
      isProblem(await server.api('POST', tasks('nowhere'), {}), 404,
        {field: 'room', says: /there is no room nowhere/});
      isProblem(await server.api('POST', tasks('idle'), {format: 'ogg', sample_rate: 24000}),
        400, {field: 'sample_rate', says: /of format mp3 only/});
      isProblem(await server.api('POST', inputs('busy'), {user: 'alice'}), 409,
        {field: 'user', says: new RegExp(`input ${ids.input}`)});
      const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries?state=delivered');
      isProblem(await server.api('POST',
        `/v1/deliveries/${deliveries[0].delivery_id}/replay`), 409,
      {field: 'delivery', says: /not dead or expired/});
    });
  });
  await t.test('a_body_where_none_belongs_is_refused', async () => {
    await unchanged(server, 'bodies', async () => {
      // what POST / is sent is read there
      for (const route of routes.filter((r) => !r.body && title(r) !== 'POST /')) {
        for (const body of ['{}', 'x', '{"zzz":1}']) {
          isProblem(await request(server.url, route.method, fill(route, ids), body),
            400, {says: /no body is permitted/}, title(route));
        }
      }
    });
  });
  await t.test('other_methods_are_answered_with_those_permitted', async () => {
    await unchanged(server, 'methods', async () => {
      for (const where of new Set(routes.map((r) => r.path))) {
        const known = routes.filter((r) => r.path === where).map((r) => r.method);
        const allow = known.flatMap((m) => (m === 'GET' ? ['GET', 'HEAD'] : [m]));
        // a word of its own is also an id
        const replay = where === '/v1/deliveries/replay';
        for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS',
          'BREW', 'get']) {
          if (known.includes(method) || (replay && method === 'GET'))
            continue;
          const answer = await rawRequest(server.url, `${method} ` +
            `${fill({path: where}, ids)} HTTP/1.1\r\nHost: localhost\r\n` +
            'Connection: close\r\n\r\n');
          isProblem(answer, 405, {says: /permitted here: /}, `${method} ${where}`);
          assert.deepEqual(answer.headers.allow.split(', ').sort(),
            [...allow, ...(replay ? ['GET', 'HEAD'] : [])].sort());
        }
      }
    });
  });
  await t.test('a_head_is_a_get_without_its_body', async () => {
    await unchanged(server, 'HEAD', async () => {
      for (const route of routes.filter((r) => r.method === 'GET' && !r.endless)) {
        const where = fill(route, ids);
        const get = await request(server.url, 'GET', where);
        const head = await request(server.url, 'HEAD', where);
        assert.equal(head.status, get.status, where);
        assert.equal(head.type, get.type, where);
        assert.equal(head.text, '');
        if (/json/.test(get.type))
          assert.match(get.text, /[^\n]\n$/, `${where} ends with a newline`);
      }
      assert.equal((await request(server.url, 'HEAD', '/v1/tasks?limit=0')).status, 400);
      assert.equal((await request(server.url, 'HEAD', '/nothing')).status, 404);
    });
  });
  await t.test('other_paths_are_not_there', async () => {
    await unchanged(server, 'paths', async () => {
      const others = ['//', '/v1', '/v1/', '/v2/rooms', '/V1/rooms', '/v1//rooms',
        '/v1/%72ooms', '/healthz%20', '/%ff', '/\u{1F399}', '/.', '/../', '/../../etc/passwd',
        '/v1/../v1/rooms', '/v1/apps//rooms/a/tasks',
        `/v1/apps/${APP}/rooms//tasks`, `/v1/apps/${APP}/rooms/../../etc/tasks`,
        '/v1/tasks/1/2/3', `/${long(10000)}`, '/v1/segments/1/audio/x', '/console'];
      for (const where of [...others, ...routes.map((r) => `${fill(r, ids)}/`)
        .filter((w) => w !== '//')]) {
        isProblem(await request(server.url, 'GET', encodeURI(where).replace('%25', '%')),
          404, {says: /there is nothing at \//}, where);
      }
      for (const where of ['/%', '/%4', '/%zz', '/%00', '/v1/tasks/%00', '/v1/tasks/1%'])
        isProblem(await request(server.url, 'GET', where), 400, {says: /percent escapes/});
    });
  });
  await t.test('ids_of_other_kinds_of_things_are_not_found', async () => {
    await unchanged(server, 'ids', async () => {
      isProblem(await server.api('GET', `/v1/tasks/${ids.input}`), 404, {field: 'task'});
      isProblem(await server.api('GET', `/v1/inputs/${ids.task}`), 404, {field: 'input'});
      isProblem(await server.api('GET', `/v1/deliveries/${ids.task}`), 404,
        {field: 'delivery'});
    });
  });
  await t.test('a_good_call_is_still_answered', async () => {
    await server.ask(201, 'POST', `/v1/apps/${APP}/rooms/idle/tasks`,
      {mode: 'single', subscribe: ['bob']});
    await server.ask(200, 'PATCH', `/v1/inputs/${ids.input}`, {mic: 'off'});
    const types = {opus_pt: 111, red_pt: 63, audio_level_ext: 14};
    const told = await server.join('idle', 'carol', types);
    const shown = await server.ask(200, 'GET', `/v1/inputs/${told.input_id}`);
    for (const [key, value] of Object.entries(types))
      assert.equal(shown[key], value);
    const untold = await server.ask(200, 'GET', `/v1/inputs/${ids.input}`);
    for (const key of Object.keys(types))
      assert.equal(untold[key], null);
  });
  await server.stop();
});

test('a_task_that_is_over_refuses_changes', async (t) => {
  const server = await startServer(t);
  await server.join('r', 'u');
  const task = await server.record('r');
  await server.finish(task);
  isProblem(await server.api('PATCH', `/v1/tasks/${task}`, {subscribe: ['a']}), 404,
    {field: 'task', says: /no running task/});
  // stopping twice is fine; it has no segments, which is not "no such task"
  assert.equal((await server.ask(200, 'DELETE', `/v1/tasks/${task}`)).state, 'stopped');
  assert.deepEqual(await server.ask(200, 'GET', `/v1/tasks/${task}/segments`),
    {segments: [], next: null});
});

// ---- the connection -----------------------------------------------------------------

const head = (method, where, ...lines) =>
  [`${method} ${where} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');

async function tooLong(t) {
  const {server} = await startWorld(t);
  const where = `/v1/apps/${APP}/rooms/idle/tasks`;
  const raw = (bytes, more) => rawRequest(server.url, bytes, more);
  await unchanged(server, 'connections', async () => {
    const slow = (bytes) => raw(bytes, (socket) => {
      const timer = setInterval(() => socket.write('x'), 200);
      socket.on('close', () => clearInterval(timer));
    });
    // 10 s each, so all at once
    const patience = [
      slow(head('POST', where, 'Content-Length: 1000000')),
      slow(head('POST', where, 'Transfer-Encoding: chunked') + 'fffff\r\n'),
      raw(head('POST', where, 'Content-Length: 10') + '{}'),
      raw('POST / HTTP/1.1\r\nHost: local'),
    ];
    const tooLarge = {says: /at most 1048576 bytes/};
    // a client that looks for an answer while it sends
    const endless = (piece) => (socket) => {
      const more = () => socket.destroyed || socket.write(piece, () => setImmediate(more));
      more();
    };
    const ten = `Content-Length: ${10 << 20}`;
    isProblem(await raw(head('POST', where, ten), endless('{'.repeat(65536))), 413,
      tooLarge);
    isProblem(await raw(head('POST', where, ten, 'Expect: 100-continue')), 413, tooLarge);
    isProblem(await raw(head('POST', where, `Content-Length: ${2n ** 64n - 1n}`)), 413,
      tooLarge);
    isProblem(await raw(head('POST', where, 'Transfer-Encoding: chunked'),
      endless('ffff\r\n' + ' '.repeat(0xffff) + '\r\n')), 413, tooLarge);
    // as long as permitted, and one byte more
    const fits = (n) => request(server.url, 'POST', where, `{"zzz":"${long(n - 10)}"}`);
    isProblem(await fits(1 << 20), 400, {field: 'zzz'});
    isProblem(await fits((1 << 20) + 1), 413, tooLarge);
    for (const answer of await Promise.all(patience))
      isProblem(answer, 408, {says: /in time/});
  });
  await server.stop();
}

async function notHttp(t) {
  const {server} = await startWorld(t);
  const where = `/v1/apps/${APP}/rooms/idle/tasks`;
  await unchanged(server, 'bytes', async () => {
    const twice = {says: /more than once/};
    const close = 'Connection: close';
    const problems = [
      [head('POST', where, 'Content-Length: 2', 'Content-Length: 2') + '{}', twice],
      [head('POST', where, 'Content-Length: 2', 'Transfer-Encoding: chunked') +
        '2\r\n{}\r\n0\r\n\r\n', twice],
      [head('POST', where, 'Host: localhost', 'Content-Length: 2') + '{}', twice],
      [head('GET', '*', close), {says: /must start with/}],
      [head('GET', 'http://localhost/healthz', close), {says: /must start with/}],
    ];
    for (const [bytes, want] of problems)
      isProblem(await rawRequest(server.url, bytes), 400, want, bytes);
    // libmicrohttpd refuses these itself, in its own words
    const others = ['Content-Length: abc', 'Content-Length: -1', 'Content-Length: 0x10',
      'Content-Length: 1e3', 'Content-Length: 2, 2', 'Content-Length:',
      `Content-Length: ${2n ** 64n}`, 'Transfer-Encoding: gzip',
      'Transfer-Encoding: chunked, chunked'].map((line) =>
      head('POST', where, line, close) + '{}');
    others.push(
      head('POST', where, 'Transfer-Encoding: chunked') + 'zz\r\n{}\r\n0\r\n\r\n',
      head('POST', where, 'Transfer-Encoding: chunked') + '-1\r\n{}\r\n0\r\n\r\n',
      head('POST', where, 'Transfer-Encoding: chunked') +
        'fffffffffffffffff\r\n{}\r\n0\r\n\r\n',
      `POST ${where} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}`,
      `POST ${where} HTTP/9.9\r\nHost: localhost\r\n\r\n`,
      `POST ${where}\r\n\r\n`, '\r\n\r\n\r\n\r\n', '\0\0\0\0\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + long(500) + '\r\n\r\n',
      head('GET', `/${long(100000)}`, close), head('GET', '/', `X: ${long(100000)}`, close),
      head('GET', '/', ...Array.from({length: 5000}, (_, i) => `X${i}: 1`), close));
    for (const bytes of others) {
      const answer = await rawRequest(server.url, bytes, (s) => s.end());
      assert.ok(!answer || (answer.status >= 400 && answer.status <= 505),
        `${bytes.slice(0, 200)}: ${answer?.status} ${answer?.text}`);
    }
  });
  await server.stop();
}

// Each waits 10 s for what does not come.
test('a_connection_is_not_trusted', {concurrency: true}, (t) => Promise.all([
  t.test('requests_that_are_too_long_or_never_end_are_refused', tooLong),
  t.test('requests_that_are_not_http_change_nothing', notHttp),
]));
