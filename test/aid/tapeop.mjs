// test/aid/tapeop.mjs -- start servers and receivers, ask them, wait for facts.
// SPDX-License-Identifier: Apache-2.0
//
// Everything that is started here ends with its test, by its pid.  Ports are
// the kernel's choice (HTTP) or a random range (RTP), so tests may run side by
// side.  Nothing sleeps for a fixed time: `until` waits for a fact.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

export const TAPEOP = process.env.TAPEOP ?? path.resolve('build/tapeop');
export const APP = 1400000000;
export const KEY = 'a-secret-of-the-tests';
export const PATIENCE_MS = 60_000;
/** recording: nobody's microphone goes off because the machine is slow. */
export const STEADY = {mic_off_after: '1h'};
/** An IPv4 address of this machine that is not loopback, where it has one. */
export const OUTER = Object.values(os.networkInterfaces()).flat()
  .find((i) => i.family === 'IPv4' && !i.internal)?.address;

/** Wait until `fn` gives something true; gives that.  `what`: for the error. */
export async function until(what, fn, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const value = await fn();
      if (value)
        return value;
      last = undefined;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end)
      throw new Error(`waited ${ms} ms in vain: ${what}${last ? `: ${last.message}` : ''}`,
        {cause: last});
    await sleep(25);
  }
}

/** A folder that goes when the test ends. */
export function tempDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tapeop-'));
  t.after(() => fs.rmSync(dir, {recursive: true, force: true}));
  return dir;
}

const range_size = 40;
const worker = Number(process.env.TEST_WORKER ?? 0) % 4;
// Below 32768, where the kernel takes ports from for who does not name one.
const small = {first: 20000, size: range_size, n: 79, turn: 0};
const large = {first: 10000, size: 600, n: 4, turn: 0};
for (const kind of [small, large])
  kind.turn = Math.floor(Math.random() * kind.n);

/** "first-last" of UDP ports that are free now; files that run at the same
 *  time (TEST_WORKER) have different ones, and so has each who asks in a file:
 *  a server that was killed finds its ports again. */
export async function rtpRange(ports = range_size) {
  const kind = ports > small.size ? large : small;
  for (let i = 0; i < kind.n; i++) {
    const first = kind.first + (4 * (kind.turn++ % kind.n) + worker) * kind.size;
    const probe = dgram.createSocket('udp4');
    const free = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.bind(first, '127.0.0.1', () => done(true));
    });
    probe.close();
    if (free)
      return `${first}-${first + ports - 1}`;
  }
  throw new Error('no free UDP ports');
}

