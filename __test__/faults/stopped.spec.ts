// Processes that are stopped for longer than their lease, and processes that are told to end.

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { startSilent } from '../support/http-server.ts';
import { hold } from '../support/lease-holder.ts';
import { LEASE, LeaseScene, SID } from '../support/lease-scene.ts';
import { Program } from '../support/program.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

/** A process that says nothing would hold the tests up. */
const LIMIT = { timeout: 300_000 };

describe('a process', LIMIT, () => {
  let scene: LeaseScene;
  before(async () => {
    scene = await LeaseScene.start();
  });
  after(() => scene.stop());

  function program(t: TestContext, ...args: unknown[]): Program {
    const started = new Program('stopped-program', ...args);
    t.after(() => started.end('SIGKILL'));
    return started;
  }

  it("that was stopped for longer than its lease is told so, and gives back nobody else's", async (t) => {
    const holder = program(t, 'hold', scene.backend.config, SID, { leaseSeconds: 1 });
    assert.equal(await holder.line(), 'holds');
    holder.signal('SIGSTOP');
    // Had as soon as the lease has ended that nobody renews.
    const other = await hold(scene.backend.store(), SID, { leaseSeconds: 60, waitSeconds: 30 });
    const { owner } = (await scene.item())!;
    holder.signal('SIGCONT');
    assert.equal(await holder.line(), 'ERR_LOCK_TIMEOUT');
    assert.equal(await holder.line(), 'the result');
    assert.equal((await scene.item())!.owner, owner, 'the lease of somebody else was given back');
    assert.equal(other.signal.aborted, false);
    await other.end();
    assert.equal(await scene.table.get(LEASE), undefined);
  });

  it('that gets a SIGTERM finishes the calls in flight and refuses others', async (t) => {
    const proxy = await StoppingProxy.start(scene.backend.aws.dynamodb);
    t.after(() => proxy.close());
    const answer = proxy.hold('PutItem', 'answer');
    const saver = program(t, 'save', { ...scene.backend.config, dynamodbEndpoint: proxy.url }, 'sid-1');
    assert.equal(await saver.line(), 'ready');
    await answer.reached;
    saver.signal('SIGTERM');
    assert.deepEqual([await saver.line(), await saver.line()], ['closing', 'ERR_CLOSED']);
    answer.pass();
    assert.deepEqual([await saver.line(), await saver.line()], ['saved', 'closed']);
    const { code } = await saver.end();
    assert.equal(code, 0);
    assert.ok(await scene.table.get('sid-1'));
  });

  it('that gets a SIGTERM while the table is silent ends by the deadline of its calls', async (t) => {
    const silent = await startSilent();
    t.after(() => silent.close());
    const saver = program(t, 'save', { ...scene.backend.config, dynamodbEndpoint: silent.url }, 'sid-2');
    assert.equal(await saver.line(), 'ready');
    saver.signal('SIGTERM');
    const lines = [];
    for (let line = await saver.next(); line !== undefined; line = await saver.next()) lines.push(line);
    assert.deepEqual(lines, ['closing', 'ERR_CLOSED', 'ERR_DYNAMODB_UNAVAILABLE', 'closed']);
  });
});
