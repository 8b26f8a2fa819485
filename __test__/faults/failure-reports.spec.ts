// What an operator sees of failures: counts by code, and one line of the log a minute for each cause.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { turnKeys } from '../support/key-clock.ts';
import { START } from '../support/turned-clock.ts';

process.env.AWS_MAX_ATTEMPTS = '1';

/** What never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };

describe('failures', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: START }));
  afterEach(async () => {
    mock.timers.reset();
    await backend.aws.clearFaults();
  });
  after(() => backend.stop());

  it('are counted by their code, whether or not they are logged', async () => {
    const store = backend.store();
    assert.deepEqual(store.stats().errors, {});
    await backend.aws.fault({ action: 'dynamodb:*', status: 503, code: 'ServiceUnavailable' });
    for (let n = 0; n < 3; n++) await failing(store.get('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
    await failing(store.destroy('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
    await backend.aws.clearFaults();
    await backend.aws.fault({ action: 'kms:*', status: 400, code: 'ThrottlingException' });
    await failing(store.set('sid', { cookie: {} }), 'ERR_KMS_THROTTLED');
    await failing(store.get(''), 'ERR_CONFIG');
    assert.deepEqual(store.stats().errors, { ERR_DYNAMODB_UNAVAILABLE: 4, ERR_KMS_THROTTLED: 1, ERR_CONFIG: 1 });
    store.stats().errors.ERR_CONFIG = 99;
    assert.equal(store.stats().errors.ERR_CONFIG, 1);
    assert.deepEqual(backend.store().stats().errors, {});
  });

  it('of one cause are one line a minute, the next of which tells how many had none', async () => {
    const logger = quietLogger();
    const store = backend.store({ logger });
    await backend.aws.fault({ action: 'dynamodb:*', status: 503, code: 'ServiceUnavailable' });
    const fail = () => failing(store.get('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
    for (let n = 0; n < 100; n++) await fail();
    mock.timers.tick(59_999);
    await fail();
    assert.equal(logger.lines.length, 1);
    assert.match(logger.lines[0]!, /^warn .*get of session [0-9a-f]{8} failed: ERR_DYNAMODB_UNAVAILABLE: [^(]*$/);
    mock.timers.tick(1);
    await fail();
    await fail();
    assert.equal(logger.lines.length, 2);
    assert.match(logger.lines[1]!, /^warn .*get of session [0-9a-f]{8} failed: ERR_DYNAMODB_UNAVAILABLE: .*\(and 100 more/);
    mock.timers.tick(60_000);
    await fail();
    assert.match(logger.lines[2]!, /\(and 1 more/);
  });

  it('of another operation or another code are another cause', async () => {
    const logger = quietLogger();
    const store = backend.store({ logger });
    await backend.aws.fault({ action: 'dynamodb:*', status: 503, code: 'ServiceUnavailable' });
    for (let n = 0; n < 2; n++) {
      await failing(store.get('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
      await failing(store.destroy('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
      await failing(store.get(''), 'ERR_CONFIG');
      const thrown = new Error('of the caller');
      const failingTask = async () => {
        throw thrown;
      };
      await backend.aws.clearFaults();
      await assert.rejects(store.withLock('sid', failingTask), (error) => error === thrown);
      await backend.aws.fault({ action: 'dynamodb:*', status: 503, code: 'ServiceUnavailable' });
    }
    const causes = logger.lines.map((line) => /(\w+) (?:of session \S+ )?failed: (\w+)/.exec(line)?.slice(1));
    assert.deepEqual(causes, [
      ['get', 'ERR_DYNAMODB_UNAVAILABLE'],
      ['destroy', 'ERR_DYNAMODB_UNAVAILABLE'],
      ['get', 'ERR_CONFIG'],
      ['withLock', 'the'],
    ]);
  });

  for (const [title, code, counter, line] of [
    [
      'refuses',
      'DisabledException',
      'checksRevoked',
      /KMS refused to unwrap a cached data key, so all cached data keys were wiped/,
    ],
    ['does not answer', 'KMSInternalException', 'checksUnknown', /KMS does not answer the revocation check/],
  ] as const) {
    it(`of revocation checks, which no call fails with, are told when KMS ${title}`, async () => {
      const logger = quietLogger();
      const store = backend.store({ logger });
      await store.set('sid', { cookie: {} });
      await backend.aws.fault({ action: 'kms:*', status: code === 'DisabledException' ? 400 : 500, code });
      mock.timers.tick(60_000);
      turnKeys(60);
      await store.get('sid'); // starts the check, which may end before it or after
      while (store.stats().keyCache[counter] === 0) await new Promise(setImmediate);
      for (let calls = 0; calls < 2; calls++) {
        mock.timers.tick(59_999);
        await store.length();
      }
      assert.equal(logger.lines.length, 1);
      assert.match(logger.lines[0]!, line);
    });
  }

  it('are logged again when the clock was set back', async () => {
    const logger = quietLogger();
    const store = backend.store({ logger });
    await failing(store.get(''), 'ERR_CONFIG');
    mock.timers.setTime(START - 3_600_000);
    await failing(store.get(''), 'ERR_CONFIG');
    assert.equal(logger.lines.length, 2);
  });

  it('of each store have lines of their own', async () => {
    const loggers = [quietLogger(), quietLogger()];
    for (const logger of loggers) await failing(backend.store({ logger }).get(''), 'ERR_CONFIG');
    assert.deepEqual(
      loggers.map(({ lines }) => lines.length),
      [1, 1],
    );
  });
});
