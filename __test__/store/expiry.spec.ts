import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { assertFailure, assertNothingOf, failing } from '../support/failures.ts';

/** Not on a whole second, so that rounding shows. */
const NOW = Date.UTC(2030, 0, 1) + 250;
const NOW_SECONDS = Math.floor(NOW / 1000);
const WEEK = 604_800;

/** The only name that a log line may give a session. */
function fingerprint(sid: string): string {
  return createHash('sha256').update(sid).digest('hex').slice(0, 8);
}

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
afterEach(() => mock.timers.reset());

for (const { name, start } of backends) {
  describe(`the end of a session on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    it('is seven days away by default', async () => {
      const store = backend.store();
      await store.set('default', { user: 'Ada' });
      assert.equal((await store.record('default'))!.ttl, NOW_SECONDS + WEEK);
      mock.timers.setTime((NOW_SECONDS + WEEK) * 1000 - 1);
      assert.deepStrictEqual(await store.get('default'), { user: 'Ada' });
      mock.timers.setTime((NOW_SECONDS + WEEK) * 1000);
      assert.equal(await store.get('default'), null);
    });

    it('is ttlSeconds away', async () => {
      for (const ttlSeconds of [1, 60, 315_360_000]) {
        const store = backend.store({ ttlSeconds });
        await store.set('configured', {});
        assert.equal((await store.record('configured'))!.ttl, NOW_SECONDS + ttlSeconds);
      }
    });

    it('is what the function ttlSeconds gives for the session, at a save and at a touch', async () => {
      const asked: unknown[] = [];
      const store = backend.store({
        ttlSeconds(session) {
          asked.push(session);
          return session.admin ? 60 : 600;
        },
      });
      const [admin, user] = [{ admin: true }, { admin: false }];
      await store.set('function', admin);
      assert.equal((await store.record('function'))!.ttl, NOW_SECONDS + 60);
      await store.touch('function', user);
      assert.equal((await store.record('function'))!.ttl, NOW_SECONDS + 600);
      assert.equal(asked.length, 2);
      assert.equal(asked[0], admin);
      assert.equal(asked[1], user);
    });

    const badLifetimes: Record<string, () => any> = {
      NaN: () => Number.NaN,
      "'60'": () => '60',
      '0': () => 0,
      '0.5': () => 0.5,
      '-60': () => -60,
      Infinity: () => Number.POSITIVE_INFINITY,
      'more than ten years': () => 315_360_001,
      undefined: () => undefined,
      null: () => null,
      'a promise': async () => 60,
      'a BigInt': () => 60n,
      'an exception': () => {
        throw new Error('no lifetime');
      },
    };
    for (const [kind, ttlSeconds] of Object.entries(badLifetimes)) {
      it(`that the function ttlSeconds gives as ${kind} is ERR_CONFIG, and nothing is written`, async () => {
        const sid = `bad-lifetime-of-${kind}`;
        await backend.store().set(sid, { user: 'before' });
        const before = await backend.store().record(sid);
        const store = backend.store({ ttlSeconds });
        for (const method of ['set', 'touch'] as const) {
          const { detail } = await failing(store[method](sid, { user: 'after' }), 'ERR_CONFIG', [sid]);
          assert.match(detail, /ttlSeconds/);
        }
        assert.deepEqual(await store.record(sid), before);
      });
    }

    const at = (offset: number) => new Date(NOW + offset);
    const ends: Record<string, { expires: any; ttl: number }> = {
      'a Date before ttlSeconds': { expires: at(30_100), ttl: NOW_SECONDS + 31 },
      'a Date on a whole second': { expires: at(29_750), ttl: NOW_SECONDS + 30 },
      'a Date after ttlSeconds': { expires: at(3_600_000), ttl: NOW_SECONDS + 60 },
      'a Date in the second in which ttlSeconds ends': { expires: at(59_500), ttl: NOW_SECONDS + 60 },
      'an ISO string': { expires: at(30_100).toISOString(), ttl: NOW_SECONDS + 31 },
      'the string of a cookie header': { expires: at(30_100).toUTCString(), ttl: NOW_SECONDS + 30 },
      'a number': { expires: NOW + 30_100, ttl: NOW_SECONDS + 31 },
      null: { expires: null, ttl: NOW_SECONDS + 60 },
      undefined: { expires: undefined, ttl: NOW_SECONDS + 60 },
      false: { expires: false, ttl: NOW_SECONDS + 60 },
      true: { expires: true, ttl: NOW_SECONDS + 60 },
      'no date': { expires: 'soon', ttl: NOW_SECONDS + 60 },
      'an empty string': { expires: '', ttl: NOW_SECONDS + 60 },
      'an invalid Date': { expires: new Date(Number.NaN), ttl: NOW_SECONDS + 60 },
      'a date that no Date holds': { expires: 8.64e15 + 1, ttl: NOW_SECONDS + 60 },
      'an object': { expires: { in: 'an hour' }, ttl: NOW_SECONDS + 60 },
    };
    for (const [kind, { expires, ttl }] of Object.entries(ends)) {
      it(`is at ttlSeconds or at cookie.expires, whichever comes first, with cookie.expires as ${kind}`, async () => {
        const store = backend.store({ ttlSeconds: 60 });
        const session = { cookie: { path: '/', expires }, user: 'Ada' };
        await store.set('ends', session);
        assert.equal((await store.record('ends'))!.ttl, ttl);
        assert.deepStrictEqual(await store.get('ends'), JSON.parse(JSON.stringify(session)));
        const end =
          typeof expires === 'boolean' || Number.isNaN(new Date(expires ?? Number.NaN).getTime())
            ? Infinity
            : new Date(expires).getTime();
        const last = Math.min(ttl * 1000, end);
        mock.timers.setTime(last - 1);
        assert.deepStrictEqual(await store.get('ends'), JSON.parse(JSON.stringify(session)));
        mock.timers.setTime(last);
        assert.equal(await store.get('ends'), null);
      });
    }

    for (const cookie of [null, 'none', 7, []]) {
      it(`does not stumble over ${JSON.stringify(cookie)} as the cookie`, async () => {
        const store = backend.store({ ttlSeconds: 60 });
        await store.set('odd cookie', { cookie: cookie as object });
        assert.equal((await store.record('odd cookie'))!.ttl, NOW_SECONDS + 60);
        assert.deepStrictEqual(await store.get('odd cookie'), { cookie });
      });
    }

    const noDates: Record<string, any> = {
      'a symbol': Symbol('expires'),
      'a BigInt': 5n,
      'an object without prototype': Object.create(null),
      'an object that is no primitive': { toString: 1, valueOf: 1 },
    };
    for (const [kind, expires] of Object.entries(noDates)) {
      it(`with ${kind} as cookie.expires, a save and a touch work or fail as the package says`, async () => {
        const store = backend.store();
        for (const method of ['set', 'touch'] as const) {
          const error = await store[method]('no date at all', { cookie: { expires } }).catch((reason) => reason);
          if (error !== undefined) assertFailure(error, error.code);
        }
      });
    }

    for (const milliseconds of [1, 300, 750, 1000, 1250]) {
      it(`comes exactly after ${milliseconds} ms if the cookie says so`, async () => {
        const store = backend.store();
        const session = { cookie: { expires: new Date(NOW + milliseconds) }, user: 'Ada' };
        await store.set('short', session);
        for (const passed of [0, milliseconds - 1]) {
          mock.timers.setTime(NOW + passed);
          assert.deepStrictEqual(await store.get('short'), JSON.parse(JSON.stringify(session)));
          assert.equal((await store.all()).filter(({ id }) => id === 'short').length, 1);
        }
        mock.timers.setTime(NOW + milliseconds);
        assert.equal(await store.get('short'), null);
        assert.equal((await store.all()).filter(({ id }) => id === 'short').length, 0);
      });
    }

    it('is now if the cookie ended before the save', async () => {
      const store = backend.store();
      await store.set('ended', { cookie: { expires: new Date(NOW - 1) } });
      assert.equal(await store.get('ended'), null);
      await store.set('ended', { cookie: { expires: new Date(0) } });
      assert.equal(await store.get('ended'), null);
    });

    // Time to Live leaves what ended more than five years ago: such a record would stay for ever.
    for (const [what, end] of Object.entries({ 'in 1970': 0, 'a millisecond ago': NOW - 1, now: NOW })) {
      it(`removes a session whose cookie ended ${what}, whether it is saved, touched or updated`, async () => {
        const store = backend.store();
        const expires = new Date(end);
        const ways: Record<string, (session: any) => Promise<unknown>> = {
          'saved, unchanged': (session) => {
            session.cookie.expires = expires;
            return store.set('ended', session);
          },
          'saved, changed': (session) => {
            Object.assign(session, { cookie: { expires }, user: 'Bob' });
            return store.set('ended', session);
          },
          touched: (session) => {
            session.cookie.expires = expires;
            return store.touch('ended', session);
          },
          updated: () =>
            store.update('ended', (session) => {
              session.cookie!.expires = expires;
            }),
          'saved, as an object that nobody knows': () => store.set('ended', { cookie: { expires } }),
          'touched, as an object that nobody knows': () => store.touch('ended', { cookie: { expires } }),
        };
        for (const [way, ending] of Object.entries(ways)) {
          await store.set('ended', { cookie: { expires: at(60_000) }, user: 'Ada' });
          const session = await store.get('ended');
          assert.equal((await ending(session)) ?? null, null, way);
          assert.equal(await store.record('ended'), null, way);
          assert.equal(await store.get('ended'), null, way);
          // A request that had it, too, brings nothing back.
          await store.set('ended', Object.assign(session!, { cookie: { expires: at(60_000) } }));
          assert.equal(await store.get('ended'), null, way);
        }
      });
    }

    it('keeps a session that somebody else has prolonged since a request read it, which outlives its end unchanged', async () => {
      const [store, other] = [backend.store(), backend.store()];
      await store.set('prolonged', { cookie: { expires: at(10_000) } });
      const session = await store.get('prolonged');
      await other.touch('prolonged', { cookie: { expires: at(60_000) } });
      mock.timers.setTime(NOW + 11_000);
      await store.set('prolonged', session!);
      assert.notEqual(await other.get('prolonged'), null);
    });

    it('hides a record that is still there', async () => {
      const store = backend.store({ prefix: 'hidden:', ttlSeconds: 60 });
      const longer = backend.store({ prefix: 'hidden:', ttlSeconds: 120 });
      await store.set('expired', { user: 'Ada' });
      await longer.set('alive', { user: 'Bob' });
      mock.timers.setTime((NOW_SECONDS + 60) * 1000 - 1);
      assert.equal(await store.length(), 2);
      mock.timers.setTime((NOW_SECONDS + 60) * 1000);
      assert.notEqual(await store.record('expired'), null);
      assert.equal(await store.get('expired'), null);
      assert.deepEqual(await store.ids(), ['alive']);
      assert.equal(await store.length(), 1);
      assert.deepEqual(await store.all(), [{ user: 'Bob', id: 'alive' }]);
      await store.set('expired', { user: 'again' });
      assert.deepStrictEqual(await store.get('expired'), { user: 'again' });
      assert.equal(await store.length(), 2);
    });

    it('is moved by a touch, and the sealed content stays', async () => {
      const store = backend.store({ ttlSeconds: 60 });
      const session = { user: 'Ada' };
      await store.set('touched', session);
      const { ttl, ...sealed } = (await store.record('touched'))!;
      assert.equal(ttl, NOW_SECONDS + 60);
      mock.timers.tick(30_000);
      await store.touch('touched', { user: 'not saved by a touch' });
      const { ttl: moved, ...still } = (await store.record('touched'))!;
      assert.equal(moved, NOW_SECONDS + 90);
      assert.deepEqual(still, sealed);
      mock.timers.setTime((NOW_SECONDS + 90) * 1000 - 1);
      assert.deepStrictEqual(await store.get('touched'), session);
      mock.timers.setTime((NOW_SECONDS + 90) * 1000);
      assert.equal(await store.get('touched'), null);
    });

    it('moves cookie.expires with it when a touch moves it past that', async () => {
      const store = backend.store();
      const cookie = { path: '/', originalMaxAge: 30_000, expires: at(30_000).toISOString(), httpOnly: true };
      await store.set('rolling', { cookie, user: 'Ada' });
      assert.deepStrictEqual(await store.get('rolling'), { cookie, user: 'Ada' });
      mock.timers.tick(20_000);
      await store.touch('rolling', { cookie: { ...cookie, expires: at(50_000) } });
      const ttl = NOW_SECONDS + 51; // the end of the second of the new cookie.expires
      assert.equal((await store.record('rolling'))!.ttl, ttl);
      const moved = { cookie: { ...cookie, expires: new Date(ttl * 1000).toISOString() }, user: 'Ada' };
      assert.deepStrictEqual(await store.get('rolling'), moved);
      assert.deepStrictEqual(
        (await store.all()).find(({ id }) => id === 'rolling'),
        { ...moved, id: 'rolling' },
      );
      mock.timers.setTime(NOW + 40_000); // the first cookie.expires is over
      assert.deepStrictEqual(await store.get('rolling'), moved);
      mock.timers.setTime(ttl * 1000);
      assert.equal(await store.get('rolling'), null);
    });

    it('leaves cookie.expires alone while a touch does not move it past that', async () => {
      const store = backend.store({ ttlSeconds: 60 });
      const session = { cookie: { expires: at(3_600_000).toISOString() }, user: 'Ada' };
      await store.set('not past', session);
      mock.timers.tick(30_000);
      await store.touch('not past', session);
      assert.equal((await store.record('not past'))!.ttl, NOW_SECONDS + 90);
      assert.deepStrictEqual(await store.get('not past'), session);
      await store.touch('not past', { cookie: { expires: at(30_500) } }); // a touch may also bring the end nearer
      assert.equal((await store.record('not past'))!.ttl, NOW_SECONDS + 31);
      assert.deepStrictEqual(await store.get('not past'), session);
      mock.timers.setTime((NOW_SECONDS + 31) * 1000);
      assert.equal(await store.get('not past'), null);
    });

    it('leaves a session without cookie.expires without one after a touch', async () => {
      const store = backend.store();
      const session = { cookie: { expires: null, path: '/' } };
      await store.set('browser session', session);
      mock.timers.tick(9_000_000);
      await store.touch('browser session', session);
      assert.deepStrictEqual(await store.get('browser session'), session);
      assert.equal((await store.record('browser session'))!.ttl, NOW_SECONDS + 9000 + WEEK);
    });

    it('a touch of a missing session succeeds and creates nothing', async () => {
      const store = backend.store({ prefix: 'missing:' });
      assert.equal(await store.touch('never there', { user: 'Ada' }), undefined);
      await store.set('destroyed', { user: 'Ada' });
      await store.destroy('destroyed');
      await store.touch('destroyed', { user: 'Ada' });
      for (const sid of ['never there', 'destroyed']) {
        assert.equal(await store.record(sid), null);
        assert.equal(await store.get(sid), null);
      }
      assert.equal(await store.length(), 0);
    });

    it('a touch does not bring an expired session back', async () => {
      const store = backend.store({ ttlSeconds: 60 });
      await store.set('expired', { user: 'Ada' });
      mock.timers.setTime((NOW_SECONDS + 60) * 1000);
      assert.equal(await store.get('expired'), null);
      assert.equal(await store.touch('expired', { user: 'Ada' }), undefined);
      assert.equal(await store.get('expired'), null);
    });

    it('is logged once, at debug, when an expired session is asked for', async () => {
      const logger = quietLogger();
      const store = backend.store({ ttlSeconds: 60, logger });
      const ways: Record<string, any> = { 'by-its-ttl': {}, 'by-its-cookie': { cookie: { expires: at(300) } } };
      for (const [sid, session] of Object.entries(ways)) {
        await store.set(sid, session);
        assert.deepEqual(await store.get(sid), JSON.parse(JSON.stringify(session)));
      }
      await store.get('never there');
      assert.deepEqual(logger.lines, []);
      mock.timers.setTime(NOW + 300);
      assert.equal(await store.get('by-its-cookie'), null);
      assert.equal(logger.lines.length, 1);
      mock.timers.setTime(NOW + 60_000);
      assert.equal(await store.get('by-its-ttl'), null);
      assert.equal(logger.lines.length, 2);
      for (const [line, sid] of [
        [logger.lines[0], 'by-its-cookie'],
        [logger.lines[1], 'by-its-ttl'],
      ]) {
        assert.match(line, /^debug /);
        assert.ok(line.includes(fingerprint(sid)), line);
        assertNothingOf([sid], line);
      }
    });

    it('is that of the cookie, however late, where no lifetime is configured', async () => {
      const DAY = 24 * 3600;
      const [free, capped] = [backend.store({ prefix: 'free:' }), backend.store({ prefix: 'capped:', ttlSeconds: 7 * DAY })];
      const days: [number | undefined, number, number][] = [
        [30, 30, 7],
        [400, 400, 7],
        [1, 1, 1],
        [undefined, 7, 7],
        [36_500, 3650, 7],
      ];
      for (const [cookie, wanted, atMost] of days) {
        const session = () => ({ cookie: cookie === undefined ? {} : { expires: new Date(NOW + cookie * DAY * 1000) } });
        for (const [store, days] of [
          [free, wanted],
          [capped, atMost],
        ] as const) {
          const sid = `${cookie} days`;
          await store.set(sid, session());
          const exact = cookie !== undefined && days === cookie; // rounded up; what is not of the cookie is rounded down
          assert.equal((await store.record(sid))!.ttl, NOW_SECONDS + days * DAY + Number(exact), sid);
        }
      }
    });

    it('is not logged as a failure, and a failure is logged once, at warn', async () => {
      const logger = quietLogger();
      const store: any = backend.store({ logger });
      const sid = 'session-of-a-failure';
      await store.set(sid, { user: 'Ada' });
      await failing(store.set(sid, { user: 'Plaintext-4711', count: 1n }), 'ERR_SERIALIZATION');
      assert.equal(logger.lines.length, 1);
      assert.match(logger.lines[0], /^warn .*\bset\b.*ERR_SERIALIZATION/);
      assert.ok(logger.lines[0].includes(fingerprint(sid)), logger.lines[0]);
      assertNothingOf([sid, 'Plaintext-4711'], logger.lines.join());
      await store.close();
      await failing(store.get(sid), 'ERR_CLOSED');
      assert.equal(logger.lines.length, 2);
      assert.match(logger.lines[1], /^warn .*\bget\b.*ERR_CLOSED/);
    });
  });
}

describe('a touch on the wire', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  it('is one UpdateItem of ttl and asks nothing of KMS, also in a store that has nothing in memory', async () => {
    await backend.store().set('touched', { user: 'Ada' });
    const store = backend.store({ ttlSeconds: 60 });
    await backend.aws.reset();
    await store.touch('touched', { user: 'Ada' });
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:UpdateItem': 1 });
    const [{ body }] = await backend.aws.requests();
    assert.deepEqual(body.Key, { sessionId: { S: 'touched' } });
    const [, name, value] = /^SET (\S+) = (\S+)$/.exec(body.UpdateExpression)!;
    assert.equal(body.ExpressionAttributeNames[name], 'ttl');
    assert.deepEqual(body.ExpressionAttributeValues[value], { N: String(NOW_SECONDS + 60) });
    assert.match(body.ConditionExpression, /attribute_exists/);
  });

  it('of a missing session is one call, and a read, since some servers refuse without telling the item', async () => {
    await backend.aws.reset();
    await backend.store().touch('missing', {});
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:UpdateItem': 1, 'dynamodb:GetItem': 1 });
  });
});
