// A configuration that is wrong stops the start, says where and what is
// permitted, and leaves nothing behind.
// SPDX-License-Identifier: Apache-2.0
//
// The settings, their ranges and defaults are read from docs/settings.md, which
// is made from the table in the source: a new setting is tested without a line
// here, unless what it permits is of a new kind.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';

import {command, TAPEOP, tempDir} from '../aid/tapeop.mjs';

const page = fs.readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8');

/** {path, key, def, permitted, required, later} of each setting. */
const settings = page.split('## Not there yet').flatMap((part, i) =>
  [...part.matchAll(/^\| `([^`]+)` \| (`[^`]*`|required|) \| (.*?) \| .* \|$/gm)]
    .map(([, where, def, permitted]) => ({
      path: where,
      key: where.split('.').at(-1),
      def: def.replaceAll('`', ''),
      permitted,
      required: def === 'required',
      later: i === 1,
    })));

/** A value that is good, where the table has no default. */
const good = {
  'callbacks_origin': 'h.example', 'http.admin_token': 'abc', 'http.previous_admin_token': 'abc',
  'http.tls_cert': 'cert.pem', 'http.tls_key': 'key.pem',
  'http.allowed_origins': 'https://h.example', 'media.address': '127.0.0.1',
  'apps[].previous_secret_key': 'abc', 'storage.local.dir': './files', 'apps[].id': '1',
  'apps[].secret_key': 'abc', 'apps[].callbacks[].name': 'a',
  'apps[].callbacks[].url': 'http://h/', 'apps[].callbacks[].events': 'all',
  'apps[].callbacks[].verdict': 'status', 'apps[].api_keys[].secret_id': 'a',
  'apps[].api_keys[].secret_key': 'abc', 'apps[].api_keys[].previous_secret_key': 'abc',
  'apps[].api_keys[].actions': '[StartRecord]',
  'http.tls_cert': '/x', 'http.tls_key': '/x', 'media.bind': '127.0.0.1',
  'http.allowed_origins': 'https://a.example',
};
const goodOf = (s) => good[s.path] ?? s.def;

/** What a group needs beside the setting in question. */
const company = {
  'apps[]': {id: '1', secret_key: 'abc'},
  'apps[].callbacks[]': {name: 'a', url: 'http://h/'},
  'apps[].api_keys[]': {secret_id: 'a', secret_key: 'abc'},
};

/** A file with `lines` of text in the group of `where`, at [line, column]. */
function fileWith(where, lines, leave = []) {
  const text = [];
  let indent = '', group = '', dash = '';
  const put = (line) => {
    text.push(indent + dash + line);
    if (dash)
      indent += '  ';
    dash = '';
  };
  for (const part of where.split('.').slice(0, -1)) {
    group += (group && '.') + part;
    put(`${part.replace('[]', '')}:`);
    indent += '  ';
    dash = part.endsWith('[]') ? '- ' : '';
    for (const [key, value] of Object.entries(company[group] ?? {})) {
      const asked = where === `${group}.${key}`;
      if (!asked && !leave.includes(key))
        put(`${key}: ${value}`);
    }
  }
  const at = {line: text.length + 1, column: indent.length + dash.length + 1};
  for (const line of [lines].flat())
    put(line);
  return {text: text.join('\n') + '\n', at};
}

const shown = (where) => where.replaceAll('[]', '[0]');

// ---- faults by what is permitted ------------------------------------------------

const quoted = (s) => JSON.stringify(s);
const list = '[a, b]', map = '{a: b}';
/** A quoted text may hold these; nothing permits them. */
const controls = ['"a\\0b"', '"a\\nb"', '"\\e[31m"', '"\\x7f"'];

/** Shift a duration of the table one step out: [too short, too long]. */
const unit = {ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000};
const msOf = (text) => parseInt(text, 10) * unit[/[a-z]+$/.exec(text)[0]];

