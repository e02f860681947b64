// test/cli/20_demo.test.mjs -- the first thing that a new user sees.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {RATE, decode, level, tool} from '../aid/sound.mjs';
import {APP, TAPEOP, background, command, tempDir, until} from '../aid/tapeop.mjs';

const lines = (text) => text.split('\n').filter(Boolean);
const decodeIn = (cwd, file) => decode(path.resolve(cwd, file));

/** What the summary promises, checked from outside. */
async function checkSummary(cwd, out) {
  assert.equal(lines(out).length, 1, 'only the summary is on stdout');
  const summary = JSON.parse(lines(out).at(-1));
  assert.deepEqual(Object.keys(summary), ['task_id', 'segments',
    'callbacks_verified', 'callbacks_rejected', 'duplicates']);
  assert.match(summary.task_id, /^\d+$/);
  const next = {alice: 0, bob: 0};
  for (const s of summary.segments) {
    assert.deepEqual(Object.keys(s), ['user', 'mode', 'seq', 'file', 'duration_ms']);
    assert.equal(s.mode, 'single');
    assert.equal(s.seq, next[s.user]++);
    const pcm = await decodeIn(cwd, s.file);
    const length_ms = pcm.length * 1000 / RATE;
    assert.ok(Math.abs(length_ms - s.duration_ms) <= 50,
      `${s.file}: ${length_ms} ms, not ${s.duration_ms}`);
    assert.ok(level(pcm) > 0.02, `${s.file} is silent`);
  }
  assert.ok(next.alice && next.bob, 'both were recorded');
  // gme: started, completed, uploaded of each file; live: 307 of each, 301 302 303 305 310
  assert.equal(summary.callbacks_verified, 4 * summary.segments.length + 5);
  assert.equal(summary.callbacks_rejected, 0);
  assert.equal(summary.duplicates, 0);
  return summary;
}

