import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { Program } from '../support/program.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

/** A process that never ends would hold the tests up. */
const LIMIT = { timeout: 300_000 };

describe('the process of a store', LIMIT, () => {
  let backend: AwsBackend;
  let proxy: StoppingProxy;
  before(async () => {
    backend = await startAws();
    proxy = await StoppingProxy.start(backend.aws.dynamodb);
    await backend.store().set('sid', { user: 'Ada' });
  });
  after(async () => {
    await proxy.close();
    await backend.stop();
  });

  /** Starts a program whose only call waits at the proxy, and is gone at the end of the test. */
  async function waiting(t: TestContext) {
    const stop = proxy.hold('GetItem', 'request');
    t.after(stop.pass);
    const program = new Program('waiting-program', { ...backend.config, dynamodbEndpoint: proxy.url });
    t.after(() => program.end('SIGKILL'));
    const line = program.line();
    // A process without anything to wait for would end instead of either.
    await Promise.race([stop.reached, line]);
    return { stop, program, line };
  }

  it('is kept alive by a call until that is answered, and then ends by itself', async (t) => {
    const { stop, program, line } = await waiting(t);
    stop.pass();
    assert.deepEqual(JSON.parse(await line), { user: 'Ada' });
    const { code, signal, stderr } = await program.end();
    assert.deepEqual([code, signal, stderr], [0, null, '']);
  });

  it('ends at once with process.exit, whatever is in flight', async (t) => {
    const { program, line } = await waiting(t);
    line.catch(() => {});
    const { code, signal, stderr } = await program.end('SIGUSR2');
    assert.deepEqual([code, signal, stderr], [3, null, '']);
  });
});
