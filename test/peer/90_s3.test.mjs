// test/peer/90_s3.test.mjs -- files in a bucket: s3rver is the store, awscli reads what is there.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import {describe, test} from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {BUCKET, PREFIX, checkBucket, deadPort, s3Storage, startProxy, startStore, whyNoStore,
  whyNotPresigned} from '../aid/s3.mjs';
import {oggPackets, sendPackets, tool} from '../aid/sound.mjs';
import {STEADY, command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const skip = whyNoStore() ?? false;

/** A store, a proxy before it, a server and two endpoints: gme, and live that is
 *  told of failures.  `s3`: more of storage.s3. */
async function stage(t, {s3 = {}, recording = {}, ...options} = {}) {
  const store = await startStore(t);
  const proxy = await startProxy(t, store);
  const endpoint = await startEndpoint(t);
  const live = await startEndpoint(t);
  const all = await startEndpoint(t);
  const server = await startServer(t, {
    recording: {...STEADY, ...recording}, file_storage: s3Storage(s3.endpoint ?? proxy.url, s3),
    ...options,
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'},
      {name: 'live', url: live.url, dialect: 'live'},
      {name: 'all', url: all.url, dialect: 'standard', key: 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh'}],
  });
  return {store, proxy, endpoint, live, all, server};
}

/** Alice speaks in a room until `n` packets are sent; gives the task, which is
 *  stopped, and maybe not finished. */
async function record(t, server, n = 60, user = 'alice', room = 'room') {
  const {port, input_id: input} = await server.join(room, user);
  const task = await server.record(room);
  const sender = sendPackets(t, packets, port);
  await sender.reached(n);
  await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
  sender.stop();
  await server.ask(200, 'DELETE', `/v1/inputs/${input}`);
  return task;
}

const isObject = (request) => /_audio\.mp3($|\?)/.test(request.url);

describe('s3', {concurrency: 3, skip}, () => {
  test('what_was_recorded_is_in_the_bucket_to_the_byte', async (t) => {
    const {store, proxy, endpoint, all, server} = await stage(t, {recording: {segment: '1s'}});
    // a name that needs quoting, in the path and in the signature
    const task = await record(t, server, 120, 'ä +&=?#%', 'room 1');
    const segments = await checkBucket(server, store, endpoint, task);
    assert.ok(segments.length >= 2);
    assert.deepEqual(proxy.unsigned, []);
    const head = await store.head(`${PREFIX}/${segments[0].file}`);
    assert.equal(head.ContentType, 'audio/mpeg');
    assert.equal(head.Metadata.sha256, segments[0].sha256);
    // the event says where, and that is the object
    const told = all.requests.find((r) => r.body.type === 'segment.uploaded').body.data;
    const {pathname} = new URL(told.location);
    assert.ok(told.location.startsWith(`${proxy.url}/${BUCKET}/${PREFIX}/`), told.location);
    assert.equal(decodeURIComponent(pathname), `/${BUCKET}/${PREFIX}/${told.file_name ?? segments[0].file}`);
    assert.equal((await server.task(task)).storage, `${proxy.url}/${BUCKET}/${PREFIX}/`);
    // one PUT each, and nothing was looked for in vain afterwards
    const puts = proxy.requests.filter((r) => r.method === 'PUT' && isObject(r));
    assert.equal(puts.length, segments.length);
    // what was sent is counted
    const m = await server.metrics();
    assert.equal(m.uploads_done, segments.length);
    assert.equal(m.upload_bytes, segments.reduce((n, s) => n + s.size, 0));
    assert.equal(m.uploads_pending, 0);
    assert.equal(m.uploads_pending_bytes, 0);
  });

  test('sound_is_read_from_the_store_itself', async (t) => {
    const {server, proxy, store, endpoint} = await stage(t);
    const task = await record(t, server);
    const [segment] = await checkBucket(server, store, endpoint, task);
    const where = `/v1/segments/${segment.segment_id}/audio`;
    const answer = await fetch(server.url + where, {redirect: 'manual'});
    assert.equal(answer.status, 302);
    const url = answer.headers.get('location');
    assert.equal(whyNotPresigned(url, 900), undefined);
    assert.ok(url.startsWith(`${proxy.url}/`));
    const part = await fetch(server.url + where, {headers: {Range: 'bytes=192-383'}});
    assert.equal(part.status, 206);
    assert.equal((await part.arrayBuffer()).byteLength, 192);
    const list = async (query) =>
      (await server.api('GET', `/v1/tasks/${task}/segments${query}`));
    assert.equal('url' in (await list('')).json.segments[0], false);
    for (const seconds of [1, 604800]) {
      const [s] = (await list(`?presign=${seconds}`)).json.segments;
      assert.equal(whyNotPresigned(s.url, seconds), undefined);
    }
    for (const bad of ['0', '604801', '-1', 'x', '']) {
      const {status, json} = await list(`?presign=${bad}`);
      assert.equal(status, 400);
      assert.equal(json.field, 'presign');
    }
    const wave = await command(t, ['tasks', task, '--wave', '--ascii', '--server', server.url]);
    assert.equal(wave.code, 0, wave.text);
    assert.match(wave.out, /alice/);
  });

  test('each_failure_has_its_reason_and_every_file_arrives_once', async (t) => {
    const head = (r) => r.method === 'HEAD' && isObject(r);
    const put = (r) => r.method === 'PUT' && isObject(r);
    const cases = {
      access_denied: (r) => put(r) && {status: 403, code: 'AccessDenied'},
      bucket_missing: (r) => put(r) && {status: 404, code: 'NoSuchBucket'},
      clock_skew: (r) => put(r) && {status: 403, code: 'RequestTimeTooSkewed'},
      'clock_skew ': (r) => head(r) && {status: 403,
        headers: {date: new Date(Date.now() - 3600_000).toUTCString()}},
      store_busy: (r) => put(r) && {status: 503, code: 'SlowDown'},
      'store_busy ': (r) => head(r) && {status: 429},
      storage_error: (r) => put(r) && {status: 500, code: 'InternalError'},
      connection_lost: (r) => put(r) && {reset: 1000},
      checksum_mismatch: (r) => put(r) && {edit: (h) => (h.etag = `"${'0'.repeat(32)}"`)},
      'checksum_mismatch ': (r) => put(r) && {status: 400, code: 'BadDigest'},
    };
    const {store, proxy, endpoint, live, server} = await stage(t);
    const tasks = {};
    for (const [name, rule] of Object.entries(cases)) {
      // libcurl itself tries once more when a kept connection breaks
      const most = name === 'connection_lost' ? 2 : 1;
      let failed = 0;
      proxy.rule = (r) => (failed < most && rule(r) ? (failed++, rule(r)) : undefined);
      const task = await record(t, server, 60, 'alice', name);
      await until(`${name} was met`, () => failed === most);
      tasks[name] = task;
      await until(`${name} is finished`, async () => (await server.task(task)).finished_ms);
    }
    await server.drained();
    for (const [name, task] of Object.entries(tasks)) {
      const told = live.requests.filter((r) => r.body.EventInfo.TaskId === task &&
        r.body.EventType === 308);
      assert.deepEqual(told.map((r) => r.body.EventInfo.Payload.Code), [name.trim()], name);
      const {Message} = told[0].body.EventInfo.Payload;
      assert.match(Message, /recordings\/|the store has another MD5/, name);
      assert.ok(!Message.includes('S3RVER'), Message);
      await checkBucket(server, store, endpoint, task);
    }
    const {Message} = live.requests.find((r) => r.body.EventType === 308).body.EventInfo.Payload;
    assert.match(Message, /^status 403 AccessDenied: told & refused \(PUT recordings\//);
    assert.deepEqual(proxy.unsigned, []);
  });

  test('an_answer_that_never_came_is_found_out', async (t) => {
    const {store, proxy, endpoint, server} = await stage(t);
    let swallowed = 0; // libcurl itself tries once more on a kept connection
    proxy.rule = (r) => r.method === 'PUT' && isObject(r) && swallowed++ < 2 ? {swallow: true} : undefined;
    const task = await record(t, server);
    await checkBucket(server, store, endpoint, task);
    assert.equal(proxy.requests.filter((r) => r.method === 'PUT' && isObject(r)).length, 2);
  });

  test('while_the_store_is_away_the_reason_stands_on_the_segment', async (t) => {
    const {store, proxy, endpoint, server} = await stage(t);
    await store.stop();
    const task = await record(t, server);
    const [s] = await until('it failed', async () => {
      const all = await server.segments(task);
      return all[0]?.reason && all;
    });
    assert.equal(s.uploaded, false);
    assert.equal(s.reason, 'connection_lost');
    assert.ok(fs.existsSync(server.file(s)), 'it waits in the spool');
    proxy.rule = () => ({status: 403, code: 'AccessDenied'});
    await until('the reason is another one', async () =>
      (await server.segments(task))[0].reason === 'access_denied');
    await until('its age is told', async () => {
      const m = await server.metrics();
      return m.uploads_pending === 1 && m.uploads_pending_bytes === s.size &&
        m.uploads_oldest_seconds >= 1;
    });
    const said = async (...args) => command(t, [...args, '--server', server.url]);
    const status = await said('status');
    assert.match(status.out, /uploads +1 files \(.*\) wait, the oldest for 0:/);
    assert.match(status.out, new RegExp(`\n +task ${task}: 1 wait: access_denied: status 403.*\n`));
    const {uploads} = JSON.parse((await said('status', '--json')).out);
    assert.equal(uploads.pending, 1);
    assert.equal(uploads.pending_bytes, s.size);
    assert.deepEqual(uploads.tasks.map((x) => [x.task_id, x.waiting, x.reason]),
      [[task, 1, 'access_denied']]);
    assert.match((await said('tasks')).out,
      new RegExp(`${task} .* stopped .* files wait for storage: access_denied\n`));
    const bucket = `${proxy.url}/${BUCKET}/${PREFIX}/`;
    for (const name of ['status', 'tasks']) {
      const {out} = await said(name, task);
      assert.ok(out.includes(`  to be stored below ${bucket}; 1 of 1 files wait for that: ` +
        'access_denied\n'), out);
      assert.match(out, /alice +0 +closed .*_audio\.mp3 {2}access_denied: status 403/);
    }
    // the task is stopped: that is no failure, and not all of it either
    const stop = await said('stop', task, '--timeout', '1');
    assert.equal(stop.code, 3, stop.text);
    assert.match(stop.out, /: stopped\n.*to be stored below .*\n.*USER[^]*alice +0 +closed/);
    assert.match(stop.text, new RegExp(`^tapeop stop: task ${task} is stopped, but 1 of 1 files ` +
      'are not in storage yet: access_denied: status 403[^\\n]*; each is tried again, look with ' +
      `\`tapeop status ${task}\`\n$`));
    const {code, out} = await said('stop', task, '--timeout', '1', '--json');
    assert.equal(code, 3);
    assert.equal(JSON.parse(out).segments[0].reason, 'access_denied');
    assert.equal((await said('stop', task, '--no-wait')).code, 0);
    const pages = async (query) => (await server.api('GET', `/v1/tasks?${query}`)).json;
    assert.deepEqual((await pages('finished=false')).tasks.map((x) => x.task_id), [task]);
    assert.equal((await pages('finished=true')).field, 'finished');
    proxy.rule = () => undefined;
    await store.start();
    await checkBucket(server, store, endpoint, task);
    assert.deepEqual((await pages('finished=false')).tasks, []);
    const end = await said('stop', task);
    assert.equal(end.code, 0, end.text);
    assert.match(end.out, new RegExp(`\n {2}stored below ${proxy.url}/[^]*alice +0 +stored`));
    assert.doesNotMatch((await said('status')).out, /uploads|1 wait/);
    assert.doesNotMatch((await said('tasks')).out, /files wait/);
  });

  test('a_long_file_goes_in_parts_and_on_after_a_restart', async (t) => {
    const {store, proxy, endpoint, server} = await stage(t, {env: {TAPEOP_FAULT: 's3.parts.small=EIO'}});
    const parts = () => proxy.requests.filter((r) => r.method === 'PUT' && /partNumber=/.test(r.url) &&
      r.status === 200).map((r) => Number(/partNumber=(\d+)/.exec(r.url)[1]));
    proxy.rule = (r) => /partNumber=3/.test(r.url) ? {status: 503, code: 'SlowDown'} : undefined;
    const task = await record(t, server, 300);
    await until('two parts are there', () => parts().length === 2);
    await server.kill();
    await server.start();
    await until('it was tried again', () =>
      proxy.requests.filter((r) => /partNumber=3/.test(r.url)).length >= 2);
    proxy.rule = () => undefined;
    const [segment] = await checkBucket(server, store, endpoint, task);
    assert.ok(segment.size > 40_000);
    assert.deepEqual(parts(), parts().map((_, i) => i + 1), 'each once, in order');
    assert.equal(parts().length, Math.ceil(segment.size / 8192));
    assert.equal(proxy.requests.filter((r) => r.method === 'POST' && /\?uploads/.test(r.url)).length, 1);
    const {ContentType, Metadata} = await store.head(`${PREFIX}/${segment.file}`);
    assert.equal(ContentType, 'audio/mpeg');
    assert.equal(Metadata.sha256, segment.sha256);
    assert.deepEqual(proxy.unsigned, []);
  });

  test('an_upload_in_parts_that_the_store_has_forgotten_begins_anew', async (t) => {
    const {store, proxy, endpoint, server} = await stage(t, {env: {TAPEOP_FAULT: 's3.parts.small=EIO'}});
    let n = 0;
    proxy.rule = (r) => /partNumber=2/.test(r.url) && !n++ ? {status: 404, code: 'NoSuchUpload'} : undefined;
    const task = await record(t, server, 200);
    await checkBucket(server, store, endpoint, task);
    assert.equal(proxy.requests.filter((r) => r.method === 'POST' && /\?uploads/.test(r.url)).length, 2);
  });

  test('a_200_with_an_error_in_it_is_no_success', async (t) => {
    const {store, proxy, endpoint, live, server} = await stage(t,
      {env: {TAPEOP_FAULT: 's3.parts.small=EIO'}});
    let n = 0;
    proxy.rule = (r) => r.method === 'POST' && /uploadId=/.test(r.url) && !n++
      ? {status: 200, body: '<?xml version="1.0"?>\n<Error><Code>SlowDown</Code><Message>m</Message></Error>'}
      : undefined;
    const task = await record(t, server, 200);
    await checkBucket(server, store, endpoint, task);
    const told = live.requests.filter((r) => r.body.EventType === 308);
    assert.deepEqual(told.map((r) => r.body.EventInfo.Payload.Code), ['store_busy']);
  });

  test('erasing_removes_objects_and_manifests', async (t) => {
    const {store, server, endpoint} = await stage(t, {recording: {segment: '1s'}});
    const first = await record(t, server, 120);
    const second = await record(t, server, 60, 'bob');
    await checkBucket(server, store, endpoint, first);
    await checkBucket(server, store, endpoint, second);
    await server.ask(200, 'DELETE', `/v1/recordings?task=${first}`);
    const keys = await store.keys();
    assert.ok(keys.length && keys.every((key) => key.includes(second)), keys.join());
    await server.ask(200, 'DELETE', `/v1/recordings?task=${second}`);
    assert.deepEqual(await store.keys(), []);
  });

  test('a_store_that_is_down_erases_nothing_and_says_so', async (t) => {
    const {store, server, endpoint} = await stage(t);
    const task = await record(t, server);
    await checkBucket(server, store, endpoint, task);
    await store.stop();
    const {status, json} = await server.api('DELETE', `/v1/recordings?task=${task}`);
    assert.ok(status >= 500, String(status));
    assert.match(json.detail, /DELETE recordings\//);
    const shown = async (name) => (await command(t, [name, task, '--server', server.url])).out;
    for (const name of ['status', 'tasks']) {
      assert.match(await shown(name), /alice +0 +erasing +\S+ \S+ +0:0/);
      assert.doesNotMatch(await shown(name), /stored/);
    }
    await store.start();
    await server.ask(200, 'DELETE', `/v1/recordings?task=${task}`);
    assert.deepEqual(await store.keys(), []);
    for (const name of ['status', 'tasks'])
      assert.match(await shown(name), /no file \(any more\): nobody has spoken, or .* erased\n/);
  });

  test('files_of_an_earlier_kind_of_storage_are_found_and_erased', async (t) => {
    const {store, server, endpoint, proxy} = await stage(t, {start: false});
    const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
    const kind = async (name) => {
      config.storage.kind = name;
      fs.writeFileSync(server.config, JSON.stringify(config));
      await server.start();
    };
    await kind('local');
    const local = await record(t, server);
    await until('it is finished', async () => (await server.task(local)).finished_ms);
    await server.stop();
    await kind('s3');
    const remote = await record(t, server);
    await checkBucket(server, store, endpoint, remote);
    const get = async (task) => {
      const [s] = await server.segments(task);
      const answer = await fetch(`${server.url}/v1/segments/${s.segment_id}/audio`);
      assert.equal((await answer.arrayBuffer()).byteLength, s.size);
      return answer.url;
    };
    for (const name of ['s3', 'local']) {
      if (name === 'local') {
        await server.stop();
        await kind('local');
      }
      assert.ok((await get(local)).startsWith(server.url));
      assert.ok((await get(remote)).startsWith(proxy.url));
      // and said to be there
      assert.equal((await server.task(local)).storage, fs.realpathSync(server.storage));
      assert.equal((await server.task(remote)).storage, `${proxy.url}/${BUCKET}/${PREFIX}/`);
    }
    for (const task of [local, remote])
      await server.ask(200, 'DELETE', `/v1/recordings?task=${task}`);
    assert.deepEqual(await store.keys(), []);
    assert.deepEqual(fs.readdirSync(server.storage), []);
  });

  test('the_bucket_may_be_in_the_host_name', async (t) => {
    const store = await startStore(t);
    const proxy = await startProxy(t, store);
    const endpoint = await startEndpoint(t);
    const server = await startServer(t, {
      file_storage: s3Storage(proxy.url.replace('127.0.0.1', 's3.localhost'), {path_style: false}),
      callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}]});
    const task = await record(t, server);
    const [s] = await checkBucket(server, store, endpoint, task);
    assert.ok(proxy.requests.every((r) => r.headers.host.startsWith(`${BUCKET}.s3.localhost:`)));
    assert.deepEqual(proxy.unsigned, []);
    const answer = await fetch(`${server.url}/v1/segments/${s.segment_id}/audio`, {redirect: 'manual'});
    assert.equal(new URL(answer.headers.get('location')).hostname, `${BUCKET}.s3.localhost`);
  });

  test('a_store_whose_certificate_nobody_signed_gets_nothing', async (t) => {
    const dir = tempDir(t);
    await tool('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-keyout', `${dir}/key.pem`,
      '-out', `${dir}/cert.pem`]);
    let asked = 0;
    const store = https.createServer({key: fs.readFileSync(`${dir}/key.pem`),
      cert: fs.readFileSync(`${dir}/cert.pem`)}, (req, res) => {
      asked++;
      res.end();
    });
    await new Promise((done) => store.listen(0, '127.0.0.1', done));
    t.after(() => store.close());
    const {server} = await stage(t, {s3: {endpoint: `https://127.0.0.1:${store.address().port}`}});
    const task = await record(t, server);
    await until('it failed', async () =>
      (await server.segments(task))[0].reason === 'tls_failed');
    assert.match((await server.segments(task))[0].reason_text, /certificate/);
    assert.equal(asked, 0);
  });

  test('doctor_tries_the_bucket', async (t) => {
    const {store, proxy, server} = await stage(t, {start: false});
    const doctor = async () => {
      const {code, out} = await command(t, ['doctor', '-c', server.config, '--json']);
      const check = JSON.parse(out).checks.find((c) => c.what === 'storage.s3');
      return {code, ...check};
    };
    const good = await doctor();
    assert.equal(good.state, 'ok', good.text);
    assert.deepEqual(await store.keys(), [], 'nothing is left there');
    const bads = [
      [(r) => r.method === 'HEAD' && {status: 404}, /bucket_missing.*make it/],
      [(r) => r.method === 'PUT' && {status: 403, code: 'AccessDenied'}, /access_denied.*AccessDenied/],
      [() => ({status: 403, headers: {date: new Date(Date.now() + 3600_000).toUTCString()}}),
        /clock_skew.*clock is 3[56]\d\d s behind.*NTP/],
      [(r) => r.method === 'DELETE' && {status: 403, code: 'AccessDenied'}, /access_denied.*DELETE/],
    ];
    for (const [rule, text] of bads) {
      proxy.rule = (r) => rule(r) || undefined;
      const bad = await doctor();
      assert.equal(bad.state, 'FAIL');
      assert.match(bad.text, text);
      assert.equal(bad.code, 1);
    }
    const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
    // what is away comes back by itself
    const waits = [
      [() => ({status: 503, code: 'SlowDown'}), /store_busy.*files wait on this machine/],
      [() => ({reset: 0}), /connection_lost.*files wait on this machine/],
    ];
    for (const [rule, text] of waits) {
      proxy.rule = rule;
      const away = await doctor();
      assert.deepEqual([away.state, away.code], ['warn', 0], away.text);
      assert.match(away.text, text);
    }
    const at = (endpoint) => {
      config.storage.s3.endpoint = endpoint;
      fs.writeFileSync(server.config, JSON.stringify(config));
    };
    at(`http://127.0.0.1:${await deadPort()}`);
    const away = await doctor();
    assert.deepEqual([away.state, away.code], ['warn', 0], away.text);
    assert.match(away.text, /connection_lost.*nobody listens.*files wait on this machine/);
    // a name that nobody knows is a setting that is wrong
    at('http://no-such-host.invalid');
    assert.equal((await doctor()).state, 'FAIL');
    // http does no harm here, whatever it is called
    at(proxy.url.replace('127.0.0.1', 's3.localhost'));
    proxy.rule = () => undefined;
    const {out} = await command(t, ['doctor', '-c', server.config]);
    assert.match(out, /^ok +storage\.s3 /m);
    assert.doesNotMatch(out, /storage\.s3\.endpoint/);
  });

  test('a_server_that_stops_does_not_wait_for_the_store', async (t) => {
    const {proxy, server, store, endpoint} = await stage(t);
    proxy.rule = (r) => (r.method === 'PUT' ? {hang: true} : undefined);
    const task = await record(t, server);
    await until('it hangs', () => proxy.requests.some((r) => r.method === 'PUT'));
    const begun = Date.now();
    await server.stop();
    assert.ok(Date.now() - begun < 20_000);
    proxy.rule = () => undefined;
    await server.start();
    await checkBucket(server, store, endpoint, task);
  });
});
