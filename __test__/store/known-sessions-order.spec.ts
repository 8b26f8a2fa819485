// Writes to one session that nobody awaits happen in the order in which they were asked for.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { startHttp } from '../support/http-server.ts';

const SOON = 120_000;

/** Writes to one session. `known` is an object that `get` gave. What they leave behind, `null` for nothing. */
interface Order {
  start(store: DynamoDBSessionStore, sid: string, known: any): Promise<unknown>[];
  left: object | null;
}

const orders: Record<string, Order> = {
  'set, set': {
    start: (store, sid) => [store.set(sid, { at: 1 }), store.set(sid, { at: 2 })],
    left: { at: 2 },
  },
  'set and set of one object that changes in between': {
    start(store, sid) {
      const session = { at: 1 };
      const first = store.set(sid, session);
      session.at = 2;
      const second = store.set(sid, session);
      session.at = 3;
      return [first, second];
    },
    left: { at: 2 },
  },
  'set and set of one object, changed and changed back': {
    start(store, sid, known) {
      known.at = 1;
      const first = store.set(sid, known);
      known.at = 0;
      return [first, store.set(sid, known)];
    },
    left: { at: 0 },
  },
  'set, destroy': { start: (store, sid) => [store.set(sid, { at: 1 }), store.destroy(sid)], left: null },
  'set of a known session, destroy': {
    start(store, sid, known) {
      known.at = 1;
      return [store.set(sid, known), store.destroy(sid)];
    },
    left: null,
  },
  'destroy, set of a new session': { start: (store, sid) => [store.destroy(sid), store.set(sid, { at: 1 })], left: { at: 1 } },
  'destroy, set of a known session': {
    start(store, sid, known) {
      known.at = 1;
      return [store.destroy(sid), store.set(sid, known)];
    },
    left: null,
  },
  'set, touch, destroy': {
    start: (store, sid, known) => [store.set(sid, { at: 1 }), store.touch(sid, known), store.destroy(sid)],
    left: null,
  },
  'destroy, touch': { start: (store, sid, known) => [store.destroy(sid), store.touch(sid, known)], left: null },
  'set, destroy, set, destroy, set': {
    start: (store, sid) => [
      store.set(sid, { at: 1 }),
      store.destroy(sid),
      store.set(sid, { at: 2 }),
      store.destroy(sid),
      store.set(sid, { at: 3 }),
    ],
    left: { at: 3 },
  },
  'twenty times set': {
    start: (store, sid) => Array.from({ length: 20 }, (_, at) => store.set(sid, { at })),
    left: { at: 19 },
  },
};

