// test/cli/21_publish.test.mjs -- a sound file speaks in a room.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {RATE, decode, level, oggPackets, onset, tone, tool} from '../aid/sound.mjs';
import {APP, TAPEOP, background, command, startServer, tempDir,
  until} from '../aid/tapeop.mjs';

const speech = path.resolve('assets/demo/bob.opus');
const lines = (text) => text.split('\n').filter(Boolean);
const who = (server, room, user = 'me') => ['--server', server.url, '--app',
  String(APP), '--room', room, '--user', user];

/** A WAV of a tone, made by ffmpeg. */
async function wav(t, {hz = 440, seconds = 2, rate = 44100, channels = 2, codec = 'pcm_s16le'} = {}) {
  const file = path.join(tempDir(t), 'tone.wav');
  await tool('ffmpeg', ['-nostdin', '-loglevel', 'error', '-f', 'lavfi', '-i',
    `sine=${hz}:d=${seconds}:sample_rate=${rate}`, '-af', 'volume=8',
    '-ac', String(channels), '-c:a', codec, file]);
  return file;
}

/** A socket that keeps the RTP packets it gets, parsed. */
async function listen(t) {
  const socket = dgram.createSocket('udp4');
  const packets = [];
  socket.on('message', (m) => packets.push({
    version: m[0], marker: m[1] >> 7, type: m[1] & 0x7f, seq: m.readUInt16BE(2),
    ts: m.readUInt32BE(4), ssrc: m.readUInt32BE(8), payload: m.subarray(12),
    at: process.hrtime.bigint()}));
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  t.after(() => socket.close());
  return {packets, to: `127.0.0.1:${socket.address().port}`};
}

/** Publish while the room is recorded: the segments, and how publish ended. */
async function recorded(t, server, room, file, more = []) {
  const proc = background(t, ['publish', file, ...who(server, room), ...more]);
  await until('the input is there', async () =>
    (await server.api('GET', '/v1/rooms')).json.rooms.some((r) => r.room === room));
  const task = await server.record(room);
  const end = await proc.exit;
  return {...end, out: proc.out, text: proc.text, segments: await server.finish(task)};
}

