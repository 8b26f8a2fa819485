// Processes that log users in and out, switch accounts and end all sessions of a user, under faults: no session outlives a destroyAllOf that was
// acknowledged, none is ended without a reason, and no list loses a session. USER_STORM_SECONDS says how long; the seed
// USER_STORM_SEED repeats what the processes do, not when. `npm run test:users` takes ten minutes for each, with 200 users.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AwsBackend, type Backend, startAws, startLocal } from '../support/backends.ts';
import { ChaosProxy } from '../support/chaos-proxy.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';
import { type UserEvent, UserHistory } from '../support/user-history.ts';
import { checkLists, USERS } from '../support/user-lists.ts';

const { USER_STORM_SECONDS, USER_STORM_SEED, USER_STORM_USERS } = process.env;
const SEED = Number(USER_STORM_SEED ?? 71_503);
const PEOPLE = Number(USER_STORM_USERS ?? 12);
const SECONDS = Number(USER_STORM_SECONDS ?? 60);
/** Unless it is told how long, a storm ends when so many calls were made. */
const CALLS = USER_STORM_SECONDS === undefined ? 700 : Number.POSITIVE_INFINITY;

/** @returns what a process prints, until it ends. */
async function follow(program: Program, history: UserHistory): Promise<void> {
  for (let line = await program.next(); line?.endsWith('}'); line = await program.next())
    history.add(JSON.parse(line) as UserEvent);
}

interface Scene {
  name: string;
  start: () => Promise<Backend>;
  processes: number;
  faults: number;
  /** How often a process is killed in the middle of its calls, and another one takes its place. */
  kills?: number;
  maxSessions?: number;
  hashSessionIds?: boolean;
  recordVersion?: 1 | 2;
}

const scenes: Scene[] = [
  { name: 'two processes on the AWS servers', start: startAws, processes: 2, faults: 0 },
  {
    name: 'two processes under faults, which are killed,',
    start: startAws,
    processes: 2,
    faults: 0.06,
    kills: 4,
    recordVersion: 2,
  },
  { name: 'two processes under faults, five sessions a user', start: startAws, processes: 2, faults: 0.06, maxSessions: 5 },
  {
    name: 'local mode, whose process is killed,',
    start: startLocal,
    processes: 1,
    faults: 0,
    kills: 3,
    maxSessions: 6,
    hashSessionIds: true,
  },
];

describe('a storm of logins, logouts and destroyAllOf', () => {
  for (const { name, start, processes, faults, kills = 0, ...options } of scenes) {
    it(`by ${name} ends whom it should, and nobody else`, { timeout: 60_000 + SECONDS * 2000 }, async (t) => {
      const backend = await start();
      const { maxSessions, ...more } = options;
      const users = { ...USERS, ...(maxSessions && { maxSessions }) };
      const config = { ...backend.config, ...more, users };
      const aws = (backend as Partial<AwsBackend>).aws;
      const proxy = aws && (await ChaosProxy.start(aws.dynamodb, SEED, faults));
      const items = aws && new TableItems(aws);
      t.after(async () => {
        items?.close();
        await backend.stop();
        await proxy?.close();
      });
      const history = new UserHistory(maxSessions);
      const own = { ...config, ...(proxy && { dynamodbEndpoint: proxy.url }) };
      const running: Array<{ program: Program; followed: Promise<void> }> = [];
      t.after(() => {
        for (const { program } of running) program.signal('SIGKILL'); // where a check has failed
      });
      let started = 0;
      const launch = async () => {
        const program = new Program('user-load-program', own, `p${++started}`, SEED + started, PEOPLE);
        const ready = program.line().then((line) => assert.equal(line, '"ready"'));
        running.push({ program, followed: ready.then(() => follow(program, history)) });
        await ready;
      };
      await Promise.all(Array.from({ length: processes }, launch));
      const kill = async () => {
        const { program, followed } = running.shift()!;
        program.signal('SIGKILL');
        await followed;
        assert.equal((await program.end()).stderr, '');
        await launch();
      };

      let looks = 0;
      const look = async () => {
        if (!items) return;
        const all = await items.all();
        checkLists(all);
        checkNumbers(all, maxSessions);
        looks++;
      };
      const begun = Date.now();
      const share = () => Math.max((Date.now() - begun) / (SECONDS * 1000), history.size / CALLS);
      let killed = 0;
      while (share() < 1) {
        await look();
        if (share() > (killed + 1) / (kills + 1) && ++killed <= kills) await kill();
        await sleep(200);
      }
      for (const { program } of running) program.signal('SIGTERM');
      for (const { program, followed } of running) {
        await followed;
        const { code, stderr } = await program.end();
        assert.deepEqual([stderr, code], ['', 0]);
      }
      await look();

      const clock = () => Number(process.hrtime.bigint());
      const reader = backend.store({ ...more, users });
      for (let person = 0; person < PEOPLE; person++) {
        const event = { id: `last-${person}`, what: 'list', user: `user-${person}` } as const;
        history.add({ ...event, at: clock() });
        const sids = (await reader.sessionsOf(event.user)).map(({ id }) => id);
        history.add({ ...event, at: clock(), sids, done: true });
      }
      const figures = history.check();
      // What the lists have too many is gone from them now.
      if (items) assert.equal(checkLists(await items.all()).stale, 0);
      for (let person = 0; person < PEOPLE; person++) await reader.destroyAllOf(`user-${person}`);
      for (const session of await reader.all()) assert.equal((session as any).user, undefined, `${session.id} is left`);
      assert.ok(figures.everywhere > 10 && figures.logins > 50, JSON.stringify(figures));
      t.diagnostic(`${JSON.stringify(figures)}, ${looks} looks at the table, faults ${JSON.stringify(proxy?.met)}`);
    });
  }
});

/** Fails if a user has more sessions than may be. */
function checkNumbers(items: Record<string, any>, most = 1000): void {
  const numbers = new Map<string, number>();
  for (const { user, encryptedData } of Object.values(items)) {
    if (encryptedData && user && user.S !== '-') numbers.set(user.S, (numbers.get(user.S) ?? 0) + 1);
  }
  for (const number of numbers.values()) assert.ok(number <= most, `${number} sessions of a user, where ${most} may be`);
}
