// test/aid/whip_page.mjs -- a web page's part: the microphone into tapeop by WHIP.
// SPDX-License-Identifier: Apache-2.0
//
// Runs in the browser; test/aid/browser.mjs calls what is on `window`.  It comes
// back by itself: when its connection breaks it asks for an ICE restart, and when
// its session is not there any more (the server was started anew) it joins again,
// unless another tab has taken its place.
let how, session, stopped = true, kept;
const log = (window.story = []);

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** The microphone as it is. */
async function microphone() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: {
    echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  window.opened_ms = Date.now();
  return stream;
}

const headers = (more) => ({...how.ticket && {authorization: `Bearer ${how.ticket}`}, ...more});

/** What the relay of a test is told: there the server is. */
const relayed = (sdp) => how.relay
  ? sdp.replace(/^(a=candidate:\S+ 1 udp \d+ \S+) \d+/gm, `$1 ${how.relay}`) : sdp;

/** The server's port, as it says. */
const portOf = (sdp) => Number(/^a=candidate:\S+ 1 udp \d+ \S+ (\d+)/m.exec(sdp)[1]);

function watch(pc) {
  pc.addEventListener('connectionstatechange', () => {
    log.push(pc.connectionState);
    if (pc === session?.pc && !stopped && /^(disconnected|failed|closed)$/.test(pc.connectionState))
      void comeBack(pc);
  });
}

/** Offer what there is; gives the server's port. */
async function join() {
  const pc = new RTCPeerConnection();
  for (const track of how.stream.getTracks())
    pc.addTransceiver(track, {direction: 'sendonly', streams: [how.stream]});
  if (how.data)
    pc.createDataChannel('data');
  await pc.setLocalDescription();
  const answer = await fetch(how.url, {method: 'POST', body: pc.localDescription.sdp,
    headers: headers({'content-type': 'application/sdp'})});
  const text = await answer.text();
  if (answer.status !== 201) {
    pc.close();
    throw Object.assign(new Error(`${answer.status} ${text}`), {status: answer.status});
  }
  session = {pc, where: new URL(answer.headers.get('location'), how.url).href,
    etag: answer.headers.get('etag'), sender: pc.getSenders().find((s) => s.track?.kind === 'audio')};
  window.server_port = portOf(text);
  window.answer = text;
  watch(pc);
  await pc.setRemoteDescription({type: 'answer', sdp: relayed(text)});
  log.push('joined');
}

/** Ask for new ICE credentials; gives the status. */
async function restart() {
  const {pc} = session;
  const offer = await pc.createOffer({iceRestart: true});
  const line = (name) => new RegExp(`^a=${name}:.*$`, 'm').exec(offer.sdp)[0];
  const answer = await fetch(session.where, {method: 'PATCH',
    headers: headers({'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*'}),
    body: [line('ice-ufrag'), line('ice-pwd'), 'm=audio 9 UDP/TLS/RTP/SAVPF 0', line('mid'), '']
      .join('\r\n')});
  if (answer.status !== 200)
    return answer.status;
  const frag = await answer.text();
  const value = (name) => new RegExp(`^a=${name}:(\\S+)`, 'm').exec(frag)[1];
  session.etag = answer.headers.get('etag');
  await pc.setLocalDescription(offer);
  await pc.setRemoteDescription({type: 'answer', sdp: relayed(window.answer)
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${value('ice-ufrag')}`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value('ice-pwd')}`)});
  return 200;
}

async function comeBack(pc) {
  if (pc.comesBack)
    return;
  pc.comesBack = true;
  log.push('comes back');
  while (!stopped && pc === session.pc && pc.connectionState !== 'connected') {
    const status = await (pc.connectionState === 'closed'
      ? fetch(session.where, {method: 'PATCH', headers: headers({'if-match': '"x"',
        'content-type': 'application/trickle-ice-sdpfrag'}), body: 'a=end-of-candidates\r\n'})
        .then((a) => a.status)
      : restart()).catch(() => 0);
    log.push(`restart ${status}`);
    if (status === 410) {
      stopped = true;
      pc.close();
      log.push('replaced');
    } else if (status === 404) {
      pc.close();
      await join().catch((e) => log.push(String(e)));
    }
    await wait(status === 200 ? 3000 : 300);
  }
  pc.comesBack = false;
}

/** Join, and stay in.  url, ticket; relay: port; video, data: offer that beside. */
window.join = async (h) => {
  how = {...h, stream: await microphone()};
  if (how.video) {
    const canvas = document.createElement('canvas');
    canvas.getContext('2d').fillRect(0, 0, 10, 10);
    how.stream.addTrack(canvas.captureStream(5).getVideoTracks()[0]);
  }
  stopped = false;
  await join();
};

/** The port that the server named, for a relay that is to be between. */
window.setRelay = (port) => (how.relay = port);
window.state = () => session?.pc.connectionState;
window.mute = (on) => (session.sender.track.enabled = !on);
window.hold = async (on) => {
  kept = session.sender.track ?? kept;
  await session.sender.replaceTrack(on ? null : kept);
};
/** Another device: the microphone opened anew. */
window.changeDevice = async () => {
  const stream = await microphone();
  await session.sender.replaceTrack(stream.getAudioTracks()[0]);
};
window.restart = restart;
window.leave = async () => {
  stopped = true;
  const status = (await fetch(session.where, {method: 'DELETE', headers: headers()})).status;
  session.pc.close();
  return status;
};

window.ready = true;
