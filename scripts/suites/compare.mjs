// Compares, test by test, what became of a library's suite with its in-memory store and with the store that is tested.

/**
 * @typedef {{ name: string, outcome: 'passed' | 'failed' | 'skipped', message?: string }} Result
 * @typedef {{ test: string | RegExp, reason: string }} Named a test that may differ, and why.
 * @typedef {{ test: string, memory: string, ours: string, message?: string, reason?: string }} Difference
 */

const ABSENT = 'not run';

/** Tests of the same name are told apart by their order. */
function byName(results) {
  const found = new Map();
  for (const result of results) {
    let name = result.name;
    for (let number = 2; found.has(name); number++) name = `${result.name} (${number})`;
    found.set(name, result);
  }
  return found;
}

function count(results) {
  return { tests: results.length, passed: results.filter(({ outcome }) => outcome === 'passed').length };
}

/**
 * @param {Result[]} memoryResults
 * @param {Result[]} ourResults
 * @param {Named[]} named
 * @returns {{ memory: ReturnType<typeof count>, ours: ReturnType<typeof count>, differences: Difference[], gone: Named[] }} `gone` are the
 *   named differences that did not occur.
 */
export function compare(memoryResults, ourResults, named = []) {
  const [memory, ours] = [byName(memoryResults), byName(ourResults)];
  const occurred = new Set();
  const differences = [];
  for (const test of new Set([...memory.keys(), ...ours.keys()])) {
    const [before, now] = [memory.get(test)?.outcome ?? ABSENT, ours.get(test)?.outcome ?? ABSENT];
    if (before === now) continue;
    const excuse = named.find((one) => (one.test instanceof RegExp ? one.test.test(test) : one.test === test));
    if (excuse) occurred.add(excuse);
    differences.push({ test, memory: before, ours: now, message: ours.get(test)?.message, reason: excuse?.reason });
  }
  const gone = named.filter((one) => !occurred.has(one));
  return { memory: count(memoryResults), ours: count(ourResults), differences, gone };
}

/** Whether the store did as the in-memory store does, but for what is named. */
export function isEqual({ memory, differences, gone }) {
  return memory.passed > 0 && gone.length === 0 && differences.every(({ reason }) => reason);
}

/** A Markdown table of `[{ library, tag, compared }]`. */
export function table(rows) {
  const cells = rows.map(({ library, tag, compared: { memory, ours, differences, gone }, compared }) => [
    library,
    tag,
    memory.tests,
    memory.passed,
    ours.passed,
    differences.filter(({ reason }) => reason).length,
    differences.filter(({ reason }) => !reason).length,
    isEqual(compared)
      ? 'equal'
      : gone.length > 0
        ? 'a named difference is gone'
        : memory.passed === 0
          ? 'nothing passed'
          : 'NOT EQUAL',
  ]);
  const heads = ['library', 'tag', 'tests', 'passed in memory', 'passed with ours', 'named differences', 'others', ''];
  return [heads, heads.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** What differs, a line each with its reason or the first lines of the failure. */
export function details({ differences, gone }) {
  return [
    ...differences.map(({ test, memory, ours, message, reason }) => {
      const why = reason ?? (message ?? 'no message').split('\n').slice(0, 6).join('\n      ');
      return `  ${reason ? 'named' : 'DIFFERS'}: ${test}: ${memory} in memory, ${ours} with ours\n      ${why}`;
    }),
    ...gone.map(({ test, reason }) => `  GONE: ${test} no longer differs; take it out of the definition (${reason})`),
  ].join('\n');
}
