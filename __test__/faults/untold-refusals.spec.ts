// Servers that do not know ReturnValuesOnConditionCheckFailure refuse a write without telling what lies there: npm's dynalite, older DynamoDB Local, other
// implementations of the API. That is not the end of a session.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it, mock } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { type Listening, startHttp } from '../support/http-server.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

const NOW = Date.UTC(2030, 0, 1);

/** In front of DynamoDB, as if it had never heard of the parameter. */
function startOlder(target: string): Promise<Listening> {
  return startHttp(async (request, response) => {
    const { ReturnValuesOnConditionCheckFailure, ...body } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const { host, connection, 'content-length': length, ...headers } = request.headers as Record<string, string>;
    const reply = await fetch(target, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = Buffer.from(await reply.arrayBuffer());
    response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
  });
}

describe('on a server that does not tell what a refused write met', () => {
  let backend: AwsBackend;
  let server: Listening;
  let sid: string;
  let sids = 0;
  before(async () => {
    backend = await startAws();
    server = await startOlder(backend.aws.dynamodb);
  });
  after(async () => {
    await server.close();
    await backend.stop();
  });
  beforeEach(() => {
    sid = `sid-${++sids}`;
  });
  const store = (options: SessionStoreConfig = {}) => backend.store({ dynamodbEndpoint: server.url, touchAfter: 0, ...options });

  /** A session that one store has read, and another one has changed since. */
  async function overtaken(options: SessionStoreConfig) {
    const [own, other] = [store(options), store()];
    await other.set(sid, { user: 'Ada' });
    const session: any = await own.get(sid);
    await other.update(sid, (changed) => {
      changed.user = 'Bob';
    });
    return { own, session };
  }

  it('a conflicting save is a conflict, and not lost', async () => {
    for (const onConflict of ['overwrite', 'error', 'drop'] as const) {
      const { own, session } = await overtaken({ onConflict });
      session.user = 'Eve';
      if (onConflict === 'error') await failing(own.set(sid, session), 'ERR_CONFLICT');
      else await own.set(sid, session);
      assert.equal((await store().get(sid))!.user, onConflict === 'overwrite' ? 'Eve' : 'Bob');
      assert.deepEqual([own.stats().sessions.conflicts, own.stats().sessions.gone], [1, 0]);
    }
  });

  it('update changes what is there', async () => {
    const [own, other] = [store(), store()];
    await own.set(sid, { counter: 0 });
    let calls = 0;
    const count = (session: any) => {
      session.counter += 1;
    };
    const updated = await own.update(sid, async (session) => {
      if (++calls === 1) await other.update(sid, count);
      count(session);
    });
    assert.deepStrictEqual(updated, { counter: 2 });
    assert.deepStrictEqual(await store().get(sid), updated);
  });

  it('a touch past the sealed end seals again', async (t) => {
    mock.timers.enable({ apis: ['Date'], now: NOW });
    t.after(() => mock.timers.reset());
    const own = store({ recordVersion: 2, ttlSeconds: 100 });
    await own.set(sid, { user: 'Ada' });
    for (const later of [60_000, 120_000, 180_000]) {
      mock.timers.setTime(NOW + later);
      await own.touch(sid, {});
    }
    assert.equal((await own.record(sid))!.ttl, NOW / 1000 + 280);
    assert.equal(own.stats().sessions.gone, 0);
  });

  it('a session that is saved as ended is removed, unless somebody else has changed it', async () => {
    const { own, session } = await overtaken({ onConflict: 'error' });
    Object.assign(session, { user: 'Eve', cookie: { expires: new Date(0) } });
    await failing(own.set(sid, session), 'ERR_CONFLICT');
    assert.equal((await store().get(sid))!.user, 'Bob');
  });

  it('what is gone is gone', async () => {
    const own = store();
    await own.set(sid, { user: 'Ada' });
    const session: any = await own.get(sid);
    await store().destroy(sid);
    session.user = 'Eve';
    await own.set(sid, session);
    await own.touch(sid, {});
    assert.equal(await own.record(sid), null);
    assert.equal(own.stats().sessions.gone, 2);
  });

  describe('that repeats a write whose reply was lost', () => {
    let proxy: StoppingProxy;
    before(async () => {
      proxy = await StoppingProxy.start(server.url);
    });
    after(() => proxy.close());

    it('a save is a success', async () => {
      const own = store({ dynamodbEndpoint: proxy.url });
      await own.set(sid, { user: 'Ada' });
      const session: any = await own.get(sid);
      session.user = 'Bob';
      proxy.lose('PutItem');
      await own.set(sid, session);
      assert.deepEqual([own.stats().sessions.conflicts, own.stats().sessions.gone], [0, 0]);
      session.user = 'Eve'; // it knows the revision that it wrote
      await own.set(sid, session);
      assert.equal((await store().get(sid))!.user, 'Eve');
    });

    it('a lease is its own', async () => {
      const own = store({ dynamodbEndpoint: proxy.url });
      proxy.lose('PutItem');
      assert.equal(await own.withLock(sid, () => 'held', { waitSeconds: 1, leaseSeconds: 60 }), 'held');
    });
  });
});