describe('demo', {concurrency: true}, () => {
  test('demo_once_json_ends_with_a_summary_that_holds_for_two_at_the_same_time',
    async (t) => {
      const cwd = tempDir(t);
      const both = await Promise.all([0, 1].map(() =>
        command(t, ['demo', '--once', '--json'], {cwd})));
      const summaries = [];
      for (const d of both) {
        assert.equal(d.code, 0, d.text);
        summaries.push(await checkSummary(cwd, d.out));
        assert.match(d.text, /alice joined room studio/);
        assert.match(d.text, /Everything arrived: \d+ files, \d+ callbacks verified, 0 refused/);
        assert.doesNotMatch(d.text, /\x1b|\d{4}-\d\d-\d\dT/, 'no log lines in the story');
      }
      for (const s of summaries) {
        const ms = s.segments.reduce((sum, x) => sum + x.duration_ms, 0);
        assert.ok(ms > 8000, `${ms} ms of speech`);
        assert.ok(s.segments.every((x) => x.file.startsWith('tapeop-data/demo-')));
      }
      const folders = fs.readdirSync(path.join(cwd, 'tapeop-data'));
      assert.equal(folders.length, 2, 'each has a folder of its own');
      const log = fs.readFileSync(
        path.join(cwd, 'tapeop-data', folders[0], 'server.log'), 'utf8');
      assert.match(log, /info .*user=alice seg=0 closed/);
    });

  test('demo_tells_the_story_in_plain_lines_without_a_terminal', async (t) => {
    const dir = path.join(tempDir(t), 'a new', "folder's");
    // bob begins 3 s behind alice: what is told of her comes first, also where it is slow
    const d = await command(t, ['demo', '--once', '--seconds', '6', '--dir', dir]);
    assert.equal(d.code, 0, d.out + d.text);
    assert.equal(d.text, '');
    assert.doesNotMatch(d.out, /[\x1b\r]/);
    let at = 0;
    for (const step of [/alice joined room studio/, /task \d+ records room studio/,
      /alice +speaks/, /gme +1 +started +alice, file 0/, /bob +speaks/,
      /stops the task/, /bob's file 0 is closed: \d\.\d\d s/,
      /gme +2 +completed +bob/, /live +310 +files_ready/, /Everything arrived/,
      /Try next/]) {
      const found = d.out.slice(at).search(step);
      assert.ok(found >= 0, `${step} comes in its turn: ${d.out}`);
      at += found;
    }
    assert.ok(fs.existsSync(path.join(dir, 'server.log')));
    // what it suggests can be pasted, even with a quote in the folder's name
    const file = /^ {2}alice +\d\.\d\d s +(.*)$/m.exec(d.out)[1];
    const size = String(await tool('sh', ['-c', `wc -c <${file}`]));
    assert.ok(Number(size) > 1000, size);
  });

  test('demo_redraws_one_line_on_a_terminal_and_NO_COLOR_means_no_colour', async (t) => {
    const show = async (env) => String(await tool('script',
      ['-qec', `${TAPEOP} demo --once --seconds 1`, '/dev/null'],
      {cwd: tempDir(t), env: {...process.env, TERM: 'xterm', NO_COLOR: '', ...env}}));
    const [plain, coloured] = await Promise.all(
      [show({NO_COLOR: '1'}), show({})]);
    assert.match(coloured, /\r\x1b\[K.*\x1b\[36malice/);
    assert.match(plain, /\r\x1b\[K +0\.\d s {2}alice/);
    assert.doesNotMatch(plain, /\x1b\[\d*m/);
  });

  test('demo_stays_up_for_more_until_it_is_interrupted', async (t) => {
    const dir = tempDir(t);
    const d = background(t, ['demo', '--json', '--seconds', '1', '--dir', dir]);
    await until('the show is over', () => /stays up until Ctrl-C/.test(d.text));
    assert.equal(JSON.parse(lines(d.out).at(-1)).callbacks_rejected, 0);
    const at = /recorder +(http:\S+)/.exec(d.text)[1];
    const api = async (where, body) => (await fetch(at + where,
      {method: body ? 'POST' : 'GET', body: body && JSON.stringify(body)})).json();
    assert.equal((await api('/v1/tasks')).tasks[0].state, 'stopped');
    const room = `/v1/apps/${APP}/rooms/mine`;
    await api(`${room}/inputs`, {user: 'me', kind: 'rtp'});
    await api(`${room}/tasks`, {});
    await until('callbacks of more rooms are shown',
      () => /live 301 +task_started +room mine/.test(d.text));
    d.child.kill('SIGINT');
    assert.deepEqual(await d.exit, {code: 0, signal: null});
    assert.equal(lines(d.out).length, 1);
  });

  test('demo_once_that_is_interrupted_has_not_arrived', async (t) => {
    const d = background(t, ['demo', '--once', '--json', '--dir', tempDir(t)]);
    await until('alice speaks', () => /alice +speaks/.test(d.text));
    d.child.kill('SIGTERM');
    assert.deepEqual(await d.exit, {code: 1, signal: null});
    assert.equal(d.out, '');
  });

  test('demo_refuses_what_it_does_not_know_and_folders_that_are_in_use', async (t) => {
    for (const [args, why] of [[['--seconds', '0'], /1 to 600/],
      [['--seconds', 'x'], /1 to 600/], [['more'], /unexpected/], [['--dir', ''], /--dir/]]) {
      const d = await command(t, ['demo', ...args]);
      assert.equal(d.code, 2);
      assert.match(d.text, why);
      assert.equal(lines(d.text).length, 1);
    }
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, 'mine'), 'precious');
    const d = await command(t, ['demo', '--once', '--dir', dir]);
    assert.equal(d.code, 1);
    assert.match(d.text, /is not empty.*--dir/);
    assert.deepEqual(fs.readdirSync(dir), ['mine']);
  });
});
