// test/cli/18_callbacks_page.test.mjs -- docs/callbacks.md and the program say the same.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {createHash, createHmac, createPublicKey, verify} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';

import {LIVE_OK, endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {APP, KEY, command, startReceiver, startServer, tempDir, until} from '../aid/tapeop.mjs';

const exec = promisify(execFile);
const read = (name) => fs.readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const page = read('docs/callbacks.md');
const dialects = ['gme', 'live', 'trtc', 'standard'];
const WHSEC = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';

/** The headings of a text: {level, title, at, end}; what stands in blocks of code is none. */
function headings(text) {
  const bare = text.replace(/^```[^]*?^```$/gm, (block) => block.replace(/[^\n]/g, '.'));
  return [...bare.matchAll(/^(#+) .*$/gm)].map((m) => ({level: m[1].length,
    title: text.slice(m.index, m.index + m[0].length), at: m.index, end: m.index + m[0].length}));
}

/** What stands under a heading, its smaller headings too. */
function section(title) {
  const all = headings(page);
  const i = all.findIndex((h) => h.title === title);
  assert.notEqual(i, -1, `docs/callbacks.md has no ${title}`);
  const next = all.slice(i + 1).find((h) => h.level <= all[i].level);
  return page.slice(all[i].end, next?.at);
}

const blocks = (text, language) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)\n\`\`\`$`, 'gm'))].map((m) => m[1]);

/** The rows of all tables of a text, as arrays of cells. */
const rows = (text) => [...text.matchAll(/^\| ?(.*?) ?\|$/gm)]
  .map(([, row]) => row.split(/ ?\| ?/)).filter(([first]) => !/^-+$/.test(first));
/** `a`, `b` -> [a, b] */
const words = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1]);

/** A request in HTTP's own words: {line, names, headers, body}. */
function parse(text) {
  const [head, body] = text.split('\n\n');
  const [line, ...fields] = head.split('\n');
  const pairs = fields.map((f) => /^([^:]+): (.*)$/.exec(f).slice(1));
  return {line, names: pairs.map(([name]) => name), headers: Object.fromEntries(pairs), body,
    query: new URLSearchParams(/\?(\S+)/.exec(line)?.[1])};
}

