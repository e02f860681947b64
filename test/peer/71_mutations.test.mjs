// test/peer/71_mutations.test.mjs -- changed requests are never taken for genuine ones.
// SPDX-License-Identifier: Apache-2.0
//
// Genuine requests of each dialect that signs its body are changed at random
// and sent to `tapeop receive`: none may be answered as success unless what is
// signed, the app and the MAC are those of a genuine one, and nothing new may
// be stored.  MUTATIONS (default 6000) of each dialect; the seed is printed,
// and SEED repeats a run.
import assert from 'node:assert/strict';
import {createHmac} from 'node:crypto';
import net from 'node:net';
import {test} from 'node:test';

import {APP, startReceiver} from '../aid/tapeop.mjs';

const MUTATIONS = Number(process.env.MUTATIONS ?? 6000);
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 32);
const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';
const CONNECTIONS = 8;
const GENUINE = 20;

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed) {
  return (n) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor(((t ^ t >>> 14) >>> 0) / 4294967296 * n);
  };
}

const hmac = (digest, key, bytes) => createHmac(digest, key).update(bytes).digest('base64');

/** Genuine requests: {headers: [[name, value]..], body: Buffer}. */
const genuine = {
  gme(i) {
    const body = Buffer.from(`{"BizID":${APP},"RoomID":"100","UserID":"u${i}","TaskID":446946705284000000,` +
      `"RecordMode":0,"Timestamp":1675930605,"EventType":${1 + i % 3},"Detail":{"SeqNo":${i},` +
      `"FileName":"${APP}_100_u${i}/x${i}.mp3"}}`);
    return {headers: [['Signature', hmac('sha1', SECRET, body)]], body};
  },
  trtc(i) {
    const body = Buffer.from(`{"EventGroupId":3,"EventType":305,"CallbackTs":${1752580150082 + i},"EventInfo":{` +
      `"RoomId":"r","EventTs":1752580150,"EventMsTs":${1752580150081 + i},"UserId":"u","TaskId":"t${i}","Payload":{"Status":0}}}`);
    return {headers: [['SdkAppId', String(APP)], ['Sign', hmac('sha256', SECRET, body)]], body};
  },
  standard(i) {
    const body = Buffer.from(`{"type":"segment.started","timestamp":"2026-11-26T20:09:10.123Z","data":{"event_id":"${i + 1}",` +
      `"app":${APP},"task_id":"64","room":"r","user":"u","sequence":${i},"mode":"single","seq":${i},"file":"f${i}","start_ms":1}}`);
    const time = String(Math.floor(Date.now() / 1000));
    const mac = hmac('sha256', Buffer.from(SECRET.slice(6), 'base64'),
      Buffer.concat([Buffer.from(`evt_${i}.${time}.`), body]));
    return {headers: [['webhook-id', `evt_${i}`], ['webhook-timestamp', time],
      ['webhook-signature', `v1,${mac}`]], body};
  },
};

/** What must be that of a genuine request: who signed what, for which app. */
function essence(dialect, headers, body) {
  const of = (name) => headers.filter(([n]) => n.toLowerCase() === name.toLowerCase())
    .map(([, v]) => v.trim());
  const one = (name) => of(name)[0] ?? '';
  const text = body.toString('latin1');
  if (dialect === 'gme')
    return [Buffer.from(one('Signature'), 'base64').toString('hex'), text].join('\n');
  if (dialect === 'trtc')
    return [Buffer.from(one('Sign'), 'base64').toString('hex'), Number(one('SdkAppId')), text].join('\n');
  return [one('webhook-id'), one('webhook-timestamp'),
    Buffer.from((/v1,(\S+)/.exec(one('webhook-signature')) ?? [])[1] ?? '', 'base64').toString('hex'),
    text].join('\n');
}

function flip(bytes, random) {
  const changed = Buffer.from(bytes);
  if (changed.length)
    changed[random(changed.length)] ^= 1 << random(8);
  return changed;
}

const flipText = (text, random) => flip(Buffer.from(text, 'latin1'), random).toString('latin1');

/** Each returns changed {headers, body}; all take genuine ones. */
const changes = [
  (a, b, random) => ({...a, body: flip(a.body, random)}),
  (a, b, random) => ({...a, body: a.body.subarray(0, random(a.body.length))}),
  (a, b, random) => ({...a, body: a.body.subarray(1 + random(a.body.length - 1))}),
  (a, b, random) => ({...a, body: Buffer.concat([a.body, Buffer.from([32 + random(90)])])}),
  (a, b) => ({...a, body: Buffer.from(JSON.stringify(JSON.parse(a.body), null, 1))}),
  (a, b) => ({headers: a.headers, body: b.body}),
  (a, b, random) => { // one header of another request
    const at = random(a.headers.length);
    return {...a, headers: a.headers.map((h, i) => (i === at ? b.headers[i] : h))};
  },
  (a, b, random) => { // a header's value, a bit
    const at = random(a.headers.length);
    return {...a, headers: a.headers.map(([n, v], i) => [n, i === at ? flipText(v, random) : v])};
  },
  (a, b, random) => { // a header's value, cut
    const at = random(a.headers.length);
    return {...a, headers: a.headers.map(([n, v], i) => [n, i === at ? v.slice(0, random(v.length)) : v])};
  },
  (a, b, random) => { // a header is missing
    const at = random(a.headers.length);
    return {...a, headers: a.headers.filter((h, i) => i !== at)};
  },
  (a, b) => ({...a, headers: [...b.headers, ...a.headers]}), // each twice, the wrong one first
  (a, b, random) => { // names of headers swapped
    const names = a.headers.map(([n]) => n);
    const by = 1 + random(names.length);
    return {...a, headers: a.headers.map(([, v], i) => [names[(i + by) % names.length], v])};
  },
  (a, b, random) => ({...a, body: Buffer.concat([a.body.subarray(0, 1), Buffer.from('"New":1,'), a.body.subarray(1)])}),
  (a, b, random) => ({...a, body: Buffer.from(a.body.toString().replace(/\d+/g, (d) => (random(4) ? d : String(random(100)))))}),
];

