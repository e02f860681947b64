// test/peer/72_hostile.test.mjs -- a receiver among clients that mean it harm.
// SPDX-License-Identifier: Apache-2.0
//
// Each attack is raw bytes, in plain HTTP and in TLS.  Beside all of them an
// honest sender goes on, each of whose callbacks is answered 200.  At the end
// nothing hostile is stored, no descriptor is left over, and the receiver ends
// in good order.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {describe, test} from 'node:test';

import {ask, counters, dial, fdsOf, genuine, genuineBytes, honestSender, makeCertificate,
  patiently} from '../aid/hostile.mjs';
import {startReceiver, tempDir, until} from '../aid/tapeop.mjs';

const MIB = 1 << 20;
const PER_ADDRESS = 40;
const DEADLINE_MS = 10_000; // for a whole request, or a handshake
const POST = 'POST /hook HTTP/1.1\r\nHost: x\r\n';
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
// genuine numbers of attacks; the honest sender counts from 1,000,000
let next = 0;

/** A genuine callback whose body goes as one chunk. */
function genuineChunked(more = '', tail = '0\r\n\r\n', size = (n) => n.toString(16)) {
  const {head, body} = genuine(next++, more);
  return `${head}Transfer-Encoding: chunked\r\n\r\n${size(body.length)}\r\n${body}\r\n${tail}`;
}

/** A genuine callback with these framing headers in the place of its length. */
function genuineWith(framing) {
  const {head, body} = genuine(next++);
  return `${head}${framing(body.length)}\r\n${body}`;
}

