// What is said of the crates in the binaries: the notices that go with them, and the bill of materials of a release.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const cwd = fileURLToPath(new URL('../..', import.meta.url));
const print = async (script: string) => {
  const { stdout } = await promisify(execFile)(process.execPath, [`scripts/release/${script}.mjs`], { cwd, maxBuffer: 2 ** 26 });
  return stdout;
};
const lock = await readFile(new URL('../../Cargo.lock', import.meta.url), 'utf8');
const bill = JSON.parse(await print('sbom'));
const notices = await print('notices');
const names: string[] = bill.components.map(({ name, version }: any) => `${name} ${version}`);

describe('the bill of materials', () => {
  it('has what is linked, and neither what only builds nor what only tests', () => {
    for (const name of ['aes-gcm', 'aws-sdk-dynamodb', 'aws-sdk-kms', 'aws-lc-sys', 'napi', 'redb', 'rustls', 'tokio'])
      assert.ok(
        names.some((own) => own.startsWith(`${name} `)),
        name,
      );
    for (const name of ['security-framework', 'schannel']) // of macOS alone, and of Windows
      assert.ok(
        names.some((own) => own.startsWith(`${name} `)),
        name,
      );
    for (const name of [
      'cc',
      'napi-build',
      'napi-derive',
      'serde_derive',
      'proptest',
      'criterion',
      'ring',
      'connect-dynamodb-kms',
    ])
      assert.ok(!names.some((own) => own.startsWith(`${name} `)), name);
  });

  it('has every version and hash as Cargo.lock has them', () => {
    for (const { name, version, hashes } of bill.components) {
      const [, entry] = lock.split(`name = "${name}"\nversion = "${version}"\n`);
      assert.equal(/^checksum = "(.+)"$/m.exec(entry!.split('[[package]]')[0]!)?.[1], hashes[0].content, name);
    }
  });

  it('names as dependencies nothing that it does not describe', () => {
    const known = new Set([bill.metadata.component['bom-ref'], ...bill.components.map((component: any) => component['bom-ref'])]);
    for (const { ref, dependsOn } of bill.dependencies) for (const name of [ref, ...dependsOn]) assert.ok(known.has(name), name);
    assert.equal(bill.dependencies.length, known.size);
  });

  it('tells why each crate is there', () => {
    const dependencies = new Map<string, string[]>(bill.dependencies.map(({ ref, dependsOn }: any) => [ref, dependsOn]));
    const reached = new Set<string>([bill.metadata.component['bom-ref']]);
    for (const name of reached) for (const dependency of dependencies.get(name)!) reached.add(dependency); // a set goes on with what is added
    assert.equal(reached.size, names.length + 1);
  });

  it('has the licence of each crate as an SPDX expression', () => {
    for (const { name, version, licenses } of bill.components) {
      const [, declared] = notices.split(`\n${name} ${version}: `);
      assert.equal(licenses[0].expression, declared!.split('\n')[0]!.replace(/ ?\/ ?/g, ' OR '), name);
    }
  });

  it('is the same for the same sources', async () => {
    assert.deepEqual(JSON.parse(await print('sbom')), bill);
  });
});

describe('the notices', () => {
  it('name every linked crate and bring the text of a licence for each', () => {
    const list = notices.split(`\n\n${'-'.repeat(80)}`)[0]!;
    const titled = new Set([...notices.matchAll(/^-{80}\n(.+)\n-{80}$/gm)].flatMap(([, crates]) => crates!.split(', ')));
    for (const own of names) {
      assert.ok(list.includes(`\n${own}: `), own);
      assert.ok(titled.has(own.split(' ')[0]!), own);
    }
  });

  it('hold the texts of vendored code', () => {
    // AWS-LC's own beside its crate's, and what lies in folders of crates.
    for (const text of [
      /Amazon\.com/,
      /Permission to use, copy, modify/,
      /fiat-crypto authors/,
      /Microsoft Corporation, Daan Leijen/,
    ])
      assert.match(notices, text);
  });
});
