// test/aid/sdk.mjs -- clients of Tencent's own SDK; only endpoint and protocol are not its defaults.
// SPDX-License-Identifier: Apache-2.0
import {createRequire} from 'node:module';

import {SECRET_ID, SECRET_KEY} from './cloud.mjs';

const require = createRequire(import.meta.url);
const {gme} = require('tencentcloud-sdk-nodejs/tencentcloud/services/gme');
const {trtc} = require('tencentcloud-sdk-nodejs/tencentcloud/services/trtc');

function client(Client, server, {http = {}, credential = {}, ...profile} = {}) {
  return new Client({
    credential: {secretId: SECRET_ID, secretKey: SECRET_KEY, ...credential},
    region: 'ap-guangzhou',
    profile: {...profile,
      httpProfile: {endpoint: new URL(server.url).host, protocol: 'http://', ...http}},
  });
}

export const gmeOf = (server, more) => client(gme.v20180711.Client, server, more);
export const trtcOf = (server, more) => client(trtc.v20190722.Client, server, more);
