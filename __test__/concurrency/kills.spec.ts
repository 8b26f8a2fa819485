// Processes that are killed while they work: what was acknowledged is there, what was destroyed is gone, and no record is torn. KILLS says how often, for each
// backend; `npm run test:kills` kills a hundred.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Backend, startAws, startLocal } from '../support/backends.ts';
import { checkWhole, type Event, KillHistory, padding } from '../support/kill-history.ts';
import { Program } from '../support/program.ts';
import { Random } from '../support/random.ts';

const KILLS = Number(process.env.KILLS ?? 5);
const SEED = 20_317;
/** So many sessions that some are left when all is over: one in fifteen calls on a session destroys. */
const POOL = 60 + 24 * KILLS;

class Gateway {
  readonly #history: KillHistory;
  readonly #wanted: Array<{ calls: number; resolve: () => void; reject: (error: Error) => void }> = [];
  readonly #program: Program;
  readonly ready: Promise<void>;
  readonly #read: Promise<void>;
  #calls = 0;

  constructor(history: KillHistory, backend: Backend, name: string, seed: number) {
    this.#history = history;
    this.#program = new Program('load-program', backend.config, name, seed, POOL);
    this.ready = this.#program.line().then((line) => assert.equal(line, '"ready"'));
    this.#read = this.ready.then(() => this.#follow());
  }

  /** Resolves when so many more calls were acknowledged. */
  worked(calls: number): Promise<void> {
    return new Promise((resolve, reject) => this.#wanted.push({ calls: this.#calls + calls, resolve, reject }));
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#program.signal(signal);
    await this.#read; // what was in the pipe when it ended counts
    const { stderr } = await this.#program.end();
    assert.equal(stderr, '', 'a call failed');
  }

  async #follow(): Promise<void> {
    for (let line = await this.#program.next(); line !== undefined; line = await this.#program.next()) {
      if (!line.endsWith('}')) break; // the process was killed within it
      const event: Event = JSON.parse(line);
      this.#history.add(event);
      if (event.done) this.#calls += 1;
      for (const { calls, resolve } of this.#wanted) if (this.#calls >= calls) resolve();
    }
    for (const { reject } of this.#wanted) reject(new Error('the process ended by itself'));
  }
}

const scenes: Array<{ name: string; processes: number; start: () => Promise<Backend> }> = [
  { name: 'one of three processes on the AWS servers', processes: 3, start: startAws },
  { name: 'the process that has the folder of the local mode', processes: 1, start: startLocal },
];

describe('kill -9', () => {
  for (const { name, processes, start } of scenes) {
    it(`of ${name}, under load, loses nothing that was acknowledged`, { timeout: 60_000 + KILLS * 10_000 }, async (t) => {
      const began = performance.now();
      const backend = await start();
      t.after(() => backend.stop());
      const random = new Random(SEED);
      const history = new KillHistory();
      const clock = () => Number(process.hrtime.bigint());
      const setUp = backend.store();
      for (let number = 0; number < POOL; number++) {
        const [sid, value] = [`pool-${number}`, `first-${number}`];
        history.add({ id: value, what: 'save', sid, at: clock(), value });
        await setUp.set(sid, { value, padding: padding(value) });
        history.add({ id: value, what: 'save', sid, at: clock(), value, done: true });
      }
      await setUp.close();

      let starts = 0;
      const launch = () => new Gateway(history, backend, `p${++starts}`, random.whole(0, 2 ** 31));
      const gateways = Array.from({ length: processes }, launch);
      await Promise.all(gateways.map(({ ready }) => ready));
      for (let kill = 0; kill < KILLS; kill++) {
        const victim = random.whole(0, processes - 1);
        await gateways[victim].worked(random.whole(10, 80));
        await gateways[victim].end('SIGKILL');
        gateways[victim] = launch();
        await gateways[victim].ready;
      }
      await Promise.all(gateways.map((gateway) => gateway.end('SIGTERM')));

      const reader = backend.store();
      let left = 0;
      for (let number = 0; number < POOL; number++) {
        const sid = `pool-${number}`;
        history.add({ id: `last-${number}`, what: 'read', sid, at: clock() });
        const session: any = await reader.get(sid);
        history.add({ id: `last-${number}`, what: 'read', sid, at: clock(), value: session?.value, done: true });
        checkWhole(session);
        if (session) left++;
      }
      const figures = history.check();
      assert.ok(left > 0 && figures.destroys > 0 && figures.saves > POOL);
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      t.diagnostic(`${KILLS} kills, ${JSON.stringify(figures)}, ${left} of ${POOL} sessions left, ${seconds} s`);
    });
  }
});

describe('the check of a history', () => {
  const sid = 'a';
  const saved = (value: string, begun: number, ended?: number): Event[] => call('save', value, begun, ended);
  function call(what: Event['what'], value: string | undefined, begun: number, ended?: number): Event[] {
    const id = `${what}-${begun}`;
    const events: Event[] = [{ id, what, sid, at: begun, value }];
    if (ended !== undefined) events.push({ id, what, sid, at: ended, value, done: true });
    return events;
  }
  const check = (...events: Event[][]) => {
    const history = new KillHistory();
    for (const event of events.flat()) history.add(event);
    return history.check();
  };

  it('takes what can have been', () => {
    check(saved('one', 1, 2), saved('two', 3, 4), call('read', 'two', 5, 6));
    check(saved('one', 1, 2), saved('two', 3), call('read', 'two', 5, 6)); // carried out, and not acknowledged
    check(saved('one', 1, 2), saved('two', 3), call('read', 'one', 5, 6)); // not carried out
    check(saved('one', 1, 2), call('destroy', undefined, 3), call('read', undefined, 5, 6));
  });

  it('finds a save that was lost', () => {
    assert.throws(() => check(saved('one', 1, 2), saved('two', 3, 4), call('read', 'one', 5, 6)), /was lost/);
    assert.throws(() => check(saved('one', 1, 2), call('read', undefined, 5, 6)), /nobody had destroyed/);
    const later = () => check(saved('one', 1, 2), call('read', undefined, 5, 6), call('destroy', undefined, 7, 8));
    assert.throws(later, /nobody had destroyed/);
  });

  it('finds a session that came back, and one that nobody saved', () => {
    const back = () => check(saved('one', 1, 2), call('destroy', undefined, 3, 4), call('read', 'one', 5, 6));
    assert.throws(back, /came back/);
    assert.throws(() => check(saved('one', 1, 2), call('read', 'other', 5, 6)), /nobody had saved/);
    assert.throws(() => check(saved('one', 1, 2), call('read', 'two', 5, 6), saved('two', 7, 8)), /nobody had saved/);
  });

  it('finds a record that is torn', () => {
    for (const whole of [null, { value: 'one', padding: padding('one') }]) checkWhole(whole);
    assert.throws(() => checkWhole({ value: 'two', padding: padding('one') }), /torn/);
    assert.throws(() => checkWhole({ value: 'two', padding: padding('two').slice(1) }), /torn/);
  });
});
