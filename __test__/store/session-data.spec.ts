// encryptSessionData and decryptSessionData: the envelope on its own, against node:crypto and the AWS SDK.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { DisableKeyCommand, EnableKeyCommand, EncryptCommand } from '@aws-sdk/client-kms';
import { decryptSessionData, type EncryptionResult, encryptSessionData, KMS_KEY_ARN } from 'connect-dynamodb-kms';
import { AwsLocal } from '../support/aws-local.ts';
import '../support/backends.ts'; // sets credentials
import { failing, spellings } from '../support/failures.ts';
import { PlainStore, sealUnder } from '../support/plain-store.ts';

const OTHER_KEY = 'arn:aws:kms:us-east-1:232282424912:key/11111111-2222-3333-4444-555555555555';
const PARTS = ['encryptedData', 'encryptedKey', 'iv', 'authTag'] as const;

const TEXTS: Record<string, string> = {
  'an empty text': '',
  'one letter': 'a',
  'a session': '{"cookie":{"path":"/"},"user":"ada"}',
  'text of all kinds': 'ünï © 漢字 🙂 \u0000\u0001 \u2028 \ufeff \r\n \\ "',
  'text that is no JSON': '{"half',
  '1 MB': 'é'.repeat(524_288),
};

function open({ encryptedData, encryptedKey, iv, authTag }: EncryptionResult): Promise<string> {
  return decryptSessionData(encryptedData, encryptedKey, iv, authTag);
}

function changed(text: string, change: (bytes: Buffer) => Buffer): string {
  return change(Buffer.from(text, 'base64')).toString('base64');
}

function flipped(text: string, bit: number): string {
  return changed(text, (bytes) => {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    return bytes;
  });
}

