// What the pages of recordings and of deliveries show alike.
// SPDX-License-Identifier: Apache-2.0
import {el, words} from '../widgets.mjs';

const COLOURS = {delivered: 'good', healthy: 'good', closed: 'good', pending: 'wait', failing: 'wait',
  'half open': 'wait', opening: 'wait', recording: 'run live', dead: 'bad', lost: 'bad', gone: 'bad',
  'breaker open': 'run', expired: 'run'};

/** The state of a file, an endpoint or a delivery, in its colour. */
export const stateBadge = (state) =>
  el('span', {class: `badge ${COLOURS[state] ?? ''}`, 'data-state': state}, words(state));

/** Make `nodes` the children; who has the focus keeps it, by its data-key. */
export function swap(parent, ...nodes) {
  const key = parent.contains(document.activeElement) && document.activeElement.dataset.key;
  parent.replaceChildren(...nodes);
  if (key)
    [...parent.querySelectorAll('[data-key]')].find((n) => n.dataset.key === key)?.focus();
}

/** JSON in lines, other text as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Text to look at closely, under its name. */
export const block = (label, text, cls = '') => el('figure', {class: `block ${cls}`},
  el('figcaption', {}, label), el('pre', {tabindex: 0}, text));

/** An HTTP request as it stands on the wire; `body` is as sent, but for lines. */
export const requestText = ({method = 'POST', url, headers, body}) => `${method} ${url}\n${
  Object.entries(headers).map(([k, v]) => `${k}: ${v}\n`).join('')}\n${pretty(body)}`;
