// Counts of instructions beside a baseline. No dependencies: `npm test` tests this, and installs nothing here.

/** A change of less than this share is none: inlining moves a little with every change of the source. */
export const TOLERANCE = 0.03;

/** All instructions that a file of callgrind counted. */
export function totalOf(output) {
  const totals = /^totals: (\d+)$/m.exec(output)?.[1];
  if (!(Number(totals) > 0)) throw new Error('callgrind counted nothing: the function that it should count was not found');
  return Number(totals);
}

/** Of these, those of the functions themselves whose names match. The format is in valgrind's manual, "Callgrind Format Specification". */
export function selfOf(output, pattern) {
  const names = new Map();
  let matches = false;
  let sum = 0;
  let ofCallee = false;
  for (const line of output.split('\n')) {
    const [, callee, id, name] = /^(c?)fn=(\(\d+\))(?: (.*))?$/.exec(line) ?? [];
    if (name !== undefined) names.set(id, name);
    if (callee === '') matches = pattern.test(names.get(id));
    const cost = /^(?:[+-]?\d+|\*) (\d+)$/.exec(line)?.[1];
    if (cost !== undefined && matches && !ofCallee) sum += Number(cost);
    ofCallee = line.startsWith('calls='); // the next line is of all that was called
  }
  return sum;
}

/**
 * @param {Record<string, number>} baseline instructions by the operation's name.
 * @param {Record<string, number>} found
 * @returns {{ name: string, verdict: 'same' | 'more' | 'less' | 'new' | 'missing', before?: number, now?: number, change?: number }[]}
 */
export function compare(baseline, found) {
  const names = new Set([...Object.keys(baseline), ...Object.keys(found)]);
  return [...names].map((name) => {
    const [before, now] = [baseline[name], found[name]];
    if (before === undefined) return { name, verdict: 'new', now };
    if (now === undefined) return { name, verdict: 'missing', before };
    const verdict = now > before * (1 + TOLERANCE) ? 'more' : now < before * (1 - TOLERANCE) ? 'less' : 'same';
    return { name, verdict, before, now, change: now / before - 1 };
  });
}

/** Operations that take less pass; those that are in one of the two alone do not. */
export function isPassed(verdicts) {
  return verdicts.every(({ verdict }) => verdict === 'same' || verdict === 'less');
}

const TEXTS = { same: '', more: 'MORE', less: 'less', new: 'NEW: not in the baseline', missing: 'MISSING: only in the baseline' };

export function line({ name, verdict, before, now, change }) {
  const number = (value) => (value === undefined ? '–' : value.toLocaleString('en')).padStart(9);
  const percent = change === undefined ? '' : `${change < 0 ? '−' : '+'}${Math.abs(change * 100).toFixed(2)} %`;
  return `${name.padEnd(32)} ${number(now)} ${number(before)} ${percent.padStart(9)}  ${TEXTS[verdict]}`.trimEnd();
}
