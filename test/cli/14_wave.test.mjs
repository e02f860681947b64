// test/cli/14_wave.test.mjs -- `tapeop tasks ID --wave`: recordings as pictures.
// SPDX-License-Identifier: Apache-2.0
//
// A real room with known beeps shows that the levels are in their places; a
// server that is played here shows the marks, and what is made of nonsense.
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {BEEPS, beepsFile} from '../aid/beeps.mjs';
import {testInRealTime} from '../aid/calm.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {commandsAt, oneLine} from '../aid/lines.mjs';
import {RATE, decode, tool} from '../aid/sound.mjs';
import {APP, STEADY, TAPEOP, command, startServer, until} from '../aid/tapeop.mjs';

const BLOCKS = '▁▂▃▄▅▆▇█';
const app = String(APP);

/** Columns on a terminal; only the names here have wide characters. */
const columnsOf = (line) => [...line].reduce((n, c) =>
  n + (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uff00-\uff60]/u.test(c) ? 2 : 1), 0);

/** The rows of a picture by name: the cells behind the name's column. */
function rowsOf(text) {
  const lines = text.split('\n');
  const ruler = lines.findIndex((line) => /^ +[├+]0:00/.test(line));
  assert.ok(ruler > 0, text);
  const names = lines[ruler].search(/[├+]/);
  const rows = {};
  for (const line of lines.slice(ruler + 1)) {
    if (/^\|/.test(line))
      return rows; // the legend
    let columns = 0;
    const cut = [...line].findIndex((c) => (columns += columnsOf(c)) >= names) + 1;
    rows[[...line].slice(0, cut).join('').trim()] = [...line].slice(cut).join('');
  }
  throw new Error(`no legend: ${text}`);
}

/** [first, last] of each run of cells that `is` takes. */
function runs(cells, is) {
  const found = [];
  [...cells].forEach((cell, i) => {
    if (!is(cell))
      return;
    if (found.at(-1)?.[1] === i - 1)
      found.at(-1)[1] = i;
    else
      found.push([i, i]);
  });
  return found;
}

/** Two people say BEEPS, one after the other: {task, start..end}. */
async function recordTwo(t, server, users) {
  const file = await beepsFile(t);
  await server.join('studio', 'listener'); // the room is there before they are
  const task = await server.record('studio');
  for (const user of users) {
    const r = await command(t, ['publish', file, '--app', app, '--room', 'studio',
      '--user', user, '--server', server.url], {env: server.env});
    assert.equal(r.code, 0, r.text);
    const [, held_ms] = /held up here for (\d+) ms/.exec(r.out) ?? [];
    t.watch?.(() => Number(held_ms ?? 0));
  }
  await until('the files are stored', async () => {
    const all = await server.segments(task);
    return all.length === users.length && all.every((s) => s.uploaded);
  });
  return task;
}

/** The two beeps, at the right distance and of the right length [columns]. */
function checkBeeps(found, column_ms, what) {
  assert.equal(found.length, 2, `${what}: ${JSON.stringify(found)}`);
  const ms = (columns) => columns * column_ms;
  const apart = ms(found[1][0] - found[0][0]);
  assert.ok(Math.abs(apart - (BEEPS.at[1] - BEEPS.at[0])) <= 2 * column_ms + 20,
    `${what}: ${apart} ms apart`);
  for (const [first, last] of found) {
    const long = ms(last + 1 - first);
    assert.ok(Math.abs(long - BEEPS.length) <= 3 * column_ms + 60, `${what}: ${long} ms long`);
  }
}

