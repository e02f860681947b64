// Files of three seconds, live: together they are the recording.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import {testInRealTime} from '../aid/calm.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {RATE, decode, ffmpegSend, tone, tool} from '../aid/sound.mjs';
import {startServer, tempDir, until} from '../aid/tapeop.mjs';

const HZ = 500;
const SECONDS = 7.4;

const installed = (name) => spawnSync('which', [name]).status === 0;

async function probe(file) {
  const out = await tool('ffprobe', ['-v', 'error', '-show_entries',
    'stream=codec_name,sample_rate,channels,bit_rate:format=duration', '-of', 'json', file]);
  const {streams: [stream], format} = JSON.parse(out);
  return {...stream, duration: Number(format.duration)};
}

testInRealTime('files_of_three_seconds_are_the_whole_recording_without_a_seam', async (t) => {
  const backend = await startEndpoint(t);
  const server = await startServer(t, {recording: {segment: '3s'},
    callbacks: [{name: 'b', url: backend.url}]});
  const {port} = await server.join('room', 'me');
  const task = await server.record('room');
  const sent = ffmpegSend(t, ['-f', 'lavfi', '-i',
    `aevalsrc=0.5*sin(2*PI*${HZ}*t):s=${RATE}:d=${SECONDS}`], port, ['-b:a', '96k']);
  assert.equal((await sent.done).code, 0);
  await until('the last file is closed', async () =>
    (await server.segments(task)).every((s) => s.state === 'closed'));
  const segments = await server.finish(task);
  await server.drained();
  const files = segments.map((s) => server.file(s));

  await t.part('each_is_three_seconds_long_and_begins_where_the_last_ended', () => {
    assert.deepEqual(segments.map((s) => s.seq), [0, 1, 2]);
    assert.equal(segments[0].duration_ms, 3000);
    assert.equal(segments[1].duration_ms, 3000);
    for (let i = 1; i < 3; i++) {
      const ended = segments[i - 1].start_ms + segments[i - 1].duration_ms;
      assert.ok(Math.abs(segments[i].start_ms - ended) <= 1);
    }
    const all = segments.reduce((sum, s) => sum + s.duration_ms, 0);
    const stalled = Math.max(0, sent.wall_ms - SECONDS * 1000 - 1500);
    assert.ok(all > SECONDS * 1000 - 100 && all < SECONDS * 1000 + 100 + stalled, `${all} ms`);
  });

  await t.part('one_after_the_other_they_decode_as_one_tone', async () => {
    const whole = path.join(tempDir(t), 'whole.mp3');
    fs.writeFileSync(whole, Buffer.concat(files.map((f) => fs.readFileSync(f))));
    const pcm = await decode(whole);
    const frames = segments.reduce((sum, s) => sum + s.duration_ms * RATE / 1000, 0);
    assert.equal(pcm.length, frames);
    // A seam would smear the tone.
    for (const seam of [3 * RATE, 6 * RATE]) {
      const heard = tone(pcm, [250, HZ, 1000], seam - RATE / 10, seam + RATE / 10);
      assert.equal(heard.hz, HZ);
      assert.ok(heard.share > 0.995, `${heard.share} at the seam`);
    }
    const parts = await Promise.all(files.map(decode));
    assert.equal(parts.reduce((sum, p) => sum + p.length, 0), frames);
  });

  await t.part('each_file_plays_in_other_players', async () => {
    for (const [i, file] of files.entries()) {
      const {codec_name, sample_rate, channels, bit_rate, duration} = await probe(file);
      assert.deepEqual([codec_name, sample_rate, channels, bit_rate],
        ['mp3', '48000', 1, '64000']);
      assert.ok(Math.abs(duration * 1000 - segments[i].duration_ms) < 1);
      if (installed('mpg123'))
        await tool('mpg123', ['-q', '-t', file]);
      if (installed('sox'))
        await tool('sox', [file, '-n', 'stat']);
      const heard = tone(await decode(file), [250, HZ, 1000]);
      assert.equal(heard.hz, HZ);
    }
    if (!installed('mpg123') && !installed('sox'))
      t.diagnostic('neither mpg123 nor sox is installed');
  });

  await t.part('the_backend_is_told_of_each_in_order', () => {
    const told = backend.requests.map(({body}) =>
      `${body.Detail.SeqNo}/${body.EventType} ${body.Detail.FileName}`);
    const nth = (n) => told.filter((x) => x.startsWith(`${n}/`));
    for (const s of segments)
      assert.deepEqual(nth(s.seq), [1, 2, 3].map((type) => `${s.seq}/${type} ${s.file}`));
    const at = (what) => told.findIndex((x) => x.startsWith(`${what} `));
    assert.ok(at('0/2') < at('1/1') && at('1/2') < at('2/1'));
  });

  await t.part('the_api_serves_the_same_bytes', async () => {
    for (const [i, s] of segments.entries()) {
      const answer = await fetch(`${server.url}/v1/segments/${s.segment_id}/audio`);
      assert.equal(answer.status, 200);
      assert.deepEqual(Buffer.from(await answer.arrayBuffer()), fs.readFileSync(files[i]));
    }
  });
  await server.stop();
});
