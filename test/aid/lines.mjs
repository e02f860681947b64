// test/aid/lines.mjs -- what commands print, looked at as their users do.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';

import {command} from './tapeop.mjs';

/** It failed with one line on stderr that starts with the command's name. */
export function oneLine(r, name, code, says = /./) {
  assert.equal(r.code, code, `${name}: ${r.text}${r.out}`);
  assert.match(r.text, new RegExp(`^tapeop ${name}: [^\n]+\n$`));
  assert.match(r.text, says);
  assert.equal(r.out, '');
}

/** The commands that `tapeop --help` lists. */
export async function commandNames(t) {
  const {code, out} = await command(t, ['--help']);
  assert.equal(code, 0);
  return [...out.matchAll(/^ {2}(\w+) {2,}\S/gm)].map((m) => m[1]);
}

/**
 * cli(...args): what the command printed; it must succeed in silence.
 * cli.json(...args): the same with --json, parsed.
 * cli.fails(code, says, ...args): it must fail with one line.
 */
export function commandsAt(t, url, env = {}) {
  const run = (args) => command(t, [...args, '--server', url], {env});
  const cli = async (...args) => {
    const r = await run(args);
    assert.equal(r.code, 0, `${args.join(' ')}: ${r.text}${r.out}`);
    assert.equal(r.text, '');
    return r.out;
  };
  cli.json = async (...args) => {
    const out = await cli(...args, '--json');
    assert.equal(out.trim().split('\n').length, 1, out);
    return JSON.parse(out);
  };
  cli.fails = async (code, says, ...args) =>
    oneLine(await run(args), args[0], code, says);
  return cli;
}
