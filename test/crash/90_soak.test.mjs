// 10,000 recordings started and stopped: nothing stays behind.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import http from 'node:http';
import {test} from 'node:test';

import {oggPackets, rtpPacket, sendPackets} from '../aid/sound.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const ROOMS = 400; // at the same time
const WARM_UP = 2000;
const ROUNDS = 10_000;
const MIB = 1 << 20;
const KEPT = 32; // slots for packets that an input keeps, RING_KEEP

// fetch is slow and leaves sockets open: 24,000 requests go over a few.
const agent = new http.Agent({keepAlive: true, maxSockets: 16});

function ask(server, method, where) {
  return new Promise((done, failed) => {
    const request = http.request(server.url + where, {method, agent}, (answer) => {
      let text = '';
      answer.on('data', (d) => (text += d));
      answer.on('end', () => done({status: answer.statusCode, json: JSON.parse(text)}));
    });
    request.on('error', failed);
    request.end();
  });
}

/** Start and stop a task in each room; wait until all of it is over. */
async function round(server, rooms) {
  const tasks = await Promise.all(rooms.map(async (room) => {
    const {status, json} = await ask(server, 'POST', `/v1/apps/${APP}/rooms/${room}/tasks`);
    assert.equal(status, 201, JSON.stringify(json));
    return json.task_id;
  }));
  await Promise.all(tasks.map(async (id) =>
    assert.equal((await ask(server, 'DELETE', `/v1/tasks/${id}`)).status, 200)));
  await until('all have stopped', async () => (await server.metrics()).tasks_running === 0);
}

async function look(server) {
  const pid = server.proc.pid;
  const {allocations} = await server.metrics();
  return {
    allocations,
    fds: fs.readdirSync(`/proc/${pid}/fd`).length,
    rss: 1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
  };
}

/** What is left once everything has settled: the least of several looks. */
async function settled(server) {
  agent.destroy(); // its sockets are the server's, too
  let least = null;
  let same = 0;
  await until('it has settled', async () => {
    const now = await look(server);
    const better = !least || now.allocations < least.allocations || now.fds < least.fds;
    least = {
      allocations: Math.min(now.allocations, least?.allocations ?? Infinity),
      fds: Math.min(now.fds, least?.fds ?? Infinity),
      rss: Math.min(now.rss, least?.rss ?? Infinity),
    };
    same = better ? 0 : same + 1;
    return same > 40;
  });
  return least;
}

/** How many slots an input has grown depends on how busy the machine was: let
 *  each have all that it keeps, by packets that wait for one before them. */
async function fillSlots(server, packets, ports) {
  const socket = dgram.createSocket('udp4');
  const base = (await look(server)).allocations;
  let next = 0;
  await until('every input has its slots', async () => {
    for (const port of ports) {
      for (let n = next; n < next + 2 * KEPT; n++) {
        if (n !== next + 1)
          socket.send(rtpPacket(packets[n % packets.length], n), port, '127.0.0.1');
      }
    }
    next += 2 * KEPT;
    return (await look(server)).allocations >= base + KEPT * ports.length;
  });
  socket.close();
}

test('ten_thousand_recordings_leave_nothing_behind', async (t) => {
  const server = await startServer(t, {ports: 600});
  const rooms = Array.from({length: ROOMS}, (_, i) => `room${i}`);
  const speech = oggPackets('assets/demo/alice.opus');
  const ports = [];
  for (const room of rooms)
    ports.push((await server.join(room, 'alice')).port);
  // in every 50th room somebody speaks; packets on their way are objects, too
  const speakers = ports.filter((_, i) => i % 50 === 0);
  await fillSlots(server, speech, speakers);
  const rounds = async (n) => {
    const speaking = speakers.map((port) => sendPackets(t, speech, port));
    for (let done = 0; done < n; done += ROOMS)
      await round(server, rooms);
    speaking.forEach((s) => s.stop());
    return settled(server);
  };
  const before = await rounds(WARM_UP);
  const after = await rounds(ROUNDS);
  t.diagnostic(JSON.stringify({before, after}));

  const [{n}] = await sql(server, 'SELECT count(*) n FROM task WHERE state=2 AND finished_ms>0');
  assert.equal(n, WARM_UP + ROUNDS);
  const [{files}] = await sql(server, 'SELECT count(*) files FROM segment WHERE state=2');
  assert.ok(files > 100, 'some were of people who spoke');
  assert.equal(after.fds, before.fds);
  assert.equal(after.allocations, before.allocations);
  assert.ok(after.rss - before.rss < 2 * MIB,
    `memory grew by ${((after.rss - before.rss) / MIB).toFixed(2)} MiB`);
  await server.stop();
});