/** Is it something that HTTP can carry as it is? */
const isClean = ({headers}) => headers.every(([, v]) => !/[^\x20-\x7e]/.test(v));

function bytesOf({headers, body}) {
  return Buffer.concat([Buffer.from(`POST /hook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${
    headers.map(([n, v]) => `${n}: ${v}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n`), body]);
}

/** A keep-alive connection; send(bytes) gives the status of the answer. */
function connection(host, port) {
  let socket, waiting, got = '';
  const end = () => {
    const done = waiting;
    waiting = undefined;
    socket = undefined;
    got = '';
    done?.(0);
  };
  const open = () => {
    socket = net.connect(port, host);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    const mine = socket;
    socket.on('close', () => mine === socket && end());
    socket.on('data', (data) => {
      got += data.toString('latin1');
      const head = got.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(got);
      if (head < 0 || !length || got.length < head + 4 + Number(length[1]))
        return;
      const status = Number(got.slice(9, 12));
      got = '';
      const done = waiting;
      waiting = undefined;
      done?.(status);
    });
  };
  return {
    send: (bytes) => new Promise((resolve) => {
      if (!socket || socket.destroyed)
        open();
      waiting = resolve;
      socket.write(bytes);
    }),
    close: () => socket?.destroy(),
  };
}

async function received(receiver) {
  const text = await (await fetch(`${receiver.url}/metrics`)).text();
  return Number(/^tapeop_received_new_total (\d+)$/m.exec(text)[1]);
}

for (const [dialect, make] of Object.entries(genuine)) {
  test(`changed_requests_of_${dialect}_are_never_taken`, {timeout: 3600_000}, async (t) => {
    const receiver = await startReceiver(t, {key: SECRET});
    const [host, port] = receiver.at.split(':');
    const connections = Array.from({length: CONNECTIONS}, () => connection(host, port));
    t.after(() => connections.forEach((c) => c.close()));
    t.diagnostic(`SEED=${SEED}`);

    const known = Array.from({length: GENUINE}, (_, i) => make(i));
    const essences = new Set(known.map(({headers, body}) => essence(dialect, headers, body)));
    for (const request of known)
      assert.equal(await connections[0].send(bytesOf(request)), 200);
    assert.equal(await received(receiver), GENUINE);

    const random = randomOf(SEED);
    const statuses = {};
    let left = MUTATIONS;
    await Promise.all(connections.map(async (c) => {
      while (left-- > 0) {
        const change = random(changes.length);
        const a = known[random(GENUINE)];
        const b = known[random(GENUINE)];
        const changed = changes[change](a, b, random);
        if (!isClean(changed))
          continue;
        const status = await c.send(bytesOf(changed));
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (status >= 200 && status < 300)
          assert.ok(essences.has(essence(dialect, changed.headers, changed.body)),
            `change ${change} was taken: ${bytesOf(changed)}`);
      }
    }));
    t.diagnostic(`answers: ${JSON.stringify(statuses)}`);
    assert.ok(statuses[401] > MUTATIONS / 4, 'the signature is what refuses');
    assert.equal(statuses[500], undefined);
    assert.equal(await received(receiver), GENUINE, 'nothing new is stored');
    assert.equal(receiver.events().length, GENUINE);
    receiver.proc.child.kill('SIGTERM');
    const {code} = await receiver.proc.exit;
    assert.equal(code, 0, receiver.proc.text.slice(-2000));
  });
}

test('any_bit_of_a_whole_request_may_be_wrong', {timeout: 3600_000}, async (t) => {
  const receiver = await startReceiver(t, {key: SECRET});
  const [host, port] = receiver.at.split(':');
  const known = Object.entries(genuine).flatMap(([dialect, make]) =>
    Array.from({length: 5}, (_, i) => ({dialect, request: make(i)})));
  const first = connection(host, port);
  for (const {request} of known)
    assert.equal(await first.send(bytesOf(request)), 200);
  first.close();
  const random = randomOf(SEED);
  // One that is not whole any more is waited for; it is left alone then.
  const send = (bytes) => new Promise((resolve) => {
    const socket = net.connect(port, host, () => socket.write(bytes));
    const patience = setTimeout(() => socket.destroy(), 300);
    socket.on('error', () => {});
    socket.on('data', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(patience);
      resolve();
    });
  });
  let left = MUTATIONS / 6;
  await Promise.all(Array.from({length: CONNECTIONS}, async () => {
    while (left-- > 0)
      await send(flip(bytesOf(known[random(known.length)].request), random));
  }));
  assert.equal(await received(receiver), known.length, `SEED=${SEED}: nothing new is stored`);
  const good = connection(host, port);
  assert.equal(await good.send(bytesOf(known[0].request)), 200);
  good.close();
});
