// test/cli/17_snippets.test.mjs -- the blocks of docs/verifying.md verify what tapeop signs.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';

import {command, tempDir} from '../aid/tapeop.mjs';

const exec = promisify(execFile);
const doc = fs.readFileSync(new URL('../../docs/verifying.md', import.meta.url), 'utf8');
const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';
const env = {KEY: SECRET};

/** The block of a language, as it stands in the document. */
function block(language) {
  const found = new RegExp(`\`\`\`${language}\n([^]*?)\n\`\`\``).exec(doc);
  assert.ok(found, `docs/verifying.md has no block of ${language}`);
  return found[1];
}

/**
 * A program a language: arguments dialect, key, signature, id, time and the
 * body's file; prints true or false.
 */
const languages = {
  js: {
    tool: 'node', file: 'main.cjs', run: (file) => ['node', [file]],
    main: `
const [dialect, key, signature, id, time, file] = process.argv.slice(2);
const body = require('node:fs').readFileSync(file);
console.log({gme: () => verifyGme(key, body, signature), trtc: () => verifyTrtc(key, body, signature),
  live: () => verifyLive(key, signature, time),
  standard: () => verifyStandard(key, id, time, signature, body)}[dialect]());`,
  },
  python: {
    tool: 'python3', file: 'main.py', run: (file) => ['python3', [file]],
    main: `
import sys
dialect, key, signature, id, stamp, file = sys.argv[1:]
body = open(file, "rb").read()
print(str({"gme": lambda: verify_gme(key, body, signature), "trtc": lambda: verify_trtc(key, body, signature),
  "live": lambda: verify_live(key, signature, stamp),
  "standard": lambda: verify_standard(key, id, stamp, signature, body)}[dialect]()).lower())`,
  },
  go: {
    tool: 'go', file: 'verify.go', more: 'main.go', build: (dir) => ['go', ['build', '-o', path.join(dir, 'verify'),
      path.join(dir, 'verify.go'), path.join(dir, 'main.go')]],
    run: (file) => [path.join(path.dirname(file), 'verify'), []],
    main: `package main

import (
	"fmt"
	"os"
)

func main() {
	a := os.Args[1:]
	body, _ := os.ReadFile(a[5])
	switch a[0] {
	case "gme":
		fmt.Println(VerifyGme(a[1], body, a[2]))
	case "trtc":
		fmt.Println(VerifyTrtc(a[1], body, a[2]))
	case "live":
		fmt.Println(VerifyLive(a[1], a[2], a[4]))
	default:
		fmt.Println(VerifyStandard(a[1], a[3], a[4], a[2], body))
	}
}
`,
  },
  java: {
    tool: 'javac', file: 'Callbacks.java', more: 'Main.java',
    build: (dir) => ['javac', ['-d', dir, path.join(dir, 'Callbacks.java'), path.join(dir, 'Main.java')]],
    run: (file) => ['java', ['-cp', path.dirname(file), 'Main']],
    main: `class Main {
    public static void main(String[] a) throws Exception {
        byte[] body = java.nio.file.Files.readAllBytes(java.nio.file.Path.of(a[5]));
        System.out.println(switch (a[0]) {
            case "gme" -> Callbacks.verifyGme(a[1], body, a[2]);
            case "trtc" -> Callbacks.verifyTrtc(a[1], body, a[2]);
            case "live" -> Callbacks.verifyLive(a[1], a[2], a[4]);
            default -> Callbacks.verifyStandard(a[1], a[3], a[4], a[2], body);
        });
    }
}
`,
  },
  php: {
    tool: 'php', file: 'main.php', run: (file) => ['php', [file]],
    main: `
[, $dialect, $key, $signature, $id, $time, $file] = $argv;
$body = file_get_contents($file);
echo json_encode(match ($dialect) {
    'gme' => verify_gme($key, $body, $signature),
    'trtc' => verify_trtc($key, $body, $signature),
    'live' => verify_live($key, $signature, $time),
    default => verify_standard($key, $id, $time, $signature, $body),
}), "\\n";`,
  },
  c: {
    tool: 'gcc', file: 'main.c', build: (dir) => ['gcc', ['-Wall', '-o', path.join(dir, 'verify'),
      path.join(dir, 'main.c'), '-lcrypto']],
    run: (file) => [path.join(path.dirname(file), 'verify'), []],
    main: `
int main(int argc, char **argv)
{
	static char body[65536];
	FILE *f = fopen(argv[6], "rb");
	size_t len = fread(body, 1, sizeof(body), f);
	int ok;

	(void)argc;
	if (!strcmp(argv[1], "gme"))
		ok = verify_gme(argv[2], body, len, argv[3]);
	else if (!strcmp(argv[1], "trtc"))
		ok = verify_trtc(argv[2], body, len, argv[3]);
	else if (!strcmp(argv[1], "live"))
		ok = verify_live(argv[2], argv[3], argv[5]);
	else
		ok = verify_standard(argv[2], argv[4], argv[5], argv[3], body, len);
	puts(ok ? "true" : "false");
	fclose(f);
	return 0;
}`,
  },
};

