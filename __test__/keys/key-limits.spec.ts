// What bounds the cache of data keys, how soon a revoked KMS key locks a warm store, and what stats() says about both.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CancelKeyDeletionCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import type { DynamoDBSessionStore, SessionStoreConfig, SessionStoreStats } from 'connect-dynamodb-kms';
import { type AwsBackend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { turnKeys } from '../support/key-clock.ts';
import '../support/stage.ts'; // one attempt a call

const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);
const NOTHING: SessionStoreStats['keyCache'] = {
  entries: 0,
  hits: 0,
  misses: 0,
  loads: 0,
  loadFailures: 0,
  evictions: 0,
  checksUsable: 0,
  checksRevoked: 0,
  checksUnknown: 0,
};
const NO_SESSIONS: SessionStoreStats['sessions'] = { written: 0, extended: 0, unchanged: 0, gone: 0, taken: 0, conflicts: 0 };
const UNSENT = { sent: 0, retries: 0 };
const NO_STATS = {
  keyCache: NOTHING,
  sessions: NO_SESSIONS,
  leases: { lost: 0, notRenewed: 0, notReleased: 0 },
  refreshes: { run: 0, joined: 0, adopted: 0, early: 0, failed: 0, unsaved: 0 },
  requests: { dynamodb: UNSENT, kms: UNSENT },
  batchReads: { requests: 0, reads: 0, refused: false },
  errors: {},
  operations: {},
  callsInFlight: 0,
  tasksInFlight: 0,
};

let turned = 0;

/** Turns both clocks to so many seconds after the beginning of the test. */
function turn(secondsLater: number): void {
  mock.timers.setTime(NOW + secondsLater * 1000);
  turnKeys(secondsLater - turned);
  turned = secondsLater;
}

/** Waits until `holds`, at most ten seconds. */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) assert.fail(`never happened: ${what}`);
    await delay(5);
  }
}

/** The counters of the cache, but for `entries` and `evictions`, which follow a little later. */
function counters(store: DynamoDBSessionStore) {
  const { entries, evictions, ...rest } = store.stats().keyCache;
  return rest;
}
const COUNTED = (() => {
  const { entries, evictions, ...rest } = NOTHING;
  return rest;
})();

