// Worker threads may have environments of their own: a store takes its defaults from the environment of the thread that makes it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { startAws } from '../support/backends.ts';

const OWN = {
  KMS_KEY_ARN: 'arn:aws:kms:eu-west-1:111122223333:alias/of-the-thread',
  SESSIONS_TABLE: 'of-the-thread',
  AWS_REGION: 'eu-west-1',
};

describe('a worker thread with an environment of its own', { timeout: 300_000 }, () => {
  it('has its defaults from there, also those that it changes later', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const { dynamodbEndpoint, kmsEndpoint } = backend.config;
    const worker = new Worker(new URL('../support/environment-thread.mjs', import.meta.url), { env: { ...process.env, ...OWN } });
    t.after(() => worker.terminate());
    worker.postMessage({ dynamodbEndpoint, kmsEndpoint });
    const [found] = await once(worker, 'message');
    assert.deepEqual(found, { ...OWN, own: 'of-the-thread', later: 'changed-later' });
    assert.equal(process.env.SESSIONS_TABLE, undefined, 'the main thread has its own');
  });
});
