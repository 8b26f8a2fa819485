// Two requests of one user at the same time, both of which change the session, through the frameworks over HTTP.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it, mock, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { DynamoDBSessionStore, SessionConflict, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type Backend, backends, startAws } from '../support/backends.ts';
import { type EditingApp, type Framework, frameworks, login, type Work } from '../support/editing-apps.ts';
import { PlainStore } from '../support/plain-store.ts';

type Mode = NonNullable<SessionStoreConfig['onConflict']>;
const MODES: Array<{ onConflict: Mode; resolution: SessionConflict['resolution']; winner: string }> = [
  { onConflict: 'overwrite', resolution: 'overwritten', winner: 'second' },
  { onConflict: 'error', resolution: 'refused', winner: 'first' },
  { onConflict: 'drop', resolution: 'dropped', winner: 'first' },
];

const HOUR = 3_600_000;

interface Instance {
  store: DynamoDBSessionStore;
  app: EditingApp;
  events: SessionConflict[];
}

async function started(t: TestContext, start: () => Promise<Backend>): Promise<Backend> {
  const backend = await start();
  t.after(() => backend.stop());
  return backend;
}

/** One instance of the application, with a store of its own. */
async function serve(
  t: TestContext,
  framework: Framework,
  backend: Backend,
  options: SessionStoreConfig,
  work?: Record<string, Work>,
): Promise<Instance> {
  const store = backend.store(options);
  const events: SessionConflict[] = [];
  store.on('conflict', (conflict) => events.push(conflict));
  return { store, app: await framework.start(t, store, work), events };
}

/** Two requests that have both read the session before either saves it, and end in this order. */
async function race(path: 'edit' | 'save', first: EditingApp, second: EditingApp) {
  const [one, other] = await login(first, second);
  const answers = [one.post(`/${path}/first`), other.post(`/${path}/second`)];
  await Promise.all([first.stops.reached('first'), second.stops.reached('second')]);
  first.stops.pass('first');
  const firstAnswer = await answers[0];
  second.stops.pass('second');
  return { browser: one, first: firstAnswer, second: await answers[1] };
}

const hashOf = (sid: string) => createHash('sha256').update(sid).digest('hex');