describe('an envelope', () => {
  let aws: AwsLocal;
  let plain: PlainStore;
  before(async () => {
    aws = await AwsLocal.start(['--key-arn', KMS_KEY_ARN, '--key-arn', OTHER_KEY]);
    process.env.AWS_ENDPOINT_URL_KMS = aws.kms; // read at the first call
    process.env.AWS_MAX_ATTEMPTS = '1';
    plain = new PlainStore(aws);
  });
  after(async () => {
    plain.close();
    await aws.stop();
  });

  for (const [name, text] of Object.entries(TEXTS)) {
    it(`of ${name} opens here, and with node:crypto, and one of node:crypto opens here`, async () => {
      const sealed = await encryptSessionData(text);
      assert.equal(await open(sealed), text);
      assert.equal(await plain.open(sealed), text);
      assert.equal(await open(await plain.seal(text)), text);
    });
  }

  it('is four canonical base64 strings: ciphertext, wrapped key, 12 bytes of IV, 16 bytes of tag', async () => {
    const text = 'x'.repeat(100);
    const sealed = await encryptSessionData(text);
    assert.deepEqual(Object.keys(sealed).sort(), [...PARTS].sort());
    for (const part of PARTS) assert.equal(Buffer.from(sealed[part], 'base64').toString('base64'), sealed[part], part);
    assert.equal(Buffer.from(sealed.encryptedData, 'base64').length, text.length);
    assert.equal(Buffer.from(sealed.iv, 'base64').length, 12);
    assert.equal(Buffer.from(sealed.authTag, 'base64').length, 16);
    assert.equal((await plain.dataKey(sealed.encryptedKey)).length, 32);
  });

  it('differs in everything from every other of the same text', async () => {
    const sealed = await Promise.all(Array.from({ length: 50 }, () => encryptSessionData('the same text')));
    for (const part of PARTS) assert.equal(new Set(sealed.map((one) => one[part])).size, 50, part);
    const keys = await Promise.all(sealed.map(async (one) => Buffer.from(await plain.dataKey(one.encryptedKey)).toString('hex')));
    assert.equal(new Set(keys).size, 50);
  });

  it('takes one GenerateDataKey to seal and one Decrypt to open, never Encrypt', async () => {
    await aws.reset();
    await open(await encryptSessionData('text'));
    await open(await encryptSessionData('text'));
    assert.deepEqual(await aws.calls(), { 'kms:GenerateDataKey': 2, 'kms:Decrypt': 2 });
    const [generate] = await aws.requests();
    assert.deepEqual(generate?.body, { KeyId: KMS_KEY_ARN, KeySpec: 'AES_256' });
  });

  it('is sealed by nothing that the caller hands over besides the text', async () => {
    const [one, two] = [
      await encryptSessionData('text'),
      await (encryptSessionData as any)('text', { iv: Buffer.alloc(12) }, Buffer.alloc(12)),
    ];
    assert.notEqual(two.iv, Buffer.alloc(12).toString('base64'));
    assert.notEqual(one.iv, two.iv);
  });

  describe('does not open', () => {
    const token = `token-${randomBytes(18).toString('base64url')}`;
    let sealed: EncryptionResult;
    let detail: string;
    let secrets: string[];
    before(async () => {
      sealed = await encryptSessionData(token);
      secrets = [token, ...spellings(await plain.dataKey(sealed.encryptedKey))];
      detail = (await failing(open({ ...sealed, authTag: '' }), 'ERR_INTEGRITY')).detail;
    });

    const refuse = async (change: Partial<EncryptionResult>) => {
      const error = await failing(open({ ...sealed, ...change }), 'ERR_INTEGRITY', secrets);
      assert.equal(error.detail, detail);
      return error;
    };

    it('with any bit of the tag flipped', async () => {
      for (let bit = 0; bit < 128; bit += 1) await refuse({ authTag: flipped(sealed.authTag, bit) });
    });

    it('with any bit of the IV flipped', async () => {
      for (let bit = 0; bit < 96; bit += 1) await refuse({ iv: flipped(sealed.iv, bit) });
    });

    it('with any bit of the data flipped', async () => {
      for (let bit = 0; bit < token.length * 8; bit += 1) await refuse({ encryptedData: flipped(sealed.encryptedData, bit) });
    });

    it('with any byte of the wrapped key changed', async () => {
      const { length } = Buffer.from(sealed.encryptedKey, 'base64');
      for (let byte = 0; byte < length; byte += 1) {
        await refuse({ encryptedKey: flipped(sealed.encryptedKey, byte * 8 + (byte % 8)) });
      }
    });

    it('with data cut short or made longer', async () => {
      for (let length = 0; length < token.length; length += 1) {
        await refuse({ encryptedData: changed(sealed.encryptedData, (bytes) => bytes.subarray(0, length)) });
      }
      await refuse({ encryptedData: changed(sealed.encryptedData, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])) });
    });

    it('with an IV of another length than 12 or a tag of another than 16, though node:crypto takes some', async () => {
      await aws.reset();
      for (const length of [0, 1, 4, 8, 11, 13, 16, 32]) await refuse({ iv: randomBytes(length).toString('base64') });
      for (const length of [0, 4, 8, 12, 13, 14, 15]) {
        await refuse({ authTag: changed(sealed.authTag, (bytes) => bytes.subarray(0, length)) });
      }
      await refuse({ authTag: changed(sealed.authTag, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])) });
      assert.deepEqual(await aws.calls(), {}, 'KMS was asked');
    });

    it('with a part that is no canonical base64', async () => {
      await aws.reset();
      for (const part of PARTS) {
        const text = sealed[part];
        const unpadded = text.replace(/=+$/, '');
        const others = [
          `${text}=`,
          `${text}\n`,
          ` ${text}`,
          `${text} `,
          text.slice(0, -1),
          `!${text.slice(1)}`,
          `AA==${text}`,
          `=${text}`,
          `${text}é`,
          `\0${text}`,
        ];
        if (unpadded !== text) others.push(unpadded);
        for (const other of others) assert.equal((await refuse({ [part]: other })).cause, undefined, part);
      }
      for (const text of ['AA', 'AA=', 'AB==', 'A', '====', '-_-_', 'AAAA\nAAAA']) await refuse({ encryptedData: text });
      // 16 bytes end in two letters of padding, whose last letter has four bits that must be zero.
      for (const bits of [1, 2, 4, 8, 15]) await refuse({ authTag: withStrayBits(sealed.authTag, bits) });
      assert.deepEqual(await aws.calls(), {}, 'KMS was asked');
    });

    it('with parts mixed up or of another envelope', async () => {
      const other = await encryptSessionData(token);
      for (const part of PARTS) await refuse({ [part]: other[part] });
      await refuse({ iv: sealed.authTag, authTag: sealed.iv });
      await refuse({ encryptedData: sealed.encryptedKey, encryptedKey: sealed.encryptedData });
    });

    it('with parts that are no strings', async () => {
      await aws.reset();
      for (const part of PARTS) {
        for (const value of [
          undefined,
          null,
          7,
          {},
          [],
          true,
          10n,
          Symbol('x'),
          Buffer.from(sealed[part], 'base64'),
          new String(sealed[part]),
        ]) {
          await failing(open({ ...sealed, [part]: value as any }), 'ERR_INTEGRITY', secrets);
        }
      }
      await failing((decryptSessionData as any)(), 'ERR_INTEGRITY');
      assert.deepEqual(await aws.calls(), {}, 'KMS was asked');
    });

    it('with a data key that is not of 32 bytes, though its KMS key is the right one', async () => {
      for (const length of [1, 16, 24, 31, 33, 64]) {
        const key = randomBytes(length);
        const wrapped = await plain.kms.send(new EncryptCommand({ KeyId: KMS_KEY_ARN, Plaintext: key }));
        const envelope = sealUnder(
          length < 32 ? Buffer.concat([key, Buffer.alloc(32 - length)]) : key.subarray(0, 32),
          wrapped.CiphertextBlob!,
          token,
        );
        const error = await failing(open(envelope), 'ERR_INTEGRITY', [token]);
        assert.equal(error.detail, detail);
      }
    });

    it('if another KMS key wrapped its data key', async () => {
      const other = new PlainStore(aws, { keyArn: OTHER_KEY });
      const error = await refuse(await other.seal(token));
      assert.equal(error.cause?.name, 'IncorrectKeyException');
      other.close();
    });

    it('if it holds no UTF-8', async () => {
      for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
        await failing(open(await plain.seal(Buffer.from([...Buffer.from(token), ...bytes]))), 'ERR_SERIALIZATION', [token]);
      }
    });
  });

  it('is not made of a text with lone surrogates, nor of anything that is no string', async () => {
    await aws.reset();
    const texts: any[] = ['\ud800', 'a\udc00b', '\udc00\ud800', `${'x'.repeat(100)}\ud83d`];
    const others = [undefined, null, 7, {}, [], true, 10n, Symbol('x'), Buffer.from('text'), new String('text'), () => 'text'];
    for (const data of [...texts, ...others]) {
      const secrets = typeof data === 'string' && data.length > 3 ? [data] : [];
      const error = await failing(encryptSessionData(data), 'ERR_SERIALIZATION', secrets);
      assert.match(error.detail, /string/);
    }
    assert.deepEqual(await aws.calls(), {}, 'KMS was asked');
  });

  it('neither opens nor closes while the KMS key is disabled', async () => {
    const sealed = await encryptSessionData('token-0123456789');
    await plain.kms.send(new DisableKeyCommand({ KeyId: KMS_KEY_ARN }));
    for (const call of [() => encryptSessionData('token-0123456789'), () => open(sealed)]) {
      const error = await failing(call(), 'ERR_KMS_KEY_UNUSABLE', ['token-0123456789']);
      assert.equal(error.cause?.name, 'DisabledException');
      assert.ok(error.cause.requestId);
    }
    await plain.kms.send(new EnableKeyCommand({ KeyId: KMS_KEY_ARN }));
    assert.equal(await open(sealed), 'token-0123456789');
  });

  it('that KMS does not let through fails with what is missing', async () => {
    const sealed = await encryptSessionData('text');
    await aws.fault({ action: 'kms:*', status: 400, code: 'AccessDeniedException' });
    assert.match((await failing(encryptSessionData('text'), 'ERR_ACCESS_DENIED')).detail, /kms:GenerateDataKey/);
    assert.match((await failing(open(sealed), 'ERR_ACCESS_DENIED')).detail, /kms:Decrypt/);
    await aws.clearFaults();
    await aws.fault({ action: 'kms:*', status: 400, code: 'ThrottlingException' });
    await failing(encryptSessionData('text'), 'ERR_KMS_THROTTLED');
    await failing(open(sealed), 'ERR_KMS_THROTTLED');
    await aws.clearFaults();
    await aws.fault({ action: 'kms:*', status: 500, code: 'KMSInternalException' });
    await failing(encryptSessionData('text'), 'ERR_KMS_UNAVAILABLE');
    await failing(open(sealed), 'ERR_KMS_UNAVAILABLE');
    await aws.clearFaults();
    assert.equal(await open(sealed), 'text');
  });
});

/** The same bytes in base64 that is not canonical. */
function withStrayBits(text: string, bits: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const last = text.indexOf('=') - 1;
  const stray = text.slice(0, last) + alphabet[alphabet.indexOf(text[last]!) | bits] + text.slice(last + 1);
  assert.notEqual(stray, text);
  assert.deepEqual(Buffer.from(stray, 'base64'), Buffer.from(text, 'base64'));
  return stray;
}
