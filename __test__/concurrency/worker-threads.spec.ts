import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws, startLocal } from '../support/backends.ts';
import { Program } from '../support/program.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { StoreThread } from '../support/store-thread.ts';

const THREADS = 4;
const SESSIONS = 6;
/** Starts and ends of threads in one process. */
const ENDINGS = Array.from({ length: 60 }, (_, index) => ['returned', 'closed', 'exited', 'terminated'][index % 4]);
/** Of `worker.terminate()` and of a `return` from the thread's program, as Node.js has them. */
const CODES: Record<string, number> = { returned: 0, closed: 0, exited: 7, terminated: 1 };
/** A thread or process that never ends would hold the tests up. */
const LIMIT = { timeout: 300_000 };

const all = <T>(count: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

/** A thread with a store that is gone at the end of the test. */
function thread(t: TestContext, config: SessionStoreConfig): StoreThread {
  const started = new StoreThread(config);
  t.after(() => started.terminate());
  return started;
}

for (const { name, start } of backends) {
  describe(`worker threads on ${name}`, LIMIT, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    it('share a table, each with a store of its own', async (t) => {
      const threads = Array.from({ length: THREADS }, () => thread(t, backend.config));
      const main = backend.store();
      const each = (work: (from: StoreThread, owner: number, sid: string) => Promise<unknown>) =>
        all(THREADS, (owner) => all(SESSIONS, (session) => work(threads[owner], owner, `${owner}/${session}`)));
      const cookie = (seconds: number) => ({ expires: new Date(1000 * (Math.floor(Date.now() / 1000) + seconds)).toISOString() });
      const [first, later] = [cookie(1000), cookie(2000)];

      await each((own, owner, sid) => own.call('set', sid, { owner, sid, cookie: first }));
      await each((own, _, sid) => own.call('touch', sid, { cookie: later }));
      // Its neighbour reads what a thread wrote and touched, and so does the main thread, and the neighbour changes it.
      await each(async (_, owner, sid) => {
        const neighbour = threads[(owner + 1) % THREADS];
        const wanted = { owner, sid, cookie: later };
        assert.deepStrictEqual(await neighbour.call('get', sid), wanted);
        assert.deepStrictEqual({ ...(await main.get(sid)) }, wanted);
        await neighbour.call('set', sid, { ...wanted, neighbour: true });
      });
      await each(async (own, owner, sid) => {
        assert.deepStrictEqual(await own.call('get', sid), { owner, sid, cookie: later, neighbour: true });
      });
      assert.equal(await main.length(), THREADS * SESSIONS);
    });

    it('may end in any way while calls are in flight; the others and the main thread go on', async (t) => {
      const [stays, main] = [thread(t, backend.config), backend.store()];
      await main.set('shared', { from: 'main' });
      for (const end of ['terminate', 'exit'] as const) {
        const ends = thread(t, backend.config);
        await ends.call('get', 'shared');
        const text = 'x'.repeat(50_000);
        const calls = Array.from({ length: 20 }, (_, call) => [
          ends.call('set', `${end}/${call}`, { text }),
          ends.call('get', 'shared'),
        ]);
        const others = all(20, async (call) => {
          const sid = `beside ${end}/${call}`;
          await stays.call('set', sid, { from: 'the thread that stays' });
          return main.get(sid);
        });
        await Promise.race(calls.flat()); // all of them were made before the first was answered
        assert.equal(await (end === 'exit' ? ends.exit(7) : ends.terminate()), end === 'exit' ? 7 : 1);
        for (const found of await others) assert.deepStrictEqual({ ...found }, { from: 'the thread that stays' });
      }
    });

    it('may be the only ones that load the package, and start and end again and again', async (t) => {
      const { config, stop } = await start(); // one process alone may have the folder of the local mode
      t.after(stop);
      const program = new Program('threads-program', config, ENDINGS);
      t.after(() => program.end('SIGKILL'));
      const { code, signal, lines, stderr } = await program.end();
      assert.deepEqual([code, signal, stderr], [0, null, '']);
      assert.deepEqual(
        lines.map((line) => JSON.parse(line)),
        ENDINGS.map((ending) => [ending, { ending }, CODES[ending]]),
      );
    });
  });
}

describe('the threads of the native side', { ...LIMIT, skip: process.platform !== 'linux' && 'counted in /proc' }, () => {
  it('are as few after worker threads have ended as before', async (t) => {
    const backend = await startLocal();
    t.after(() => backend.stop());
    const program = new Program('native-threads-program', backend.config, 4);
    t.after(() => program.end('SIGKILL'));
    const { lines, stderr } = await program.end();
    assert.equal(stderr, '');
    const counts: Array<Record<string, number>> = lines.map((line) => JSON.parse(line));
    assert.equal(counts.length, 4);
    for (const { own, other } of counts) {
      assert.equal(other, 0, `threads of a runtime without our bounds: ${lines}`);
      assert.ok(own! > 0 && own! <= 2 + 8, `${own} threads`);
    }
  });
});

describe('a worker thread that waits for AWS', LIMIT, () => {
  let backend: AwsBackend;
  let proxy: StoppingProxy;
  /** Leads through the proxy. */
  let held: SessionStoreConfig;
  before(async () => {
    backend = await startAws();
    proxy = await StoppingProxy.start(backend.aws.dynamodb);
    held = { ...backend.config, dynamodbEndpoint: proxy.url };
    await backend.store().set('sid', { user: 'Ada' });
  });
  after(async () => {
    await proxy.close();
    await backend.stop();
  });

  for (const where of ['request', 'answer'] as const) {
    for (const [name, args] of [
      ['get', ['sid']],
      ['set', ['of the thread', { user: 'Grace' }]],
    ] as const) {
      it(`ends before the ${where} of its ${name} has passed, which then harms nobody`, async (t) => {
        const waits = thread(t, held);
        const stop = proxy.hold(name === 'get' ? 'GetItem' : 'PutItem', where);
        t.after(stop.pass);
        void waits.call(name, ...args);
        await stop.reached;
        assert.equal(await waits.terminate(), 1);
        const store = backend.store(held);
        await store.set('beside', { where });
        stop.pass();
        // Its answer comes now, to nobody; those of others go on coming.
        assert.deepStrictEqual({ ...(await store.get('beside')) }, { where });
        assert.deepStrictEqual(await thread(t, held).call('get', 'beside'), { where });
      });
    }
  }

  it('is kept alive by a call until that is answered', async (t) => {
    const stop = proxy.hold('GetItem', 'request');
    t.after(stop.pass);
    const worker = new Worker(new URL('../support/waiting-thread.mjs', import.meta.url), { workerData: held });
    t.after(() => worker.terminate());
    const exit = once(worker, 'exit').then(([code]) => code);
    const message = once(worker, 'message').then(([session]) => session);
    assert.equal(await Promise.race([stop.reached, exit]), undefined, 'the thread ended without its answer');
    stop.pass();
    assert.deepStrictEqual(await Promise.race([message, exit]), { user: 'Ada' });
    assert.equal(await exit, 0);
  });
});