/** [name, bytes, statuses of the answers, whether the server then closes]. */
const refused = [
  ['a length that is too long for a number',
    genuineWith(() => 'Content-Length: 99999999999999999999999\r\n'), [413], true],
  ['a negative length', genuineWith((n) => `Content-Length: -${n}\r\n`), [400], true],
  ['a length with a sign', genuineWith((n) => `Content-Length: +${n}\r\n`), [400], true],
  ['a length in hex', genuineWith((n) => `Content-Length: 0x${n.toString(16)}\r\n`), [400], true],
  ['a list of lengths', genuineWith((n) => `Content-Length: ${n}, ${n}\r\n`), [400], true],
  ['no length at all where one is named', genuineWith(() => 'Content-Length:\r\n'), [400], true],
  ['two lengths', genuineWith((n) => `Content-Length: ${n}\r\nContent-Length: 3\r\n`), [400], true],
  ['twice the same length', genuineWith((n) => `Content-Length: ${n}\r\nContent-Length: ${n}\r\n`),
    [400], true],
  ['a length and chunks', genuineWith((n) => `Content-Length: ${n}\r\nTransfer-Encoding: chunked\r\n`),
    [400], true],
  ['chunks and a length', genuineWith((n) => `Transfer-Encoding: chunked\r\nContent-Length: ${n}\r\n`),
    [400], true],
  ['a length with a space before its colon', genuineWith((n) => `Content-Length : ${n}\r\n`),
    [400], true],
  ['a length on a folded line', genuineWith((n) => `Content-Length:\r\n ${n}\r\n`), [400], true],
  ['a coding with a space before its colon', genuineWith(() => 'Transfer-Encoding : chunked\r\n'),
    [400], true],
  ['a coding on a folded line', genuineWith(() => 'Transfer-Encoding:\r\n chunked\r\n'), [400], true],
  ['a coding that is unknown', genuineWith(() => 'Transfer-Encoding: identity\r\n'), [400], true],
  ['two codings', genuineWith(() => 'Transfer-Encoding: gzip, chunked\r\n'), [400], true],
  ['a coding behind a control character', genuineWith(() => 'Transfer-Encoding: \x0bchunked\r\n'),
    [400], true],
  ['a length that is too short', genuineWith((n) => `Content-Length: ${n - 1}\r\nConnection: close\r\n`),
    [401], true],
  ['a chunk of a negative size', `${CHUNKED}-2\r\n{}\r\n0\r\n\r\n`, [400], true],
  ['a chunk of a size that is no number', `${CHUNKED}zz\r\n{}\r\n0\r\n\r\n`, [400], true],
  ['a chunk of a size with 0x', genuineChunked('', undefined, (n) => `0x${n.toString(16)}`), [400], true],
  ['a chunk of a size with a sign', genuineChunked('', undefined, (n) => `+${n.toString(16)}`),
    [400], true],
  ['a chunk of no size', genuineChunked('', undefined, () => ''), [400], true],
  ['a chunk of a size over 64 bits', genuineChunked('', undefined, () => '1'.repeat(17)), [413], true],
  ['a chunk without its end', genuine(next++, 'Transfer-Encoding: chunked\r\n').head + '\r\n2\r\n{}0\r\n\r\n',
    [400], true],
  ['trailers without end', genuineChunked('', `0\r\n${'X-T: y\r\n'.repeat(20000)}\r\n`), [431], true],
  ['a header of 64 KiB', genuineBytes(next++, `X: ${'a'.repeat(65536)}\r\n`), [431], true],
  ['five thousand headers', genuineBytes(next++, 'X: a\r\n'.repeat(5000)), [431], true],
  ['a method without end', 'A'.repeat(70000), [414], true],
  ['a path of 64 KiB', `POST /${'a'.repeat(65536)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414], true],
  ['lines of nothing', '\r\n'.repeat(50000), [414], true],
  ['a name with NUL', genuineBytes(next++, 'X\0Y: a\r\n'), [400], true],
  ['a name with a control character', genuineBytes(next++, 'X\x01Y: a\r\n'), [400], true],
  ['a name with a space', genuineBytes(next++, 'X Y: a\r\n'), [400], true],
  ['a header without colon', genuineBytes(next++, 'garbage\r\n'), [400], true],
  ['an absolute URL', genuineBytes(next++).replace('/hook', 'http://x/hook'), [400], true],
  ['an absolute URL of what is for this machine',
    'GET http://127.0.0.1/v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', [400], true],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', [400], true],
  ['a tunnel', 'CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n', [400], true],
  ['HTTP/0.9', 'GET /v1/recordings\r\n\r\n', [400], true],
  ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', [505], true],
  ['no host', genuineBytes(next++).replace('Host: x\r\n', ''), [400], true],
  ['two hosts', genuineBytes(next++, 'Host: y\r\n'), [400], true],
  ['a path with an encoded NUL', genuineBytes(next++).replace('/hook', '/a%00b'), [400], true],
  ['a foreign host where it must be this machine',
    'GET /v1/recordings HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n', [403], true],
  ['a body of a byte too many', `${POST}Content-Length: ${MIB + 1}\r\n\r\n`, [413], true],
  ['a body of a byte too many that is sent', `${POST}Content-Length: ${MIB + 1}\r\n\r\n${'x'.repeat(MIB + 1)}`,
    [413], true],
  ['a byte too many in chunks', CHUNKED + `10000\r\n${'x'.repeat(65536)}\r\n`.repeat(17), [413], true],
  ['a body of a byte too many that asks first',
    `${POST}Expect: 100-continue\r\nContent-Length: ${MIB + 1}\r\n\r\n`, [413], true],
  ['a body as long as may be, not signed',
    `${POST}Connection: close\r\nContent-Length: ${MIB}\r\n\r\n${'x'.repeat(MIB)}`, [400], true],
];

/** Bytes that never become a request: cut after the deadline.  `drip`: byte
 *  by byte.  The status, if any, says so. */
const slow = [
  ['a request line', 'POST /hook HT', [], ''],
  ['headers, a byte at a time', POST, [408], 'X: aaaaaaaaaaaaaaa\r\n'.repeat(100)],
  ['a body, a byte at a time', `${POST}Content-Length: 100000\r\n\r\n`, [408], 'a'.repeat(2000)],
  ['a body that is too short', `${POST}Content-Length: 10\r\n\r\n{}`, [408], ''],
  ['a chunk, a byte at a time', `${CHUNKED}ffff\r\n`, [408], 'a'.repeat(2000)],
  ['a chunk of nearly 2^64 bytes', `${CHUNKED}ffffffffffffffff\r\n{}\r\n0\r\n\r\n`, [408], ''],
  ['a chunk whose line has no end', `${CHUNKED}2;${'a'.repeat(100000)}`, [408], ''],
  ['trailers, a byte at a time', `${CHUNKED}0\r\n`, [408], 'X: aaaaaaaaaaaaaaa\r\n'.repeat(100)],
  ['nothing', '', [], ''],
  ['carriage returns alone', 'POST / HTTP/1.1\rHost: x\r\r', [], ''],
];

const unique = (list) => [...new Set(list)];

async function sendRefused(receiver, [name, bytes, statuses, closes]) {
  const c = dial(receiver);
  await c.send(bytes);
  if (closes)
    await patiently(name, c.closed);
  else
    await until(name, () => c.statuses().length >= statuses.length);
  assert.deepEqual(unique(c.statuses()), statuses, `${name}: ${c.text.slice(0, 300)}`);
  c.socket.destroy();
}

async function sendSlowly(receiver, [name, bytes, statuses, drip]) {
  const c = dial(receiver, {from: '127.0.0.2'});
  await c.send(bytes);
  let ended = false;
  c.closed.then(() => (ended = true));
  for (const byte of drip) {
    if (ended)
      break;
    c.socket.write(byte);
    await Promise.race([c.closed, new Promise((done) => setTimeout(done, 20))]);
  }
  await patiently(name, c.closed);
  // the clock of the receiver began a little earlier or later than ours
  assert.ok(c.ms > DEADLINE_MS - 1000, `${name}: cut after ${c.ms} ms`);
  assert.deepEqual(c.statuses(), statuses, `${name}: ${c.text.slice(0, 300)}`);
  c.socket.destroy();
}

/** Bytes that are no TLS where it is expected: cut at once, or after the
 *  deadline. */
async function stallHandshake(receiver, name, bytes, ms) {
  const c = dial(receiver, {from: '127.0.0.2', plain: true});
  await c.send(bytes);
  await patiently(name, c.closed);
  assert.ok(c.ms > ms, `${name}: cut after ${c.ms} ms`);
  assert.deepEqual(c.statuses(), [], name);
  c.socket.destroy();
}

/** The client says that it has ended where the request has not, or has. */
async function closeHalf(receiver) {
  const whole = genuineBytes(next++);
  const head = whole.indexOf('\r\n\r\n') + 4;
  // what is not whole may be told so, or just closed, by how the bytes came
  for (const [bytes, statuses] of [[whole.slice(0, head - 2), [400]],
    [whole.slice(0, head), [400]], [whole.slice(0, head + 20), [400]], [whole, [200]]]) {
    const c = dial(receiver, {allowHalfOpen: true});
    await c.ready;
    c.socket.end(bytes);
    await patiently('a half-closed connection ends', c.closed);
    assert.deepEqual(c.statuses(), statuses[0] < 300 || c.text ? statuses : [], c.text);
    c.socket.destroy();
  }
  return 1;
}

/** Several at once, and garbage behind them; some that must be taken. */
async function sendPipelines(receiver) {
  const N = 20;
  const c = dial(receiver);
  await c.send(Array.from({length: N}, () => genuineBytes(next++)).join('') +
    'this is no request\r\n\r\n');
  await patiently('pipelined requests', c.closed);
  assert.deepEqual(c.statuses(), [...Array(N).fill(200), 400]);

  const asks = dial(receiver);
  const {head, body} = genuine(next++, 'Expect: 100-continue\r\nConnection: close\r\n');
  await asks.send(`${head}Content-Length: ${body.length}\r\n\r\n`);
  await until('it is asked on', () => asks.statuses().length === 1);
  asks.socket.write(body);
  await patiently('it is answered', asks.closed);
  assert.deepEqual(asks.statuses(), [100, 200]);

  // chunks, extensions, a few trailers, one of which wants to be a signature
  const chunks = dial(receiver);
  await chunks.send(genuineChunked('Connection: close\r\n',
    '0;last\r\nSignature: bad\r\nContent-Length: 3\r\n\r\n', (n) => `000${n.toString(16)};a="b"`));
  await patiently('chunks are taken', chunks.closed);
  assert.deepEqual(chunks.statuses(), [200]);
  return N + 2;
}

/** More connections than one address may have. */
async function flood(receiver) {
  const MANY = 150;
  const before = await counters(receiver);
  const all = Array.from({length: MANY}, () => dial(receiver, {from: '127.0.0.4', plain: true}));
  let n_closed = 0;
  all.forEach((c) => c.closed.then(() => n_closed++));
  await until('those over the limit are closed', () => n_closed === MANY - PER_ADDRESS);
  const after = await counters(receiver);
  assert.equal(after.http_address_full - before.http_address_full, MANY - PER_ADDRESS);
  assert.equal((await ask(receiver, '/healthz', {agent: false})).status, 200, 'others are served');
  await assert.rejects(ask(receiver, '/healthz', {from: '127.0.0.4', agent: false}));
  all.forEach((c) => c.socket.destroy());
  await until('there is room again', async () =>
    (await ask(receiver, '/healthz', {from: '127.0.0.4', agent: false})).status === 200);
}

/** Only of TLS: [what it is called, what it does]. */
const tlsAttacks = {
  async renegotiation(receiver) {
    const c = dial(receiver, {maxVersion: 'TLSv1.2'});
    assert.ok(await c.ready);
    const error = await patiently('a renegotiation ends', new Promise((done) => {
      c.socket.once('close', () => done(new Error('closed')));
      c.socket.renegotiate({rejectUnauthorized: false}, (e) => done(e));
    }));
    assert.ok(error, 'it was granted');
    c.socket.destroy();
  },
  async 'plain HTTP on the port of TLS'(receiver) {
    const c = dial(receiver, {plain: true});
    await c.send(genuineBytes(next++));
    await patiently('plain HTTP', c.closed);
    assert.deepEqual(c.statuses(), [400]);
    assert.match(c.text, /this port speaks HTTPS only/);
  },
  async 'versions of before'(receiver) {
    const c = dial(receiver, {minVersion: 'TLSv1', maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0'});
    assert.equal(await patiently('TLS 1.1', c.ready), false);
  },
  async 'a hello cut off'(receiver) {
    const c = dial(receiver, {plain: true});
    await c.send('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03');
    c.socket.end();
    await patiently('half a hello', c.closed);
    assert.deepEqual(c.statuses(), []);
  },
  async 'records of garbage'(receiver) {
    await stallHandshake(receiver, 'garbage', '\x80'.repeat(70000), -1);
  },
  'a handshake of nothing': (receiver) =>
    stallHandshake(receiver, 'nothing', '', DEADLINE_MS - 1000),
  'a handshake that stands still': (receiver) =>
    stallHandshake(receiver, 'half a hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      DEADLINE_MS - 1000),
  async 'a handshake, a byte at a time'(receiver) {
    const c = dial(receiver, {from: '127.0.0.2', plain: true});
    let ended = false;
    c.closed.then(() => (ended = true));
    await c.send('\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03');
    for (let i = 0; i < 2000 && !ended; i++) {
      c.socket.write('a');
      await Promise.race([c.closed, new Promise((done) => setTimeout(done, 20))]);
    }
    await patiently('it is cut', c.closed);
    assert.ok(c.ms > DEADLINE_MS - 1000, `cut after ${c.ms} ms`);
  },
};

const plainAttacks = {
  // its bytes hold a line's end, so that it is a bad request line
  async 'TLS on the port of plain HTTP'(receiver) {
    const c = dial(receiver, {plain: true});
    await c.send(`\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${'\n'.repeat(200)}`);
    await patiently('a hello', c.closed);
    assert.deepEqual(c.statuses().filter((s) => s < 400), []);
  },
};

async function withstand(t, receiver, attacks) {
  await until('it is served', async () =>
    (await ask(receiver, '/healthz', {agent: false})).status === 200);
  const before = await counters(receiver);
  await until('only we are connected', async () => (await counters(receiver)).http_connections === 1);
  const fds = fdsOf(receiver);
  const honest = honestSender(receiver, {first: 1_000_000});
  let taken = 0;

  await Promise.all([
    ...slow.map((attack) => sendSlowly(receiver, attack)),
    ...Object.values(attacks).map((attack) => attack(receiver)),
    (async () => {
      for (const attack of refused)
        await sendRefused(receiver, attack);
      taken += await closeHalf(receiver);
      taken += await sendPipelines(receiver);
      await flood(receiver);
    })(),
  ]);

  const sent = await honest.stop();
  assert.ok(sent > 100, `the honest sender got ${sent} through`);
  const after = await counters(receiver);
  assert.equal(after.received_new - before.received_new, sent + taken, 'nothing else is stored');
  await until('all are told', () => receiver.events().length === sent + taken);
  assert.ok(receiver.events().every((e) => e.dialect === 'gme'));
  const atLeast = (status) => refused.filter(([, , s]) => s[0] === status).length;
  const grown = (name) => after[name] - before[name];
  assert.ok(grown('received_too_large') >= 4, 'those of 413');
  assert.equal(grown('received_bad_signature'), atLeast(401));
  assert.ok(grown('http_refused') >= slow.length + atLeast(400) / 2, 'those before a handler');
  t.diagnostic(`honest=${sent} refused=${grown('http_refused')} malformed=${grown('received_malformed')} ` +
    `too_large=${grown('received_too_large')} handshakes=${grown('http_handshakes_failed')}`);
  await until('no connection is left', async () => (await counters(receiver)).http_connections === 1);
  await until('no descriptor is left', () => fdsOf(receiver) <= fds);
  assert.equal((await ask(receiver, '/hook', {agent: false, ...(() => {
    const {body, signature} = genuine(next++);
    return {body, headers: {signature}};
  })()})).status, 200, 'it is alive');
  receiver.proc.child.kill('SIGTERM');
  assert.deepEqual(await receiver.proc.exit, {code: 0, signal: null}, receiver.proc.text.slice(-2000));
  return grown;
}

describe('hostile', {concurrency: true}, () => {
  test('plain_receiver_serves_the_honest_and_stores_nothing_else', {timeout: 600_000}, async (t) => {
    const receiver = await startReceiver(t, {args: ['--max-per-address', String(PER_ADDRESS)]});
    await withstand(t, receiver, plainAttacks);
  });

  test('tls_receiver_serves_the_honest_and_stores_nothing_else', {timeout: 600_000}, async (t) => {
    const self = makeCertificate(tempDir(t), 'self');
    const receiver = await startReceiver(t, {args: ['--max-per-address', String(PER_ADDRESS),
      '--tls-cert', self.cert, '--tls-key', self.key]});
    const grown = await withstand(t, receiver, tlsAttacks);
    // renegotiation is refused after its handshake
    assert.ok(grown('http_handshakes_failed') >= Object.keys(tlsAttacks).length - 1);
  });

  test('only_clients_with_a_certificate_of_the_ca_are_served', {timeout: 120_000}, async (t) => {
    const dir = tempDir(t);
    const [self, ca, strange] = ['self', 'ca', 'strange'].map((name) => makeCertificate(dir, name));
    const client = makeCertificate(dir, 'client', ca);
    const receiver = await startReceiver(t, {args: ['--tls-cert', self.cert, '--tls-key', self.key,
      '--tls-client-ca', ca.cert]});
    const of = (p) => ({agent: false, cert: p.pem, key: p.keyPem, ca: self.pem, rejectUnauthorized: true});
    const {body, signature} = genuine(next++);
    const send = (more) => ask(receiver, '/hook', {body, headers: {signature}, ...more});
    await assert.rejects(send({agent: false, ca: self.pem, rejectUnauthorized: true}));
    await assert.rejects(send(of(strange)));
    assert.equal((await send(of(client))).status, 200);
    const now = await counters(receiver, of(client));
    assert.equal(now.http_handshakes_failed, 2);
    assert.equal(now.received_new, 1);
    // through TLS as well, what is for this machine is for it only
    const foreign = await ask(receiver, '/v1/recordings', {...of(client),
      rejectUnauthorized: false, headers: {host: 'evil.example'}});
    assert.equal(foreign.status, 403);
  });

  test('sighup_brings_a_new_certificate_and_ends_no_connection', {timeout: 120_000}, async (t) => {
    const dir = tempDir(t);
    const self = makeCertificate(dir, 'self');
    const other = makeCertificate(dir, 'other');
    const receiver = await startReceiver(t, {args: ['--tls-cert', self.cert, '--tls-key', self.key]});
    const nameSeen = async () => {
      const c = dial(receiver);
      assert.ok(await c.ready);
      const name = c.socket.getPeerCertificate().subject.CN;
      c.socket.destroy();
      return name;
    };
    const hangUp = async (says) => {
      const from = receiver.proc.text.length;
      receiver.proc.child.kill('SIGHUP');
      await until(says, () => receiver.proc.text.slice(from).includes(says));
    };
    const old = dial(receiver);
    await old.send(genuineBytes(next++));
    await until('it is answered', () => old.statuses().length === 1);
    assert.equal(await nameSeen(), 'self');
    fs.writeFileSync(self.key, other.keyPem); // half of it: a fault
    await hangUp('nothing was changed');
    assert.match(receiver.proc.text, /self\.key: does not belong to certificate \S+self\.pem/);
    assert.equal(await nameSeen(), 'self');
    fs.writeFileSync(self.cert, other.pem);
    await hangUp('new handshakes use');
    assert.equal(await nameSeen(), 'other');
    await old.send(genuineBytes(next++));
    await until('the old connection goes on', () => old.statuses().length === 2);
    assert.deepEqual(old.statuses(), [200, 200]);
    old.socket.destroy();
  });
});
