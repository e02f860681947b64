// The one call that this browser is in: microphone, WHIP (RFC 9725), and how it
// comes back.  It goes on while other pages are looked at.
// SPDX-License-Identifier: Apache-2.0
//
//   idle --join--> joining --connected--> in --lost--> lost --(again)--> in
//   any --leave, or a fault that only a person can mend--> idle
//
// Again: an ICE restart of the session, which goes on as it was; a new one only
// when there is none any more, and none at all when a newer one has its place.
import {api, path} from './api.mjs';

const CONNECT_MS = 15_000; // from the answer to the first sound
const DISCONNECTED_MS = 2_500; // a network may blink for so long
const AGAIN_MS = [500, 1000, 2000, 4000, 8000, 15_000];
const TICKET_S = 24 * 3600;

/** A fault that trying again does not mend. */
class Fault extends Error {}

const FAULTS = {
  NotAllowedError: 'The microphone was refused. Allow it for this site (the icon beside the ' +
    'address), then join again.',
  SecurityError: 'The browser forbids this page the microphone.',
  NotFoundError: 'This device has no microphone.',
  OverconstrainedError: 'That microphone is not there any more. Choose another.',
  NotReadableError: 'The microphone cannot be opened: another program may be using it.',
};

async function openMicrophone(deviceId) {
  if (!window.isSecureContext || !navigator.mediaDevices)
    throw new Fault('Browsers give the microphone only to pages on HTTPS, or on localhost: open ' +
      `this page as https://${location.host}/, or on the machine of the server as ` +
      `http://localhost:${location.port || 80}/.`);
  try {
    return await navigator.mediaDevices.getUserMedia({audio: {
      deviceId: deviceId ? {exact: deviceId} : undefined,
      echoCancellation: true, noiseSuppression: true, autoGainControl: true}});
  } catch (e) {
    throw new Fault(FAULTS[e.name] ?? `The microphone cannot be opened: ${e.message}`);
  }
}

/** As people end it. */
const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

const ICE = ['ice-ufrag', 'ice-pwd'];
const valueOf = (name, sdp) => new RegExp(`^a=${name}:(\\S+)`, 'm').exec(sdp)?.[1] ?? '';

/** Why there is no connection by this answer. */
function noWay(answer) {
  const to = [...answer.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) /gm)];
  const isHere = ([, ip]) => /^(127\.|::1$)/.test(ip);
  const text = `No connection came about to ${to.map(([, ip, port]) => `${ip} port ${port}`).join(', ')} ` +
    '(UDP): does something between here and the server let no UDP through?';
  if (!to.some(isHere))
    return text;
  const where = `${text} The server's media.address is for its own machine only: from another ` +
    'one, have it set.';
  return to.every(isHere) ? `${where} On that machine Firefox needs it unset, or another than ` +
    'a loopback address.' : where;
}

/** The answer of a restart: the one before with what the fragment has, as the
 *  machine of the server may have other addresses by now. */
function renewed(answer, frag) {
  const block = /(?:^a=candidate:.*\r\n)+/m;
  const sdp = ICE.reduce((text, n) =>
    text.replace(new RegExp(`^a=${n}:.*$`, 'm'), `a=${n}:${valueOf(n, frag)}`), answer);
  return sdp.replace(block, (before) => block.exec(frag)?.[0] ?? before);
}

/** What a peak of samples is in dBFS. */
const dbfs = (peak) => (peak > 0 ? 20 * Math.log10(peak) : -127);

export class Call {
  constructor() {
    this.listeners = new Set();
    this.reset();
  }

  reset() {
    Object.assign(this, {state: 'idle', text: '', muted: false, app: 0, room: '', user: '',
      device: '', stream: null, pc: null, location: '', answer: '', ticket: null, failures: 0, timer: 0,
      met: false, patience: 0, context: null, analyser: null});
  }