describe('publish', {concurrency: true}, () => {
  let server;

  test('publish_sends_an_ogg_file_and_a_wav_that_the_server_records', async (t) => {
    server = await startServer(t);
    const [ogg, tone440] = await Promise.all([
      recorded(t, server, 'ogg', speech),
      recorded(t, server, 'wav', await wav(t, {seconds: 3}))]);
    for (const r of [ogg, tone440]) {
      assert.equal(r.code, 0, r.text);
      assert.equal(r.text, '');
      assert.doesNotMatch(r.out, /[\x1b\r]/);
      const [, sent, taken] = /sent \S+ s in (\d+) packets; the server took (\d+)/.exec(r.out);
      assert.ok(Number(taken) > 0 && Number(taken) <= Number(sent), r.out);
      assert.ok(r.segments.length > 0);
    }
    assert.match(ogg.out, /bob.opus, 5\.7 s of Ogg Opus, is me in room ogg \(input \d+/);
    const said = await Promise.all(ogg.segments.map((s) => decode(server.file(s))));
    assert.ok(said.every((pcm) => level(pcm) > 0.02));
    const frames = said.reduce((sum, pcm) => sum + pcm.length, 0);
    assert.ok(frames > 3 * RATE, `${frames} frames`);
    const sound = await decode(server.file(tone440.segments[0]));
    const from = onset(sound);
    const {hz, share} = tone(sound, [220, 330, 440, 550, 880], from + RATE / 2, from + RATE);
    assert.equal(hz, 440);
    assert.ok(share > 0.9, `${share}`);
    assert.deepEqual((await server.ask(200, 'GET', '/v1/rooms')).rooms, []);
    await server.stop();
  });

  test('publish_numbers_and_times_its_packets_as_rtp_wants_it', async (t) => {
    const {packets, to} = await listen(t);
    const began = process.hrtime.bigint();
    const p = await command(t, ['publish', speech, '--to', to]);
    const took_ms = Number(process.hrtime.bigint() - began) / 1e6;
    const sent = oggPackets(speech);
    assert.equal(p.code, 0, p.text);
    assert.match(p.out, new RegExp(`sent 5\\.7 s in ${sent.length} packets`));
    assert.equal(packets.length, sent.length);
    const first = packets[0];
    packets.forEach((k, i) => {
      // 20 ms of a 48 kHz clock; more where this machine held the sender up,
      // and then there is a marker, as on the first
      const step = i ? (k.ts - packets[i - 1].ts) >>> 0 : 960;
      assert.ok(step >= 960 && step < 60 * RATE, `a step of ${step}`);
      assert.equal(k.version, 0x80);
      assert.equal(k.type, 111);
      assert.equal(k.marker, i === 0 || step !== 960 ? 1 : 0);
      assert.equal(k.ssrc, first.ssrc);
      assert.equal(k.seq, (first.seq + i) & 0xffff);
      assert.ok(k.payload.equals(sent[i]), `packet ${i} is passed through`);
    });
    // in real time: not faster than the sound
    assert.ok(took_ms >= sent.length * 20 - 20, `${took_ms} ms`);
    const again = await listen(t);
    const q = background(t, ['publish', speech, '--to', again.to]);
    await until('a packet', () => again.packets.length);
    q.child.kill('SIGINT');
    await q.exit;
    assert.notEqual(again.packets[0].ssrc, first.ssrc);
    assert.notEqual(again.packets[0].ts, first.ts);
  });

  test('publish_that_was_stopped_goes_on_without_a_burst_and_shows_the_pause', async (t) => {
    const {packets, to} = await listen(t);
    const p = background(t, ['publish', await wav(t, {seconds: 1}), '--to', to, '--loop']);
    await until('it speaks', () => packets.length > 5);
    p.child.kill('SIGSTOP');
    await new Promise((done) => setTimeout(done, 2000));
    p.child.kill('SIGCONT');
    const step = (i) => i ? (packets[i].ts - packets[i - 1].ts) >>> 0 : 0;
    await until('it goes on after a pause of a second or more',
      () => packets.some((k, i) => k.marker && step(i) > RATE));
    packets.forEach((k, i) => {
      assert.equal(k.seq, (packets[0].seq + i) & 0xffff);
      assert.equal(k.marker, i && step(i) === 960 ? 0 : 1);
    });
    // --loop: the file begins again under the same numbers
    await until('the second round', () => packets.length > 80);
    assert.ok(packets.every((k) => k.ssrc === packets[0].ssrc));
    p.child.kill('SIGINT');
    assert.deepEqual(await p.exit, {code: 0, signal: null}, 'with --loop it is the only end');
  });

  test('publish_leaves_no_input_behind_when_it_is_interrupted', async (t) => {
    const s = await startServer(t);
    const inputs = async () => (await s.ask(200, 'GET', '/v1/rooms')).rooms
      .flatMap((r) => r.inputs.map((i) => i.user));
    const stop = async (signal, user, more) => {
      const p = background(t, ['publish', speech, ...who(s, 'room 7', user), ...more]);
      await until('the server hears it', async () => (await s.ask(200, 'GET', '/v1/rooms'))
        .rooms.some((r) => r.inputs.some((i) => i.user === user && i.packets)));
      p.child.kill(signal);
      return {...(await p.exit), out: p.out};
    };
    const [a, b, c] = await Promise.all([stop('SIGINT', 'a ü', []),
      stop('SIGTERM', 'b', ['--leave']), stop('SIGINT', 'c', ['--stay'])]);
    for (const p of [a, b, c]) {
      assert.equal(p.code, 1, 'it was not all sent');
      assert.match(p.out, /interrupted: sent/);
    }
    assert.match(c.out, /input \d+ stays/);
    assert.deepEqual(await inputs(), ['c']);
    const twice = await command(t, ['publish', speech, ...who(s, 'room 7', 'c')]);
    assert.equal(twice.code, 1);
    assert.equal(lines(twice.text).length, 1);
    assert.equal(twice.out, '');
    await s.stop();
  });

  test('publish_asks_with_the_token_from_a_variable', async (t) => {
    const s = await startServer(t, {http: {admin_token: 'open sesame'}});
    const args = ['publish', await wav(t, {seconds: 0.2, rate: 8000, channels: 1}),
      ...who(s, 'room')];
    const none = await command(t, args);
    assert.equal(none.code, 1);
    assert.match(none.text, /--token/);
    const wrong = await command(t, [...args, '--token', 'env:WRONG'], {env: {WRONG: 'x'}});
    assert.equal(wrong.code, 1);
    const unset = await command(t, [...args, '--token', 'env:TAPEOP_NOT_SET']);
    assert.equal(unset.code, 2);
    assert.match(unset.text, /TAPEOP_NOT_SET/);
    for (const more of [{more: ['--token', 'env:T'], env: {T: 'open sesame'}},
      {more: [], env: {TAPEOP_ADMIN_TOKEN: 'open sesame'}}]) {
      const p = await command(t, [...args, ...more.more], {env: more.env});
      assert.equal(p.code, 0, p.text);
      assert.equal(p.text, '');
    }
    await s.stop();
  });

  test('publish_shows_a_bar_on_a_terminal', async (t) => {
    const {to} = await listen(t);
    const file = await wav(t, {seconds: 1});
    const show = async (env) => String(await tool('script',
      ['-qec', `stty cols 80; ${TAPEOP} publish ${file} --to ${to}`, '/dev/null'],
      {env: {...process.env, TERM: 'xterm', LC_ALL: 'C', NO_COLOR: '', ...env}}));
    const [plain, utf8] = await Promise.all([show({NO_COLOR: '1'}), show({LC_ALL: 'C.UTF-8'})]);
    const drawn = plain.split('\r\x1b[K').filter((l) => /^tone\.wav {2}#*\.*  /.test(l));
    assert.ok(drawn.length >= 2, plain);
    assert.ok(drawn.every((l) => l.length < 80));
    assert.match(drawn.at(-1), /#{9}.* \/ 1\.0 s {2}\d+ packets$/);
    assert.match(utf8, /\x1b\[32m━/);
  });

  test('publish_says_in_one_line_what_is_wrong', async (t) => {
    const dir = tempDir(t);
    const file = (name, bytes) => {
      fs.writeFileSync(path.join(dir, name), bytes);
      return path.join(dir, name);
    };
    const to = ['--to', '127.0.0.1:9'];
    const room = ['--app', '1', '--room', 'r', '--user', 'u'];
    const cases = [
      [1, /No such file/, [path.join(dir, 'none.wav'), ...to]],
      [1, /directory/, [dir, ...to]],
      [1, /neither Ogg Opus nor WAV/, [file('text.wav', 'not sound'), ...to]],
      [1, /neither Ogg Opus nor WAV/, [file('empty', ''), ...to]],
      [1, /neither Ogg Opus nor WAV/, [file('cut.opus', fs.readFileSync(speech).subarray(0, 60)), ...to]],
      [1, /neither Ogg Opus nor WAV/, [await wav(t, {codec: 'pcm_f32le'}), ...to]],
      [1, /no server answers at http:\/\/127\.0\.0\.1:1;.*--server/,
        [speech, ...room, '--server', 'http://127.0.0.1:1']],
      [2, /whip is not there yet/, [speech, ...room, '--via', 'whip']],
      [2, /--via/, [speech, ...room, '--via', 'pigeon']],
      [2, /FILE is required/, room],
      [2, /only one FILE/, [speech, speech, ...to]],
      [2, /--app, --room and --user are required/, [speech, '--app', '1']],
      [2, /--to asks no server/, [speech, ...to, ...room]],
      [2, /--app must be a number/, [speech, '--app', '0']],
      [2, /--room/, [speech, '--room', 'a/b']],
      [2, /--user/, [speech, '--user', '..']],
      [2, /--to must be an address with a port/, [speech, '--to', '127.0.0.1']],
      [2, /--server/, [speech, '--server', 'ftp://x']],
    ];
    for (const [code, why, args] of cases) {
      const p = await command(t, ['publish', ...args]);
      assert.equal(p.code, code, `${args}: ${p.text}`);
      assert.match(p.text, why);
      assert.equal(lines(p.text).length, 1, p.text);
      assert.equal(p.out, '');
    }
  });
});