/** A child whose output is kept; `proc.text` is all it said on stderr. */
function run(t, args, env, cwd) {
  const child = spawn(TAPEOP, args, {
    cwd,
    env: {...process.env, ...env},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const proc = {child, pid: child.pid, text: '', out: '', ended: null};
  child.stderr.on('data', (d) => (proc.text += d));
  child.stdout.on('data', (d) => (proc.out += d));
  proc.exit = new Promise((done) => {
    child.once('close', (code, signal) => {
      proc.ended = {code, signal};
      done(proc.ended);
    });
  });
  t.after(async () => {
    if (!proc.ended)
      child.kill('SIGKILL');
    await proc.exit;
  });
  return proc;
}

/** Run a command to its end: {code, signal, out, text}. */
export async function command(t, args, {env = {}, cwd, ms = PATIENCE_MS} = {}) {
  const proc = run(t, args, env, cwd);
  const timer = setTimeout(() => proc.child.kill('SIGKILL'), ms);
  const {code, signal} = await proc.exit;
  clearTimeout(timer);
  return {code, signal, out: proc.out, text: proc.text};
}

/** Start a command that stays up: a `proc` as above. */
export function background(t, args, env = {}) {
  return run(t, args, env);
}

function listening(proc) {
  return /on https?:\/\/(\S+)/.exec(proc.text)?.[1];
}

async function waitListening(proc, what) {
  await until(`${what} listens`, () => listening(proc) || proc.ended);
  assert.ok(listening(proc), `${what} ended: ${proc.text}`);
  return listening(proc);
}

/** YAML is JSON enough: a flow mapping. */
function yaml(value) {
  return JSON.stringify(value, null, 1);
}

/**
 * A server of its own.
 *
 * dir        its folder (default: a new one)
 * callbacks  endpoints; name, url, dialect are needed; the rest as wanted
 * recording  settings of apps[].recording
 * http       settings of http beside `listen`
 * media      settings of media beside its ports
 * app        more settings of the app; more_apps: more apps
 * file_storage  settings of storage: s3Storage() of s3.mjs
 * log_level  default: info
 * env        e.g. TAPEOP_CRASH_AT
 *
 * server.start(env) and .kill() may be repeated: the folder, the ports and
 * the configuration stay.
 */
export async function startServer(t, options = {}) {
  const {callbacks = [], recording = {}, http = {}, env = {}} = options;
  const server = {
    dir: options.dir ?? tempDir(t),
    range: options.range ?? (await rtpRange(options.ports)),
  };
  server.data = path.join(server.dir, 'data');
  server.storage = path.join(server.dir, 'recordings');
  server.config = path.join(server.dir, 'tapeop.yaml');
  fs.writeFileSync(server.config, yaml({
    data_dir: server.data,
    log_level: options.log_level ?? 'info',
    http: {listen: options.listen ?? '127.0.0.1:0', ...http},
    media: {address: '127.0.0.1', udp_port: 0, rtp_ports: server.range, loops: options.loops ?? 2,
      ...options.media},
    storage: {kind: 'local', local: {dir: server.storage}, ...options.file_storage},
    apps: [{
      id: APP,
      name: 'test',
      secret_key: KEY,
      recording,
      callbacks: callbacks.map((c) => ({allow_private: true, ...c})),
      ...options.app,
    }, ...(options.more_apps ?? [])],
  }));
  server.start = async (more = {}) => {
    server.proc = run(t, ['serve', '-c', server.config], {...env, ...more});
    server.url = `http${http.tls_cert ? 's' : ''}://${await waitListening(server.proc, 'serve')}`;
    return server;
  };
  /** Start where the process may die before it listens. */
  server.startToDie = (more) => {
    server.proc = run(t, ['serve', '-c', server.config], {...env, ...more});
    return server.proc;
  };
  server.signal = async (name) => {
    server.proc.child.kill(name);
    return server.proc.exit;
  };
  server.kill = () => server.signal('SIGKILL');
  server.stop = async () => {
    const how = await server.signal('SIGTERM');
    assert.deepEqual(how, {code: 0, signal: null}, server.proc.text);
  };
  server.api = async (method, where, body, headers = {}) => {
    const answer = await fetch(server.url + where, {
      method,
      body: body === undefined || typeof body === 'string' ||
          body instanceof Uint8Array
        ? body
        : JSON.stringify(body),
      headers,
    });
    const text = await answer.text();
    const type = answer.headers.get('content-type') ?? '';
    return {
      status: answer.status,
      type,
      headers: answer.headers,
      text,
      json: /json/.test(type) ? JSON.parse(text) : null,
    };
  };
  /** As api, and the status must be this. */
  server.ask = async (status, ...call) => {
    const answer = await server.api(...call);
    assert.equal(answer.status, status, `${call[0]} ${call[1]}: ${answer.text}`);
    return answer.json;
  };
  server.join = (room, user, more = {}) =>
    server.ask(201, 'POST', `/v1/apps/${APP}/rooms/${encodeURIComponent(room)}/inputs`,
      {user, kind: 'rtp', ...more});
  server.record = async (room, more = {}) =>
    (await server.ask(201, 'POST', `/v1/apps/${APP}/rooms/${encodeURIComponent(room)}/tasks`,
      {mode: 'single', ...more})).task_id;
  server.task = (id) => server.ask(200, 'GET', `/v1/tasks/${id}`);
  server.segments = async (id) =>
    (await server.ask(200, 'GET', `/v1/tasks/${id}/segments?limit=1000`)).segments;
  server.metrics = async () => {
    const {text} = await server.api('GET', '/metrics');
    return Object.fromEntries([...text.matchAll(/^tapeop_(\w+) (-?\d+)$/gm)]
      .map((m) => [m[1].replace(/_total$/, ''), Number(m[2])]));
  };
  /** Stop a task and wait until it is finished: its segments. */
  server.finish = async (id) => {
    await server.ask(200, 'DELETE', `/v1/tasks/${id}`);
    await until(`task ${id} is finished`,
      async () => (await server.task(id)).finished_ms);
    return server.segments(id);
  };
  /** Nothing waits: in = delivered + dead + expired. */
  server.drained = () => until('all deliveries are done', async () => {
    const m = await server.metrics();
    return m.deliveries_pending === 0 && m;
  });
  server.file = (segment) =>
    path.join(segment.uploaded ? server.storage : path.join(server.data, 'spool'),
      segment.file);
  if (options.start !== false)
    await server.start();
  return server;
}

/** `tapeop receive`; .events() are the lines it printed, parsed. */
export async function startReceiver(t, options = {}) {
  const {args = [], env = {}, listen = '127.0.0.1:0', key = KEY} = options;
  const receiver = {data: options.data ?? path.join(tempDir(t), 'inbox')};
  /** May be repeated: same port, same folder; `more` in the place of env. */
  receiver.start = async (more = env) => {
    receiver.proc = run(t, ['receive', '--listen', receiver.at ?? listen,
      '--app', String(APP), '--key', 'env:TAPEOP_TEST_KEY', '--json',
      '--data', receiver.data, ...args], {TAPEOP_TEST_KEY: key, ...more});
    receiver.at = await waitListening(receiver.proc, 'receive');
    receiver.url = `http${args.includes('--tls-cert') ? 's' : ''}://${receiver.at}`;
  };
  receiver.kill = async () => {
    receiver.proc.child.kill('SIGKILL');
    return receiver.proc.exit;
  };
  receiver.events = () => receiver.proc.out.split('\n').filter(Boolean)
    .map((line) => JSON.parse(line));
  receiver.get = async (where) => (await fetch(receiver.url + where)).json();
  await receiver.start();
  return receiver;
}