  /** Have `fn()` called when something has changed; gives what ends that. */
  watch(fn) {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  set(state, text = '') {
    Object.assign(this, {state, text});
    for (const fn of [...this.listeners])
      fn();
  }

  get active() {
    return this.state !== 'idle';
  }

  /** Begin; ends idle with a text when it cannot be. */
  async join({app, room, user, device}) {
    if (this.active)
      return;
    Object.assign(this, {app, room, user, device});
    this.set('joining', 'Waiting for the microphone: the browser may ask you.');
    try {
      const stream = await openMicrophone(device);
      if (!this.active) { // left meanwhile
        stream.getTracks().forEach((t) => t.stop());
        return;
      }
      await this.take(stream);
      await this.connect();
    } catch (e) {
      if (this.active)
        this.end(e.message);
    }
  }

  /** Send from this microphone from now on. */
  async take(stream) {
    const [track] = stream.getAudioTracks();
    const before = this.stream;
    this.stream = stream;
    track.enabled = !this.muted;
    this.device = track.getSettings().deviceId ?? '';
    track.addEventListener('ended', () => {
      if (this.stream === stream && this.active)
        this.end('The microphone has gone. Join again with another.');
    });
    this.context ??= new AudioContext();
    this.analyser = new AnalyserNode(this.context, {fftSize: 2048});
    this.source?.disconnect();
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
    this.context.resume().catch(() => {});
    await this.pc?.getSenders()[0]?.replaceTrack(track);
    before?.getTracks().forEach((t) => t.stop());
  }

  async choose(device) {
    try {
      await this.take(await openMicrophone(device));
      this.set(this.state, this.text);
    } catch (e) {
      this.set(this.state, e.message);
    }
  }

  /** The level of the microphone now [dBFS]. */
  level() {
    if (!this.analyser || this.muted)
      return -127;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return dbfs(samples.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0));
  }

  mute(on) {
    this.muted = on;
    for (const track of this.stream?.getAudioTracks() ?? [])
      track.enabled = !on;
    this.set(this.state, this.text);
  }

  /** A ticket of the user, where tickets are made; '' where none is needed. */
  async getTicket() {
    if (this.ticket && this.ticket.until > Date.now())
      return this.ticket.text;
    try {
      const {ticket} = await api.post(path`/v1/apps/${this.app}/tickets`,
        {user: this.user, expires_s: TICKET_S});
      this.ticket = {text: ticket, until: Date.now() + (TICKET_S - 600) * 1000};
      return ticket;
    } catch (e) {
      if (e.status === 0)
        throw e;
      return ''; // of an app without a key; the login, or this machine, will do
    }
  }

  async post(sdp) {
    const ticket = await this.getTicket();
    let answer;
    try {
      answer = await fetch(path`/whip/${this.app}/${this.room}/${this.user}`, {
        method: 'POST', body: sdp, cache: 'no-store', signal: AbortSignal.timeout(CONNECT_MS),
        headers: {'Content-Type': 'application/sdp',
          ...(ticket && {Authorization: `Bearer ${ticket}`})}});
    } catch {
      throw new Error('The server does not answer.');
    }
    const text = await answer.text();
    if (answer.status === 201)
      return {sdp: text, location: new URL(answer.headers.get('location'), answer.url).href};
    let detail = `The server answered ${answer.status}.`;
    try {
      detail = JSON.parse(text).detail ?? detail;
    } catch {
      // no problem+json
    }
    if (answer.status === 401)
      this.ticket = null; // the app's key was changed
    const mends = answer.status >= 500 || answer.status === 429 ||
      (this.failures > 0 && [401, 409].includes(answer.status)); // our own, from before
    throw new (mends ? Error : Fault)(detail);
  }

  /** Offer, answer, connected; throws when it cannot. */
  async connect() {
    this.forget();
    this.set(this.failures ? 'lost' : 'joining', this.failures ? 'Connecting again.' : 'Connecting.');
    const pc = this.pc = new RTCPeerConnection();
    this.met = false;
    pc.addTransceiver(this.stream.getAudioTracks()[0],
      {direction: 'sendonly', streams: [this.stream]});
    pc.addEventListener('connectionstatechange', () => pc === this.pc && this.onState(pc));
    await pc.setLocalDescription();
    const answer = await this.post(pc.localDescription.sdp);
    if (pc !== this.pc) { // left meanwhile
      this.remove(answer.location);
      return;
    }
    this.location = answer.location;
    this.answer = answer.sdp;
    this.wait();
    await pc.setRemoteDescription({type: 'answer', sdp: answer.sdp});
  }

