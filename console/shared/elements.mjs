// What all pages share: elements, times, sizes.  Names come from strangers: they
// go into a page as text, never as markup.
// SPDX-License-Identifier: Apache-2.0

/** An element; strings among `children` become text. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined && value !== false && value !== null)
      node.setAttribute(key, value === true ? '' : String(value));
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ''));
  return node;
}

/** A name from outside: text that cannot turn the text around it. */
export const name = (text, cls) => el('bdi', {class: cls}, String(text));

const clock = new Intl.DateTimeFormat(undefined, {timeStyle: 'medium'});
const day = new Intl.DateTimeFormat(undefined, {dateStyle: 'medium', timeStyle: 'medium'});

export function time(ms) {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8e15)
    return '';
  const at = new Date(ms);
  const today = at.toDateString() === new Date().toDateString();
  return el('time', {datetime: at.toISOString(), title: day.format(at)},
    (today ? clock : day).format(at));
}

export function length(ms) {
  const s = Math.round(ms / 1000);
  const two = (n) => String(n).padStart(2, '0');
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` :
    `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++)
    bytes /= 1000;
  return `${bytes >= 100 || i === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[i]}`;
}

export const words = (text) => String(text).replaceAll('_', ' ');
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

const COLOURS = {
  recording: 'run live', started: 'run live', failed: 'run', upload_failing: 'run',
  task_failed: 'run', input_lost: 'wait', no_audio: 'wait', disk_low: 'wait',
  stopped: 'wait', completed: 'wait', uploaded: 'good', files_ready: 'good',
  upload_stopped: 'good',
};

/** The state of something, in its colour; `still`: it is over, nothing blinks. */
export function badge(text, still) {
  const colour = COLOURS[text] ?? '';
  return el('span', {class: `badge ${still ? colour.replace(' live', '') : colour}`},
    words(text));
}

/** Make `nodes` the children, in this order; those that stay are not touched,
 *  and who had the focus keeps it. */
export function place(parent, nodes) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  const keep = new Set(nodes);
  for (const child of [...parent.children])
    if (!keep.has(child))
      child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at)
      at = at.nextSibling;
    else
      parent.insertBefore(node, at);
  }
  if (focused && document.activeElement !== focused)
    (focused.isConnected ? focused :
      [...parent.querySelectorAll('[data-key]')].find((n) => n.dataset.key === key))?.focus();
}

/** What the head of the page says of its connection: connecting, live, lost. */
export function say(which, text) {
  const at = document.getElementById('state');
  if (at.dataset.state === which && at.textContent === text)
    return;
  at.dataset.state = which;
  at.textContent = text;
}

/** Buttons with data-copy="ID" copy the text of that element. */
export function copies(root) {
  for (const button of root.querySelectorAll('[data-copy]'))
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = 'Copy'), 1500);
    });
}
