// The store as an EventEmitter: express-session gives no sessions after `disconnect`, and `error` without a listener ends the process.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { fastify, frameworks } from '../support/framework-apps.ts';
import { REFUSING_URL } from '../support/http-server.ts';

/** From here on, the names of the events that the store emits, heard or not. */
function emitted(store: DynamoDBSessionStore): string[] {
  const events: string[] = [];
  const emit = store.emit.bind(store);
  store.emit = (event: string | symbol, ...args: any[]) => {
    events.push(String(event));
    return emit(event, ...args);
  };
  return events;
}

interface Cable {
  readonly url: string;
  /** While it is cut, every connection breaks. */
  cut(broken: boolean): void;
}

/** A way to `target` that can be cut. */
async function cable(t: TestContext, target: string): Promise<Cable> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let broken = false;
  const server = createServer((socket) => {
    if (broken) return void socket.destroy();
    const onward = connect(Number(port), hostname);
    for (const end of [socket, onward]) {
      sockets.add(end);
      end
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(end);
          socket.destroy();
          onward.destroy();
        });
    }
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    server.close();
    breakAll();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut(now) {
      broken = now;
      if (now) breakAll();
    },
  };
}

describe('the events of a store', { concurrency: 8 }, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  it('it is an EventEmitter, and has no listeners of its own', () => {
    const store = backend.store();
    assert.ok(store instanceof EventEmitter);
    assert.deepEqual(store.eventNames(), []);
  });

  for (const service of ['dynamodbEndpoint', 'kmsEndpoint'] as const) {
    it(`a ${service} on a closed port fails the calls, and emits nothing`, async () => {
      const store = backend.store({ [service]: REFUSING_URL });
      const events = emitted(store);
      const code = service === 'kmsEndpoint' ? 'ERR_KMS_UNAVAILABLE' : 'ERR_DYNAMODB_UNAVAILABLE';
      const calls = [store.set('closed port', { user: 'ada' }), store.ping()];
      if (service === 'dynamodbEndpoint') calls.push(store.touch('closed port', {}), store.destroy('closed port'));
      await Promise.all(calls.map((call) => assert.rejects(call, { code })));
      await store.close();
      await turn();
      assert.deepEqual(events, []);
    });
  }

  for (const framework of frameworks) {
    it(`${framework.name}: an outage is an error of the requests that meet it, and over for the next ones`, async (t) => {
      const way = await cable(t, backend.aws.dynamodb);
      const store = backend.store({ dynamodbEndpoint: way.url, prefix: `${framework.name}:` });
      const events = emitted(store);
      const { origin } = await framework.serve(t, store);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const cookies = new Map(browser.cookies);
      way.cut(true);
      const answers = await Promise.all([browser.get('/me'), browser.post('/visit'), browser.post('/logout')]);
      const wanted = framework === fastify ? 503 : 500; // the Express application has an error handler of its own
      for (const { status, body, setCookie } of answers) {
        assert.deepEqual([status, body.code, setCookie], [wanted, 'ERR_DYNAMODB_UNAVAILABLE', []]);
      }
      // Requests that need no session are served, and those that do are not taken for strangers.
      assert.equal((await new Browser(origin).get('/nothing')).status, 200);
      way.cut(false);
      assert.deepEqual(browser.cookies, cookies);
      assert.deepEqual((await browser.post('/visit')).body, { visits: 1 });
      assert.equal((await browser.get('/me')).body.user, 'ada');
      assert.deepEqual(events, []);
    });
  }

  it('Express: a middleware made during an outage gives sessions as soon as it is over', async (t) => {
    const way = await cable(t, backend.aws.dynamodb);
    way.cut(true);
    const store = backend.store({ dynamodbEndpoint: way.url, prefix: 'made during an outage:' });
    const events = emitted(store);
    const { origin } = await frameworks[1]!.serve(t, store);
    const browser = new Browser(origin);
    assert.equal((await browser.get('/nothing')).status, 200);
    way.cut(false);
    assert.equal((await browser.post('/login/ada')).status, 200);
    assert.equal((await browser.get('/me')).body.user, 'ada');
    assert.deepEqual(events, []);
  });
});

for (const { name, start } of backends) {
  describe(`the events of a store on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    it('a whole life emits nothing: no connect, no disconnect, no error', async () => {
      const store = backend.store({ prefix: 'life:' });
      const events = emitted(store);
      await store.ping();
      await store.set('sid', { user: 'ada' });
      const session = (await store.get('sid'))!;
      await store.set('sid', session);
      await store.update('sid', (current) => ({ ...current, user: 'bob' }));
      await store.withLock('sid', () => {});
      await store.destroy('sid');
      await store.set('sid', session);
      await assert.rejects(store.set('', {}), { code: 'ERR_CONFIG' });
      await store.close();
      await assert.rejects(store.get('sid'), { code: 'ERR_CLOSED' });
      await turn();
      assert.deepEqual(events, []);
    });

    it('a conflict is the one event there is, without anything secret, after the save and whoever listens', async () => {
      const [store, other] = [backend.store({ prefix: 'conflict:' }), backend.store({ prefix: 'conflict:' })];
      const events = emitted(store);
      const heard: any[] = [];
      await other.set('sid-of-the-conflict', { user: 'ada' });
      for (const listening of [false, true]) {
        if (listening) store.on('conflict', (conflict) => heard.push(conflict));
        const [ours, theirs] = [(await store.get('sid-of-the-conflict'))!, (await other.get('sid-of-the-conflict'))!];
        ours.by = `us ${listening}`;
        theirs.by = `them ${listening}`;
        await other.set('sid-of-the-conflict', theirs);
        await store.set('sid-of-the-conflict', ours);
        await turn();
      }
      assert.deepEqual(events, ['conflict', 'conflict']);
      const session = createHash('sha256').update('sid-of-the-conflict').digest('hex');
      assert.deepEqual(heard, [{ session, resolution: 'overwritten' }]);
    });

    it('what others emit on it reaches their listeners, and changes nothing of the store', async (t) => {
      const store = backend.store({ prefix: 'others:' });
      const { origin } = await fastify.serve(t, store);
      let heard = 0;
      store.once('disconnect', () => heard++);
      store.emit('disconnect');
      store.emit('connect');
      assert.equal(heard, 1);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      assert.equal((await browser.get('/me')).body.user, 'ada');
    });
  });
}