/** [pattern of `permitted`, its faults]; more(m, setting) adds to them. */
const kinds = [
  [/^a text of (\d+) to (\d+) bytes$/, (m) => [list, map, 'x'.repeat(+m[2] + 1),
    ...(+m[1] ? ['""'] : []), ...controls]],
  [/^a secret: env:NAME, file:PATH, or the text itself$/, (m, s) => [list, map,
    '"env:"', '"file:"', 'env:TAPEOP_TEST_NOT_SET', 'env:TAPEOP_TEST_EMPTY',
    'file:/nonexistent/secret', 'file:/proc/self', 'file:/dev/null', 'file:/dev/zero',
    'x'.repeat(4097), ...(s.def === '""' ? [] : ['""']), ...controls]],
  [/^a whole number from (\d+) to (\d+)( \[\w+\])?$/, (m) => [list, map,
    `${BigInt(m[1]) - 1n}`, `${BigInt(m[2]) + 1n}`, '-1', 'two', '""', '"16"', '1.5',
    '1e3', '010', '0x10', '1_000', '~', '.inf', '18446744073709551616', '../../etc']],
  [/^a time such as .*, from (\w+) to (\w+)$/, (m) => [list, map, '5', '1.5s', '-1s', 's',
    '1 s', '1S', '1w', '""', '../../etc', '99999999999999999999s',
    ...(msOf(m[1]) > 0 ? [`${msOf(m[1]) - 1}ms`] : []), `${msOf(m[2]) + 1}ms`,
    ...controls]],
  [/^0, or a number from 0\.017 to 10000 with/, () => [list, map, '-1', '0.016', '10001', '1.2345',
    'two', '""', '1e3', '.inf', '1,5', ...controls]],
  [/^true or false$/, () => [list, map, 'yes', 'on', '1', 'True', '"true"', '""']],
  [/^an IP address with a port, or a list of 1 to 4$/, () => [map, '[]', '[[127.0.0.1:0]]',
    'localhost:80', '127.0.0.1', '"::1"', '"[::1]"', '127.0.0.1:65536', '127.0.0.1:x',
    '256.1.1.1:80', '""', '[127.0.0.1:0, ""]', '[127.0.0.1:1, 127.0.0.1:1]',
    '[127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, 127.0.0.1:4, 127.0.0.1:5]', '/tmp/socket',
    ...controls]],
  [/^https:..HOST or http:..HOST, also with :PORT, or "\*"; or a list of 1 to 16$/, () => [map,
    '[]', 'a.example', 'ftp://a.example', '"https://"', 'https://a.example/', 'https://a.example/x',
    'null', '""', '[[https://a.example]]', '[https://a.example, ""]', '../../etc', ...controls]],
  [/^an IP address without a port, or a list of 1 to 4$/, () => [map, '[]', 'localhost',
    '127.0.0.1:80', '"[::1]:80"', '256.1.1.1', '""', '0.0.0.0', '"::"', '224.0.0.1', '"ff02::1"',
    ...controls]],
  [/^an IP address without a port$/, (m, s) => s.path === 'media.bind' ? [map, '[]', 'localhost',
    '127.0.0.1:80', '"[::1]:80"', '256.1.1.1', '""', ...controls] : [map, '[]', 'localhost', '127.0.0.1:80',
    '"[::1]:80"', '256.1.1.1', '""', '0.0.0.0', '"::"', '224.0.0.1', '"ff02::1"',
    '[127.0.0.1, 127.0.0.2]', ...controls]],
  [/^two ports FIRST-LAST from (\d+) to (\d+)$/, (m) => [list, map, '41000', '41000-',
    '-41000', '41000-x', '41000-41001-41002', '42000-41000', `${+m[1] - 1}-2000`,
    `2000-${+m[2] + 1}`, '""', '0-0', ...controls]],
  [/^"\+HH:MM" or "-HH:MM"/, () => [list, map, '8', '+8', 'Z', 'UTC', 'Asia/Shanghai',
    '"+14:01"', '"-12:01"', '"+08:60"', '"+8:00"', '""', ...controls]],
  [/^all, or a list of: /, () => [map, '[]', '[[started]]', 'begun', '[started, begun]',
    '[started, started]', 'STARTED', '""', 'task_failed', '../../etc', ...controls]],
  [/^one or a list of: (\w+), (\w+)/, (m) => [map, '[]', `[[${m[1]}]]`, 'nothing',
    `[${m[1]}, nothing]`, `[${m[1]}, ${m[1]}]`, m[1].toUpperCase(), '""', '../../etc',
    ...controls]],
  [/^tencent, standard or 1 to 32 times/, () => [list, map, 'never', '5', '"1s,,2s"',
    '"1s,"', '"8d"', '"-1s"', quoted(Array(33).fill('1s').join(',')), '""', ...controls]],
  // of an ENUM: last, because it fits most
  [/^(?:one of: )?([\w, ]+)$/, (m) => [list, map, 'nothing', '""', '1', '../../etc',
    m[1].split(', ')[0].toUpperCase() + (/^\d/.test(m[1]) ? '0' : ''), ...controls]],
];