  /** Lose it, unless it is connected in time. */
  wait() {
    this.patience = setTimeout(() => this.lose(noWay(this.answer)), CONNECT_MS);
  }

  async patch(match, body) {
    try {
      const answer = await fetch(this.location, {method: 'PATCH', body, cache: 'no-store',
        signal: AbortSignal.timeout(CONNECT_MS),
        headers: {'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': match}});
      return {status: answer.status, frag: await answer.text()};
    } catch {
      throw new Error('The server does not answer.');
    }
  }

  /** Have the session find its way anew; false when it cannot go on. */
  async restart(pc) {
    const dead = pc.getSenders()[0].transport?.state !== 'connected'; // its encryption
    const offer = dead ? null : await pc.createOffer({iceRestart: true});
    const {status, frag} = dead ? await this.patch('"none"', 'a=end-of-candidates\r\n') :
      await this.patch('*', [...ICE.map((n) => `a=${n}:${valueOf(n, offer.sdp)}`),
        'm=audio 9 UDP/TLS/RTP/SAVPF 0', `a=mid:${valueOf('mid', offer.sdp)}`, ''].join('\r\n'));
    if (pc !== this.pc) // left meanwhile
      return true;
    if (status === 410) {
      this.location = '';
      throw new Fault('You are in with this name from another tab or device, which came later. ' +
        'Join here to take over.');
    }
    if (status !== 200)
      return false;
    await pc.setLocalDescription(offer);
    this.answer = renewed(this.answer, frag);
    await pc.setRemoteDescription({type: 'answer', sdp: this.answer});
    if (pc.connectionState === 'connected')
      this.onState(pc);
    else
      this.wait();
    return true;
  }

  async again() {
    if (!this.location || !await this.restart(this.pc))
      await this.connect();
  }

  onState(pc) {
    const {connectionState: is} = pc;
    if (is === 'connected') {
      clearTimeout(this.patience);
      clearTimeout(this.timer);
      this.failures = 0;
      this.met = true;
      this.set('in');
    } else if (is === 'failed' || is === 'closed') {
      this.lose(this.met ? 'The connection was lost.' : noWay(this.answer));
    } else if (is === 'disconnected') {
      clearTimeout(this.patience);
      this.patience = setTimeout(() => this.lose('The connection was lost.'), DISCONNECTED_MS);
    }
  }

  /** Try again, after a while. */
  lose(text) {
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    const wait = AGAIN_MS[Math.min(this.failures++, AGAIN_MS.length - 1)] * (0.5 + Math.random());
    this.set('lost', `${sentence(text)} Trying again.`);
    this.timer = setTimeout(async () => {
      try {
        await this.again();
      } catch (e) {
        if (!this.active)
          return;
        if (e instanceof Fault)
          this.end(e.message);
        else
          this.lose(e.message);
      }
    }, wait);
  }

  /** Let go of the connection, not of the microphone, nor of the place in the
   *  room: a newer session takes that over. */
  forget() {
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    this.pc?.close();
    this.pc = null;
    this.location = '';
  }

  /** Leave the room, not the microphone. */
  drop() {
    if (this.location)
      this.remove(this.location);
    this.forget();
  }

  remove(location) {
    fetch(location, {method: 'DELETE', keepalive: true}).catch(() => {});
  }

  end(text = '') {
    this.drop();
    this.stream?.getTracks().forEach((t) => t.stop());
    this.context?.close();
    const {app, room, user} = this;
    this.reset();
    Object.assign(this, {app, room, user});
    this.set('idle', text);
  }

  leave() {
    this.end();
  }
}

export const call = new Call();
// who closes the page leaves
addEventListener('pagehide', () => call.drop());
addEventListener('pageshow', (e) => e.persisted && call.active && call.lose('The page was away.'));