for (const { name, start } of backends) {
  describe(`writes that nobody awaits on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const [order, { start: begin, left }] of Object.entries(orders)) {
      it(`${order}, and close: all are carried out, in this order`, async () => {
        const prefix = `${++number}:`;
        const [writer, store, reader] = [backend.store({ prefix }), backend.store({ prefix }), backend.store({ prefix })];
        const sids = Array.from({ length: 10 }, (_, index) => `sid-${index}`);
        await Promise.all(sids.map((sid) => writer.set(sid, { at: 0 })));
        const known = await Promise.all(sids.map((sid) => store.get(sid)));
        const writes = sids.flatMap((sid, index) => begin(store, sid, known[index]));
        const closed = store.close();
        const seen = closed.then(() => Promise.all(sids.map((sid) => reader.get(sid))));
        await Promise.all(writes);
        for (const session of await seen) assert.deepStrictEqual(session, left);
        assert.deepEqual(await reader.ids(), left === null ? [] : sids);
      });
    }

    it('a touch that comes after a save counts, and so does a save that comes after a touch', async () => {
      const [store, reader] = [backend.store(), backend.store()];
      const soon = () => ({ expires: new Date(Date.now() + SOON) });
      const far = () => ({ expires: new Date(Date.now() + 10 * SOON) });
      await Promise.all([store.set('touched last', { cookie: far() }), store.touch('touched last', { cookie: soon() })]);
      await Promise.all([store.touch('saved last', { cookie: soon() }), store.set('saved last', { cookie: far() })]);
      const ends = await Promise.all(['touched last', 'saved last'].map((sid) => reader.record(sid)));
      const [first, second] = ends.map((record) => record!.ttl * 1000 - Date.now());
      assert.ok(first! < 2 * SOON, `${first}`);
      assert.ok(second! > 2 * SOON, `${second}`);
    });

    it('a cookie that is given another end while its session is being saved is not taken for saved', async () => {
      const [store, reader] = [backend.store(), backend.store()];
      const session = { cookie: { expires: new Date(Date.now() + SOON) } };
      const saved = store.set('meanwhile', session);
      session.cookie.expires = new Date(Date.now() + 10 * SOON);
      await saved;
      await store.set('meanwhile', session);
      assert.equal((await reader.record('meanwhile'))!.ttl, Math.ceil(session.cookie.expires.getTime() / 1000));
    });

    it('callbacks run in that order as well', async () => {
      const store = backend.store();
      const order: string[] = [];
      await new Promise<void>((resolve) => {
        store.set('called back', { at: 1 }, () => order.push('set'));
        store.touch('called back', { at: 1 }, () => order.push('touch'));
        store.destroy('called back', () => order.push('destroy'));
        store.set('called back', { at: 2 }, () => {
          order.push('set again');
          resolve();
        });
      });
      assert.deepEqual(order, ['set', 'touch', 'destroy', 'set again']);
    });

    it('a write that fails holds up none of those behind it', async () => {
      const store = backend.store();
      const results = await Promise.allSettled([
        store.set('with failures', { at: 1 }),
        store.set('with failures', { at: 2, filler: 'x'.repeat(400_000) }),
        store.set('with failures', { at: 3n as any }),
        store.set('with failures', { at: 4 }),
      ]);
      assert.deepEqual(
        results.map((result) => (result.status === 'rejected' ? result.reason.code : 'saved')),
        ['saved', 'ERR_SESSION_TOO_LARGE', 'ERR_SERIALIZATION', 'saved'],
      );
      assert.deepStrictEqual(await store.get('with failures'), { at: 4 });
    });
  });
}

describe('writes that nobody awaits on the wire', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  // The first save has to wait for its data key; a DeleteItem that does not wait for the save would overtake it.
  it('what is sent is in the order of the calls', async () => {
    const store = backend.store();
    for (let round = 0; round < 5; round++) {
      const sid = `round-${round}`;
      await backend.aws.reset();
      await Promise.all([
        store.set(sid, { at: 1 }),
        store.destroy(sid),
        store.set(sid, { at: 2 }),
        store.touch(sid, {}),
        store.destroy(sid),
      ]);
      const sent = (await backend.aws.requests()).map(({ action }) => action).filter((action) => action.startsWith('dynamodb:'));
      assert.deepEqual(
        sent,
        ['PutItem', 'DeleteItem', 'PutItem', 'UpdateItem', 'DeleteItem'].map((operation) => `dynamodb:${operation}`),
      );
    }
  });

  it('sessions do not wait for each other', async (t) => {
    const held: ServerResponse[] = [];
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const kms = await startHttp((_request, response) => {
      held.push(response);
      arrived();
    });
    t.after(() => kms.close());
    const store = backend.store({ kmsEndpoint: kms.url });
    const waiting = store.set('needs a key', { at: 1 });
    const behind = store.destroy('needs a key');
    await arrival;
    await backend.aws.reset();
    await store.destroy('needs none');
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:DeleteItem': 1 });
    const body = JSON.stringify({ __type: 'DisabledException', message: 'disabled' });
    for (const response of held) response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' }).end(body);
    await assert.rejects(waiting, { code: 'ERR_KMS_KEY_UNUSABLE' });
    await behind;
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:DeleteItem': 2 });
  });
});
