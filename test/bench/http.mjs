// test/bench/http.mjs -- what the benches of HTTP share: children, their CPU time, nginx.
// SPDX-License-Identifier: Apache-2.0
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import {APP, KEY, until} from '../aid/tapeop.mjs';

export const aid = (name) => path.resolve('build/release/test/bench', name);
export const quick = process.argv.includes('--quick');

/** Like a test's `t`: what is given to `after` runs in `end`, newest first; also
 *  when the bench is interrupted. */
export function cleanups() {
  const all = [];
  const end = async () => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    for (const fn of all.splice(0))
      await fn();
  };
  const stop = () => end().then(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return {after: (fn) => all.unshift(fn), end};
}

/** Rows of a table, as Markdown. */
export function print(rows) {
  for (const cells of rows)
    console.log(`| ${cells.join(' | ')} |`);
}

/** CPU time that a process has used [s], in steps of 10 ms. */
export function cpu_s(pid) {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
}

/** What a commit costs at least: 4 KiB appended and synced, where the benches have
 *  their databases [ms, median]. */
export function disk_ms(dir) {
  const fd = fs.openSync(path.join(dir, 'sync'), 'w');
  const all = [];
  for (let i = 0; i < 100; i++) {
    const began = performance.now();
    fs.writeSync(fd, Buffer.alloc(4096));
    fs.fdatasyncSync(fd);
    all.push(performance.now() - began);
  }
  fs.closeSync(fd);
  return all.sort((a, b) => a - b)[50];
}

/** A child that ends with `t`, by its pid. */
export function child(t, program, args, stdio) {
  const proc = spawn(program, args, {stdio});
  const ended = new Promise((done) => proc.once('close', done));
  t.after(async () => {
    proc.kill('SIGKILL');
    await ended;
  });
  return Object.assign(proc, {ended});
}

/** What a child prints until it ends well. */
export async function output(t, program, args, stderr = 'inherit') {
  const proc = child(t, program, args.map(String), ['ignore', 'pipe', stderr]);
  let out = '';
  proc.stdout.setEncoding('utf8').on('data', (d) => (out += d));
  const code = await proc.ended;
  if (code !== 0)
    throw new Error(`${path.basename(program)} ended with ${code}`);
  return out;
}

/** Send recording callbacks: what http_load says. */
export async function post(t, port, {connections, events, times = 1, rate = 0}) {
  return JSON.parse(await output(t, aid('http_load'),
    ['post', port, connections, events, times, rate, APP, KEY]));
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const {port} = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** nginx that gives `answer` to everything, one worker; null: not installed. */
export async function nginx(t, dir, answer) {
  const port = await freePort();
  const conf = path.join(dir, 'nginx.conf');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${dir}/${name};`).join('\n');
  fs.writeFileSync(conf, `
    daemon off;
    master_process off;
    pid ${dir}/nginx.pid;
    error_log ${dir}/nginx.log;
    events { worker_connections 4096; }
    http {
      access_log off;
      ${temp}
      keepalive_requests 1000000000;
      server {
        listen 127.0.0.1:${port} backlog=1024;
        default_type application/json;
        location / { return 200 '${answer}'; }
      }
    }`);
  const program = ['/usr/sbin/nginx', '/usr/bin/nginx'].find((p) => fs.existsSync(p));
  if (!program)
    return null;
  const proc = child(t, program, ['-c', conf, '-e', `${dir}/nginx.log`, '-p', dir],
    ['ignore', 'ignore', 'inherit']);
  await until('nginx listens', async () => (await fetch(`http://127.0.0.1:${port}/`)).ok);
  return {pid: proc.pid, port};
}
