// What the pages of recordings and of deliveries show alike.
// SPDX-License-Identifier: Apache-2.0
import {el, words} from '../widgets.mjs';

const COLOURS = {delivered: 'good', healthy: 'good', closed: 'good', pending: 'wait', failing: 'wait',
  'half open': 'wait', opening: 'wait', recording: 'run live', dead: 'bad', lost: 'bad', gone: 'bad',
  'breaker open': 'run', expired: 'run', failed: 'run'};

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

/** JSON in lines, other text as it is.  What stands in it is not touched: a
 *  number of a script would lose the last digits of an id of 64 bits. */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  return tokens.map((token, i) => {
    const [before, after] = [tokens[i - 1], tokens[i + 1]];
    if (token === '{' || token === '[') {
      depth++;
      return /^[}\]]$/.test(after) ? token : token + line();
    }
    if (token === '}' || token === ']') {
      depth--;
      return /^[{[]$/.test(before) ? token : line() + token;
    }
    return token === ',' ? token + line() : token === ':' ? ': ' : token;
  }).join('');
}

/** Text to look at closely, under its name. */
export const block = (label, text, cls = '') => el('figure', {class: `block ${cls}`},
  el('figcaption', {}, label), el('pre', {tabindex: 0}, text));

/** An HTTP request as it stands on the wire; `body` is as sent, but for lines. */
export const requestText = ({method = 'POST', url, headers, body}) => `${method} ${url}\n${
  Object.entries(headers).map(([k, v]) => `${k}: ${v}\n`).join('')}\n${pretty(body)}`;
