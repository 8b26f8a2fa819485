import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { verdict } from './verdict.mjs';

const MB = 2 ** 20;
const RATE = 100;
const SECONDS = { 'warm-up': 10, 'first pause': 15, load: 30, 'last pause': 15 };

/** What a soak tells that went well, with these differences in the samples of a phase. */
function soak(differences = {}) {
  return Object.entries(SECONDS).flatMap(([phase, seconds]) => {
    const calls = phase.endsWith('pause') ? 0 : RATE;
    const sample = { phase, rss: 100 * MB, handles: 50, sockets: 20, calls, errors: {}, p50: 1, p99: 10 };
    return Array.from({ length: seconds }, (_, second) => {
      const different = differences[phase];
      return { ...sample, ...(typeof different === 'function' ? different(second) : different) };
    });
  });
}
const wrong = (samples) => verdict(samples, { rate: RATE }).wrong;
const passes = (differences) => assert.deepEqual(wrong(soak(differences)), []);
const fails = (differences, message) => {
  const found = wrong(soak(differences));
  assert.equal(found.length, 1, found.join('; '));
  assert.match(found[0], message);
};

describe('the verdict of a soak', () => {
  it('passes one that went well, with failures that its faults explain', () => {
    passes();
    passes({ load: { errors: { ERR_DYNAMODB_THROTTLED: 1, ERR_KMS_UNAVAILABLE: 1, ERR_CONFLICT: 1, ERR_LOCK_TIMEOUT: 1 } } });
    passes({ load: { rss: 300 * MB, handles: 900, sockets: 900 } });
  });

  it('fails memory, handles and sockets that do not come back', () => {
    passes({ 'last pause': { rss: 131 * MB, handles: 114, sockets: 84 } });
    fails({ 'last pause': { rss: 132 * MB } }, /^RSS did not come back: 100 MB, then 132 MB$/);
    fails({ 'last pause': { handles: 115 } }, /^handles did not come back: 50, then 115$/);
    fails({ 'last pause': { sockets: 85 } }, /^sockets did not come back: 20, then 85$/);
  });

  it('compares the ends of the pauses, by which what is freed late is free', () => {
    passes({ 'first pause': (second) => ({ rss: second < 10 ? 50 * MB : 100 * MB }) });
    passes({ 'last pause': (second) => ({ rss: second < 10 ? 300 * MB : 100 * MB }) });
    fails({ 'last pause': (second) => ({ rss: second < 10 ? 100 * MB : 300 * MB }) }, /^RSS/);
  });

  it('fails a failure that no fault explains, however rare it is', () => {
    for (const code of ['ERR_INTEGRITY', 'SESSION_WRONG', 'SESSION_LOST', 'TypeError: x', 'ERR_KMS_KEY_UNUSABLE', 'ERR_CLOSED'])
      fails({ load: (second) => ({ errors: second === 7 ? { [code]: 1 } : {} }) }, new RegExp(`^1 calls failed with ${code}$`));
  });

  it('fails more failures than its faults explain, and any where there are no faults', () => {
    passes({ load: { errors: { ERR_DYNAMODB_UNAVAILABLE: 10 } } });
    fails(
      { load: { errors: { ERR_DYNAMODB_UNAVAILABLE: 6, ERR_KMS_UNAVAILABLE: 5 } } },
      /^330 of 3000 calls failed under faults$/,
    );
    passes({ load: { calls: 1000, errors: { ERR_DYNAMODB_UNAVAILABLE: 50 } } });
    fails({ load: { calls: 1000, errors: { ERR_DYNAMODB_UNAVAILABLE: 51 } } }, /^1530 of 30000 calls failed under faults$/);
    const early = { 'warm-up': (second) => ({ errors: second === 3 ? { ERR_DYNAMODB_UNAVAILABLE: 1 } : {} }) };
    fails(early, /^1 calls failed with ERR_DYNAMODB_UNAVAILABLE without a fault$/);
    passes({ 'warm-up': { errors: { ERR_CONFLICT: 1, ERR_LOCK_TIMEOUT: 1 } } }); // callers that meet each other
  });

  it('fails a rate that was not reached, and one that ended early', () => {
    passes({ load: { calls: 95 } });
    fails({ load: { calls: 94 } }, /^94 calls a second of 100/);
    const cut = (phase) =>
      soak().slice(
        0,
        soak().findIndex((sample) => sample.phase === phase),
      );
    for (const phase of ['first pause', 'last pause']) assert.deepEqual(wrong(cut(phase)), ['it ended before its time']);
  });
});