/** What a dialect's section shows: the request, its event and key. */
function sample(dialect) {
  const text = section(`## Dialect \`${dialect}\``);
  const [, event, key] = /`(\w+)`,\s+with\s+the\s+(?:key|token)\s+`([^`]+)`/.exec(text);
  const r = parse(blocks(text, 'http')[0]);
  const {Signature, Sign} = r.headers;
  return {text, event, key, ...r,
    signature: Signature ?? Sign ?? r.query.get('Sign') ?? r.headers['webhook-signature'],
    id: r.headers['webhook-id'],
    time: r.query.get('RequestTime') ?? r.headers['webhook-timestamp']};
}

/** How a request came in, as `parse` gives it. */
function arrived(seen, response) {
  const raw = response.req.rawHeaders;
  const pairs = raw.filter((_, i) => i % 2 === 0).map((name, i) => [name, raw[2 * i + 1]]);
  return {line: `${seen.method} ${response.req.url} HTTP/${response.req.httpVersion}`,
    names: pairs.map(([name]) => name), headers: Object.fromEntries(pairs),
    body: seen.raw.toString(), query: seen.url.searchParams};
}

/** An endpoint that keeps what came: .arrived. */
async function startCapture(t) {
  const endpoint = await startEndpoint(t);
  endpoint.arrived = [];
  endpoint.answer = (seen, response) => {
    endpoint.arrived.push(arrived(seen, response));
    if (seen.method === 'OPTIONS')
      response.setHeader('WebHook-Allowed-Origin', seen.headers['webhook-request-origin']);
    endpointAnswers(200)(seen, response);
  };
  return endpoint;
}

const trigger = (t, event, dialect, ...more) => command(t,
  ['trigger', event, '--dialect', dialect, '--key', 'env:KEY', ...more], {env: {KEY: WHSEC}});

/** The body that trigger would send, parsed; null when there is no word for it. */
async function bodyOf(t, event, dialect, ...more) {
  const {code, out, text} = await trigger(t, event, dialect, '--to', 'http://127.0.0.1/', '--print', ...more);
  if (code === 2 && text.includes('no word for'))
    return null;
  assert.equal(code, 0, text);
  return JSON.parse(out.trimEnd().split('\n').at(-1));
}

/** The names of an object's members in their order, those of its objects too. */
function keys(value) {
  if (Array.isArray(value))
    return value.map(keys);
  return value && typeof value === 'object'
    ? Object.entries(value).map(([k, v]) => [k, keys(v)]) : typeof value;
}

/** The events that `tapeop trigger --help` knows. */
async function helpEvents(t) {
  const {out} = await command(t, ['trigger', '--help']);
  const list = /^ {2}EVENT +([^]*?); also by/m.exec(out)[1];
  return list.split(/,\s+| or /).map((name) => name.trim());
}

/* ---- samples ---- */

const genuine = {
  gme: (s) => createHmac('sha1', s.key).update(s.body).digest('base64') === s.signature,
  trtc: (s) => createHmac('sha256', s.key).update(s.body).digest('base64') === s.signature,
  live: (s) => createHash('sha256').update(s.key + s.time).digest('hex') === s.signature,
  standard: (s) => `v1,${createHmac('sha256', Buffer.from(s.key.slice(6), 'base64'))
    .update(`${s.id}.${s.time}.${s.body}`).digest('base64')}` === s.signature,
};

for (const dialect of dialects) {
  test(`the_sample_of_${dialect}_is_genuine_and_signed_again_the_same`, async (t) => {
    const s = sample(dialect);
    const file = path.join(tempDir(t), 'body');
    fs.writeFileSync(file, s.body);
    assert.ok(genuine[dialect](s), 'not signed as Node does it');
    assert.equal(s.headers['Content-Length'], String(Buffer.byteLength(s.body)));

    const time = {live: ['--request-time', s.time], standard: ['--timestamp', s.time, '--id', s.id]}[dialect] ?? [];
    const run = (name, ...args) => command(t, [name, '--dialect', dialect, '--key', 'env:KEY', ...time, ...args, file],
      {env: {KEY: s.key}});
    const signed = await run('sign');
    assert.equal(signed.code, 0, signed.text);
    assert.ok(signed.out.includes(s.signature), signed.out);
    const verified = await run('verify', '--signature', s.signature);
    assert.match(verified.out + verified.text, time.length ? /is right, but .* s old|^ok\n$/ : /^ok\n$/);
    fs.appendFileSync(file, ' ');
    if (dialect !== 'live')
      assert.doesNotMatch(Object.values(await run('verify', '--signature', s.signature)).join(), /ok\n|is right/);
  });

  test(`the_commands_of_${dialect}_print_the_values_beside_them`, async () => {
    const s = sample(dialect);
    const printed = [];
    for (const block of blocks(s.text, 'sh')) {
      for (const [, commands, want] of block.matchAll(/((?:^[^#\n].*\n)+)# (.*)$/gm)) {
        const {stdout} = await exec('bash', ['-c', commands.replace(/^(?=printf)/gm, 'set -eo pipefail; ')],
          {env: {...process.env, body: s.body}});
        assert.equal(stdout.trimEnd(), want, commands);
        printed.push(want);
      }
    }
    assert.equal(printed.length, dialect === 'gme' ? 2 : 1);
    assert.equal(printed[0], s.signature.replace('v1,', ''), 'the value is not that of the sample');
  });

  test(`the_sample_of_${dialect}_looks_like_what_is_sent`, async (t) => {
    const s = sample(dialect);
    const endpoint = await startCapture(t);
    const server = await startServer(t, {callbacks: [{name: 'e', url: `${endpoint.url}/recording`, dialect, key: s.key}]});
    const {endpoints: [{endpoint_id: id}]} = await server.ask(200, 'GET', `/v1/apps/${APP}/endpoints`);
    assert.equal((await server.ask(200, 'POST', `/v1/endpoints/${id}/test`)).delivered, true);
    const {code, text} = await trigger(t, s.event, dialect, '--to', `${endpoint.url}/recording`);
    assert.equal(code, 0, text);
    const [real, made] = endpoint.arrived;

    const shape = ({line, query}) => [line.replace(/\?\S+/, ''), [...query.keys()]];
    for (const r of [real, made])
      assert.deepEqual(shape(r), shape(s));
    assert.deepEqual(s.names, real.names);
    assert.deepEqual(s.names.filter((name) => !name.startsWith('Tapeop-')), made.names);
    for (const name of ['User-Agent', 'Accept', 'Content-Type', 'SdkAppId'])
      assert.equal(s.headers[name], real.headers[name], name);
    for (const name of ['SdkAppid', 'CallbackCommand', 'contenttype', 'ClientIP'])
      assert.equal(s.query.get(name), made.query.get(name), name);
    assert.deepEqual(keys(JSON.parse(s.body)), keys(JSON.parse(made.body)));
    assert.equal(JSON.stringify(Object.entries(JSON.parse(s.body)).filter(([k]) => /Type$|^type$|Command$/.test(k))),
      JSON.stringify(Object.entries(JSON.parse(made.body)).filter(([k]) => /Type$|^type$|Command$/.test(k))));
  });
}

test('the_public_key_of_the_page_verifies_its_v1a', () => {
  const s = sample('standard');
  const [, x] = /`whpk_([^`]+)`/.exec(s.text);
  const [, signature] = /`v1a,([^`.]+)`/.exec(s.text);
  const key = createPublicKey({format: 'jwk',
    key: {kty: 'OKP', crv: 'Ed25519', x: Buffer.from(x, 'base64').toString('base64url')}});
  const signed = (body) => Buffer.from(`${s.id}.${s.time}.${body}`);
  assert.ok(verify(null, signed(s.body), key, Buffer.from(signature, 'base64')));
  assert.ok(!verify(null, signed(`${s.body} `), key, Buffer.from(signature, 'base64')));
});

test('the_handshake_of_the_page_is_asked_and_its_answer_agrees', async (t) => {
  const [ask, agree] = blocks(section('## Rates, and asking first'), 'http').map(parse);
  const endpoint = await startCapture(t);
  const answer = endpoint.answer;
  endpoint.answer = (seen, response) => {
    if (seen.method !== 'OPTIONS')
      return answer(seen, response);
    endpoint.arrived.push(arrived(seen, response));
    for (const [name, value] of Object.entries(agree.headers)) // it knows the name of our machine
      response.setHeader(name, value === ask.headers['WebHook-Request-Origin']
        ? seen.headers['webhook-request-origin'] : value);
    return response.end();
  };
  const server = await startServer(t, {callbacks: [{name: 'e', url: `${endpoint.url}/recording`, dialect: 'live',
    handshake: true, rate: 2}]});
  await server.join('r', 'u');
  await server.record('r');
  await server.drained();
  const [asked, told] = endpoint.arrived;
  assert.deepEqual([asked.line, asked.names], [ask.line, ask.names]);
  assert.equal(asked.headers['WebHook-Request-Rate'], ask.headers['WebHook-Request-Rate']);
  assert.match(told.line, /^POST /);
  assert.ok(told.names.includes('WebHook-Request-Origin'));
  const {endpoints: [e]} = await server.ask(200, 'GET', `/v1/apps/${APP}/endpoints`);
  assert.deepEqual([e.consent, e.effective_rate], [true, Number(agree.headers['WebHook-Allowed-Rate']) / 60]);
});

/* ---- tables ---- */

test('the_table_of_events_is_what_trigger_knows', async (t) => {
  const [, ...table] = rows(section('## Events')).filter((row) => row.length === 5);
  const events = await helpEvents(t);
  assert.deepEqual(table.map(([event]) => words(event)[0]).sort(), events.sort());
  for (const [event, , gme, cloud, standard] of table) {
    const [name] = words(event);
    for (const [dialect, want] of Object.entries({gme, live: cloud, trtc: cloud, standard})) {
      const body = await bodyOf(t, name, dialect);
      assert.equal(body ? String(body.EventType ?? body.type) : '-', want.replaceAll('`', ''), `${name}, ${dialect}`);
    }
  }
});

