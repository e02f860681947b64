// test/aid/publisher.mjs -- a web page's part: the microphone into a VideoRoom.
// SPDX-License-Identifier: Apache-2.0
//
// Runs in the browser; test/aid/browser.mjs calls what is on `window`.
import {openSession} from './janus_client.mjs';

let session, connection, sending;

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

/** Speak: {id} of the publisher.  red: ask for RED before plain Opus. */
window.publish = async ({url, room, red}) => {
  const stream = await navigator.mediaDevices.getUserMedia({audio: {
    echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  const [track] = stream.getAudioTracks();
  session = await openSession(url);
  const handle = await session.attach('janus.plugin.videoroom');
  const {data} = await handle.ask({request: 'join', ptype: 'publisher', room});
  connection = new RTCPeerConnection();
  const transceiver = connection.addTransceiver(track,
    {direction: 'sendonly', streams: [stream]});
  sending = transceiver.sender;
  const kind = (name) => RTCRtpSender.getCapabilities('audio').codecs
    .filter((c) => c.mimeType === `audio/${name}`);
  transceiver.setCodecPreferences(red ? [...kind('red'), ...kind('opus')] : kind('opus'));
  await connection.setLocalDescription();
  await gathered(connection);
  const {type, sdp} = connection.localDescription;
  const {jsep} = await handle.ask({request: 'publish'}, {type, sdp});
  await connection.setRemoteDescription(jsep);
  await connected(connection);
  return {id: data.id, offer: sdp, answer: jsep.sdp};
};

/** As a mute button does. */
window.mute = (on) => (sending.track.enabled = !on);

/** Give the sender no track, or its track back. */
let kept;
window.hold = async (on) => {
  kept = sending.track ?? kept;
  await sending.replaceTrack(on ? null : kept);
};

window.leave = async () => {
  connection.close();
  await session.close();
};

window.ready = true;
