// Records that the store did not write, or that were changed since: refused as such, and left as they are.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { EncryptCommand } from '@aws-sdk/client-kms';
import type { SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type Item, PlainStore } from '../support/plain-store.ts';
import { AT_ONCE, assertFromAws, assertSays, Stage, staged, subject } from '../support/stage.ts';

const OTHER_KEY = 'arn:aws:kms:us-east-1:232282424912:key/11111111-2222-3333-4444-555555555555';

describe('a record', { concurrency: AT_ONCE }, () => {
  let stage: Stage;
  let text: string;
  before(async () => {
    stage = await Stage.start([
      '--key-arn',
      'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a',
      '--key-arn',
      OTHER_KEY,
    ]);
    // The one text that whatever check fails is reported with.
    const about = subject();
    await stage.plain.put({ ...(await stage.plain.record(about.sid, '{}')), authTag: '' });
    text = (await stage.provoke('ERR_INTEGRITY', stage.store(), 'get', about)).detail;
    assert.match(text, /integrity/);
    assert.match(text, /nothing was deleted/);
  });
  after(() => stage.stop());

  /** Writes a good record, changed by `change`, and reads it: it must fail, and lie in the table afterwards as it did before. */
  const assertBroken = async (code: SessionStoreErrorCode, change: (item: Item) => Item | Promise<Item>) => {
    const saved = await stage.saved();
    await stage.plain.putItem(await change((await stage.plain.item(saved.sid))!));
    const broken = await stage.plain.item(saved.sid);
    const error = await stage.provoke(code, stage.store(), 'get', saved);
    if (code === 'ERR_INTEGRITY') assert.equal(error.detail, text);
    assert.deepEqual(await stage.plain.item(saved.sid), broken);
    return error;
  };
  const without = (name: string) => (item: Item) => {
    const { [name]: _, ...rest } = item;
    return rest;
  };
  const base64 = (item: Item, name: string) => Buffer.from(item[name]!.S!, 'base64');
  const flipped = (bytes: Buffer, bit: number) => {
    const copy = Buffer.from(bytes);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    return copy;
  };

  for (const name of ['encryptedData', 'encryptedKey', 'iv', 'authTag', 'ttl', 'version']) {
    it(`without ${name} is ERR_INTEGRITY`, async () => {
      const error = await assertBroken('ERR_INTEGRITY', without(name));
      assert.equal(error.cause, undefined);
    });

    it(`with ${name} of another type is ERR_INTEGRITY`, async () => {
      const others: Item = {
        string: { S: '1' },
        number: { N: '1' },
        bytes: { B: new Uint8Array(16) },
        boolean: { BOOL: true },
        null: { NULL: true },
        list: { L: [{ S: '1' }] },
        map: { M: { S: { S: '1' } } },
        strings: { SS: ['1'] },
      };
      const right = name === 'ttl' || name === 'version' ? 'number' : 'string';
      for (const [type, value] of Object.entries(others)) {
        if (type !== right) await assertBroken('ERR_INTEGRITY', (item) => ({ ...item, [name]: value }));
      }
    });
  }

  it('with base64 bytes instead of base64 text is ERR_INTEGRITY', async () => {
    for (const name of ['encryptedData', 'encryptedKey', 'iv', 'authTag']) {
      await assertBroken('ERR_INTEGRITY', (item) => ({ ...item, [name]: { B: base64(item, name) } }));
    }
  });

  for (const name of ['encryptedData', 'encryptedKey', 'iv', 'authTag']) {
    it(`with ${name} that is no canonical base64 is ERR_INTEGRITY`, async () => {
      const spoil: Array<(text: string) => string> = [
        (text) => `!${text.slice(1)}`,
        (text) => `${text}=`,
        (text) => `${text}\n`,
        (text) => ` ${text}`,
        (text) => text.slice(0, -1),
        (text) => `${text.slice(0, 4)} ${text.slice(4)}`,
        (text) => `${text.slice(0, 4)}-_${text.slice(6)}`,
        (text) => `AA==${text}`,
        (text) => (text.endsWith('=') ? text.replace(/=+$/, '') : `${text}A`),
        (text) => `${text}😀`,
      ];
      for (const [index, change] of spoil.entries()) {
        const error = await assertBroken('ERR_INTEGRITY', (item) => ({ ...item, [name]: { S: change(item[name]!.S!) } }));
        assert.equal(error.cause, undefined, `spoiled by function number ${index}, KMS was asked`);
      }
    });

    it(`with stray bits at the end of ${name} is ERR_INTEGRITY, though the bytes are the same`, async () => {
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
      await assertBroken('ERR_INTEGRITY', async (item) => {
        // A length with padding: that of the tag; the others get it through a record made for this.
        const length = name === 'iv' ? 13 : name === 'encryptedKey' ? 97 : 16;
        const bytes = name === 'authTag' ? base64(item, name) : randomBytes(length);
        const text = bytes.toString('base64');
        const end = text.indexOf('=') - 1;
        const stray = `${text.slice(0, end)}${alphabet[alphabet.indexOf(text[end]!) + 1]}${text.slice(end + 1)}`;
        assert.deepEqual(Buffer.from(stray, 'base64'), bytes);
        return { ...item, [name]: { S: stray } };
      });
    });

    it(`with one bit of ${name} flipped is ERR_INTEGRITY`, async () => {
      const length = (await stage.plain.seal('{"cookie":{},"token":"0123456789"}'))[name as 'iv'].length;
      const bits = Math.floor((length * 3) / 4 - 2) * 8;
      for (const bit of [0, Math.floor(bits / 2), bits - 1]) {
        const error = await assertBroken('ERR_INTEGRITY', (item) => ({
          ...item,
          [name]: { S: flipped(base64(item, name), bit).toString('base64') },
        }));
        if (name === 'encryptedKey') assertFromAws(error, 'InvalidCiphertextException');
        else assert.equal(error.cause, undefined);
      }
    });
  }

  it('with an IV or a tag of another length is ERR_INTEGRITY', async () => {
    for (const [name, lengths] of Object.entries({ iv: [0, 1, 11, 13, 16], authTag: [0, 4, 12, 15, 17] })) {
      for (const length of lengths) {
        await assertBroken('ERR_INTEGRITY', (item) => ({
          ...item,
          [name]: {
            S: Buffer.concat([base64(item, name), base64(item, name)])
              .subarray(0, length)
              .toString('base64'),
          },
        }));
      }
    }
  });

  it('with data that was shortened or lengthened is ERR_INTEGRITY', async () => {
    for (const change of [
      (bytes: Buffer) => bytes.subarray(0, 0),
      (bytes: Buffer) => bytes.subarray(0, -1),
      (bytes: Buffer) => bytes.subarray(1),
      (bytes: Buffer) => Buffer.concat([bytes, Buffer.from([0])]),
    ]) {
      await assertBroken('ERR_INTEGRITY', (item) => ({
        ...item,
        encryptedData: { S: change(base64(item, 'encryptedData')).toString('base64') },
      }));
    }
  });

  it('with the wrapped key emptied, shortened or lengthened is ERR_INTEGRITY', async () => {
    for (const change of [
      (bytes: Buffer) => bytes.subarray(0, 0),
      (bytes: Buffer) => bytes.subarray(0, 1),
      (bytes: Buffer) => bytes.subarray(0, -1),
      (bytes: Buffer) => Buffer.concat([bytes, Buffer.from([0])]),
      () => Buffer.alloc(6144, 7),
      () => Buffer.alloc(6145, 7), // beyond what Decrypt takes
    ]) {
      await assertBroken('ERR_INTEGRITY', (item) => ({
        ...item,
        encryptedKey: { S: change(base64(item, 'encryptedKey')).toString('base64') },
      }));
    }
  });

  it('with a wrapped key of a length that KMS does not even look at is ERR_INTEGRITY', () =>
    staged([], async (own) => {
      // What KMS answers outside 1 to 6,144 bytes; the server lets them pass.
      await own.backend.aws.fault({
        action: 'kms:Decrypt',
        status: 400,
        code: 'ValidationException',
        message: 'ciphertextBlob',
      });
      for (const length of [0, 6145, 100_000]) {
        const saved = await own.saved(false);
        const item = (await own.plain.item(saved.sid))!;
        await own.plain.putItem({ ...item, encryptedKey: { S: Buffer.alloc(length, 7).toString('base64') } });
        assert.equal((await own.provoke('ERR_INTEGRITY', own.store(), 'get', saved)).detail, text);
      }
    }));

  it('sealed by another KMS key is ERR_INTEGRITY', async () => {
    const other = new PlainStore(stage.backend.aws, { keyArn: OTHER_KEY });
    const about = subject();
    const record = await other.record(about.sid, JSON.stringify(about.session));
    await other.put(record);
    const error = await stage.provoke('ERR_INTEGRITY', stage.store(), 'get', about);
    assertFromAws(error, 'IncorrectKeyException');
    assert.equal(error.detail, text);
    other.close();
  });

  it("with another session's wrapped key is ERR_INTEGRITY", async () => {
    const other = await stage.plain.seal('{}');
    await assertBroken('ERR_INTEGRITY', (item) => ({ ...item, encryptedKey: { S: other.encryptedKey } }));
  });

  it('with a data key that is not of 32 bytes is ERR_INTEGRITY', async () => {
    for (const length of [1, 16, 31, 33, 64]) {
      const key = randomBytes(length);
      const wrapped = await stage.plain.kms.send(new EncryptCommand({ KeyId: stage.plain.keyArn, Plaintext: key }));
      await assertBroken('ERR_INTEGRITY', (item) => ({
        ...item,
        encryptedKey: { S: Buffer.from(wrapped.CiphertextBlob!).toString('base64') },
      }));
    }
  });

  it('with a ttl that is no whole number of seconds is ERR_INTEGRITY', async () => {
    for (const ttl of ['4102444800.5', '99999999999999999999']) {
      await assertBroken('ERR_INTEGRITY', (item) => ({ ...item, ttl: { N: ttl } }));
    }
  });

  it('that is broken is ERR_INTEGRITY for record as well', async () => {
    const saved = await stage.saved();
    await stage.plain.putItem(without('iv')((await stage.plain.item(saved.sid))!));
    assert.equal((await stage.provoke('ERR_INTEGRITY', stage.store(), 'record', saved)).detail, text);
  });

  it('that is broken fails all, whatever else there is', () =>
    staged([], async (own) => {
      const [good, broken] = [await own.saved(), await own.saved()];
      await own.plain.putItem({ ...(await own.plain.item(broken.sid))!, iv: { S: '' } });
      const secrets = [...good.secrets, ...broken.secrets];
      assert.equal((await own.provoke('ERR_INTEGRITY', own.store(), 'all', { ...broken, secrets })).detail, text);
      assert.equal(await own.store().length(), 2);
    }));

  it('of an unknown version is ERR_VERSION', async () => {
    for (const version of ['0', '3', '99', '1.5', '-1']) {
      const error = await assertBroken('ERR_VERSION', (item) => ({ ...item, version: { N: version } }));
      assertSays(error, 'version', 'upgrade');
      assert.equal(error.cause, undefined);
    }
  });

  it('of an unknown version is ERR_VERSION even if nothing else in it is known', async () => {
    const error = await assertBroken('ERR_VERSION', ({ sessionId }) => ({
      sessionId: sessionId!,
      version: { N: '99' },
      body: { B: randomBytes(9) },
    }));
    assertSays(error, 'upgrade');
  });

  it('holding something else than a JSON object is ERR_SERIALIZATION', async () => {
    const { token } = subject().session;
    const texts = [
      '',
      token,
      `{"token": ${token}}`,
      `"${token}"`,
      `["${token}"]`,
      'null',
      '7',
      'true',
      `{"token":"${token}"`,
      `{"token":"${token}"} {}`,
    ];
    for (const plaintext of [...texts, Buffer.from([0xff, ...Buffer.from(token)])]) {
      const about = subject();
      await stage.plain.put(await stage.plain.record(about.sid, plaintext));
      const item = await stage.plain.item(about.sid);
      const error = await stage.provoke('ERR_SERIALIZATION', stage.store(), 'get', { ...about, secrets: [about.sid, token] });
      assertSays(error, 'what was sealed', 'another program');
      assert.deepEqual(await stage.plain.item(about.sid), item);
    }
  });
});
