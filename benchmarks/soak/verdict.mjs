// Whether a soak left the process as it was.

const MB = 2 ** 20;
/** What RSS may be above the first pause's: an allocator's slack. */
const SLACK = { share: 0.15, bytes: 16 * MB };
/** Connections that stay open for the next call differ by what the last second needed. */
const SOCKETS = 64;
/** What callers that meet each other are answered with. */
const MEETING = /^ERR_(CONFLICT|LOCK_TIMEOUT)$/;
/** What the injected faults are answered with, and in how many of the calls: faults come by the second, so that at low rates more of them fail. */
const OUTAGE = /^ERR_(DYNAMODB|KMS)_(UNAVAILABLE|THROTTLED)$|^ERR_OVERLOADED$/;
const OUTAGES = { share: 0.05, aSecond: 10 };

export function verdict(samples, { rate }) {
  const of = (phase) => samples.filter((sample) => sample.phase === phase);
  const [first, last, load] = [of('first pause').slice(-5), of('last pause').slice(-5), of('load')];
  if (first.length === 0 || last.length === 0) return { lines: [], wrong: ['it ended before its time'] };
  const median = (list, key) => list.map((sample) => sample[key]).sort((a, b) => a - b)[Math.floor(list.length / 2)];
  const most = (list, key) => Math.max(...list.map((sample) => sample[key]));
  const errors = errorsOf(samples);
  const without = errorsOf(samples.slice(0, samples.indexOf(load[0])));
  const calls = load.reduce((sum, sample) => sum + sample.calls, 0);
  const reached = calls / load.length;
  const [plateau, end] = [median(first, 'rss'), median(last, 'rss')];
  const wrong = [];
  if (end > plateau * (1 + SLACK.share) + SLACK.bytes) wrong.push(`RSS did not come back: ${size(plateau)}, then ${size(end)}`);
  for (const key of ['handles', 'sockets']) {
    const [before, after] = [median(first, key), median(last, key)];
    if (after > before + SOCKETS) wrong.push(`${key} did not come back: ${before}, then ${after}`);
  }
  if (reached < rate * 0.95) wrong.push(`${reached.toFixed(0)} calls a second of ${rate}: the machine is too slow for this rate`);
  let outages = 0;
  for (const [code, count] of Object.entries(errors)) {
    if (OUTAGE.test(code)) outages += count;
    else if (!MEETING.test(code)) wrong.push(`${count} calls failed with ${code}`);
    if (OUTAGE.test(code) && without[code]) wrong.push(`${without[code]} calls failed with ${code} without a fault`);
  }
  if (outages > Math.max(calls * OUTAGES.share, load.length * OUTAGES.aSecond))
    wrong.push(`${outages} of ${calls} calls failed under faults`);
  const lines = [
    `${calls} calls under faults, ${reached.toFixed(0)} a second; p50 ${median(load, 'p50').toFixed(1)} ms, p99 ${median(load, 'p99').toFixed(1)} ms (medians of the seconds)`,
    `RSS ${size(plateau)} after the warm-up, ${size(most(load, 'rss'))} at most, ${size(end)} at the end`,
    `handles ${median(first, 'handles')}, ${most(load, 'handles')} at most, ${median(last, 'handles')} at the end; sockets ${median(first, 'sockets')}, ${most(load, 'sockets')}, ${median(last, 'sockets')}`,
    `failures: ${JSON.stringify(errors)}`,
  ];
  return { lines, wrong };
}

function errorsOf(samples) {
  const errors = {};
  for (const sample of samples)
    for (const [code, count] of Object.entries(sample.errors)) errors[code] = (errors[code] ?? 0) + count;
  return errors;
}

const size = (bytes) => `${(bytes / MB).toFixed(0)} MB`;
