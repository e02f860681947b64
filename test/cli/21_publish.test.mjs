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
  const reports = [];
  const got = {packets, reports, socket};
  socket.on('message', (m, from) => {
    got.from = from;
    if (m[1] >= 192 && m[1] <= 223)
      return reports.push(m);
    packets.push({
      version: m[0], marker: m[1] >> 7, type: m[1] & 0x7f, seq: m.readUInt16BE(2),
      ts: m.readUInt32BE(4), ssrc: m.readUInt32BE(8), payload: m.subarray(12),
      at_ms: Number(process.hrtime.bigint()) / 1e6});
  });
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  t.after(() => socket.close());
  got.to = `127.0.0.1:${socket.address().port}`;
  return got;
}

/** What was sent has come: it may be read later than the end of who sent it. */
const allCame = (got, out) => until('what was sent has come', () =>
  got.packets.length >= Number(/ in (\d+) packets/.exec(out)[1]));

/** Publish to a socket, to the end: what came, when the command began, and what
 *  it said.  Once more where this machine stood still: then packets moved. */
async function heard(t, file, ...more) {
  for (;;) {
    const got = await listen(t);
    got.began_ms = Number(process.hrtime.bigint()) / 1e6;
    const p = await command(t, ['publish', file, '--to', got.to, ...more]);
    assert.equal(p.code, 0, p.text);
    await allCame(got, p.out);
    if (!/held up here/.test(p.out))
      return {...got, out: p.out};
  }
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
    await until('the rooms are gone', async () =>
      (await server.ask(200, 'GET', '/v1/rooms')).rooms.length === 0);
    await server.stop();
  });

  test('publish_numbers_and_times_its_packets_as_rtp_wants_it', async (t) => {
    const got = await listen(t);
    const {packets, to} = got;
    const began = process.hrtime.bigint();
    const p = await command(t, ['publish', speech, '--to', to]);
    const took_ms = Number(process.hrtime.bigint() - began) / 1e6;
    const sent = oggPackets(speech);
    assert.equal(p.code, 0, p.text);
    assert.match(p.out, new RegExp(`sent 5\\.7 s in ${sent.length} packets`));
    await allCame(got, p.out);
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
    assert.match(p.out, /held up here for \d{4,} ms/);
  });

  test('publish_leaves_no_input_behind_when_it_is_interrupted', async (t) => {
    const s = await startServer(t);
    const inputs = async () => (await s.ask(200, 'GET', '/v1/rooms')).rooms
      .flatMap((r) => r.inputs.map((i) => i.user));
    const long = await wav(t, {seconds: 60}); // it is not over before it is heard
    const stop = async (signal, user, more) => {
      const p = background(t, ['publish', long, ...who(s, 'room 7', user), ...more]);
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

  test('publish_loses_each_20th_and_wraps_its_numbers', async (t) => {
    const n = oggPackets(speech).length;
    const {packets, out} = await heard(t, speech, '--loss-every', '20', '--seq', '65530',
      '--ts', '4294966000', '--pt', '97');
    const seqs = Array.from({length: n}, (_, i) => i + 1).filter((i) => i % 20)
      .map((i) => (65529 + i) & 0xffff);
    assert.deepEqual(packets.map((k) => k.seq), seqs);
    assert.equal(packets[0].ts, 4294966000);
    assert.ok(packets[2].ts < 1000, 'the time stamp wraps');
    assert.ok(packets.every((k) => k.type === 97));
    const lost = Math.floor(n / 20);
    assert.match(out, new RegExp(`in ${n - lost} packets`));
    assert.match(out, new RegExp(`network: of ${n} packets ${lost} lost, 0 reordered, ` +
      '0 duplicated, 0 stalled\n'));
  });

  test('publish_makes_the_same_bad_network_with_the_same_seed', async (t) => {
    const bad = ['--loss', '10%', '--burst-loss', '3', '--reorder', '10', '--duplicate', '10.5'];
    const [a, b, c] = await Promise.all([['--seed', '5'], ['--seed', '5'], []]
      .map((more) => heard(t, speech, ...bad, ...more)));
    const bytes = (got) => got.packets.map((k) => `${k.ssrc} ${k.seq} ${k.payload.toString('hex')}`)
      .sort();
    assert.deepEqual(bytes(a), bytes(b));
    assert.notDeepEqual(bytes(a), bytes(c));
    const facts = (got) => /of (\d+) packets (\d+) lost, (\d+) reordered, (\d+) duplicated, 0 stalled; --seed (\d+)/
      .exec(got.out).slice(1).map(Number);
    const [n, lost, reordered, duplicated, seed] = facts(a);
    assert.equal(seed, 5);
    assert.equal(n, oggPackets(speech).length);
    assert.ok(lost > 0 && reordered > 0 && duplicated > 0, a.out);
    assert.equal(a.packets.length, n - lost + duplicated);
    assert.equal(new Set(a.packets.map((k) => k.seq)).size, n - lost);
    assert.ok(a.packets.some((k, i) => i && ((k.seq - a.packets[i - 1].seq) & 0x8000)),
      'one was overtaken');
    // the seed that was told gives the same once more
    const d = await heard(t, speech, ...bad, '--seed', String(facts(c)[4]));
    assert.deepEqual(facts(d), facts(c));
  });

  test('publish_delays_and_stalls_what_it_sends', async (t) => {
    const got = await heard(t, speech, '--delay', '700ms', '--stall', '2s,1s');
    got.packets.forEach((k, i) => assert.equal(k.seq, (got.packets[0].seq + i) & 0xffff));
    // what would leave from 2 s on leaves at 3 s; it may be read later, not earlier
    const at_ms = (i) => got.packets[i].at_ms - got.began_ms;
    assert.ok(at_ms(0) >= 700, `${at_ms(0)}`);
    assert.ok(at_ms(65) >= 3000, `${at_ms(65)}`);
    const [, stalled] = /(\d+) stalled/.exec(got.out);
    assert.equal(Number(stalled), 50);
  });

  test('publish_freezes_mutes_pauses_and_begins_another_stream', async (t) => {
    const file = await wav(t, {seconds: 3});
    const [frozen, muted, paused, changed] = await Promise.all([
      ['--freeze', '500ms,1s'], ['--mute', '500ms,1s'], ['--dtx', '500ms,1s'],
      ['--ssrc-change', '500ms', '--ssrc-change', '1s'],
    ].map((more) => heard(t, file, ...more)));
    const steps = (got) => got.packets.map((k, i, all) => i ? (k.ts - all[i - 1].ts) >>> 0 : 960);
    for (const got of [frozen, muted, paused])
      got.packets.forEach((k, i) => assert.equal(k.seq, (got.packets[0].seq + i) & 0xffff));
    assert.equal(frozen.packets.length, 150);
    assert.ok(steps(frozen)[25] < 48000, 'its clock stands');
    assert.ok(frozen.packets[25].at_ms - frozen.began_ms >= 1500, 'and so does it');
    assert.match(frozen.out, /sender: 0 packets not sent, 0 tiny ones, 1000 ms frozen, 1 SSRCs/);
    assert.equal(muted.packets.length, 100);
    assert.ok(steps(muted)[25] >= 51 * 960, 'its clock goes on');
    assert.equal(muted.packets[25].marker, 1);
    assert.match(muted.out, /sender: 50 packets not sent/);
    assert.equal(paused.packets.length, 103);
    assert.deepEqual(paused.packets.slice(25, 28).map((k) => k.payload.toString('hex')),
      ['f8', 'f8fffe', 'f8fffe']);
    assert.ok(steps(paused)[26] >= 20 * 960);
    assert.equal(changed.packets.length, 150);
    assert.deepEqual([0, 25, 50].map((i) => changed.packets[i].marker), [1, 1, 1]);
    const ssrcs = changed.packets.map((k) => k.ssrc);
    assert.equal(new Set(ssrcs).size, 3);
    assert.ok(ssrcs[24] !== ssrcs[25] && ssrcs[49] !== ssrcs[50]);
  });

  test('publish_pauses_by_itself_where_it_is_quiet', async (t) => {
    const file = path.join(tempDir(t), 'quiet.wav');
    await tool('ffmpeg', ['-nostdin', '-loglevel', 'error', '-f', 'lavfi', '-i',
      "aevalsrc='0.5*sin(2*PI*440*t)*(lt(t,1)+gt(t,3))':s=48000:d=4", file]);
    const {packets, out} = await heard(t, '--dtx', file, '--audio-level', '3');
    const level = (k) => k.payload.readUInt8(5);
    const tiny = packets.filter((k) => k.payload.length <= 8 + 3);
    // 1 s, then 200 ms more, then one each 400 ms of 1.8 s
    assert.equal(tiny.length, 5, out);
    assert.ok(packets.length < 50 + 15 + 5 + 52, `${packets.length} packets`);
    assert.ok(packets.every((k) => k.version === 0x90 &&
      k.payload.subarray(0, 4).equals(Buffer.from([0xbe, 0xde, 0, 1])) &&
      k.payload[4] === 0x30));
    assert.ok(tiny.every((k) => level(k) === 127));
    assert.ok(level(packets[25]) >= 0x80 + 7 && level(packets[25]) <= 0x80 + 11, 'a sine of -9 dB');
  });

  test('publish_sends_the_sound_before_once_more', async (t) => {
    const sent = oggPackets(speech);
    const {packets} = await heard(t, speech, '--red', '2');
    assert.equal(packets.length, sent.length);
    packets.forEach((k, i) => {
      assert.equal(k.type, 63);
      const older = [i - 2, i - 1].filter((j) => j >= 0);
      const heads = older.map((j) => {
        const b = Buffer.alloc(4);
        b.writeUInt32BE((0xef000000 | ((k.ts - packets[j].ts) >>> 0) << 10 |
          sent[j].length) >>> 0);
        return b;
      });
      assert.ok(k.payload.equals(Buffer.concat([...heads, Buffer.from([0x6f]),
        ...older.map((j) => sent[j]), sent[i]])), `packet ${i}`);
    });
  });

  test('publish_reports_and_shows_what_is_reported', async (t) => {
    const got = await listen(t);
    const p = background(t, ['publish', speech, '--to', got.to, '--loop', '--rtcp']);
    const report = await until('a report', () => got.reports[0]);
    const {ssrc} = await until('a packet', () => got.packets[0]);
    assert.equal(report.readUInt16BE(0), 0x80c8);
    assert.equal(report.readUInt32BE(4), ssrc);
    assert.ok(Math.abs(report.readUInt32BE(8) - 2208988800 - Date.now() / 1000) < 60);
    assert.equal(report.readUInt32BE(20), 1, 'one packet so far');
    assert.equal(report.readUInt16BE(28), 0x81ca, 'and who it is');
    const answer = Buffer.alloc(32);
    answer.writeUInt32BE(0x81c90007, 0);
    answer.writeUInt32BE(ssrc, 8);
    answer.writeUInt32BE(0x80000007, 12); // half of it, 7
    answer.writeUInt32BE(96, 20);
    await until('it says so', () => {
      got.socket.send(answer, got.from.port, '127.0.0.1');
      return /receiver: 50\.0 % lost since its last report, 7 in all, jitter 2\.0 ms/.test(p.out);
    });
    await until('another report', () => got.reports.length > 1);
    p.child.kill('SIGINT');
    await p.exit;
  });

  test('publish_without_a_way_back_has_a_closed_port', async (t) => {
    const got = await listen(t);
    const p = background(t, ['publish', speech, '--to', got.to, '--loop', '--no-return']);
    await until('it sends', () => got.packets.length > 3);
    const back = dgram.createSocket('udp4');
    let refused;
    back.on('error', (e) => (refused = e.code));
    await new Promise((done) => back.connect(got.from.port, '127.0.0.1', done));
    await until('its port refuses', () => {
      back.send('x', () => {});
      return refused;
    });
    back.close();
    assert.equal(refused, 'ECONNREFUSED');
    const n = got.packets.length;
    await until('it goes on', () => got.packets.length > n + 10);
    got.packets.forEach((k, i) => assert.equal(k.seq, (got.packets[0].seq + i) & 0xffff));
    p.child.kill('SIGINT');
    assert.deepEqual(await p.exit, {code: 0, signal: null});
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
      [2, /--via must be rtp or whip: pigeon/, [speech, ...room, '--via', 'pigeon']],
      [1, /no server answers at http:\/\/127\.0\.0\.1:1\/.*--server/,
        [speech, ...room, '--via', 'whip', '--server', 'http://127.0.0.1:1/']],
      [2, /--app, --room and --user are required/, [speech, '--via', 'whip']],
      [2, /--to must be the URL of a WHIP endpoint/, [speech, ...to, '--via', 'whip']],
      [2, /--to asks no server/, [speech, '--to', 'http://127.0.0.1:1/', ...room, '--via', 'whip']],
      [2, /--to must be an address with a port/, [speech, '--to', 'http://127.0.0.1:1/']],
      [2, /--ticket and --key are for --via whip/, [speech, ...room, '--ticket', 'env:HOME']],
      [2, /--ticket and --key are for --via whip/, [speech, ...to, '--key', 'env:HOME']],
      [2, /--ticket or --key, not both/,
        [speech, ...room, '--via', 'whip', '--ticket', 'env:HOME', '--key', 'env:HOME']],
      [2, /--key makes a ticket of --app and --user/,
        [speech, '--to', 'http://127.0.0.1:1/', '--via', 'whip', '--key', 'env:HOME']],
      [2, /--ticket: .*TAPEOP_NOT_SET/,
        [speech, ...room, '--via', 'whip', '--ticket', 'env:TAPEOP_NOT_SET']],
      [2, /--stay does not go with --via whip/, [speech, ...room, '--via', 'whip', '--stay']],
      [2, /--no-return does not go with --via whip/, [speech, ...room, '--via', 'whip', '--no-return']],
      [2, /--red-pt needs --red/,
        [speech, ...room, '--via', 'whip', '--red', '0', '--red-pt', '110']],
      [2, /FILE is required/, room],
      [2, /only one FILE/, [speech, speech, ...to]],
      [2, /--app, --room and --user are required/, [speech, '--app', '1']],
      [2, /--to asks no server/, [speech, ...to, ...room]],
      [2, /--app must be a number/, [speech, '--app', '0']],
      [2, /--room/, [speech, '--room', 'a/b']],
      [2, /--user/, [speech, '--user', '..']],
      [2, /--to must be an address with a port/, [speech, '--to', '127.0.0.1']],
      [2, /--server/, [speech, '--server', 'ftp://x']],
      [2, /--loss must be a percentage from 0 to 100: 101;/, [speech, ...to, '--loss', '101']],
      [2, /--loss .*: -1;/, [speech, ...to, '--loss', '-1']],
      [2, /--loss .*: 1\.;/, [speech, ...to, '--loss', '1.']],
      [2, /--loss needs a value/, [speech, ...to, '--loss']],
      [2, /--loss-every must be a whole number from 1 to/, [speech, ...to, '--loss-every', '0']],
      [2, /--burst-loss needs --loss/, [speech, ...to, '--burst-loss', '3']],
      [2, /--loss must be at most 75 with --burst-loss 3/,
        [speech, ...to, '--burst-loss', '3', '--loss', '76']],
      [2, /--reorder .* from 0 to 100: x;/, [speech, ...to, '--reorder', 'x']],
      [2, /--duplicate .* from 0 to 100/, [speech, ...to, '--duplicate', '1000']],
      [2, /--delay must be a time like 120ms from 0s to 10s/, [speech, ...to, '--delay', '11s']],
      [2, /--jitter .* from 0s to 10s/, [speech, ...to, '--jitter', '1 s']],
      [2, /--drift .* from -1000 to 1000/, [speech, ...to, '--drift', '-1001']],
      [2, /--stall must be two times AT,LEN .* LEN 1ms to 60s/, [speech, ...to, '--stall', '3s']],
      [2, /--stall .*60s/, [speech, ...to, '--stall', '3s,61s']],
      [2, /--stall at most 16 times/, [speech, ...to, ...Array(17).fill('--stall=1s,1s')]],
      [2, /--freeze .*1h/, [speech, ...to, '--freeze', '3s,0s']],
      [2, /--mute .*24h/, [speech, ...to, '--mute', '2d,1s']],
      [2, /--dtx .*AT,LEN/, [speech, ...to, '--dtx=3']],
      [2, /--ssrc-change .* from 0s to 24h/, [speech, ...to, '--ssrc-change', '3']],
      [2, /--seq .* from 0 to 65535/, [speech, ...to, '--seq', '65536']],
      [2, /--ts .* from 0 to 4294967295/, [speech, ...to, '--ts', '4294967296']],
      [2, /--red .* from 0 to 8/, [speech, ...to, '--red', '9']],
      [2, /--red-pt needs --red/, [speech, ...to, '--red-pt', '100']],
      [2, /--red-pt must not be 64 to 95/, [speech, ...to, '--red', '1', '--red-pt', '64']],
      [2, /--red-pt must not be the type of Opus, 111/,
        [speech, ...to, '--red', '1', '--red-pt', '111']],
      [2, /--pt .* from 96 to 127/, [speech, ...to, '--pt', '0']],
      [2, /--audio-level .* from 1 to 14/, [speech, ...to, '--audio-level', '15']],
      [2, /--seed .* from 0 to 4294967295/, [speech, ...to, '--seed', '-1']],
      [2, /--rtcp does not go with it/, [speech, ...to, '--rtcp', '--no-return']],
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
