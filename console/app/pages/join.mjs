// Join: speak into a room from this browser.
// SPDX-License-Identifier: Apache-2.0
import {call} from '../call.mjs';
import {badge, button, el, field, meter, name, select} from '../widgets.mjs';

export const title = 'Join';

const KEPT = 'tapeop.join'; // in localStorage: the last room and name

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch { // forbidden, or not ours
    return {};
  }
}

function keep(what) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(what));
  } catch {
    // it is only a convenience
  }
}

/** The microphones there are; without permission they have no names. */
async function microphones() {
  const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  return all.filter((d) => d.kind === 'audioinput' && d.deviceId && d.label)
    .map((d) => [d.deviceId, d.label]);
}

function form(ctx, apps) {
  const before = {...kept(), ...Object.fromEntries(ctx.params)};
  const app = select(apps.map((a) => [a.app, `${a.name} ${a.app}`]),
    apps.some((a) => String(a.app) === String(before.app)) ? before.app : apps[0].app);
  const rooms = el('datalist', {id: 'known-rooms'});
  const room = el('input', {required: true, maxlength: 128, value: before.room ?? 'lobby',
    list: 'known-rooms', autocomplete: 'off', spellcheck: 'false'});
  const user = el('input', {required: true, maxlength: 128, value: before.user ?? '',
    autocomplete: 'nickname', spellcheck: 'false'});
  const mic = select([['', 'the default one']]);
  const fault = el('p', {class: 'fault', role: 'alert'});
  const micField = field('Microphone', mic);
  const f = el('form', {class: 'card talk', 'aria-label': 'Join a room'},
    ...(apps.length > 1 ? [field('App', app)] : []),
    field('Room', room, 'One that is there, or a new one.'), rooms,
    field('Your name', user, 'Others in the room, and the files, are told apart by it.'),
    micField, fault,
    el('button', {type: 'submit', class: 'main'}, 'Join'));
  f.addEventListener('submit', (e) => {
    e.preventDefault();
    const wish = {app: Number(app.value), room: room.value, user: user.value};
    keep(wish);
    call.join({...wish, device: mic.value});
  });
  f.show = () => {
    fault.textContent = call.text;
  };
  f.rooms = (state) => {
    const names = state.rooms.filter((r) => String(r.app) === app.value).map((r) => r.room);
    if (names.join('\n') !== f.known)
      rooms.replaceChildren(...names.map((n) => el('option', {value: n})));
    f.known = names.join('\n');
  };
  f.mics = (list) => {
    micField.hidden = !list.length;
    mic.replaceChildren(...[['', 'the default one'], ...list].map(([v, t]) =>
      el('option', {value: v}, t)));
  };
  f.begin = () => (user.value ? room : user).focus();
  return f;
}

function panel() {
  const state = el('span', {class: 'badge'});
  const text = el('p', {class: 'note', role: 'status'});
  const mine = meter('Level of your microphone');
  const theirs = meter('Level that the server hears');
  const arrives = el('span', {class: 'soft'}, '-');
  const recorded = el('span', {});
  const record = el('a', {class: 'right', href: '#/rooms'}, 'Record it, in Rooms');
  const mute = button('Mute', () => call.mute(!call.muted), {class: 'main', title: 'M',
    'aria-keyshortcuts': 'm'});
  const mic = select([], undefined, {});
  const micField = field('Microphone', mic);
  mic.addEventListener('change', () => call.choose(mic.value));
  const node = el('section', {class: 'card talk', 'aria-label': 'Your call'},
    el('p', {class: 'line'}, el('b', {}, name(call.room)), el('span', {class: 'soft'}, 'as ',
      name(call.user)), state, recorded),
    text,
    el('dl', {class: 'levels'},
      el('dt', {}, 'Your microphone'), el('dd', {}, mine),
      el('dt', {}, 'At the server'), el('dd', {}, theirs, arrives)),
    micField,
    el('p', {class: 'line'}, mute, button('Leave', () => call.leave(), {class: 'danger'}),
      record));
  const TEXTS = {joining: ['joining', 'wait'], in: ['you are in', 'good'],
    lost: ['connection lost', 'run']};
  node.show = () => {
    const [says, colour] = TEXTS[call.state] ?? ['', ''];
    state.textContent = says;
    state.className = `badge ${colour}`;
    text.textContent = call.muted && call.state === 'in' ?
      'You are muted: nobody hears you, and no file has you.' : call.text;
    mute.textContent = call.muted ? 'Unmute' : 'Mute';
    mute.setAttribute('aria-pressed', call.muted);
    node.dataset.state = call.state;
  };
  node.moves = () => mine.set(call.level());
  node.rooms = (live) => {
    const room = live.rooms.find((r) => r.app === call.app && r.room === call.room);
    const input = room?.inputs.find((i) => i.user === call.user);
    const hears = input?.mic === 'on' && !call.muted;
    theirs.set(hears ? input.level_dbfs : null);
    arrives.textContent = !input?.packets ? 'nothing yet' : `${hears ? 'it hears you' :
      'mic off'} · ${input.lost} of ${input.packets + input.lost} packets lost · jitter ` +
      `${input.jitter_ms} ms`;
    const runs = room?.tasks.length > 0;
    recorded.replaceChildren(runs ? badge('recording') : '');
    record.textContent = runs ? 'See it in Rooms' : 'Record it, in Rooms';
  };
  node.mics = (list) => {
    micField.hidden = list.length < 2;
    mic.replaceChildren(...list.map(([v, t]) => el('option', {value: v}, t)));
    mic.value = call.device;
  };
  node.begin = () => mute.focus();
  return node;
}

export async function mount(root, ctx) {
  const apps = await ctx.apps();
  const at = el('div', {});
  let shown = null, frame = 0, state = null;

  root.append(el('h2', {}, 'Join a room'), at);
  if (!apps.length) {
    at.append(el('section', {class: 'empty'}, el('h3', {}, 'There is no app yet'),
      el('p', {}, 'A room belongs to an app. ', el('a', {href: '#/app'}, 'Make one'),
        ', or declare it under ', el('code', {}, 'apps:'),
        ' in the configuration of the server, and have that read again (SIGHUP).')));
    return () => {};
  }
  const listMics = async () => shown?.mics(await microphones());
  const show = () => {
    const active = call.active;
    if (!shown || shown.isCall !== active) {
      const had = shown !== null;
      shown = active ? panel() : form(ctx, apps);
      shown.isCall = active;
      at.replaceChildren(shown);
      listMics();
      if (state)
        shown.rooms(state);
      if (had)
        shown.begin();
    } else if (call.state === 'in') {
      listMics(); // now they have names
    }
    shown.show();
  };
  const move = () => {
    shown.moves?.();
    frame = requestAnimationFrame(move);
  };
  const endCall = call.watch(show);
  const endLive = ctx.live.subscribe((s) => {
    state = s;
    shown?.rooms(s);
  });
  show();
  move();
  navigator.mediaDevices?.addEventListener('devicechange', listMics);
  return () => {
    cancelAnimationFrame(frame);
    navigator.mediaDevices?.removeEventListener('devicechange', listMics);
    endCall();
    endLive();
  };
}