for (const framework of frameworks) {
  for (const { name, start } of backends) {
    describe(`two requests of ${framework.name} on ${name} that change one session`, () => {
      for (const { onConflict, resolution, winner } of MODES) {
        for (const count of [2, 1]) {
          // Behind @fastify/session, 'overwrite' does not tell two requests of one process apart.
          const told = framework.name !== '@fastify/session' || onConflict !== 'overwrite' || count === 2;
          const where = count === 2 ? 'two instances' : 'one instance';

          it(`at ${where} with '${onConflict}': the ${winner} is there, and the second is ${resolution} at the end of its request`, async (t) => {
            const backend = await started(t, start);
            const first = await serve(t, framework, backend, { onConflict });
            const second = count === 2 ? await serve(t, framework, backend, { onConflict }) : first;
            const answers = await race('edit', first.app, second.app);
            assert.equal(answers.first.status, 200);
            if (onConflict === 'error') {
              // Express has sent the answer by then, and gives the error to its error handlers.
              const error = framework.name === 'express-session' ? await second.app.lateError : answers.second.body;
              assert.equal(error.code, 'ERR_CONFLICT');
            } else {
              assert.equal(answers.second.status, 200);
              assert.deepEqual(second.app.lateErrors, []);
            }
            const { user, note, sid } = (await answers.browser.get('/me')).body;
            assert.deepEqual([user, note], ['ada', winner]);
            if (!told) return;
            // @fastify/session saves once more with the answer that tells of the error.
            assert.ok(second.events.length >= 1);
            for (const event of second.events) assert.deepEqual(event, { session: hashOf(sid), resolution });
            assert.equal(second.store.stats().sessions.conflicts, second.events.length);
            if (count === 2) assert.deepEqual(first.events, []);
          });

          it(`at ${where} with '${onConflict}': the handler that saves by hand is told, and may go on with what it reads`, async (t) => {
            const backend = await started(t, start);
            const first = await serve(t, framework, backend, { onConflict });
            const second = count === 2 ? await serve(t, framework, backend, { onConflict }) : first;
            const answers = await race('save', first.app, second.app);
            assert.equal(answers.first.status, 200);
            assert.equal(answers.second.status, onConflict === 'error' ? 409 : 200);
            if (onConflict === 'error') assert.deepEqual(answers.second.body, { code: 'ERR_CONFLICT', note: 'first' });
            assert.equal((await answers.browser.get('/me')).body.note, winner);
            assert.deepEqual(second.app.lateErrors, []);
            // Once for the save by hand; the end of the request saves what it then holds, which is not changed any more.
            if (onConflict === 'error') assert.equal(second.events.length, 1);
          });
        }
      }
    });
  }

  describe(`one request after the other of ${framework.name}`, () => {
    for (const { onConflict } of MODES) {
      it(`is no conflict with '${onConflict}', whatever a request does with its session`, async (t) => {
        const backend = await started(t, startAws);
        const { store, app, events } = await serve(t, framework, backend, { onConflict });
        const [browser] = await login(app);
        for (const path of ['/visit', '/save', '/visit', '/reload', '/regenerate', '/visit', '/save', '/visit']) {
          assert.equal((await browser.post(path)).status, 200, path);
          assert.equal((await browser.get('/me')).status, 200);
        }
        assert.deepEqual([events, store.stats().sessions.conflicts, app.lateErrors], [[], 0, []]);
        assert.equal((await browser.get('/me')).body.visits, 2);
      });
    }
  });

  describe(`the revision of a session behind ${framework.name}`, () => {
    for (const { onConflict } of MODES) {
      it(`is in no record with '${onConflict}', and a session that was only read is not modified`, async (t) => {
        const backend = await startAws();
        t.after(() => backend.stop());
        const plain = new PlainStore(backend.aws);
        t.after(() => plain.close());
        const { store, app } = await serve(
          t,
          framework,
          backend,
          { onConflict },
          {
            look: (session) => ({
              keys: Object.keys(session),
              json: Object.keys(JSON.parse(JSON.stringify(session))),
              modified: session.isModified?.() ?? false,
            }),
          },
        );
        const [browser] = await login(app);
        await browser.post('/visit');
        await backend.aws.reset();
        const { keys, json, modified } = (await browser.post('/work/look')).body.result;
        assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1 });
        assert.deepEqual([json.toSorted(), modified], [['cookie', 'tokens', 'user', 'visits'], false]);
        const carried = framework.name === '@fastify/session' && onConflict !== 'overwrite';
        assert.equal(keys.includes('sessionRevision'), carried);
        const [sid] = await store.ids();
        assert.deepEqual(Object.keys(await plain.get(sid)).toSorted(), ['cookie', 'tokens', 'user', 'visits']);
      });
    }

    it("with 'overwrite' leaves a property of that name to the application", async (t) => {
      const backend = await started(t, startAws);
      const { app } = await serve(
        t,
        framework,
        backend,
        {},
        {
          keep: (session) => {
            session.sessionRevision = 7;
          },
          look: (session) => session.sessionRevision,
        },
      );
      const [browser] = await login(app);
      await browser.post('/work/keep');
      await browser.post('/visit');
      assert.deepEqual((await browser.post('/work/look')).body, { result: 7 });
    });

    for (const { onConflict } of MODES) {
      it(`follows a save in the middle of the request that sealed an old record again, with '${onConflict}'`, async (t) => {
        // A record of version 2 is bound to an end; a save that goes past it seals the record again, with a new revision.
        const start = Date.UTC(2030, 0, 1);
        mock.timers.enable({ apis: ['Date'], now: start });
        t.after(() => mock.timers.reset());
        const backend = await started(t, startAws);
        const { store, app, events } = await serve(
          t,
          framework,
          backend,
          { onConflict, recordVersion: 2 },
          {
            'save twice': async (session, sid) => {
              session.touch(); // as Express does at the end of a request
              const { authTag } = (await store.record(sid))!;
              await promisify(session.save.bind(session))(); // nothing is changed but the end
              const sealedAgain = (await store.record(sid))!.authTag !== authTag;
              session.note = 'changed';
              return sealedAgain;
            },
          },
        );
        const [browser] = await login(app);
        mock.timers.setTime(start + 0.9 * HOUR);
        await browser.get('/me');
        mock.timers.setTime(start + 1.8 * HOUR);
        const { status, body } = await browser.post('/work/save twice');
        assert.deepEqual([status, body.result], [200, true], body.code);
        assert.equal((await browser.get('/me')).body.note, 'changed');
        assert.deepEqual([events, app.lateErrors], [[], []]);
      });
    }
  });
}