testInRealTime('rows_show_sound_where_each_spoke', async (t) => {
  const server = await startServer(t, {recording: STEADY});
  const cli = commandsAt(t, server.url, {LC_ALL: 'C.UTF-8'});
  const task = await recordTwo(t, server, ['alice', '日本語']);
  const segments = await server.segments(task);

  // the numbers: those of another decoder, column by column
  const seen = await cli.json('tasks', task, '--wave', '--columns', '200');
  assert.deepEqual(seen.tracks.map((x) => x.user), ['alice', '日本語']);
  assert.equal(seen.task_id, task);
  const [{start_ms, end_ms}] = seen.tracks;
  const column_ms = (end_ms - start_ms) / 200;
  for (const track of seen.tracks) {
    const s = segments.find((x) => x.user === track.user);
    const pcm = await decode(server.file(s));
    assert.equal(track.mode, 'single');
    assert.equal(track.peaks.length, 200);
    assert.equal(track.rms.length, 200);
    assert.deepEqual(track.segments.map((x) => [x.start_ms, x.end_ms, x.state]),
      [[s.start_ms, s.start_ms + s.duration_ms, 'closed']]);
    assert.equal(track.start_ms, start_ms);
    const frames = (end_ms - start_ms) * 48;
    const zero = (s.start_ms - start_ms) * 48;
    track.peaks.forEach((peak, i) => {
      const from = Math.floor(i * frames / 200) - zero;
      const to = Math.floor((i + 1) * frames / 200) - zero;
      const part = pcm.subarray(Math.max(0, from), Math.max(0, to));
      if (!part.length) {
        assert.equal(peak, null);
        return;
      }
      const truth = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 32768;
      assert.ok(Math.abs(peak - truth) < 0.01, `column ${i}: ${peak}, not ${truth}`);
    });
    checkBeeps(runs(track.peaks, (x) => x > 0.1), column_ms, `peaks of ${track.user}`);
  }

  // the picture
  const text = await cli('tasks', task, '--wave', '--columns', '200');
  const rows = rowsOf(text);
  assert.deepEqual(Object.keys(rows), ['alice', '日本語']);
  for (const [name, cells] of Object.entries(rows))
    checkBeeps(runs(cells, (c) => BLOCKS.slice(3).includes(c)), column_ms, `row of ${name}`);
  assert.match(rows.alice, /^\|·*▁?[▂-█]+[▁▂]?·+▁?[▂-█]+[▁▂]?·* *$/);
  assert.match(rows['日本語'], /^ +\|·*▁?[▂-█]/);
  // the second spoke when the first had
  const loud = (cells) => runs(cells, (c) => BLOCKS.slice(3).includes(c));
  assert.ok(loud(rows['日本語'])[0][0] > loud(rows.alice)[1][1]);
  assert.match(text, /^task \d+: app \d+, room studio: running\n/);
  assert.doesNotMatch(text, /~ |x \d|\? \d|not/);

  // without --wave: all about it, as `status` says
  const still = (shown) => shown.replace(/for \S+ now/, 'for a while now');
  assert.equal(still(await cli('tasks', task)), still(await cli('status', task)));
  assert.match(await cli('tasks', task), /alice +0 +(stored|closed)/);
  assert.equal((await cli.json('tasks', task)).segments.length, 2);

  await widths(t, server, task);
  await inks(t, server, task);
});

/** No line is wider than the terminal, whatever it is. */
async function widths(t, server, task) {
  for (const columns of [10, 20, 33, 40, 80, 133, 500]) {
    for (const more of [[], ['--ascii']]) {
      const {out, code} = await command(t, ['tasks', task, '--wave', ...more,
        '--server', server.url], {env: {COLUMNS: String(columns), LC_ALL: 'C.UTF-8'}});
      assert.equal(code, 0);
      for (const line of out.split('\n'))
        assert.ok(columnsOf(line) <= columns, `${columnsOf(line)} of ${columns}: ${line}`);
      const rows = rowsOf(out);
      assert.equal(Object.keys(rows).length, 2);
      if (columns >= 40)
        assert.ok(Math.max(...Object.values(rows).map((r) => columnsOf(r))) > columns / 2);
    }
  }
  for (const columns of ['', '0', '-5', 'x', '99999999999']) {
    const {out} = await command(t, ['tasks', task, '--wave', '--server', server.url],
      {env: {COLUMNS: columns}});
    for (const line of out.split('\n'))
      assert.ok(columnsOf(line) <= 80, line);
  }
}

