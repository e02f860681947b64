// test/aid/publisher.mjs -- a web page's part: the microphone into Janus.
// SPDX-License-Identifier: Apache-2.0
//
// Runs in the browser; test/aid/browser.mjs calls what is on `window`.
import {openSession} from './janus_client.mjs';

let session, connection, sending, kept;

const gathered = (pc) => new Promise((done) => {
  const look = () => pc.iceGatheringState === 'complete' && done();
  pc.addEventListener('icegatheringstatechange', look);
  look();
});

const connected = (pc) => new Promise((done, fail) => {
  const look = () => {
    if (pc.connectionState === 'connected')
      done();
    else if (pc.connectionState === 'failed')
      fail(new Error('no connection'));
  };
  pc.addEventListener('connectionstatechange', look);
  look();
});

/** Open the microphone as it is, and offer it.  red: RED before plain Opus. */
async function offer(red) {
  const stream = await navigator.mediaDevices.getUserMedia({audio: {
    echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  window.opened_ms = Date.now();
  connection = new RTCPeerConnection();
  const transceiver = connection.addTransceiver(stream.getAudioTracks()[0],
    {direction: 'sendonly', streams: [stream]});
  sending = transceiver.sender;
  const kind = (name) => RTCRtpSender.getCapabilities('audio').codecs
    .filter((c) => c.mimeType === `audio/${name}`);
  transceiver.setCodecPreferences(red ? [...kind('red'), ...kind('opus')] : kind('opus'));
  await connection.setLocalDescription();
  await gathered(connection);
  const {type, sdp} = connection.localDescription;
  return {type, sdp};
}

/** dtx: as if the answer asked for it. */
async function accept({type, sdp}, dtx) {
  if (dtx && !/usedtx=1/.test(sdp))
    sdp = sdp.replace(/useinbandfec=1/, '$&;usedtx=1');
  await connection.setRemoteDescription({type, sdp});
  await connected(connection);
}

/** Speak in a VideoRoom: the publisher's id. */
window.publish = async ({url, room, dtx}) => {
  session = await openSession(url);
  const handle = await session.attach('janus.plugin.videoroom');
  const {data} = await handle.ask({request: 'join', ptype: 'publisher', room});
  const {jsep} = await handle.ask({request: 'publish'}, await offer(false));
  await accept(jsep, dtx);
  return data.id;
};

/** Speak to `port` of this machine through Janus' NoSIP, which passes on what
 *  the browser sends, RED (type 63) too. */
window.bridge = async ({url, port, red, dtx}) => {
  session = await openSession(url);
  const handle = await session.attach('janus.plugin.nosip');
  await handle.ask({request: 'generate'}, await offer(red));
  const {jsep} = await handle.ask({request: 'process', type: 'answer', sdp: [
    'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0',
    `m=audio ${port} RTP/AVP ${red ? '63 ' : ''}111`,
    ...red ? ['a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111'] : [],
    'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 useinbandfec=1', 'a=recvonly', '',
  ].join('\r\n')});
  await accept(jsep, dtx);
  return jsep.sdp;
};

/** As a mute button does. */
window.mute = (on) => (sending.track.enabled = !on);

/** Give the sender no track, or its track back. */
window.hold = async (on) => {
  kept = sending.track ?? kept;
  await sending.replaceTrack(on ? null : kept);
};

window.leave = async () => {
  connection.close();
  await session.close();
};

window.ready = true;
