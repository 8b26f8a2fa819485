// What every failure of the store must be: of a documented code, with one message for visitors and advice for the operator, and without anything secret in it.

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { SessionStoreError, type SessionStoreErrorCode } from 'connect-dynamodb-kms';

/** Every code, and whether a caller may simply try again. */
export const RETRYABLE: Record<SessionStoreErrorCode, boolean> = {
  ERR_CONFIG: false,
  ERR_KMS_UNAVAILABLE: true,
  ERR_KMS_THROTTLED: true,
  ERR_KMS_KEY_UNUSABLE: false,
  ERR_DYNAMODB_UNAVAILABLE: true,
  ERR_DYNAMODB_THROTTLED: true,
  ERR_TABLE_NOT_FOUND: false,
  ERR_TABLE_SCHEMA: false,
  ERR_ACCESS_DENIED: false,
  ERR_CREDENTIALS: false, // but of those that a service did not issue in time
  ERR_INTEGRITY: false,
  ERR_VERSION: false,
  ERR_SESSION_TOO_LARGE: false,
  ERR_SERIALIZATION: false,
  ERR_CONFLICT: false, // but from update, whose deadline passed
  ERR_NOT_SAVED: false,
  ERR_LOCK_TIMEOUT: true,
  ERR_OVERLOADED: true,
  ERR_INTERNAL: false,
  ERR_CLOSED: false,
};

/** The error below, as `index.d.ts` describes `cause`. */
export interface Cause extends Error {
  requestId?: string;
}

/** Everything about an error that a log could show. */
export function shown(error: unknown): string {
  return inspect(error, { depth: 9, showHidden: true, maxStringLength: null, maxArrayLength: null });
}

/** The texts under which a key would show: base64, hex, and as the numbers that `inspect` prints of a byte array. */
export function spellings(key: Uint8Array): string[] {
  const bytes = Buffer.from(key);
  const pairs = bytes.toString('hex').match(/../g) ?? [];
  return [bytes.toString('base64'), bytes.toString('hex'), pairs.slice(0, 8).join(' '), [...bytes.subarray(0, 8)].join(', ')];
}

/** The message of each code, as it was first seen in this process. */
const messages = new Map<SessionStoreErrorCode, string>();

/** Fails unless the message is the same as for every failure of this code, and is words alone: no ARN, account, region, path or name of an option can stand in it. */
function assertSafeMessage({ code, message, stack }: SessionStoreError): void {
  if (!messages.has(code)) messages.set(code, message);
  assert.equal(message, messages.get(code), `another message of ${code}`);
  assert.match(message, /^[a-z ,;']{20,}$/i);
  assert.match(stack!, /^SessionStoreError: (.*)(\n {4}at .*)*$/, 'the stack has more than the message and the places');
  assert.equal(/^SessionStoreError: (.*)/.exec(stack!)![1], message);
}

/** Fails unless `error` is the store's error of this code; gives it. */
export function assertFailure(
  error: unknown,
  code: SessionStoreErrorCode,
  secrets: string[] = [],
): SessionStoreError & { cause?: Cause } {
  assert.ok(error instanceof SessionStoreError, `not a SessionStoreError: ${shown(error)}`);
  assert.ok(error instanceof Error);
  assert.equal(error.code, code, shown(error));
  assert.equal(error.name, 'SessionStoreError');
  assert.equal(error.retryable, RETRYABLE[code], `retryable of ${code}`);
  assert.equal(error.statusCode, error.retryable ? 503 : 500);
  assertSafeMessage(error);
  assert.ok(error.detail.length > 20, `the detail says too little: ${error.detail}`);
  if (error.cause !== undefined) {
    assert.ok(error.cause instanceof Error, `the cause is no Error: ${shown(error.cause)}`);
    assert.equal(typeof error.cause.message, 'string'); // AWS's InvalidCiphertextException says nothing
  }
  assertNothingOf(secrets, shown(error));
  return error as SessionStoreError & { cause?: Cause };
}

/** Fails unless the call fails with this code; gives the error. */
export async function failing(
  call: Promise<unknown>,
  code: SessionStoreErrorCode,
  secrets: string[] = [],
): Promise<SessionStoreError & { cause?: Cause }> {
  const outcome = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('value' in outcome) assert.fail(`expected ${code}, but the call gave ${shown(outcome.value)}`);
  return assertFailure(outcome.error, code, secrets);
}

/** Fails if one of the secrets stands in the text, without printing either. */
export function assertNothingOf(secrets: string[], text: string): void {
  for (const [index, secret] of secrets.entries()) {
    assert.ok(secret.length > 3, 'a secret this short proves nothing');
    assert.ok(
      !text.includes(secret),
      `secret number ${index} (${secret.length} characters) shows in: ${text.replaceAll(secret, '<here>')}`,
    );
  }
}
