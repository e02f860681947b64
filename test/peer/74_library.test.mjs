// libtapeop as other people's programs use it: installed, compiled against, linked, and
// told by a real server.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {after, before, describe, test} from 'node:test';

import {signGme, signLive} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const TOKEN = 'a-token-of-live';
const TRTC_KEY = 'akeyoftrtc';
const GME_KEY = 'a-key-of-gme';
const SECRET = 'whsec_' + Buffer.alloc(32, 5).toString('base64');
const KEYS = ['an-older-one', GME_KEY, TOKEN, TRTC_KEY, SECRET].join(',');
const warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror'];

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'tapeop-lib-'));
const installed = path.join(root, 'usr', 'lib');
const backend = path.join(root, 'backend');

/** Run to the end; it must succeed unless `status` says otherwise. */
function run(program, args, {env = {}, status = 0} = {}) {
  const done = spawnSync(program, args, {env: {...process.env, ...env}, encoding: 'utf8'});
  assert.equal(done.error, undefined, `${program}: ${done.error}`);
  assert.equal(done.status, status, `${program} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

const has = (program) => spawnSync(program, ['--version']).status === 0;
const pkgConfig = (...args) => run('pkg-config', [...args, 'tapeop'], {env: {
  PKG_CONFIG_SYSROOT_DIR: root, PKG_CONFIG_PATH: path.join(installed, 'pkgconfig')}})
  .trim().split(/\s+/);

/** A program of one source, linked as README says it. */
function compile(t, cc, name, source, out, linked = 'shared') {
  const libs = linked === 'static'
    ? [path.join(installed, 'libtapeop.a'), ...pkgConfig('--libs', '--static')
      .filter((a) => a !== '-ltapeop')]
    : pkgConfig('--libs');
  run(cc, [...warnings, ...name, '-o', out, source, ...pkgConfig('--cflags'), ...libs]);
}

/** The example, running; `out` is what it prints. */
async function startBackend(t, {keys = KEYS, file, dialects, program = backend, port = 0} = {}) {
  const args = [String(port), String(APP), file, ...(dialects ? [dialects] : [])];
  const child = spawn(program, args,
    {env: {...process.env, TAPEOP_KEYS: keys, LD_LIBRARY_PATH: installed}});
  const b = {child, out: ''};
  child.stdout.on('data', (d) => (b.out += d));
  child.stderr.on('data', (d) => (b.out += d));
  b.exit = new Promise((done) => child.on('close', (code, signal) => done({code, signal})));
  t.after(async () => {
    child.kill('SIGKILL');
    await b.exit;
  });
  b.url = await until('the backend listens', () => /on (http:\S+)/.exec(b.out)?.[1]);
  b.kept = () => fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  b.stop = async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await b.exit, {code: 0, signal: null}, b.out);
  };
  return b;
}

const gme = (type, seq, {app = APP, time = 1675930605} = {}) =>
  `{"BizID":${app},"RoomID":"100","UserID":"999","TaskID":446946705284000000,` +
  `"RecordMode":0,"Timestamp":${time},"EventType":${type},"Detail":{"SeqNo":${seq},` +
  '"FileName":"a.mp3"}}';

async function post(url, body, headers = {}) {
  const r = await fetch(url, {method: 'POST', body, headers});
  const text = await r.text();
  return {status: r.status, json: text ? JSON.parse(text) : null};
}

describe('library', {concurrency: false}, () => {
  before(() => {
    run('make', ['--no-print-directory', 'install', `DESTDIR=${root}`, 'PREFIX=/usr']);
    compile(null, 'gcc', ['-std=c11'], 'examples/backend.c', backend);
  });
  after(() => fs.rmSync(root, {recursive: true, force: true}));

  test('it_exports_its_own_names_only_and_needs_two_libraries', () => {
    const so = path.join(installed, 'libtapeop.so.1');
    const names = run('nm', ['-D', '--defined-only', so]).trim().split('\n')
      .map((line) => line.split(' ')).filter(([, type]) => type !== 'A')
      .map(([, , name]) => name.replace(/@.*/, '')).sort();
    // every function of the header, and nothing else
    const header = fs.readFileSync('include/tapeop.h', 'utf8').replace(/\/\*[^]*?\*\//g, '');
    const declared = [...header.matchAll(/TAPEOP_API[^(]*?\b(tapeop_\w+)\(/g)]
      .map((m) => m[1]).sort();
    assert.ok(declared.length > 15);
    assert.deepEqual(names, declared);
    const dynamic = run('readelf', ['-d', so]);
    assert.deepEqual([...dynamic.matchAll(/NEEDED.*\[(\w+)/g)].map((m) => m[1]).sort(),
      ['libc', 'libcrypto', 'libjansson']);
    assert.match(dynamic, /SONAME.*\[libtapeop\.so\.1\]/);
    // the archive: no name that a program could have, too
    const archive = path.join(installed, 'libtapeop.a');
    const global = run('nm', ['-g', '--defined-only', archive]).trim().split('\n')
      .map((line) => line.split(' ')[2]).filter(Boolean).sort();
    assert.deepEqual(global, declared);
    // no state: nothing that can be written to
    for (const [, section, size] of run('size', ['-A', archive])
      .matchAll(/^(\.data|\.bss|\.tdata|\.tbss)\s+(\d+)/gm))
      assert.equal(size, '0', section);
    // no lock, thread, socket, file, clock or environment, and nothing that ends the program
    // but an assertion of ours
    const wanted = run('nm', ['-D', '--undefined-only', so]).split('\n')
      .map((line) => line.trim().split(' ').pop().replace(/@.*/, ''));
    assert.ok(wanted.includes('calloc'));
    assert.deepEqual(wanted.filter((name) => /^(pthread_|sem_|socket|connect|f?open|read|write|time$|clock|gettime|getenv|secure_getenv|f?printf|puts|perror|abort|_?exit|set|signal)/
      .test(name)), []);
  });

  test('what_is_installed_is_of_one_version', async (t) => {
    const [version] = pkgConfig('--modversion');
    assert.match(fs.readFileSync(path.join(root, 'usr/include/tapeop.h'), 'utf8'),
      new RegExp(`#define TAPEOP_VERSION "${version.replaceAll('.', '\\.')}"`));
    assert.match((await command(t, ['version'])).out, new RegExp(`^tapeop ${version}$`, 'm'));
    assert.deepEqual(pkgConfig('--libs', '--static').slice(-3),
      ['-ltapeop', '-lcrypto', '-ljansson']);
  });

  test('the_header_stands_alone_in_every_language_it_names', (t) => {
    const dir = tempDir(t);
    const source = path.join(dir, 'alone.c');
    fs.writeFileSync(source, '#include <tapeop.h>\n' +
      'int main(void)\n{\n\tstruct tapeop_app a = TAPEOP_APP_INIT;\n' +
      '\tstruct tapeop_request r = TAPEOP_REQUEST_INIT;\n' +
      '\tstruct tapeop_message m = TAPEOP_MESSAGE_INIT;\n' +
      '\treturn tapeop_verify(&r, &a, 0, NULL, 0) != TAPEOP_BAD_ARGUMENT ||\n' +
      '\t\tm.dialect != TAPEOP_DIALECT_NONE;\n}\n');
    const out = path.join(dir, 'alone');
    let n = 0;
    for (const [cc, standards] of [
      ['gcc', ['-std=c99', '-std=c11', '-std=c17']], ['clang', ['-std=c99', '-std=c11']],
      ['g++', ['-std=c++11', '-std=c++17', '-std=c++20']], ['clang++', ['-std=c++17']]]) {
      if (!has(cc)) {
        t.diagnostic(`${cc} is not installed`);
        continue;
      }
      for (const standard of standards) {
        const language = cc.endsWith('++') ? ['-x', 'c++'] : [];
        run(cc, [...warnings, standard, ...language, source, '-x', 'none', '-o', out,
          ...pkgConfig('--cflags'), ...pkgConfig('--libs')]);
        run(out, [], {env: {LD_LIBRARY_PATH: installed}});
        n++;
      }
    }
    assert.ok(n >= 3);
  });

  test('a_program_may_have_names_that_the_library_has_inside', (t) => {
    const dir = tempDir(t);
    const source = path.join(dir, 'clash.c');
    fs.writeFileSync(source, '#include <tapeop.h>\n#include <stdio.h>\n#include <stdlib.h>\n' +
      'void mem_free(void *p);\nvoid mem_free(void *p)\n{\n\t(void)p;\n\tabort();\n}\n' +
      'int buf_append;\nint callback_parse = 7;\n' +
      'int main(void)\n{\n\tchar out[TAPEOP_ANSWER_MAX];\n' +
      '\tif (tapeop_answer(TAPEOP_LIVE, TAPEOP_WRONG_APP, "no", out, sizeof(out)))\n' +
      '\t\treturn 1;\n\tputs(out);\n\treturn buf_append + callback_parse - 7;\n}\n');
    for (const linked of ['shared', 'static']) {
      const out = path.join(dir, linked);
      compile(t, 'gcc', ['-std=c11'], source, out, linked);
      assert.deepEqual(JSON.parse(run(out, [], {env: {LD_LIBRARY_PATH: installed}})),
        {ActionStatus: 'FAIL', ErrorCode: 403, ErrorInfo: 'no'});
    }
  });

  test('the_example_is_told_every_event_of_a_server_in_every_dialect', async (t) => {
    const dir = tempDir(t);
    const b = await startBackend(t, {file: path.join(dir, 'kept')});
    const dead = {retry: '100ms', verdict: 'status', events: ['task_started']};
    // nobody's microphone goes off because the machine is slow
    const server = await startServer(t, {recording: {mic_off_after: '1h'}, callbacks: [
      {name: 'gme', url: b.url, dialect: 'gme', key: GME_KEY, signature_encoding: 'hex'},
      {name: 'live', url: b.url + '/a?b=c%20d', dialect: 'live', key: TOKEN},
      {name: 'trtc', url: b.url, dialect: 'trtc', key: TRTC_KEY},
      {name: 'standard', url: b.url, dialect: 'standard', key: SECRET},
      {name: 'forged', url: b.url, dialect: 'trtc', key: 'another', ...dead},
      {name: 'unsigned', url: b.url, dialect: 'live', ...dead},
    ]});
    const {port} = await server.join('room', 'alice');
    const task = await server.record('room');
    const sender = sendPackets(t, oggPackets('assets/demo/alice.opus'), port);
    await sender.reached(40);
    sender.stop();
    await server.finish(task);
    await server.drained();

    const kept = b.kept().map((line) => line.split(' '));
    const of = (dialect) => kept.filter((k) => k[1] === dialect).map((k) => k[2]);
    const segment = ['started', 'completed', 'uploaded'];
    const cloud = ['task_started', 'started', 'upload_started', 'task_stopped',
      'upload_stopped', 'files_ready'];
    assert.deepEqual(of('gme'), segment);
    assert.deepEqual([...of('live')].sort(), [...cloud].sort());
    assert.deepEqual([...of('trtc')].sort(), [...cloud].sort());
    assert.deepEqual([...new Set(of('standard'))].sort(),
      [...new Set([...cloud, ...segment])].sort());
    assert.ok(kept.every((k) => k[3] === `task=${task}` && k[4] === 'room=room'));
    assert.equal(new Set(kept.map((k) => k[0])).size, kept.length);
    // a wrong key and a missing one: refused, and dead after their retries
    const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries?state=dead');
    assert.deepEqual([...new Set(deliveries.map((d) => d.endpoint))].sort(),
      ['forged', 'unsigned']);
    assert.ok(deliveries.every((d) => d.last_status === 401));
    await b.stop();
    assert.match(b.out, /refused: bad_signature: Sign matches the body with no key/);
    assert.match(b.out, /refused: unsigned: Sign or RequestTime in the URL is missing/);
  });

  test('the_example_survives_broken_requests_under_a_sanitizer', async (t) => {
    const dir = tempDir(t);
    const program = path.join(dir, 'backend');
    const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g'];
    compile(t, 'gcc', ['-std=c11', ...sanitize], 'examples/backend.c', program, 'static');
    const b = await startBackend(t, {file: path.join(dir, 'kept'), program});
    const {hostname, port} = new URL(b.url);
    const status = (text) => new Promise((done, fail) => {
      let answer = '';
      const s = net.connect(Number(port), hostname, () => s.end(text));
      s.on('data', (d) => (answer += d)).on('error', fail);
      s.on('close', () => done(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])));
    });
    const request = (head, body = '') => `POST / HTTP/1.1\r\n${head}\r\n\r\n${body}`;
    const cases = [
      ['\0\0\0', 400], ['POST', 408], ['\r\n\r\n', 405], ['POST /\r\n\r\n', 400],
      ['GET / HTTP/1.1\r\n\r\n', 405], ['POST x HTTP/1.1\r\n\r\n', 400],
      ['POST / HTTP/1.1\r\n\r\n', 411], ['x'.repeat(20000), 431],
      [request('abc'), 400], [request(': abc'), 400], [request('a: b\r\n'.repeat(70)), 400],
      [request('Content-Length: -1'), 400], [request('Content-Length: 99999999'), 413],
      [request('Content-Length: 2\r\nContent-Length: 3', '{}'), 400],
      [request('Content-Length: 2', '{'), 408], [request('Content-Length: 2', '{}x'), 400],
      [request('Content-Length: 0'), 400], [request('Transfer-Encoding: chunked', '0'), 501],
      [request('Signature: x\r\nContent-Length: 2', '{\0'), 401],
      [request('Sign: \xff\r\nContent-Length: 2', '{}'), 400],
    ];
    for (const [text, want] of cases)
      assert.equal(await status(text), want, JSON.stringify(text.slice(0, 60)));
    await b.stop();
  });

  for (const [cc, linked] of [['gcc', 'static'], ['clang', 'shared'], ['clang', 'static']]) {
    test(`the_example_refuses_and_remembers_${cc}_${linked}`, async (t) => {
      if (!has(cc))
        return t.skip(`${cc} is not installed`);
      const dir = tempDir(t);
      const program = path.join(dir, 'backend');
      const file = path.join(dir, 'kept');
      compile(t, cc, ['-std=c99'], 'examples/backend.c', program, linked);
      const b = await startBackend(t, {file, program, dialects: 'gme,live'});
      const signed = (body, options) =>
        post(b.url, body, {Signature: signGme(body, {key: GME_KEY, ...options})});

      assert.deepEqual(await signed(gme(1, 0)), {status: 200, json: {code: 0}});
      assert.equal((await signed(gme(2, 0), {key: 'an-older-one'})).status, 200);
      assert.equal((await signed(gme(1, 0, {time: 1675930700}))).status, 200); // a repeat
      const refused = [
        [401, 'bad_signature', () => signed(gme(3, 0), {key: 'another'})],
        [401, 'bad_signature', () => post(b.url, gme(3, 0) + ' ',
          {Signature: signGme(gme(3, 0), {key: GME_KEY})})],
        [403, 'wrong_app', () => signed(gme(3, 0, {app: 7}))],
        [400, 'malformed', () => signed('{"BizID":')],
        [400, 'no_dialect', () => post(b.url, gme(3, 0))],
        [400, 'no_dialect', () => post(b.url, gme(3, 0), {SdkAppId: String(APP), Sign: 'x'})],
      ];
      for (const [status, error, send] of refused) {
        const r = await send();
        assert.deepEqual([r.status, r.json.code, r.json.error], [status, status, error]);
      }
      const now = Math.floor(Date.now() / 1000);
      const live = (time) => post(`${b.url}/?SdkAppid=${APP}&CallbackCommand=` +
        'Follow.CallbackAfterCloudRecordingChanged' +
        `&Sign=${signLive(TOKEN, time)}&RequestTime=${time}`, '{}');
      assert.equal((await live(now - 3600)).json.ErrorInfo.slice(0, 21), 'signed more than 60 s');
      assert.equal((await live(now)).json.ActionStatus, 'FAIL'); // genuine, but no event
      assert.equal((await fetch(b.url)).status, 405);
      assert.equal((await post(b.url, 'x'.repeat((1 << 20) + 1))).status, 413);

      // after a crash the half of a line that it left is no event
      b.child.kill('SIGKILL');
      await b.exit;
      assert.equal(b.kept().length, 2);
      fs.appendFileSync(file, b.kept()[0].replace(/^../, '77').slice(0, 90));
      const again = await startBackend(t, {file, program});
      const once = async () => (await post(again.url, gme(1, 0),
        {Signature: signGme(gme(1, 0), {key: GME_KEY})})).status;
      assert.equal(await once(), 200);
      assert.equal(again.kept().length, 2);
      await again.stop(); // and all that it said has been read
      assert.match(again.out, /repeated started/);
    });
  }
});
