import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compare, isPassed, line, selfOf, totalOf } from './instruction-baseline.mjs';

const verdictOf = (before, now) => compare({ get: before }, { get: now })[0].verdict;
const passes = (baseline, found) => isPassed(compare(baseline, found));

describe('the baseline of instructions', () => {
  it('fails an operation that takes over 3 % more', () => {
    assert.equal(verdictOf(10_000, 10_301), 'more');
    assert.equal(verdictOf(10_000, 10_300), 'same');
    assert.equal(passes({ get: 10_000, set: 10_000 }, { get: 10_301, set: 10_000 }), false);
    assert.equal(passes({ get: 10_000, set: 10_000 }, { get: 10_300, set: 9_999 }), true);
  });

  it('tells of one that takes over 3 % less, and passes it', () => {
    assert.equal(verdictOf(10_000, 9_699), 'less');
    assert.equal(verdictOf(10_000, 9_700), 'same');
    assert.equal(passes({ get: 10_000 }, { get: 9_699 }), true);
    assert.match(line(compare({ get: 10_000 }, { get: 9_699 })[0]), /^get +9,699 +10,000 +−3\.01 % {2}less$/);
  });

  it('fails an operation that has no baseline, and one that is not counted any more', () => {
    assert.deepEqual(compare({ get: 10 }, { get: 10, set: 20 })[1], { name: 'set', verdict: 'new', now: 20 });
    assert.deepEqual(compare({ get: 10, set: 20 }, { get: 10 })[1], { name: 'set', verdict: 'missing', before: 20 });
    assert.equal(passes({ get: 10 }, { get: 10, set: 20 }), false);
    assert.equal(passes({ get: 10, set: 20 }, { get: 10 }), false);
    assert.match(line({ name: 'set', verdict: 'missing', before: 20 }), /MISSING/);
  });

  it("reads callgrind's total, and refuses one that counted nothing", () => {
    assert.equal(totalOf('events: Ir\n\nfn=(1) a\n0 5\n\ntotals: 1234\n'), 1234);
    for (const empty of ['events: Ir\ntotals: 0\n', 'events: Ir\n']) assert.throws(() => totalOf(empty), /counted nothing/);
  });

  it('tells the instructions of a function itself, not of what it calls', () => {
    const output = [
      'fn=(1) get',
      ...['10 100', 'cfn=(2) hash::compress', 'calls=3 20', '+1 999', '* 5'],
      'fn=(2)',
      ...['20 300', 'fi=(7) inlined.rs', '+4 30', 'fe=(3)', '-2 3', 'cfn=(1)', 'calls=1 10', '* 777', '25 1000'],
      'fn=(3) other',
      '1 1',
      'totals: 1439',
    ].join('\n');
    assert.equal(selfOf(output, /compress/), 1333);
    assert.equal(selfOf(output, /get/), 105);
    assert.equal(selfOf(output, /nothing/), 0);
  });
});