test('nothing_is_off_by_default', async (t) => {
  const server = await startServer(t, {callbacks: dialects.map((dialect) =>
    ({name: dialect, url: 'http://127.0.0.1:1/', dialect, key: WHSEC}))});
  const {endpoints} = await server.ask(200, 'GET', `/v1/apps/${APP}/endpoints`);
  const table = rows(section('## Events')).filter((row) => row.length === 5).slice(1);
  for (const {dialect, events} of endpoints) {
    const column = {gme: 2, live: 3, trtc: 3, standard: 4}[dialect];
    const want = table.filter((row) => row[column] !== '-').map(([event]) => words(event)[0]);
    assert.deepEqual([...events].sort(), want.filter((name) => name !== 'test').sort(), dialect);
  }
});

/** Dotted names of the members, down to what is no object. */
const dotted = (o, at = '') => Object.entries(o).flatMap(([k, v]) =>
  (v && typeof v === 'object' && !Array.isArray(v) && k !== 'Payload' && k !== 'error'
    ? dotted(v, `${at}${k}.`) : [[`${at}${k}`, Array.isArray(v) ? 'array' : typeof v]]));

/** [[name, type]] of a section's table of fields. */
function fields(text) {
  const all = rows(text);
  const from = all.findIndex(([a, b]) => a === 'field' && b === 'type');
  const to = all.findIndex((row, i) => i > from && row.length !== all[from].length);
  return all.slice(from + 1, to < 0 ? undefined : to).flatMap(([cell, type]) => {
    const [first, ...more] = words(cell);
    const parent = first.slice(0, first.lastIndexOf('.'));
    return [first, ...more.map((name) => parent + name)].map((name) => [name, type]);
  });
}

