// test/peer/45_players.test.mjs -- files of every format please the players and
// checkers that others have: not one complaint, and the length that was told.
// SPDX-License-Identifier: Apache-2.0
//
// The files are those of test/unit/record_formats_test.c: as they are cut, as
// they open, and as recovery leaves a torn one.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {after, test} from 'node:test';

const maker = path.resolve('build/release/test/unit/record_formats_test');
const skip = fs.existsSync(maker) ? false : `${maker} is not built`;
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tapeop-formats-'));
after(() => fs.rmSync(dir, {recursive: true}));

/** Run a tool; gives what it said, and fails if it failed. */
function says(tool, ...args) {
  const r = spawnSync(tool, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});
  assert.equal(r.error, undefined, `${tool}: ${r.error}`);
  assert.equal(r.status, 0, `${tool} ${args.join(' ')}: ${r.stdout}${r.stderr}`);
  return r.stdout + r.stderr;
}

// ffmpeg tells how it knows the length without a header (rightly), and that
// three frames are few.
const remarks = /Estimating duration from bitrate|detected only with low score of 1/;

function silent(text, what) {
  const lines = text.split('\n').filter((l) => l.trim() && !remarks.test(l));
  assert.deepEqual(lines, [], what);
}

function files() {
  const r = spawnSync(maker, {encoding: 'utf8', env: {...process.env, TAPEOP_FILES: dir}});
  assert.equal(r.status, 0, r.stdout + r.stderr);
  return [...r.stdout.matchAll(/^file (\S+) (\d+)$/gm)]
    .map(([, name, frames]) => ({name, file: path.join(dir, name), frames: Number(frames)}));
}

const all = skip ? [] : files();
const mp3 = all.filter((f) => f.name.endsWith('.mp3'));
const ogg = all.filter((f) => f.name.endsWith('.ogg'));

test('there are files of every format', {skip}, () => {
  assert.equal(mp3.length, 3 * 4);
  assert.equal(ogg.length, 4 * 4);
});

/** Frames that ffmpeg decodes, without a remark. */
function decoded({name, file}) {
  const r = spawnSync('ffmpeg', ['-nostdin', '-v', 'warning', '-i', file, '-f', 's16le',
    '-ac', '1', '-ar', '48000', '-'], {maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe']});
  assert.equal(r.status, 0, name);
  silent(r.stderr.toString(), name);
  return r.stdout.length / 2;
}

test('ffprobe and ffmpeg have nothing to say, and decode what was told', {skip}, () => {
  for (const f of all) {
    silent(says('ffprobe', '-v', 'warning', f.file), f.name);
    assert.equal(decoded(f), f.frames, f.name);
  }
});

test('mpg123 and sox play the MP3 files', {skip}, () => {
  for (const {name, file} of mp3) {
    silent(says('mpg123', '-q', '-t', file), name);
    assert.doesNotMatch(says('sox', file, '-n', 'stat'), /warn|fail/i, name);
  }
});

test('opusinfo finds no fault with the Ogg files, and opusdec plays them', {skip}, () => {
  for (const {name, file} of ogg) {
    const text = says('opusinfo', file);

    assert.doesNotMatch(text, /warn|error|hole|invalid|missing|discont/i, name);
    assert.match(text, /Encoded with tapeop/, name);
    silent(says('opusdec', '--quiet', file, '/dev/null'), name);
  }
});