/** What `tapeop trigger` would send: {signature, id, time, body}. */
async function made(t, dialect, ...more) {
  const {code, out, text} = await command(t, ['trigger', dialect === 'gme' ? 'started' : 'task_started', '--dialect', dialect,
    '--to', 'http://127.0.0.1/x', '--key', 'env:KEY', '--room', 'zimmer \u00e4"', '--print', ...more], {env});
  assert.equal(code, 0, text);
  const header = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(out)?.[1];
  const query = new URLSearchParams(/\?(\S+)/.exec(out)?.[1] ?? '');
  return {
    dialect,
    signature: header('Signature') ?? header('Sign') ?? header('webhook-signature') ?? query.get('Sign'),
    id: header('webhook-id') ?? '-',
    time: header('webhook-timestamp') ?? query.get('RequestTime') ?? '-',
    body: out.trimEnd().split('\n').at(-1),
  };
}

/** Cases that are right, and the same with something wrong. */
async function cases(t) {
  const all = [];
  const add = (c, want, what) => all.push({key: SECRET, ...c, want, what});
  for (const dialect of ['gme', 'trtc', 'live', 'standard']) {
    const good = await made(t, dialect);
    const another = good.signature.replace(/[^=](=*)$/, (end) => (end[0] === 'A' ? 'B' : 'A') + end.slice(1))
      .replace(/^(.*,)?(.)/, (_, v = '', c) => v + (c === '0' ? '1' : '0'));
    add(good, true, 'genuine');
    add({...good, key: 'whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz'}, false, 'another key');
    add({...good, signature: another}, false, 'another signature');
    add({...good, signature: ''}, false, 'no signature');
    add({...good, signature: 'v1,\u00fc\u4e16 %'}, false, 'no text of a signature');
    if (dialect === 'live' || dialect === 'standard') {
      for (const time of ['', 'soon', '-1', '\u0663', '9'.repeat(30)])
        add({...good, time}, false, `the time ${time}`);
    }
    if (dialect !== 'live')
      add({...good, body: `${good.body} `}, false, 'another body');
    if (dialect === 'live')
      add({...good, time: String(Number(good.time) + 1)}, false, 'another time');
    if (dialect === 'standard') {
      add({...good, id: 'evt_1'}, false, 'another id');
      add({...good, signature: `v1,AAAA ${good.signature}`}, true, 'a list');
      add({...good, signature: good.signature.replace('v1,', 'v2,')}, false, 'another version');
    }
  }
  add(await made(t, 'gme', '--encoding', 'hex'), true, 'hex');
  const old = {dialect: 'live', key: 'xxxxyyyy', id: '-', time: '1669872112', body: '{}',
    signature: '17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061'};
  add(old, false, 'an old time');
  return all;
}

async function isThere(tool) {
  return exec('sh', ['-c', `command -v ${tool}`]).then(() => true, () => false);
}

for (const [language, l] of Object.entries(languages)) {
  test(`the_block_of_${language}_verifies_what_is_signed_and_nothing_else`, {timeout: 240_000}, async (t) => {
    if (!await isThere(l.tool)) {
      t.skip(`${l.tool} is not installed`);
      return;
    }
    const dir = tempDir(t);
    const file = path.join(dir, l.file);
    const options = {cwd: dir, env: {...process.env, GOCACHE: path.join(dir, 'cache'), GO111MODULE: 'off'}};
    fs.writeFileSync(file, l.more ? block(language) : `${block(language)}\n${l.main}\n`);
    if (l.more)
      fs.writeFileSync(path.join(dir, l.more), l.main);
    if (l.build)
      await exec(...l.build(dir), options);
    for (const c of await cases(t)) {
      const body = path.join(dir, 'body');
      fs.writeFileSync(body, c.body);
      const [program, args] = l.run(file);
      const {stdout} = await exec(program, [...args, c.dialect, c.key, c.signature, c.id, c.time, body], options);
      assert.equal(stdout.trim(), String(c.want), `${c.dialect}, ${c.what}: ${JSON.stringify(c)}`);
    }
  });
}
