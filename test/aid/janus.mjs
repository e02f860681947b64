// test/aid/janus.mjs -- a Janus of one's own, on loopback, ended by its pid.
// SPDX-License-Identifier: Apache-2.0
//
// Debian's package; its service is neither used nor touched: own folder of
// settings, own ports, and of its parts only those named here.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import {openSession} from './janus_client.mjs';
import {rtpRange, tempDir, until} from './tapeop.mjs';

const LIB = ['/usr/lib/x86_64-linux-gnu/janus', '/usr/lib/aarch64-linux-gnu/janus',
  '/usr/lib/janus'].find((dir) => fs.existsSync(dir));

/** Why there can be no Janus here, or false. */
export const noJanus = LIB && fs.existsSync('/usr/bin/janus') ? false :
  'janus is not installed (packages.txt)';

/** Why no browser can reach it, or false: Janus gathers no candidate on
 *  loopback, so what goes between them goes through an address of the machine's
 *  own (and does not leave it). */
export const noWebRtc = Object.values(os.networkInterfaces()).flat()
  .some((i) => !i.internal) ? false : 'this machine has no address but loopback';

async function freeTcpPort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const {port} = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Only these plugins and transports are loaded. */
function links(dir, kind, names) {
  const to = path.join(dir, kind);
  fs.mkdirSync(to);
  for (const name of names)
    fs.symlinkSync(path.join(LIB, kind, `libjanus_${name}.so`), path.join(to, `libjanus_${name}.so`));
  return to;
}

/**
 * Give {url, session}: the API and a session in it.
 * plugins: e.g. ['audiobridge'].
 */
export async function startJanus(t, plugins) {
  const dir = tempDir(t);
  const port = await freeTcpPort();
  const write = (name, text) => fs.writeFileSync(path.join(dir, `janus.${name}jcfg`), text);
  fs.mkdirSync(path.join(dir, 'none'));
  write('', `
    general: {
      configs_folder = "${dir}"
      plugins_folder = "${links(dir, 'plugins', plugins)}"
      transports_folder = "${links(dir, 'transports', ['http'])}"
      events_folder = "${dir}/none"
      loggers_folder = "${dir}/none"
      debug_level = 4
      admin_secret = "none"
    }
    media: {rtp_port_range = "${await rtpRange()}"}
    nat: {ice_lite = true}`);
  write('transport.http.', `
    general: {http = true, ip = "127.0.0.1", port = ${port}, json = "compact"}
    admin: {admin_http = false}`);
  write('plugin.audiobridge.', `
    general: {local_ip = "127.0.0.1", rtp_port_range = "${await rtpRange()}"}`);
  write('plugin.nosip.', `
    general: {local_ip = "127.0.0.1", rtp_port_range = "${await rtpRange()}"}`);
  write('plugin.videoroom.', 'general: {}');

  const child = spawn('/usr/bin/janus', ['-F', dir, '-C', path.join(dir, 'janus.jcfg'), '--disable-colors'],
    {stdio: ['ignore', 'pipe', 'pipe']});
  const janus = {child, text: '', ended: false, url: `http://127.0.0.1:${port}/janus`};
  for (const out of [child.stdout, child.stderr])
    out.on('data', (d) => (janus.text = (janus.text + d).slice(-100_000)));
  const exit = new Promise((done) => {
    child.once('error', (e) => (janus.text += e));
    child.once('close', () => {
      janus.ended = true;
      done();
    });
  });
  t.after(async () => {
    await janus.session?.close();
    if (!janus.ended)
      child.kill('SIGKILL');
    await exit;
  });
  await until('Janus answers', async () => {
    assert.ok(!janus.ended, `Janus ended: ${janus.text}`);
    return (await fetch(`${janus.url}/info`)).ok;
  });
  janus.session = await openSession(janus.url);
  return janus;
}