for (const recordVersion of [1, 2] as const) {
  describe(`the limits of the key cache, with records of version ${recordVersion}`, () => {
    let backend: AwsBackend;
    beforeEach(async () => {
      backend = await startAws();
      mock.timers.enable({ apis: ['Date'], now: NOW });
      turned = 0;
    });
    afterEach(async () => {
      mock.timers.reset();
      await backend.stop();
    });

    function store(keyCache?: SessionStoreConfig['keyCache']): DynamoDBSessionStore {
      return backend.store({ keyCache, recordVersion });
    }
    /** The KMS calls since the last reset. */
    async function kmsCalls(): Promise<{ generate: number; decrypt: number }> {
      const calls = await backend.aws.calls();
      return { generate: calls['kms:GenerateDataKey'] ?? 0, decrypt: calls['kms:Decrypt'] ?? 0 };
    }

    for (const [what, keyCache, seconds] of [
      ['maxAgeSeconds', { maxAgeSeconds: 1000 }, 1000],
      ['the default of an hour', undefined, 3600],
      ["'strict', a minute", 'strict', 60],
    ] as const) {
      it(`a data key is kept for ${what}, less up to a tenth, and use does not prolong it`, async () => {
        await backend.store({ recordVersion }).set('sid', { user: 'Ada' });
        await backend.aws.reset();
        // Checks are another matter.
        const limits = typeof keyCache === 'object' ? { ...keyCache, revocationCheckSeconds: 1_000_000 } : keyCache;
        const own = store(limits);
        const decrypts = async () => (await kmsCalls()).decrypt - own.stats().keyCache.checksUsable;
        for (const tenths of [0, 2, 4, 6, 8, 8.5]) {
          turn((seconds * tenths) / 10);
          await own.get('sid');
        }
        await until(async () => (await decrypts()) === 1, 'one unwrapping');
        assert.equal(own.stats().keyCache.loads, 1);
        turn(seconds);
        await own.get('sid');
        assert.equal(own.stats().keyCache.loads, 2, 'the key outlived its age');
        turn(seconds + seconds * 0.85);
        await own.get('sid');
        assert.equal(own.stats().keyCache.loads, 2);
      });
    }

    it('ages are spread, so that keys loaded together do not end together', async () => {
      const own = store({ maxAgeSeconds: 1000, revocationCheckSeconds: 1_000_000 });
      for (let number = 0; number < 40; number++) await own.set(`sid-${number}`, { number });
      turn(950);
      await backend.aws.reset();
      for (let number = 0; number < 40; number++) await own.get(`sid-${number}`);
      const { decrypt } = await kmsCalls();
      assert.ok(decrypt > 0 && decrypt < 40, `${decrypt} of 40 ended in the first half of the last tenth`);
    });

    it('a save after the age makes a new key', async () => {
      const own = store({ maxAgeSeconds: 100, revocationCheckSeconds: 1_000_000 });
      await own.set('sid', { visit: 1 });
      turn(80);
      await own.set('sid', { visit: 2 });
      assert.deepEqual(await kmsCalls(), { generate: 1, decrypt: 0 });
      const { encryptedKey } = (await own.record('sid'))!;
      turn(100);
      await own.set('sid', { visit: 3 });
      assert.equal((await kmsCalls()).generate, 2);
      assert.notEqual((await own.record('sid'))!.encryptedKey, encryptedKey);
      assert.deepStrictEqual(await own.get('sid'), { visit: 3 });
    });

    it('maxSealsPerKey saves go under one key', async () => {
      const own = store({ maxSealsPerKey: 3 });
      const wrapped: string[] = [];
      for (let visit = 0; visit < 8; visit++) {
        await own.set('sid', { visit });
        assert.deepStrictEqual(await own.get('sid'), { visit });
        wrapped.push((await own.record('sid'))!.encryptedKey);
      }
      assert.deepEqual(await kmsCalls(), { generate: 3, decrypt: 0 });
      const runs = wrapped.map((key) => wrapped.filter((other) => other === key).length);
      assert.deepEqual(runs, [3, 3, 3, 3, 3, 3, 2, 2]);
    });

    it('maxSealsPerKey 1 makes a key at every save, and reads still find theirs in the cache', async () => {
      const own = store({ maxSealsPerKey: 1 });
      for (let visit = 0; visit < 4; visit++) {
        await own.set('sid', { visit });
        for (let read = 0; read < 3; read++) assert.deepStrictEqual(await own.get('sid'), { visit });
      }
      assert.deepEqual(await kmsCalls(), { generate: 4, decrypt: 0 });
    });

    it('seals under a key that was unwrapped count as well', async () => {
      await backend.store({ recordVersion }).set('sid', { visit: 0 });
      const own = store({ maxSealsPerKey: 2 });
      await own.get('sid');
      await backend.aws.reset();
      for (let visit = 1; visit <= 4; visit++) await own.set('sid', { visit });
      assert.deepEqual(await kmsCalls(), { generate: 1, decrypt: 0 });
    });

    it("'strict' makes a new key after 1,024 seals", async () => {
      const own = store('strict');
      for (let visit = 1; visit <= 1024; visit++) await own.set('sid', {});
      assert.equal((await kmsCalls()).generate, 1);
      await own.set('sid', {});
      assert.equal((await kmsCalls()).generate, 2);
    });

    it('maxBytesPerKey bytes go under one key', async () => {
      const own = store({ maxBytesPerKey: 1000 });
      const session = (length: number) => ({ text: 'x'.repeat(length - '{"text":""}'.length) });
      for (let save = 0; save < 6; save++) await own.set('sid', session(500));
      assert.deepEqual(await kmsCalls(), { generate: 3, decrypt: 0 });
      for (let save = 0; save < 3; save++) await own.set('one more byte', session(501));
      assert.deepEqual(await kmsCalls(), { generate: 6, decrypt: 0 });
      await own.set('larger than all', session(5000));
      assert.deepStrictEqual(await own.get('larger than all'), session(5000));
      await own.set('larger than all', session(5000));
      assert.deepStrictEqual(await own.get('larger than all'), session(5000));
      assert.equal((await kmsCalls()).generate, 8);
    });

    it('maxEntries data keys are kept; the others are let go of, and unwrapped again when needed', async () => {
      const own = store({ maxEntries: 5 });
      const sids = Array.from({ length: 30 }, (_, number) => `sid-${number}`);
      for (const sid of sids) await own.set(sid, { sid });
      for (let pass = 0; pass < 2; pass++) {
        await until(async () => {
          await own.get(sids[0]!); // what is over the limit goes with the next uses
          const { loads, evictions } = own.stats().keyCache;
          return loads - evictions <= 5;
        }, 'the cache within its limit');
        await backend.aws.reset();
        for (const sid of sids) assert.deepStrictEqual(await own.get(sid), { sid });
        const { decrypt } = await kmsCalls();
        assert.ok(decrypt >= 25 && decrypt <= 30, `${decrypt} unwrappings of 30`);
      }
      const { keyCache } = own.stats();
      assert.ok(keyCache.evictions >= 25, `${keyCache.evictions} evictions`);
    });

    it('without a limit in the way, nothing is let go of', async () => {
      const own = store();
      const sids = Array.from({ length: 50 }, (_, number) => `sid-${number}`);
      for (const sid of sids) await own.set(sid, { sid });
      for (const sid of sids) await own.get(sid);
      assert.deepEqual(await kmsCalls(), { generate: 50, decrypt: 0 });
      assert.equal(own.stats().keyCache.evictions, 0);
    });

    it('an empty object of limits is the default cache, and so is true', async () => {
      for (const keyCache of [{}, true, { maxEntries: undefined }]) {
        await backend.aws.reset();
        const own = store(keyCache);
        await own.set(`sid ${JSON.stringify(keyCache)}`, {});
        for (let read = 0; read < 5; read++) await own.get(`sid ${JSON.stringify(keyCache)}`);
        assert.deepEqual(await kmsCalls(), { generate: 1, decrypt: 0 });
      }
    });

    it('false keeps nothing', async () => {
      const own = store(false);
      for (let visit = 0; visit < 3; visit++) {
        await own.set('sid', { visit });
        await own.get('sid');
      }
      turn(10_000);
      await own.get('sid');
      assert.deepEqual(await kmsCalls(), { generate: 3, decrypt: 4 });
      const { entries, hits, evictions, checksUsable } = own.stats().keyCache;
      assert.deepEqual({ entries, hits, evictions, checksUsable }, { entries: 0, hits: 0, evictions: 0, checksUsable: 0 });
    });
  });

  describe(`the revocation check, with records of version ${recordVersion}`, () => {
    let backend: AwsBackend;
    let kms: KMSClient;
    let KeyId: string;
    beforeEach(async () => {
      backend = await startAws();
      KeyId = backend.aws.keyArns[0]!;
      kms = new KMSClient({
        endpoint: backend.aws.kms,
        region: 'us-east-1',
        credentials: { accessKeyId: 'operator', secretAccessKey: 'local' },
      });
      mock.timers.enable({ apis: ['Date'], now: NOW });
      turned = 0;
    });
    afterEach(async () => {
      mock.timers.reset();
      kms.destroy();
      await backend.stop();
    });

    /** A store with the data keys of two sessions in its cache. */
    async function warm(keyCache?: SessionStoreConfig['keyCache']): Promise<DynamoDBSessionStore> {
      const own = backend.store({ keyCache, recordVersion });
      await own.set('sid', { user: 'Ada' });
      await own.set('other', { user: 'Bob' });
      await own.get('sid');
      await backend.aws.reset();
      return own;
    }
    const decrypts = async () => (await backend.aws.calls())['kms:Decrypt'] ?? 0;
    const checks = (own: DynamoDBSessionStore) => {
      const { checksUsable, checksRevoked, checksUnknown } = own.stats().keyCache;
      return { checksUsable, checksRevoked, checksUnknown };
    };

    for (const [what, keyCache, seconds] of [
      ['a minute by default', undefined, 60],
      ['revocationCheckSeconds', { revocationCheckSeconds: 300 }, 300],
      ["ten seconds with 'strict'", 'strict', 10],
    ] as const) {
      it(`locks a warm store when its key is disabled, after ${what}, and EnableKey brings everything back`, async () => {
        const own = await warm(keyCache);
        await kms.send(new DisableKeyCommand({ KeyId }));
        turn(seconds / 2);
        assert.deepStrictEqual(await own.get('sid'), { user: 'Ada' }, 'too early');
        assert.equal(await decrypts(), 0);
        turn(seconds);
        await own.get('sid').catch(() => {}); // comes upon the check, and need not wait for it
        await until(() => own.stats().keyCache.checksRevoked === 1, 'the check');
        assert.equal(own.stats().keyCache.entries, 0);
        for (const sid of ['sid', 'other']) {
          const error = await failing(own.get(sid), 'ERR_KMS_KEY_UNUSABLE');
          assert.equal(error.cause?.name, 'DisabledException');
          await failing(own.set(sid, { user: 'Eve' }), 'ERR_KMS_KEY_UNUSABLE');
        }
        await kms.send(new EnableKeyCommand({ KeyId }));
        assert.deepStrictEqual(await own.get('sid'), { user: 'Ada' });
        assert.deepStrictEqual(await own.get('other'), { user: 'Bob' });
        await own.set('sid', { user: 'Eve' });
        assert.deepStrictEqual(await own.get('sid'), { user: 'Eve' });
      });
    }

    it('a save comes upon it as well', async () => {
      const own = await warm();
      await kms.send(new DisableKeyCommand({ KeyId }));
      turn(60);
      await own.set('sid', { user: 'Eve' }).catch(() => {});
      await until(() => own.stats().keyCache.checksRevoked === 1, 'the check');
      await failing(own.set('other', { user: 'Eve' }), 'ERR_KMS_KEY_UNUSABLE');
    });

    it('a key that is pending deletion locks the store too, until the deletion is cancelled', async () => {
      const own = await warm();
      await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
      turn(60);
      await own.get('sid').catch(() => {});
      await until(() => own.stats().keyCache.checksRevoked === 1, 'the check');
      const error = await failing(own.get('other'), 'ERR_KMS_KEY_UNUSABLE');
      assert.equal(error.cause?.name, 'KMSInvalidStateException');
      await kms.send(new CancelKeyDeletionCommand({ KeyId }));
      await kms.send(new EnableKeyCommand({ KeyId }));
      assert.deepStrictEqual(await own.get('other'), { user: 'Bob' });
    });

    for (const [code, failure] of [
      ['AccessDeniedException', 'ERR_ACCESS_DENIED'],
      ['NotFoundException', 'ERR_KMS_KEY_UNUSABLE'],
      ['DisabledException', 'ERR_KMS_KEY_UNUSABLE'],
    ] as const) {
      it(`${code} empties the cache`, async () => {
        const own = await warm();
        await backend.aws.fault({ action: 'kms:Decrypt', status: 400, code });
        turn(60);
        await own.get('sid').catch(() => {});
        await until(() => own.stats().keyCache.checksRevoked === 1, 'the check');
        for (const sid of ['sid', 'other']) await failing(own.get(sid), failure);
        await backend.aws.clearFaults();
        assert.deepStrictEqual(await own.get('sid'), { user: 'Ada' });
      });
    }

    for (const [status, code] of [
      [500, 'KMSInternalException'],
      [503, 'ServiceUnavailableException'],
      [500, 'DependencyTimeoutException'],
      [500, 'KeyUnavailableException'],
      [400, 'ThrottlingException'],
      [400, 'LimitExceededException'],
    ] as const) {
      it(`${code} empties nothing, and the next check comes an interval later`, async () => {
        const own = await warm();
        await backend.aws.fault({ action: 'kms:*', status, code });
        turn(60);
        assert.deepStrictEqual(await own.get('sid'), { user: 'Ada' });
        await until(() => own.stats().keyCache.checksUnknown === 1, 'the check');
        const calls = await decrypts();
        for (const sid of ['sid', 'other', 'sid']) assert.ok(await own.get(sid));
        await own.set('sid', { user: 'Eve' });
        assert.deepEqual(checks(own), { checksUsable: 0, checksRevoked: 0, checksUnknown: 1 });
        assert.equal(await decrypts(), calls);
        await backend.aws.clearFaults();
        turn(120);
        assert.deepStrictEqual(await own.get('sid'), { user: 'Eve' });
        await until(() => own.stats().keyCache.checksUsable === 1, 'the next check');
        assert.deepEqual(checks(own), { checksUsable: 1, checksRevoked: 0, checksUnknown: 1 });
      });
    }

    it('happens once an interval, however much traffic there is', async () => {
      const own = await warm();
      for (let interval = 1; interval <= 3; interval++) {
        turn(60 * interval);
        await Promise.all(Array.from({ length: 50 }, (_, number) => own.get(number % 2 ? 'sid' : 'other')));
        await until(() => own.stats().keyCache.checksUsable === interval, 'the check');
        turn(60 * interval + 40);
        for (const sid of ['sid', 'other']) await own.get(sid);
        assert.equal(await decrypts(), interval);
      }
      assert.deepEqual(checks(own), { checksUsable: 3, checksRevoked: 0, checksUnknown: 0 });
    });

    it('does not happen without traffic: intervals that passed are not made up for', async () => {
      const own = await warm({ maxAgeSeconds: 1_000_000 });
      turn(600);
      assert.deepEqual(checks(own), { checksUsable: 0, checksRevoked: 0, checksUnknown: 0 });
      await own.get('sid');
      await until(() => own.stats().keyCache.checksUsable === 1, 'the check');
      await own.get('sid');
      assert.equal(await decrypts(), 1);
    });

    it('calls that use no data key bring none about', async () => {
      const own = await warm();
      turn(600);
      await own.ids();
      await own.length();
      await own.record('sid');
      await own.touch('sid', {});
      assert.equal(await decrypts(), 0);
    });

    it("is of the records' own key and context", async () => {
      const own = await warm();
      const { encryptedKey } = (await own.record('sid'))!;
      turn(60);
      await own.get('sid');
      await until(() => own.stats().keyCache.checksUsable === 1, 'the check');
      const { body } = (await backend.aws.requests()).find(({ action }) => action === 'kms:Decrypt')!;
      const context = { EncryptionContext: { purpose: 'session-store', table: 'sessions', v: '2' } };
      assert.deepEqual(body, { KeyId, CiphertextBlob: encryptedKey, ...(recordVersion === 2 ? context : {}) });
    });

    it('sees that any one key of a list is disabled, though most of the traffic is under another', async () => {
      const old = 'arn:aws:kms:us-east-1:232282424912:key/aaaaaaaa-0000-0000-0000-000000000000';
      await backend.stop();
      backend = await startAws(['--key-arn', KeyId, '--key-arn', old]);
      kms.destroy();
      kms = new KMSClient({
        endpoint: backend.aws.kms,
        region: 'us-east-1',
        credentials: { accessKeyId: 'operator', secretAccessKey: 'local' },
      });
      await backend.store({ kmsKeyArn: old, recordVersion }).set('old', { user: 'Ada' });
      const own = backend.store({ kmsKeyArn: [KeyId, old], recordVersion });
      await own.get('old');
      await own.set('new', { user: 'Bob' });
      await own.get('new');
      await kms.send(new DisableKeyCommand({ KeyId: old }));
      for (let interval = 1; interval <= 2; interval++) {
        turn(60 * interval);
        await own.get('new').catch(() => {});
        await until(() => Object.values(checks(own)).reduce((sum, count) => sum + count) >= interval, 'the check');
      }
      await failing(own.get('old'), 'ERR_KMS_KEY_UNUSABLE');
    });

    it('of a closed store happens no more', async () => {
      const own = await warm();
      await own.close();
      turn(600);
      await failing(own.get('sid'), 'ERR_CLOSED');
      assert.equal(await decrypts(), 0);
    });
  });
}

