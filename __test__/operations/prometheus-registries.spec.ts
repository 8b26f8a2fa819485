// What else happens to registries and stores than a scrape of healthy ones: tests clear them and turn clocks, and stores fail.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import FakeTimers from '@sinonjs/fake-timers';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { Registry } from 'prom-client';
import { type Backend, startLocal } from '../support/backends.ts';
import { parse } from '../support/prometheus-text.ts';

describe('a registry of Prometheus', () => {
  let backend: Backend;
  let store: DynamoDBSessionStore;
  let register: Registry;
  before(async () => {
    backend = await startLocal();
  });
  after(() => backend.stop());
  beforeEach(() => {
    store = backend.store();
    register = new Registry();
  });

  /** How many calls of `get` have found nothing. */
  async function missing(): Promise<number | undefined> {
    const { samples } = parse(await register.metrics()).get('connect_dynamodb_kms_calls_total')!;
    return samples.find(({ labels }) => labels['outcome'] === 'missing')?.value;
  }

  it('has all stores again after one of them could not be read', async () => {
    const failing = backend.store();
    const { stats } = failing;
    failing.stats = () => {
      throw new Error('broken');
    };
    collect(failing, { register, labels: { store: 'failing' } });
    collect(store, { register, labels: { store: 'healthy' } });
    await store.get('a');
    await assert.rejects(register.metrics(), /^Error: broken$/);
    failing.stats = stats;
    assert.equal(await missing(), 1);
  });

  it('takes a store behind a proxy or an object that inherits from it, until that is closed', async () => {
    for (const standIn of [new Proxy(store, {}), Object.create(backend.store())]) {
      collect(standIn, { register });
      await standIn.get('a');
      assert.equal(await missing(), 1);
      await standIn.close();
    }
  });

  it('has the counters of the moment where queueMicrotask is a fake, as in tests with Jest', async (t) => {
    const clock = FakeTimers.install({ toFake: ['queueMicrotask'] });
    t.after(() => clock.uninstall());
    collect(store, { register });
    for (const count of [1, 2]) {
      await store.get('a');
      assert.equal(await missing(), count);
    }
  });

  it('refuses labels that are the same ones to Prometheus', () => {
    const pairs: Array<[Record<string, string | number>, Record<string, string | number>]> = [
      [{ shard: 1 }, { shard: '1' }],
      [{ store: '' }, {}],
      [{ store: 'b', zone: '' }, { store: 'b' }],
    ];
    for (const [first, second] of pairs) {
      const collection = collect(store, { register, labels: first });
      assert.throws(() => collect(backend.store(), { register, labels: second }), /same labels/, JSON.stringify(second));
      collection.stop();
    }
  });

  it('takes the next store after it was cleared, as tests do, though nobody has stopped the one before', async () => {
    const before = collect(store, { register });
    await store.get('a');
    register.clear();
    const next = backend.store();
    collect(next, { register });
    await next.get('a');
    await next.get('a');
    before.stop();
    assert.equal(await missing(), 2);
    assert.throws(() => collect(store, { register }), /same labels/);
  });
});