/** Block characters by the locale, colour on terminals only. */
async function inks(t, server, task) {
  const draw = async (env, ...more) => (await command(t, ['tasks', task, '--wave',
    '--server', server.url, ...more], {env})).out.replaceAll('日本語', '');
  const plain = await draw({LC_ALL: 'C'});
  // eslint-disable-next-line no-control-regex
  assert.match(plain, /^[\n\x20-\x7e]*$/);
  assert.match(plain, /alice +\|\.*[,:=+*%#-]{3,}\.+[,:=+*%#-]{3,}/);
  assert.equal(await draw({LC_ALL: 'C.UTF-8'}, '--ascii'), plain);

  const terminal = async (env) => String(await tool('script', ['-qec',
    `'${TAPEOP}' tasks ${task} --wave --server ${server.url}`, '/dev/null'],
  {env: {...process.env, TERM: 'xterm', LC_ALL: 'C.UTF-8', COLUMNS: '', NO_COLOR: '', ...env}}));
  const coloured = await terminal({});
  assert.ok(coloured.includes('\u001b[32m'), coloured);
  assert.ok(coloured.includes('downloading 1 of 2'));
  const bare = await terminal({NO_COLOR: '1'});
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(bare, /\u001b\[\d/);
  assert.ok(bare.includes('█'));
}

/** A server that is played: one task, these segments, this sound of each. */
async function playServer(t, segments, sounds = {}, task = {}) {
  const played = await startEndpoint(t, (seen, response) => {
    const parts = seen.url.pathname.split('/');
    const json = (status, body) => {
      response.writeHead(status, {'Content-Type': 'application/json'});
      response.end(JSON.stringify(body));
    };
    if (parts[2] === 'segments') {
      const sound = sounds[parts[3]];
      if (sound instanceof Uint8Array)
        response.writeHead(200, {'Content-Type': 'audio/mpeg'}).end(sound);
      else if (sound)
        sound(response, json);
      else
        json(404, {detail: `there is no segment ${parts[3]}`, field: 'segment'});
    } else if (parts[4] === 'segments') {
      json(200, {segments: played.segments, next: null});
    } else {
      json(200, {task_id: '8', app: 1, room: 'r', state: 'stopped', ...task});
    }
  });
  played.segments = segments;
  return played;
}

/** An MP3 or Ogg Opus of a tone. */
async function toneFile(seconds, ...output) {
  return tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
    `aevalsrc='0.9*sin(2*PI*500*t)':s=${RATE}:d=${seconds}`, ...output, '-']);
}

const MP3 = ['-c:a', 'libmp3lame', '-b:a', '64k', '-reservoir', '0', '-write_xing', '0',
  '-id3v2_version', '0', '-f', 'mp3'];

const ZERO = 1795694940000;
/** A closed segment from `from` to `to` [s]. */
const closed = (segment_id, user, from, to, more = {}) => ({segment_id, task_id: '8', user,
  mode: 'single', seq: 0, state: 'closed', file: `${user}.mp3`, size: 1e6,
  start_ms: ZERO + 1000 * from, duration_ms: 1000 * (to - from), ...more});

test('marks_tell_what_is_no_sound', async (t) => {
  const second = await toneFile(0.9, ...MP3); // with its padding a second
  const server = await playServer(t, [
    closed('1', 'zoe', 0, 10),
    closed('2', 'zoe', 10, 20, {seq: 1}),
    closed('3', 'zoe', 30, 40, {seq: 2, state: 'lost'}),
    closed('5', '0', 0, 60, {mode: 'mixed'}),
    closed('6', 'adam', 20, 21),
    closed('7', 'adam', 40, 60, {seq: 1}),
  ], {1: second, 2: await toneFile(10, ...MP3), 5: second, 6: second,
    7: await toneFile(20, '-c:a', 'libopus', '-f', 'opus')});
  const cli = commandsAt(t, server.url, {LC_ALL: 'C.UTF-8', TZ: 'UTC'});
  const text = await cli('tasks', '8', '--wave', '--columns', '60');
  const rows = rowsOf(text);

  // by who spoke first, the mix last and by its name
  assert.deepEqual(Object.keys(rows), ['zoe', 'adam', 'mix']);
  assert.equal(rows.zoe, '|' + '·'.repeat(9) + '|' + '█'.repeat(9) + ' '.repeat(10) + 'x'.repeat(10));
  // a file of one column has no border: its sound is more
  assert.match(rows.adam, /^ {20}█ {19}\|█{18}.$/);
  assert.match(rows.mix, /^\|·{59}$/);
  assert.match(text, /\n2026-11-26 12:09:00 to 2026-11-26 12:10:00, 1:00\.00; a column is 1\.0 s\n/);
  assert.match(text, /\n {5}12:09:00 {7}12:09:15 {7}12:09:30 {7}12:09:45\n {5}├0:00─{10}├0:15─{10}├0:30─{10}├0:45─{10}\n/);
  assert.match(text, /\nx 1 file is lost/);
  const seen = await cli.json('tasks', '8', '--wave');
  assert.equal(seen.segments_lost, 1);
  assert.deepEqual(seen.tracks.map((x) => [x.user, x.mode, x.peaks.length]),
    [['zoe', 'single', 100], ['adam', 'single', 100], ['0', 'mixed', 100]]);
  assert.ok(seen.tracks.every((x) => x.start_ms === ZERO && x.end_ms === ZERO + 60_000));
  assert.equal(seen.tracks[0].peaks[90], null);

  // what is open is said, and not asked for
  server.segments = [closed('1', 'zoe', 0, 10),
    closed('4', 'zoe', 10, 10, {state: 'recording', start_ms: Date.now() - 1000})];
  server.segments[0].start_ms = Date.now() - 12_000;
  server.requests.length = 0;
  const open = await cli('tasks', '8', '--wave', '--columns', '40');
  assert.match(rowsOf(open).zoe, /^\|[▁-█·]+ *~+$/);
  assert.match(open, /\n~ 1 file is still being recorded: drawn when closed\n/);
  assert.ok(!server.requests.some((r) => r.url.pathname.includes('segments/4')));
  // and nothing at all, too
  server.segments = [];
  assert.match(await cli('tasks', '8', '--wave'), /no file: nobody has spoken/);
  assert.deepEqual((await cli.json('tasks', '8', '--wave')).tracks, []);
});

test('files_that_cannot_be_read_are_marked_and_the_others_drawn', async (t) => {
  const second = await toneFile(1, ...MP3);
  const server = await playServer(t, [
    closed('1', 'zoe', 0, 1), closed('2', 'zoe', 1, 2), closed('3', 'zoe', 2, 3),
    closed('4', 'zoe', 3, 4, {size: 100}), closed('5', 'zoe', 4, 5),
    closed('9'.repeat(500), 'zoe', 5, 6), closed('6', 'zoe', 6, 7, {size: -1}),
  ], {1: second, 2: Buffer.alloc(200_000, 'junk'), 4: second, 6: second,
    5: (response, json) => json(410, {detail: 'segment 5 is lost', field: 'segment'})});
  const run = (...more) => command(t, ['tasks', '8', '--wave', '--columns', '70',
    '--server', server.url, ...more], {env: {LC_ALL: 'C.UTF-8'}});

  const r = await run();
  assert.equal(r.code, 1);
  assert.match(rowsOf(r.out).zoe, /^\|█{9}\?{60}$/);
  assert.match(r.out, /\n\? 6 files could not be read\n/);
  const said = r.text.trimEnd().split('\n');
  assert.equal(said.length, 6, r.text);
  for (const [i, why] of [/neither MP3 nor Ogg Opus/, /there is no segment 3/, /longer than/,
    /segment 5 is lost/, /id is too long/, /longer than/].entries())
    assert.match(said[i], new RegExp(`^tapeop tasks: zoe\\.mp3 cannot be read: .*${why.source}`));
  const json = await run('--json');
  assert.equal(json.code, 1);
  assert.equal(JSON.parse(json.out).segments_unread, 6);

  // a server that goes away is another thing: no picture
  for (const gone of [
    (response) => response.destroy(),
    (response) => {
      response.writeHead(200, {'Content-Length': '50000'}).write(second.subarray(0, 1000));
      setTimeout(() => response.destroy(), 100);
    },
    (response, say) => say(401, {detail: 'who are you'}),
    (response) => response.writeHead(500).end('oops'),
  ]) {
    const dead = await playServer(t, [closed('1', 'zoe', 0, 1)], {1: gone});
    oneLine(await command(t, ['tasks', '8', '--wave', '--server', dead.url]), 'tasks', 1);
  }
});

test('nonsense_of_a_server_is_no_harm', async (t) => {
  const second = await toneFile(1, ...MP3);
  const evil = 'a\u001b[2J\u009bb\nc';
  const server = await playServer(t, [], {1: second}, {room: evil, state: evil, reason_text: evil});
  const run = (...more) => command(t, ['tasks', '8', '--wave', '--server', server.url, ...more]);

  for (const row of [{start_ms: -1}, {start_ms: Number.MAX_SAFE_INTEGER}, {duration_ms: -1},
    {duration_ms: Number.MAX_SAFE_INTEGER}]) {
    server.segments = [closed('1', 'a', 0, 1, row)];
    oneLine(await run(), 'tasks', 1, /times cannot be/);
  }
  server.segments = [closed('1', 'a', 0, 1), closed('1', 'b', 0, 1, {start_ms: 0})];
  oneLine(await run(), 'tasks', 1, /times cannot be/);
  server.segments = Array.from({length: 5000}, (_, i) => closed('1', `u${i}`, 0, 1, {state: 'lost'}));
  oneLine(await run('--columns', '10000'), 'tasks', 1, /too many/);
  for (const row of [{start_ms: 'x'}, {user: null}, {mode: 7}, {state: {}}, {segment_id: []},
    {duration_ms: 0}, {user: evil, file: evil}]) {
    server.segments = [closed('1', 'a', 0, 1, row), closed('1', 'b', 0, 2)];
    for (const more of [[], ['--json']]) {
      const r = await run(...more);
      assert.ok([0, 1].includes(r.code), `${JSON.stringify(row)}: ${r.text} ${r.signal}`);
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch((more.length ? '' : r.out) + r.text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      if (more.length && r.out)
        JSON.parse(r.out);
    }
  }
});

test('wrong_words_are_usage', async (t) => {
  for (const args of [['--wave'], ['x', '--wave'], ['1', '2', '--wave'], ['1', '--ascii'],
    ['1', '--columns', '5'], ['1', '--wave', '--columns', '0'], ['1', '--wave', '--columns', '10001'],
    ['1', '--wave', '--columns', 'many'], ['1', '--state', 'failed'], ['1', '--wave', '--limit', '3'],
    ['1', '--room', 'r'], ['1', '--app', '1']])
    oneLine(await command(t, ['tasks', ...args]), 'tasks', 2);
});

test('a_token_opens_the_sound_too', async (t) => {
  const env = {TAPEOP_ADMIN_TOKEN: 'open-sesame'};
  const server = await startServer(t, {recording: STEADY, http: {admin_token: 'env:T'},
    env: {T: 'open-sesame'}});
  server.env = env;
  const auth = {Authorization: 'Bearer open-sesame'};
  const api = server.api;
  server.api = (method, where, body) => api(method, where, body, auth);
  const task = await recordTwo(t, server, ['alice']);

  const good = commandsAt(t, server.url, {...env, LC_ALL: 'C.UTF-8'});
  assert.match(rowsOf(await good('tasks', task, '--wave')).alice, /█/);
  await commandsAt(t, server.url).fails(1, /--token/, 'tasks', task, '--wave');
  await good.fails(1, /there is no task 64/, 'tasks', '64', '--wave');
  await good.fails(1, /there is no task 64/, 'tasks', '64');
});
