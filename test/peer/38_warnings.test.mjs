// What is told when an input dies, or was never heard.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import {testInRealTime} from '../aid/calm.mjs';
import {decode, ffmpegSend, level, oggPackets, sendPackets} from '../aid/sound.mjs';
import {command, startServer, until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const lost = {input_lost_after: '1s', no_audio_after: '0s'};
const silent = {input_lost_after: '0s', no_audio_after: '1s'};
const source = (lavfi) => ['-f', 'lavfi', '-i', lavfi];

/** The warnings of a task, and that its numbers have no holes. */
async function warnings(server, task) {
  const rows = await sql(server, `SELECT task_seq, kind, facts FROM event WHERE task=${task} ORDER BY task_seq`);
  assert.deepEqual(rows.map((r) => r.task_seq), rows.map((_, i) => i));
  return rows.filter((r) => ['input_lost', 'no_audio'].includes(r.kind))
    .map((r) => ({kind: r.kind, ...JSON.parse(r.facts)}));
}

const warningOf = async (server, input) =>
  (await server.ask(200, 'GET', `/v1/inputs/${input}`)).warning;

describe('warnings', {concurrency: true}, () => {
  test('a_sender_that_dies_is_told_of_and_so_is_its_return', async (t) => {
    const server = await startServer(t, {recording: lost});
    const {input_id, port, warning} = await server.join('room', 'alice');
    assert.equal(warning, '');
    const task = await server.record('room');
    const packets = oggPackets('assets/demo/alice.opus');
    const first = sendPackets(t, packets, port);
    await until('packets come', async () =>
      (await server.ask(200, 'GET', `/v1/inputs/${input_id}`)).packets > 20);
    first.stop();
    await until('it is lost', async () => await warningOf(server, input_id) === 'input_lost');
    const rooms = await command(t, ['rooms', '--server', server.url]);
    assert.match(rooms.out, /alice .*input_lost/);
    const status = await command(t, ['status', '--server', server.url]);
    assert.match(status.out, new RegExp(`WARNING input_lost: alice in room room \\(input ${input_id}\\)`));
    const told = await until('the task is told', async () => {
      const all = await warnings(server, task);
      return all.length && all;
    });
    assert.equal(told[0].kind, 'input_lost');
    assert.equal(told[0].user, 'alice');
    assert.match(told[0].reason_text, /^nothing has come for \d+ s$/);
    const second = sendPackets(t, packets, port, {ssrc: 0xbeef});
    await until('it is back', async () => await warningOf(server, input_id) === '');
    second.stop();
    assert.match(server.proc.text, /user=alice input=\d+ nothing has come for/);
    assert.match(server.proc.text, /user=alice input=\d+ sends again/);
    await server.finish(task);
    await server.stop();
  });

  testInRealTime('a_sender_that_says_goodbye_is_not_lost', async (t) => {
    const server = await startServer(t, {recording: lost});
    const polite = await server.join('room', 'polite');
    const rude = await server.join('room', 'rude');
    const task = await server.record('room');
    const packets = oggPackets('assets/demo/alice.opus');
    const [first, second] = [polite, rude].map(({port}) => sendPackets(t, packets, port));
    await Promise.all([first.reached(50), second.reached(50)]);
    await first.send(Buffer.from('80c9000100005eed81cb000100005eed', 'hex')); // RR, BYE
    first.stop();
    await second.reached(second.sent() + 50); // lost a second later than it would be
    second.stop();
    await until('one is lost', async () => await warningOf(server, rude.input_id) === 'input_lost');
    await until('the task is told', async () => (await warnings(server, task)).length > 0);
    await server.finish(task);
    assert.equal(await warningOf(server, polite.input_id), '');
    assert.deepEqual([...new Set((await warnings(server, task)).map((w) => w.user))], ['rude']);
    await server.stop();
  });

  test('who_sends_only_silence_is_told_of_until_heard', async (t) => {
    const server = await startServer(t, {recording: silent});
    const mute = await server.join('room', 'mute');
    const heard = await server.join('room', 'heard');
    const silence = ffmpegSend(t, source('anullsrc=r=48000:cl=mono'), mute.port);
    ffmpegSend(t, source('sine=440'), heard.port);
    for (const {input_id} of [mute, heard])
      await until('packets come', async () =>
        (await server.ask(200, 'GET', `/v1/inputs/${input_id}`)).packets > 50);
    const task = await server.record('room');
    await until('nothing is heard', async () => await warningOf(server, mute.input_id) === 'no_audio');
    silence.child.kill('SIGKILL');
    await silence.done;
    const told = await until('the task is told', async () => {
      const all = await warnings(server, task);
      return all.length && all;
    });
    assert.deepEqual(told.map((w) => [w.kind, w.user]), [['no_audio', 'mute']]);
    assert.match(told[0].reason_text, /only silence/);
    assert.equal(await warningOf(server, heard.input_id), '');
    ffmpegSend(t, source('sine=880'), mute.port);
    await until('it is heard', async () => await warningOf(server, mute.input_id) === '');
    const segments = await server.finish(task);
    assert.ok(level(await decode(server.file(segments.find((s) => s.user === 'heard')))) > 0.01);
    await server.stop();
  });
});
