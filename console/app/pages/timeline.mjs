// A task's speakers on one axis of wall time, and the one player of them all.
// SPDX-License-Identifier: Apache-2.0
import {button, el, length, name} from '../widgets.mjs';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 1000; // of the picture, whatever it is on the screen
const HEIGHT = 48;
const STEP_S = 5;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes))
    node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

export const endOf = (s, now_ms) => (s.state === 'closed' || s.state === 'lost' ?
  s.start_ms + s.duration_ms : Math.max(s.start_ms, now_ms));

/** "alice", or "the mix". */
export const nameOf = (s) => (s.mode === 'mixed' ? 'the mix' : s.user);

/** Peaks, mirrored, as a path that has one unit of x a bucket; no more of them
 *  than the picture can show. */
function waveOf(wave) {
  const n = Math.max(1, Math.ceil(wave.peaks.length / WIDTH));
  const bucket_ms = n * wave.bucket_ms;
  const peaks = Array.from({length: Math.ceil(wave.peaks.length / n)}, (_, i) =>
    Math.max(...wave.peaks.slice(i * n, (i + 1) * n)));
  const y = (peak) => Math.max(0.5, peak / 255 * HEIGHT / 2);
  const top = peaks.map((p, i) => `L${i} ${(HEIGHT / 2 - y(p)).toFixed(1)}`);
  const bottom = peaks.map((p, i) => `L${i} ${(HEIGHT / 2 + y(p)).toFixed(1)}`).reverse();
  return {bucket_ms, d: `M0 ${HEIGHT / 2}${top.join('')}L${peaks.length} ${HEIGHT / 2}${
    bottom.join('')}Z`};
}

/**
 * {root, show(segments, now_ms), play(segment), end()}
 *
 * wave(segment) -> Promise of its waveform, or null
 */