test('the_fields_of_the_page_are_those_of_the_bodies_with_their_types', async (t) => {
  const body = async (event, dialect) => dotted(await bodyOf(t, event, dialect));
  const without = (list, name) => list.filter(([n]) => n !== name);
  assert.deepEqual(fields(sample('gme').text), await body('uploaded', 'gme'));
  const live = fields(sample('live').text);
  for (const event of ['task_started', 'files_ready']) {
    assert.deepEqual(live, without(await body(event, 'live'), 'EventInfo.Payload'));
    assert.deepEqual(without(live, 'CallbackCommand'), without(await body(event, 'trtc'), 'EventInfo.Payload'));
  }
  const sent = new Map();
  for (const event of await helpEvents(t))
    (await body(event, 'standard')).forEach(([name, type]) => sent.set(name, type));
  assert.deepEqual(fields(sample('standard').text).sort(), [...sent].sort());
});

test('the_payloads_of_the_page_are_those_that_are_sent', async (t) => {
  const table = new Map(rows(sample('live').text).filter(([types]) => /^\d{3}/.test(types))
    .flatMap(([types, cell]) => types.split(', ').map((type) => [Number(type), cell])));
  for (const event of (await helpEvents(t))) {
    const body = await bodyOf(t, event, 'live');
    if (!body)
      continue;
    const {EventInfo: {Payload}, EventType} = body;
    const names = Object.keys(Payload).concat(Object.keys(Payload.FileMessage?.[0] ?? {}));
    const said = words(table.get(EventType)).filter((w) => /^[A-Z]/.test(w));
    assert.deepEqual(said, names, `${event}: ${table.get(EventType)}`);
  }
  const types = rows(section('## Events')).filter((row) => row.length === 5).map((row) => Number(row[3])).filter(Boolean);
  assert.deepEqual([...table.keys()].sort(), [...new Set(types)].sort());
});

test('extended_has_the_members_of_data_as_the_last_one', async (t) => {
  const {data} = await bodyOf(t, 'started', 'standard', '--task', '471000000000000000');
  for (const dialect of ['gme', 'live', 'trtc']) {
    const body = await bodyOf(t, 'started', dialect, '--extended', '--task', '471000000000000000');
    assert.equal(Object.keys(body).at(-1), 'Extended');
    assert.deepEqual(body.Extended, data);
  }
});

