// Renewal before a token has run out: by one caller, while all others use the token that is still good.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type Backend, backends, quietLogger } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { Stops } from '../support/stops.ts';

const NOW = Date.UTC(2030, 0, 1);
const HOUR = 3_600_000;
const LIMIT = { timeout: 300_000 };
const never = () => assert.fail('the function ran');
const expiresAt = ({ expires }: any) => expires;

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
afterEach(() => mock.timers.reset());

for (const { name, start } of backends) {
  describe(`early renewal on ${name}`, LIMIT, () => {
    let backend: Backend;
    let [store, other] = [] as unknown as [DynamoDBSessionStore, DynamoDBSessionStore];
    let sids = 0;
    before(async () => {
      backend = await start();
      [store, other] = [backend.store(), backend.store()];
    });
    after(() => backend.stop());

    /** A session whose token is good for so many seconds. */
    async function saved(seconds: number): Promise<string> {
      const sid = `early-${++sids}`;
      await other.set(sid, { cookie: {}, expires: NOW + seconds * 1000 });
      return sid;
    }
    const idle = async (one: DynamoDBSessionStore) => {
      while (one.stats().tasksInFlight > 0) await turn();
    };
    const renew = (session: any) => {
      session.expires = Date.now() + HOUR;
    };

    it('begins between earlySeconds and half of that before the end, the same on all servers and another for each session', async () => {
      const moments = new Set<number>();
      for (let count = 0; count < 12; count++) {
        const sid = await saved(3600);
        const sessions = await Promise.all([store.get(sid), other.get(sid)]);
        const isEarly = async (left: number, index: number) => {
          mock.timers.setTime(NOW + 3_600_000 - left * 1000);
          let ran = false;
          const refresh = () => {
            ran = true;
            throw new Error('not now');
          };
          const asked = [store, other][index]!;
          const session = await asked.refresh(sessions[index]!, { expiresAt, earlySeconds: 60, refresh });
          assert.equal(session, sessions[index]);
          await idle(asked); // the lease is given back, after the answer
          return ran;
        };
        let moment = 60;
        assert.equal(await isEarly(60.001, 0), false);
        while (!(await isEarly(moment, 0))) moment--;
        assert.equal(await isEarly(moment + 1, 1), false);
        assert.equal(await isEarly(moment, 1), true);
        assert.ok(moment >= 30 && moment <= 60, `${moment} seconds`);
        moments.add(moment);
        mock.timers.setTime(NOW);
      }
      assert.ok(moments.size > 4, `all of them begin at ${[...moments]}`);
    });

    it('is up to a minute before the end by default, and never with earlySeconds 0', async () => {
      const sid = await saved(29);
      const session = (await store.get(sid))!;
      assert.equal(await store.refresh(session, { expiresAt, earlySeconds: 0, refresh: never }), session);
      await store.refresh(session, { expiresAt, refresh: renew });
      assert.equal(session.expires, NOW + HOUR);
      const later = (await store.get(await saved(61)))!;
      assert.equal(await store.refresh(later, { expiresAt, refresh: never }), later);
    });

    it('takes a Date, and renews a token that has run out whatever earlySeconds says', async () => {
      const sid = await saved(0);
      const asDate = (session: any) => new Date(session.expires);
      const { early, run } = store.stats().refreshes;
      const session = await store.refresh(sid, { expiresAt: asDate, earlySeconds: 0, refresh: renew });
      assert.equal(session!.expires, NOW + HOUR);
      const { refreshes } = store.stats();
      assert.deepEqual([refreshes.early, refreshes.run], [early, run + 1]);
    });

    it('lets nobody else wait: neither by object nor by id, on this server or another', async () => {
      const sid = await saved(10);
      const stops = new Stops();
      const objects = await Promise.all([store.get(sid), store.get(sid), other.get(sid)]);
      const slow = async (session: any) => {
        await stops.stop('provider');
        renew(session);
      };
      const { early } = store.stats().refreshes;
      const first = store.refresh(objects[0]!, { expiresAt, refresh: slow });
      await stops.reached('provider');
      const options = { expiresAt, refresh: never, waitSeconds: 0 };
      assert.equal(await store.refresh(objects[1]!, options), objects[1]);
      assert.equal(await other.refresh(objects[2]!, options), objects[2]);
      for (const one of [store, other]) assert.equal((await one.refresh(sid, options))!.expires, NOW + 10_000);
      stops.pass('provider');
      assert.equal((await first)!.expires, NOW + HOUR);
      assert.equal(store.stats().refreshes.early, early + 1);
      const adopted = (await other.refresh(objects[2]!, options))!;
      assert.equal(adopted.expires, NOW + HOUR);
    });

    it('lets those wait whose token has run out while it is renewed', async () => {
      const sid = await saved(10);
      const stops = new Stops();
      const slow = async (session: any) => {
        await stops.stop('provider');
        session.expires = NOW + HOUR;
      };
      const object = (await store.get(sid))!;
      const first = store.refresh(sid, { expiresAt, refresh: slow });
      await stops.reached('provider');
      mock.timers.setTime(NOW + 11_000);
      const calls = [store.refresh(object, { expiresAt, refresh: never }), store.refresh(sid, { expiresAt, refresh: never })];
      assert.equal(await Promise.race([...calls, other.length().then(() => 'they wait')]), 'they wait');
      stops.pass('provider');
      await first;
      for (const session of await Promise.all(calls)) assert.equal(session!.expires, NOW + HOUR);
    });

    it('does not wait for a task of withLock either', async () => {
      const sid = await saved(10);
      const holder = await hold(store, sid);
      assert.equal((await store.refresh(sid, { expiresAt, refresh: never }))!.expires, NOW + 10_000);
      await holder.end();
    });

    it('that fails gives the session with the token that is still good, and is logged and counted', async () => {
      const logger = quietLogger();
      const logging = backend.store({ logger });
      const sid = await saved(10);
      const object = (await logging.get(sid))!;
      const refresh = () => {
        throw new Error('the provider is down');
      };
      assert.equal(await logging.refresh(object, { expiresAt, refresh }), object);
      await idle(logging); // the lease is given back
      assert.equal((await logging.refresh(sid, { expiresAt, refresh }))!.expires, NOW + 10_000);
      assert.deepEqual(logger.lines.filter((line) => /early refresh of session [0-9a-f]{8} failed/.test(line)).length, 1);
      assert.equal(logging.stats().refreshes.failed, 2);
      object.note = 'unsaved';
      assert.equal(await logging.refresh(object, { expiresAt, refresh: never }), object);
      assert.equal(logging.stats().errors.ERR_CONFLICT, 1);
    });

    it('that fails when the token has run out meanwhile fails the call', async () => {
      const sid = await saved(10);
      const reason = new Error('the provider is down');
      const refresh = async () => {
        mock.timers.setTime(NOW + 11_000);
        throw reason;
      };
      assert.equal(await store.refresh(sid, { expiresAt, refresh }).catch((error) => error), reason);
      mock.timers.setTime(NOW);
      await idle(store);
      const object = (await store.get(sid))!;
      assert.equal(await store.refresh(object, { expiresAt, refresh }).catch((error) => error), reason);
    });

    it('is null if the session is gone', async () => {
      const sid = await saved(10);
      const object = (await store.get(sid))!;
      await other.destroy(sid);
      assert.equal(await store.refresh(object, { expiresAt, refresh: never }), null);
    });

    it('warns of a token that is due again as soon as it is new', async () => {
      const logger = quietLogger();
      const logging = backend.store({ logger });
      const refresh = (session: any) => {
        session.expires = Date.now() + 20_000;
      };
      await logging.refresh(await saved(10), { expiresAt, refresh });
      assert.ok(logger.lines.some((line) => /not fresh, or due for renewal/.test(line)));
    });

    it('is refused together with isFresh', async () => {
      const options: any = { isFresh: () => true, earlySeconds: 5, refresh: never };
      await failing(store.refresh('a session', options), 'ERR_CONFIG');
    });
  });
}
