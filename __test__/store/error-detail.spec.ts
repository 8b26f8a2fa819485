// Where an operator or a developer finds an error's detail, and where it is left out.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { DynamoDBSessionStore, SessionStoreError, type SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { assertFailure, failing, RETRYABLE } from '../support/failures.ts';

const require = createRequire(import.meta.url);

function refusal(config: object): SessionStoreError {
  try {
    new DynamoDBSessionStore(config);
  } catch (error) {
    return error as SessionStoreError;
  }
  assert.fail('accepted');
}

describe('the detail of an error', () => {
  const error = refusal({ region: 'atlantis 1' });

  it('names the option, which the message does not', () => {
    assert.match(error.detail, /^region must be/);
    assert.doesNotMatch(error.message, /region/);
  });

  it('shows in inspect, and so in the console', () => {
    assert.ok(inspect(error).includes(`detail: ${inspect(error.detail)}`), inspect(error));
  });

  it("shows in pino's log", () => {
    const lines: string[] = [];
    const pino = createRequire(require.resolve('fastify'))('pino');
    pino({}, { write: (line: string) => void lines.push(line) }).error(error);
    assert.equal(JSON.parse(lines[0]!).err.detail, error.detail);
    assert.equal(JSON.parse(lines[0]!).err.statusCode, 500);
  });

  it("shows in the store's log, the message does not", async () => {
    const logger = quietLogger();
    const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: './never-made' }, logger });
    const { code, detail, message } = await failing(store.get(''), 'ERR_CONFIG');
    assert.equal(logger.lines.length, 1);
    assert.ok(logger.lines[0]!.endsWith(`${code}: ${detail}`), logger.lines[0]);
    assert.ok(!logger.lines[0]!.includes(message));
    await store.close();
  });

  it('shows in the terminal when nobody catches the error', () => {
    const program = `new (require('connect-dynamodb-kms').DynamoDBSessionStore)({ tableNme: 'sessions' })`;
    for (const code of [program, `(async () => { ${program} })()`]) {
      const { status, stderr } = spawnSync(process.execPath, ['-e', code], { cwd: import.meta.dirname, encoding: 'utf8' });
      assert.equal(status, 1);
      assert.match(stderr, /SessionStoreError: the session store is misconfigured/);
      assert.match(stderr, /detail: .*unknown option tableNme/);
      assert.match(stderr, /code: 'ERR_CONFIG'/);
    }
  });

  it('is no part of the JSON of the error, which has what a caller may know', () => {
    const { code, message } = error;
    assert.deepEqual(JSON.parse(JSON.stringify(error)), { statusCode: 500, code, message, retryable: false });
    assert.deepEqual(JSON.parse(JSON.stringify({ error, errors: [error] })).errors[0], {
      statusCode: 500,
      code,
      message,
      retryable: false,
    });
  });

  it('is no part of the stack, nor is the cause', () => {
    assert.ok(error.stack!.startsWith(`SessionStoreError: ${error.message}\n    at `));
    assert.ok(!error.stack!.includes('atlantis'));
    const getter = {
      get region(): string {
        throw new Error('from the vault of payroll');
      },
    };
    const { stack, cause } = refusal(getter);
    assert.equal((cause as Error).message, 'from the vault of payroll');
    assert.ok(!stack!.includes('payroll'));
  });

  it('leaves statusCode to whoever passes the error on', () => {
    assert.equal(Object.assign(refusal({ region: 7 }), { statusCode: 502 }).statusCode, 502);
  });
});

describe('an error that a test of an application makes', () => {
  for (const [code, retryable] of Object.entries(RETRYABLE)) {
    it(`is as the store's own: ${code}`, () => {
      const error = new SessionStoreError({ code: code as SessionStoreErrorCode, detail: 'made by a test of an application' });
      assertFailure(error, code as SessionStoreErrorCode);
      assert.deepEqual([error.retryable, error.statusCode], retryable ? [true, 503] : [false, 500]);
      assert.equal(error.detail, 'made by a test of an application');
    });
  }

  it('has what it was given', () => {
    const cause = new Error('below');
    const error = new SessionStoreError({ code: 'ERR_CONFLICT', retryable: true, retryAfterMillis: 7, cause });
    assert.deepEqual([error.retryable, error.statusCode, error.retryAfterMillis, error.detail], [true, 503, 7, '']);
    assert.equal(error.cause, cause);
    assert.ok(error instanceof Error);
  });

  it('needs a code of this package', () => {
    for (const code of ['ENOENT', 'toString', undefined]) assert.throws(() => new SessionStoreError({ code } as any), TypeError);
  });
});