/* ---- answers, retries, links ---- */

test('the_answers_of_the_page_are_wanted_and_given', async (t) => {
  const answer = (dialect) => words(/\*\*Answer\*\*([^]*?)\n\n/.exec(sample(dialect).text)[1]).at(-1);
  assert.deepEqual(JSON.parse(answer('live')), LIVE_OK);
  const receiver = await startReceiver(t, {key: WHSEC});
  const endpoint = await startEndpoint(t);
  let text;
  endpoint.answer = (seen, response) => response.end(text);
  for (const dialect of ['gme', 'live', 'trtc']) {
    const event = dialect === 'gme' ? 'started' : 'task_started';
    const given = await trigger(t, event, dialect, '--to', receiver.url);
    assert.equal(given.code, 0, given.out + given.text);
    assert.ok(given.out.trimEnd().endsWith(`: ${answer(dialect)}`), given.out);
    for (text of [answer(dialect), '{"code":0}', ''])
      assert.equal((await trigger(t, event, dialect, '--to', endpoint.url)).code,
        dialect === 'live' && text !== answer('live') ? 1 : 0, `${dialect}, ${text}`);
  }
});

test('the_retries_of_the_page_are_those_of_the_settings', () => {
  const table = rows(section('### Retries')).map((row) => row.map((cell) => cell.replaceAll(' min', 'm').replaceAll(' h', 'h')));
  const [, exact, drawn] = table;
  assert.deepEqual(exact.slice(1), ['0 s, then 10 s six times', '5 s']);
  const setting = /standard \((5s[^)]*)\)/.exec(read('docs/settings.md'))[1];
  assert.equal(`5s, ${drawn[2]}`, setting);
  assert.equal(drawn[1], `${drawn[2]}, 24h ..`);
});

test('every_link_within_the_documents_of_callbacks_leads_to_a_heading', () => {
  const anchor = ({title}) => title.replace(/^#+ /, '').toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-');
  for (const name of ['README.md', 'docs/callbacks.md', 'docs/verifying.md', 'docs/library.md', 'docs/api.md']) {
    for (const [, file, wanted] of read(name).matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)) {
      const to = file ? path.join(path.dirname(name), file) : name;
      assert.ok(headings(read(to)).some((h) => anchor(h) === wanted), `${name}: ${file}#${wanted}`);
    }
  }
  const contents = page.slice(0, page.indexOf('\n## '));
  for (const h of headings(page).slice(1))
    assert.ok(contents.includes(`(#${anchor(h)})`), `${h.title} is not in the contents`);
  for (const [from, to] of [['callbacks', 'verifying'], ['verifying', 'callbacks'],
    ['callbacks', 'library'], ['library', 'callbacks'], ['verifying', 'library'], ['library', 'verifying']])
    assert.ok(read(`docs/${from}.md`).includes(`(${to}.md`), `${from}.md has no link to ${to}.md`);
});

test('the_minute_of_the_readme_shows_a_recording_and_a_refusal', async (t) => {
  const receiver = await startReceiver(t);
  const env = {TAPEOP_SECRET_KEY: KEY};
  const lines = [...read('README.md').matchAll(/^ {4}tapeop (trigger .*)$/gm)].map((m) => m[1].split(' '));
  assert.equal(lines.length, 2);
  const [story, another] = lines.map((args) => args.map((arg) =>
    arg.replace('http://127.0.0.1:9000', receiver.url)));
  assert.equal((await command(t, story, {env})).code, 0);
  assert.match((await command(t, another, {env})).out, /NOT accepted: HTTP 401/);
  const {recordings} = await receiver.get('/v1/recordings');
  assert.deepEqual(recordings.map((r) => [r.room, r.state, r.segment_counts.uploaded]), [['lobby', 'uploaded', 1]]);
  await until('three events are printed', () => receiver.events().length === 3);
});