describe('stats()', () => {
  let backend: AwsBackend;
  beforeEach(async () => {
    backend = await startAws();
  });
  afterEach(() => backend.stop());

  it('of a new store are all zero, without a call', async () => {
    assert.deepStrictEqual(backend.store().stats(), NO_STATS);
    assert.deepEqual(await backend.aws.calls(), {});
  });

  it('count hits, misses and loads', async () => {
    const own = backend.store();
    await own.set('sid', { user: 'Ada' });
    assert.deepEqual(counters(own), { ...COUNTED, misses: 1, loads: 1 });
    await own.set('sid', { user: 'Bob' });
    await own.get('sid');
    assert.deepEqual(counters(own), { ...COUNTED, hits: 2, misses: 1, loads: 1 });
    const cold = backend.store();
    await cold.get('sid');
    await cold.get('sid');
    await cold.get('missing');
    assert.deepEqual(counters(cold), { ...COUNTED, hits: 1, misses: 1, loads: 1 });
    await until(async () => {
      await cold.get('sid');
      return cold.stats().keyCache.entries === 1;
    }, 'one entry');
  });

  it('count what KMS refuses as failures of a load', async () => {
    await backend.store().set('sid', {});
    const own = backend.store();
    await backend.aws.fault({ action: 'kms:*', status: 400, code: 'DisabledException' });
    await failing(own.get('sid'), 'ERR_KMS_KEY_UNUSABLE');
    await failing(own.set('another', {}), 'ERR_KMS_KEY_UNUSABLE');
    assert.deepEqual(counters(own), { ...COUNTED, misses: 2, loadFailures: 2 });
  });

  it('count a destroyed session as an eviction', async () => {
    const own = backend.store();
    await own.set('sid', {});
    assert.equal(own.stats().keyCache.evictions, 0);
    await own.destroy('sid');
    await until(async () => {
      await own.get('missing');
      return own.stats().keyCache.evictions === 1;
    }, 'the eviction');
    assert.equal(own.stats().keyCache.entries, 0);
  });

  it('are of each store alone, and a copy each time', async () => {
    const [one, two] = [backend.store(), backend.store()];
    const before = one.stats();
    await one.set('sid', {});
    assert.deepEqual(before, NO_STATS);
    assert.deepEqual(two.stats(), before);
    assert.deepEqual(one.stats().sessions, { ...NO_SESSIONS, written: 1 });
    one.stats().keyCache.loads = 99;
    assert.equal(one.stats().keyCache.loads, 1);
  });
});

for (const { name, start } of backends) {
  describe(`stats() on ${name}`, () => {
    it('go on after close', async (t) => {
      const backend = await start();
      t.after(() => backend.stop());
      const own = backend.store();
      await own.set('sid', {});
      await own.get('sid');
      await own.close();
      assert.deepEqual(counters(own), { ...COUNTED, hits: 1, misses: 1, loads: 1 });
      assert.equal(own.stats().keyCache.entries, 0);
    });
  });
}