export function timeline({wave, toast}) {
  const audio = el('audio', {preload: 'metadata'});
  const slider = el('input', {type: 'range', min: 0, max: 0, step: 0.1, value: 0,
    'aria-label': 'Position in the recording'});
  const clock = el('output', {class: 'number clock'});
  const who = el('select', {'aria-label': 'Who is heard'});
  const rows = el('div', {class: 'rows'});
  const play = button('Play', () => (audio.paused ? start() : audio.pause()), {class: 'main'});
  const waves = new Map(); // by segment: its waveform as a path, or null
  let tracks = [], from_ms = 0, to_ms = 0, at_ms = 0, current = null, drawn = '';

  const root = el('section', {class: 'card timeline', 'aria-label': 'Timeline'}, rows,
    el('div', {class: 'bar foot player'}, play,
      button('−5 s', () => seek(at_ms - STEP_S * 1000), {'aria-label': 'Five seconds back'}),
      button('+5 s', () => seek(at_ms + STEP_S * 1000), {'aria-label': 'Five seconds on'}),
      who, slider, clock, audio));

  const x = (ms) => WIDTH * (ms - from_ms) / Math.max(1, to_ms - from_ms);
  const trackOf = () => tracks.find((t) => t.key === who.value) ?? tracks[0];

  function showPosition() {
    slider.value = (at_ms - from_ms) / 1000;
    const text = `${length(at_ms - from_ms)} of ${length(to_ms - from_ms)}`;
    slider.setAttribute('aria-valuetext', text);
    clock.textContent = text;
    for (const line of rows.querySelectorAll('.head'))
      for (const [key, value] of [['x1', x(at_ms)], ['x2', x(at_ms)]])
        line.setAttribute(key, value.toFixed(2));
    for (const row of rows.children)
      row.classList.toggle('heard', row.dataset.track === trackOf()?.key);
  }

  /** The closed file that has this moment, or the next one that has any. */
  const fileAt = (track, ms) => track?.segments.find((s) => s.state === 'closed' &&
    s.start_ms + s.duration_ms > ms);

  /** Go to a moment; playing goes on there. */
  function seek(ms, playing = !audio.paused) {
    at_ms = Math.min(to_ms, Math.max(from_ms, ms));
    const file = fileAt(trackOf(), at_ms);
    if (!file) {
      audio.pause();
      showPosition();
      return;
    }
    if (current?.segment_id !== file.segment_id) {
      current = file;
      audio.src = `/v1/segments/${file.segment_id}/audio`;
      root.dataset.segment = file.segment_id;
    }
    if (playing)
      at_ms = Math.max(at_ms, file.start_ms); // nothing is to be heard before
    audio.currentTime = Math.max(0, (at_ms - file.start_ms) / 1000);
    showPosition();
    if (playing)
      audio.play().catch((e) => e.name === 'AbortError' || failed());
  }

  const start = () => seek(fileAt(trackOf(), at_ms) ? at_ms : from_ms, true);
  function failed() {
    toast('This file cannot be played here. Download it instead.', 'bad');
  }

  audio.addEventListener('timeupdate', () => {
    if (current && !audio.paused) {
      at_ms = current.start_ms + audio.currentTime * 1000;
      showPosition();
    }
  });
  audio.addEventListener('ended', () => {
    const next = trackOf().segments.find((s) => s.state === 'closed' &&
      s.start_ms > current.start_ms);
    if (next)
      seek(next.start_ms, true);
  });
  audio.addEventListener('error', () => audio.getAttribute('src') && failed());
  for (const event of ['play', 'pause', 'ended'])
    audio.addEventListener(event, () => (play.textContent = audio.paused ? 'Play' : 'Pause'));
  slider.addEventListener('input', () => seek(from_ms + Number(slider.value) * 1000));
  who.addEventListener('input', () => seek(at_ms));

  function pictureOf(track, now_ms) {
    const picture = svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none',
      'aria-hidden': 'true'});
    for (const s of track.segments) {
      const left = x(s.start_ms);
      const w = Math.max(1, x(endOf(s, now_ms)) - left);
      picture.append(svg('rect', {x: left.toFixed(2), y: 0, width: w.toFixed(2), height: HEIGHT,
        class: `part ${s.state}`}));
      const known = waves.get(s.segment_id);
      if (known)
        picture.append(svg('path', {d: known.d, class: 'wave', transform:
          `translate(${left.toFixed(2)}) scale(${
            (w * known.bucket_ms / Math.max(s.duration_ms, known.bucket_ms)).toFixed(6)} 1)`}));
    }
    picture.append(svg('line', {class: 'head', y1: 0, y2: HEIGHT, x1: 0, x2: 0}));
    picture.addEventListener('click', (e) => {
      const box = picture.getBoundingClientRect();
      who.value = track.key;
      seek(from_ms + (to_ms - from_ms) * (e.clientX - box.left) / box.width);
    });
    return picture;
  }

  function draw(now_ms) {
    rows.replaceChildren(...tracks.map((track) => el('div', {class: 'row', 'data-track': track.key},
      el('span', {class: 'who'}, track.name === 'the mix' ? track.name : name(track.name)),
      pictureOf(track, now_ms))));
    showPosition();
  }

  /** Load what is missing, a few at a time, in order of time. */
  async function fill(segments, now_ms) {
    const missing = segments.filter((s) => s.state === 'closed' && !waves.has(s.segment_id));
    missing.forEach((s) => waves.set(s.segment_id, null));
    const rest = missing.values();
    await Promise.all([1, 2, 3, 4].map(async () => {
      for (const s of rest) {
        const known = await wave(s);
        waves.set(s.segment_id, known && waveOf(known));
      }
    }));
    if (missing.length)
      draw(now_ms);
  }

  return {
    root,
    show(segments, now_ms) {
      const byKey = new Map();
      for (const s of segments) {
        const key = `${s.mode} ${s.user}`;
        if (!byKey.has(key))
          byKey.set(key, {key, name: nameOf(s), segments: []});
        byKey.get(key).segments.push(s);
      }
      tracks = [...byKey.values()];
      for (const track of tracks)
        track.segments.sort((a, b) => a.start_ms - b.start_ms);
      const first = from_ms;
      from_ms = Math.min(...segments.map((s) => s.start_ms));
      to_ms = Math.max(...segments.map((s) => endOf(s, now_ms)));
      if (!first)
        at_ms = from_ms;
      slider.max = (to_ms - from_ms) / 1000;
      const keys = tracks.map((t) => t.key).join('\n');
      if (keys !== drawn) {
        drawn = keys;
        const heard = who.value;
        who.replaceChildren(...tracks.map((t) => el('option', {value: t.key}, t.name)));
        if (byKey.has(heard))
          who.value = heard;
      }
      draw(now_ms);
      fill(segments, now_ms);
    },
    play(segment) {
      who.value = `${segment.mode} ${segment.user}`;
      seek(segment.start_ms, true);
    },
    end() {
      audio.pause();
      audio.removeAttribute('src');
      audio.load();
    },
  };
}
