// test/aid/ticket.mjs -- UserSig tickets, as an app's backend makes them.
// SPDX-License-Identifier: Apache-2.0
import crypto from 'node:crypto';
import zlib from 'node:zlib';

import {APP, KEY} from './tapeop.mjs';

/** A ticket of a user (TLS 2.0), good for `expire` seconds from `time` on. */
export function ticket({user, app = APP, key = KEY, expire = 3600,
  time = Math.floor(Date.now() / 1000)}) {
  const text = `TLS.identifier:${user}\nTLS.sdkappid:${app}\nTLS.time:${time}\n` +
    `TLS.expire:${expire}\n`;
  const json = JSON.stringify({
    'TLS.ver': '2.0',
    'TLS.identifier': user,
    'TLS.sdkappid': app,
    'TLS.time': time,
    'TLS.expire': expire,
    'TLS.sig': crypto.createHmac('sha256', key).update(text).digest('base64'),
  });
  return zlib.deflateSync(json).toString('base64')
    .replace(/[+/=]/g, (c) => ({'+': '*', '/': '-', '=': '_'})[c]);
}