/** Faults that follow from the text of a setting, not from what it permits. */
const extra = {
  'apps[].callbacks[].url': ['http:', 'ftp://host/', 'host.example', 'http://u:p@host/',
    'http:///path', 'http://host:99999/', 'file:///etc/passwd', '"http://ho st/"',
    'javascript:alert(1)'],
  'apps[].api_keys[].secret_id': ['a b', 'ü', 'a/b', '"a,b"', '../../etc'],
  'apps[].callbacks[].name': ['a b', 'ü', 'a/b', '..', '../../etc', 'a.b'],
};

function faultsOf(s) {
  for (const [pattern, faults] of kinds) {
    const m = pattern.exec(s.permitted);
    if (m)
      return ['', '~', 'null', '&x a', '*x', '!!str a', '!x a', ...faults(m, s),
        ...(extra[s.path] ?? [])];
  }
  throw new Error(`no faults for what is permitted as: ${s.permitted}`);
}

// ---- running ----------------------------------------------------------------------

/** Serve it from an empty folder: the one line that it says. */
async function refused(t, dir, text, args) {
  const file = path.join(dir, 'c.yaml');
  if (text !== undefined)
    fs.writeFileSync(file, text);
  const before = fs.readdirSync(dir);
  const r = await command(t, ['serve', '-c', file, ...(args ?? [])],
    {cwd: dir, ms: 20_000, env: {TAPEOP_TEST_EMPTY: ''}});
  const told = `${String(text).slice(0, 300)}\n-> ${r.code} ${r.signal} ${r.text}`;
  assert.equal(r.code, 1, told);
  assert.equal(r.out, '', told);
  assert.match(r.text, /^tapeop serve: [^\n]*\n$/, told);
  assert.deepEqual(fs.readdirSync(dir), before, `${told}: left something behind`);
  const m = /^tapeop serve: (.*\.yaml):(\d+):(\d+): (.*)\n$/.exec(r.text);
  assert.ok(m, told);
  assert.equal(m[1], file, told);
  return {line: Number(m[2]), column: Number(m[3]), says: m[4], told};
}

/** Run `fn` for all, a few at a time; tells the first that failed. */
async function each(t, all, fn) {
  const queue = [...all];
  const failed = [];
  await Promise.all(Array.from({length: os.availableParallelism()}, async () => {
    let dir = tempDir(t);
    while (queue.length) {
      try {
        await fn(dir, queue.shift());
      } catch (e) {
        failed.push(e.message);
        dir = tempDir(t); // something may lie in this one
      }
    }
  }));
  assert.ok(!failed.length, `${failed.length} failed:\n${failed.slice(0, 10).join('\n')}`);
}

// What no place permits is told without the range of this one.
const anywhere = /anchors|aliases|tags|not YAML|UTF-8/;
// Faults whose answer says what to do instead of the range.
const else_ = new RegExp('is there twice: each once|too many: at most \\d|is an empty list: ' +
  'at least 1|1 to 63 letters, digits, - and _|http:// or https://|user or password|' +
  '1 to 127 letters, digits and -_.\\*@\\+|' +
  'is not there yet; permitted: |senders can reach|has no word for|TAPEOP_TEST_|' +
  '/nonexistent/secret|/proc/self|/dev/(null|zero)|more than 4096 bytes|' +
  'there is no host|1 to 65535|must be percent-encoded');

