// A process that is killed at every point of a login, a logout and a destroyAllOf: before its first request, and after each of them. Then the lists agree with
// the sessions, and the call, repeated by another process, ends as it should.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { LimitedProxy } from '../support/limited-proxy.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';
import { checkLists, entriesOf, listKey, USERS } from '../support/user-lists.ts';

interface Scene {
  /** Sessions that are there: the id's last part, and its user. */
  there: Array<[string, string | null]>;
  maxSessions?: number;
  /** The call of the process. `at` makes an id. */
  call: (user: string, at: (name: string) => string) => unknown[];
  /** What must be so after the kill, whenever it came. `live` has the names of the sessions that are there. */
  killed: (live: string[], seen: Seen) => void;
  /** The names of the sessions that are there when the call was repeated, and those on the user's list. */
  ends: string[];
  listed: string[];
  /** At the least; the number of requests of the call. */
  points: number;
}

/** What is in the table. */
interface Seen {
  /** The names of the sessions on the list of the user. */
  listed: string[];
  /** The name of the session to its user. */
  userOf: Record<string, string | undefined>;
}

const OTHERS: Scene['there'] = [
  ['theirs', 'other'],
  ['anonymous', null],
];
const scenes: Record<string, Scene> = {
  destroyAllOf: {
    there: [
      ['a', ''],
      ['b', ''],
      ['c', ''],
      ['d', ''],
    ],
    call: (user) => ['destroyAllOf', user],
    killed: () => {},
    ends: [],
    listed: [],
    points: 6,
  },
  'destroyAllOf with except': {
    there: [
      ['a', ''],
      ['b', ''],
      ['c', ''],
    ],
    call: (user, at) => ['destroyAllOf', user, { except: at('b') }],
    killed: (live) => assert.ok(live.includes('b')),
    ends: ['b'],
    listed: ['b'],
    points: 4,
  },
  'a login with a new session': {
    there: [['a', '']],
    call: (user, at) => ['set', at('new'), { user }],
    killed: (live, { listed }) => assert.equal(live.includes('new'), listed.includes('new')),
    ends: ['a', 'new'],
    listed: ['a', 'new'],
    points: 2,
  },
  'a login that ends the oldest session': {
    there: [
      ['a', ''],
      ['b', ''],
    ],
    maxSessions: 2,
    call: (user, at) => ['set', at('new'), { user }],
    killed: (live, { listed }) => {
      assert.equal(live.includes('new'), listed.includes('new'));
      assert.deepEqual(
        live.filter((name) => name === 'a' || name === 'new').length,
        1,
        'the oldest is ended by the login, or lives',
      );
      assert.ok(live.includes('b'));
    },
    ends: ['b', 'new'],
    listed: ['b', 'new'],
    points: 4,
  },
  'a login with a session that is there': {
    there: [
      ['a', ''],
      ['s', null],
    ],
    call: (user, at) => ['login', at('s'), user],
    killed: (live, { listed, userOf }) => {
      assert.ok(live.includes('s'));
      assert.equal(listed.includes('s'), userOf.s !== undefined);
    },
    ends: ['a', 's'],
    listed: ['a', 's'],
    points: 3,
  },
  'a switch from another account': {
    there: [
      ['a', ''],
      ['s', 'other'],
    ],
    call: (user, at) => ['login', at('s'), user],
    killed: (live, { listed, userOf }) => {
      assert.ok(live.includes('s'));
      assert.equal(listed.includes('s'), !userOf.s!.startsWith('other'));
    },
    ends: ['a', 's'],
    listed: ['a', 's'],
    points: 4,
  },
  'a logout': {
    there: [
      ['a', ''],
      ['b', ''],
    ],
    call: (_, at) => ['destroy', at('a')],
    killed: () => {},
    ends: ['b'],
    listed: ['b'],
    points: 3,
  },
};

describe('a process that is killed', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let items: TableItems;
  let number = 0;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
  });
  after(async () => {
    items.close();
    await backend.stop();
  });

  for (const [what, { there, maxSessions, call, killed, ends, listed, points }] of Object.entries(scenes)) {
    it(`at any point of ${what} leaves lists that agree with the sessions, and the call can be repeated`, async () => {
      const users = { ...USERS, ...(maxSessions && { maxSessions }) };
      // Sessions are read one by one, so that the requests of a call can be counted.
      const config = { ...backend.config, users, batchReads: false };

      /** @returns whether the process ended by itself. */
      async function run(limit: number): Promise<boolean> {
        const id = ++number;
        const user = `user-${id}`;
        const at = (name: string) => `${id}/${name}`;
        const store: DynamoDBSessionStore = backend.store({ users });
        for (const [name, whose] of [...there, ...OTHERS]) {
          const session = whose === null ? {} : { user: whose === '' ? user : `${whose}-${id}` };
          await store.set(at(name), session);
        }
        const look = async () => {
          const all = await items.all();
          checkLists(all);
          const own = Object.keys(all).filter((key) => key.startsWith(`${id}/`));
          const live = own.map((key) => key.slice(`${id}/`.length));
          const userOf: Seen['userOf'] = {};
          for (const name of live) userOf[name] = (await store.get(at(name)))?.user as string | undefined;
          const keys = Object.keys(entriesOf(all[listKey(user)]));
          return { live, seen: { listed: keys.map((key) => key.slice(`${id}/`.length)), userOf } };
        };
        const proxy = await LimitedProxy.start(backend.aws.dynamodb, limit);
        const program = new Program('user-call-program.mjs', { ...config, dynamodbEndpoint: proxy.url }, call(user, at));
        const ended = program.end().then(({ code, stderr }) => {
          if (code !== null) assert.deepEqual([stderr, code], ['', 0]);
          return code === 0;
        });
        const finished = await Promise.race([ended, proxy.reached.then(() => false)]);
        program.signal('SIGKILL');
        await ended;
        await proxy.close();

        const { live, seen } = await look();
        for (const [name] of OTHERS) assert.ok(live.includes(name), `${name} was ended`);
        killed(live, seen);

        // Another process: this one.
        const again = backend.store({ users }) as any;
        const [name, ...args] = call(user, at) as [string, string, any];
        if (name === 'login') {
          const session: any = await again.get(args[0]);
          session.user = args[1];
          await again.set(args[0], session);
        } else await again[name](...args);
        const sessions = await again.sessionsOf(user);
        const names = sessions.map(({ id: sid }: { id: string }) => sid.slice(`${id}/`.length)).sort();
        assert.deepEqual(names, [...listed].sort());
        const last = await look();
        assert.deepEqual(last.live.sort(), [...ends, ...OTHERS.map(([name]) => name)].sort());
        assert.deepEqual(last.seen.listed.sort(), [...listed].sort(), 'the list has stale entries');
        await Promise.all([store.close(), again.close()]);
        return finished;
      }

      let limit = 0;
      let finished = false;
      while (!finished) {
        const two = await Promise.all([run(limit), run(limit + 1)]);
        assert.ok(!two[0] || two[1], 'it ended sooner with more requests');
        finished = two[1];
        limit += two[0] ? 0 : two[1] ? 1 : 2;
      }
      assert.equal(limit, points, 'requests of the call');
    });
  }
});