test('the_page_of_settings_is_read_whole', () => {
  assert.equal(settings.length, page.match(/^\| `/gm).length);
  assert.ok(settings.length > 40);
  assert.deepEqual(settings.filter((s) => s.required).map((s) => s.path),
    ['apps[].id', 'apps[].api_keys[].secret_id', 'apps[].api_keys[].secret_key',
      'apps[].callbacks[].name', 'apps[].callbacks[].url']);
});

test('every_fault_of_every_setting_is_told_with_its_place_and_range', async (t) => {
  const faults = settings.flatMap((s) => faultsOf(s).map((value) => [s, value]));
  assert.ok(faults.length > 500);
  await each(t, faults, async (dir, [s, value]) => {
    const {text, at} = fileWith(s.path, `${s.key}: ${value}`);
    const r = await refused(t, dir, text);
    if (/not YAML/.test(r.says)) // where libyaml noticed
      return;
    assert.equal(r.line, at.line, r.told);
    const first = at.column + s.key.length + 1;
    assert.ok(r.column >= first && r.column <= first + 1 + value.length, r.told);
    if (anywhere.test(r.says) && /[&*!~\\]/.test(value))
      return;
    assert.ok(r.says.startsWith(`${shown(s.path)}: `), r.told);
    assert.ok(r.says.includes(s.permitted) || else_.test(r.says) ||
      (s.later && /permitted: /.test(r.says)), r.told);
  });
});

test('a_setting_that_is_almost_right_is_suggested', async (t) => {
  await each(t, settings, async (dir, s) => {
    const {text, at} = fileWith(s.path, `${s.key}${s.key.at(-1)}: ${goodOf(s)}`);
    const r = await refused(t, dir, text);
    assert.deepEqual([r.line, r.column], [at.line, at.column], r.told);
    const near = new RegExp(`unknown setting; did you mean "${s.key}"\\?$`);
    const known = new RegExp(`unknown setting; known here: .*\\b${s.key}\\b`);
    assert.ok(near.test(r.says) || (s.key.length < 4 && known.test(r.says)), r.told);
  });
  await each(t, settings, async (dir, s) => {
    const r = await refused(t, dir, fileWith(s.path, 'zzzzzzzz: 1').text);
    assert.match(r.says, /zzzzzzzz: unknown setting; known here: /, r.told);
  });
});

test('a_setting_that_is_there_twice_is_refused', async (t) => {
  await each(t, settings, async (dir, s) => {
    const line = `${s.key}: ${goodOf(s).replace(/^$/, '""').replace(/^(\+.*)$/, '"$1"')}`;
    const {text, at} = fileWith(s.path, [line, line]);
    const r = await refused(t, dir, text);
    assert.equal(r.line, at.line + 1, r.told);
    assert.equal(r.says, `${shown(s.path)}: is there twice: each once`);
  });
});

test('a_group_that_is_no_group_or_there_twice_is_refused', async (t) => {
  const groups = [...new Set(settings.flatMap((s) => {
    const parts = s.path.split('.').slice(0, -1);
    return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
  }))].map((g) => ({path: g, key: g.split('.').at(-1).replace('[]', ''),
    many: g.endsWith('[]')}));
  assert.ok(groups.length >= 8);
  await each(t, groups, async (dir, g) => {
    const name = `${shown(g.path.replace(/\[\]$/, ''))}`;
    for (const value of ['', 'text', '5', '""', g.many ? '{}' : '[]', '*x']) {
      const {text, at} = fileWith(g.path, `${g.key}: ${value}`);
      const r = await refused(t, dir, text);
      assert.equal(r.line, at.line, r.told);
      assert.ok(r.says.startsWith(name) || value === '*x', r.told);
      assert.match(r.says, g.many ? /must be a list|aliases/
        : /must be a group of settings|aliases/, r.told);
    }
    const empty = `${g.key}: ${g.many ? '[]' : '{}'}`;
    const r = await refused(t, dir, fileWith(g.path, [empty, empty]).text);
    assert.equal(r.says, `${name}: is there twice: each once`);
  });
});

test('a_setting_that_is_missing_is_named', async (t) => {
  await each(t, settings.filter((s) => s.required), async (dir, s) => {
    // its neighbours are there
    const neighbour = {id: 'secret_key: abc', name: 'url: http://h/', url: 'name: a',
      secret_id: 'secret_key: abc', secret_key: 'secret_id: a'}[s.key];
    const other = fileWith(s.path, neighbour,
      ['secret_key', 'name', 'url', 'secret_id']);
    const r = await refused(t, dir, other.text);
    assert.match(r.says, /is missing: every item of (apps|callbacks|api_keys) needs it$/, r.told);
    assert.ok(r.says.startsWith(`${shown(s.path)}: `), r.told);
  });
  const r = await refused(t, tempDir(t), 'apps:\n  - id: 1\n    callbacks:\n' +
    '      - {name: a, url: "http://h/"}\n');
  assert.equal(r.says, 'apps[0].callbacks[0].key: the dialect gme needs a key: set it, ' +
    'or secret_key of the app');
});

test('a_file_that_is_no_configuration_is_refused', async (t) => {
  const app = 'apps:\n  - id: 1\n';
  const files = [
    ['', /^the file is empty: `tapeop serve --sample`/],
    ['# only a comment\n', /empty/], ['\n\n\n', /empty/], ['---\n', /must be a group/],
    ['--- \n...\n', /must be a group/], ['null\n', /must be a group/],
    ['text', /must be a group/], ['- a\n', /must be a group/], ['5', /must be a group/],
    ['[]', /must be a group/], ['"', /not YAML/], ['{', /not YAML/], ['}', /not YAML/],
    ['http: {listen: [}', /not YAML/], ['a: b: c\n', /unknown|not YAML/], ['\t', /empty|not YAML/],
    ['http:\n\tlisten: 127.0.0.1:0\n', /not YAML/], ['@', /not YAML/], ['`', /not YAML/],
    ['%YAML 9.9\n---\nlog_level: info\n', /not YAML/],
    ['%TAG ! x\n---\nlog_level: !y info\n', /not YAML|tags/],
    ['log_level: info\n---\nlog_level: info\n', /second document/],
    ['log_level: info\n...\nlog_level: info\n', /second document|not YAML/],
    ['x: &a 1\n', /unknown|anchors/], ['data_dir: &a b\n', /anchors/],
    ['<<: *a\n', /unknown|aliases/], ['? {a: b}\n: c\n', /must be text/],
    ['a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n', /anchors|unknown/],
    ['!!map {log_level: info}\n', /tags/], ['!!binary "aaaa"\n', /tags/],
    ['&a {log_level: info}\n', /anchors/],
    [`${'a'.repeat(2000)}: b\n`, /unknown setting|must be a group/],
    [`? ${'a'.repeat(100000)}\n: b\n`, /unknown setting/],
    ['\u{1F399}: b\n', /unknown setting/], ['../../etc: b\n', /unknown setting/],
    ['"a\\nb": c\n', /must be text/], ['"": c\n', /must be text/], ['~: c\n', /unknown/],
    [`data_dir: ${'['.repeat(500000)}`, /must be a text/],
    ['['.repeat(1000000), /must be a group/], ['{'.repeat(1000000), /must be text/],
    ['- '.repeat(500000), /must be a group/], ['? '.repeat(500000), /must be text/],
    [Array.from({length: 1300}, (_, i) => `${' '.repeat(i)}a:`).join('\n'), /unknown/],
    [app.repeat(1) + '  - id: 2\n'.repeat(2), /id: is taken by apps\[1\]/],
    ['apps:\n' + Array.from({length: 101}, (_, i) => `  - id: ${i + 1}\n`).join(''),
      /^apps: too many: at most 100$/],
    [app + '    secret_key: x\n    callbacks:\n' + Array.from({length: 21}, (_, i) =>
      `      - {name: n${i}, url: "http://h/"}\n`).join(''),
    /callbacks: too many: at most 20$/],
    [Buffer.alloc(1000), /UTF-8|not YAML|empty/],
    [Buffer.from('data_dir: \xff\n', 'latin1'), /UTF-8/],
    [Buffer.from('data_dir: \xc0\xaf\n', 'latin1'), /UTF-8/],
    [Buffer.from('\xff\xfed\0a\0t\0a\0', 'latin1'), /UTF-8|not YAML/],
    [Buffer.concat([Buffer.from('data_dir: a'), Buffer.alloc(3), Buffer.from('b\n')]), /UTF-8/],
    [crypto.createHash('sha512').update('x').digest(), /UTF-8|not YAML/],
    [fs.readFileSync(TAPEOP).subarray(0, 500000), /UTF-8|not YAML/],
    [Buffer.alloc(10 << 20, 'a: b\n'), /the file is too long: at most 1048576 bytes$/],
    [Buffer.alloc((1 << 20) + 1, '#'), /the file is too long: at most 1048576 bytes$/],
  ];
  await each(t, files, async (dir, [text, says]) => {
    const r = await refused(t, dir, text);
    assert.match(r.says, says, r.told);
    assert.ok(r.says.length < 600, r.told);
  });
});

test('a_file_that_cannot_be_read_is_named', async (t) => {
  const dir = tempDir(t);
  const serve = async (file) => {
    const r = await command(t, ['serve', '-c', file], {cwd: dir, ms: 20_000});
    assert.equal(r.code, 1, r.text);
    return r.text;
  };
  const reasons = [
    ['missing.yaml', /: No such file/], [dir, /: Is a directory/],
    [`${dir}/missing/c.yaml`, /: No such file/], ['/dev/null', /the file is empty/],
    ['/dev/zero', /the file is too long: at most 1048576 bytes/],
    ['/proc/self/mem', /: Input\/output error/], ['', /: No such file/],
    ['x'.repeat(300), /: File name too long/],
  ];
  fs.symlinkSync('loop.yaml', `${dir}/loop.yaml`);
  reasons.push(['loop.yaml', /: Too many levels of symbolic links/]);
  for (const [file, says] of reasons)
    assert.match(await serve(file), new RegExp(`^tapeop serve: .*:1:1: [^\n]*\n$`), file) ??
      assert.match(await serve(file), says);
  if (process.getuid() === 0) {
    t.diagnostic('root may read everything: not tried with a file of mode 0');
  } else {
    fs.writeFileSync(`${dir}/c.yaml`, 'log_level: info\n', {mode: 0});
    assert.match(await serve('c.yaml'), /: Permission denied/);
    fs.rmSync(`${dir}/c.yaml`);
  }
  assert.deepEqual(fs.readdirSync(dir), ['loop.yaml']);
});

test('the_command_line_of_serve_is_checked', async (t) => {
  const dir = tempDir(t);
  for (const args of [[], ['-c'], ['x.yaml'], ['-c', 'x.yaml', 'y'], ['--port', '80'],
    ['--config'], ['-x'], ['--', 'a']]) {
    const r = await command(t, ['serve', ...args], {cwd: dir, ms: 20_000});
    assert.equal(r.code, 2, `${args}: ${r.text}`);
    assert.equal(r.out, '');
    assert.notEqual(r.text, '');
  }
  assert.match((await command(t, ['serve'])).text, /needs -c FILE .*--sample/);
  // the sample is good, and so is a file that sets everything there is
  const sample = (await command(t, ['serve', '--sample'])).out;
  fs.writeFileSync(`${dir}/c.yaml`, sample);
  const env = {TAPEOP_ADMIN_TOKEN: 'a', TAPEOP_SECRET_KEY: 'b', TAPEOP_CALLBACK_KEY: 'c'};
  const check = await command(t, ['serve', '-c', 'c.yaml', '--check'], {cwd: dir, env});
  assert.deepEqual([check.code, check.out], [0, 'c.yaml: ok\n'], check.text);
  assert.deepEqual(fs.readdirSync(dir), ['c.yaml']);
});
