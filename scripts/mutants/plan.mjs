// Which specs must notice a fault in a file, the quickest first; and the faults that none can notice.

/** The folder of the specs, seen from here. */
export const folder = '../../__test__';

export const specs = {
  'lib/in-order.js': ['reads-after-writes', 'close', 'get-set'],
  'lib/known-sessions.js': [
    ...['known-sessions', 'ids-that-return', 'answers-at-once', 'known-sessions-order', 'untold-refusals', 'update'],
    ...['known-sessions-lifetime', 'known-sessions-frameworks'],
  ],
  'lib/saves.js': [
    'answers-at-once',
    'known-sessions',
    'ids-that-return',
    'update',
    'conflicts',
    'close',
    'lost-replies',
    'config',
    'callbacks',
  ],
  'lib/store.js': [
    'failure-reports',
    'close',
    'get-set',
    'callbacks',
    'conflicts',
    'update',
    'record-version-warning',
    'local-by-environment',
  ],
  'lib/calls.js': ['failure-reports', 'close', 'outages', 'get-set', 'callbacks', 'answers-at-once'],
  'lib/reads.js': ['reads-after-writes', 'unreadable-records', 'get-set', 'many'],
  'lib/get-calls.js': ['get-signal', 'get-set', 'callbacks', 'known-sessions-frameworks'],
  'lib/save-calls.js': ['answers-at-once', 'ids-that-return', 'callbacks', 'get-set'],
  'lib/session-state.js': ['known-sessions', 'ids-that-return', 'answers-at-once'],
  'lib/log.js': ['failure-reports', 'callbacks'],
  'lib/update.js': ['update-returns', 'update-limits', 'update', 'update-http'],
  'lib/fastify-session.js': ['ids-that-return', 'known-sessions', 'known-sessions-frameworks', 'reply-guard-install'],
  'lib/locks.js': ['locks', 'lock-waiting', 'lock-leases'],
  'lib/revocation-checks.js': ['failure-reports', 'key-cache'],
  'lib/session-json.js': ['session-data', 'get-set'],
  'lib/session-ids.js': ['get-set', 'failure-reports', 'errors'],
  'lib/errors.js': ['error-detail', 'errors'],
  'lib/failures.js': ['failure-reports'],
  'lib/opentelemetry/attributes.js': ['opentelemetry'],
  'lib/opentelemetry/calls.js': ['opentelemetry', 'opentelemetry-http'],
  'lib/opentelemetry/instruments.js': ['opentelemetry'],
  'lib/opentelemetry/observe.js': ['opentelemetry'],
  'lib/opentelemetry/spans.js': ['opentelemetry'],
  'lib/prometheus/collect.js': ['prometheus'],
  'lib/prometheus/metrics.js': ['prometheus'],
  'lib/prometheus/samples.js': ['prometheus'],
  'lib/prometheus/stats-metric.js': ['prometheus'],
};

/** What cargo-mutants changes. */
export const rust = ['src/store', 'src/record', 'src/crypto/envelope.rs', 'src/keys/cache'];

/**
 * A fault that no test can notice, or need not.
 * @typedef {object} Survivor
 * @property {string} file
 * @property {string} code the line of the fault, without its indent.
 * @property {string} [above] the line above it, where the file has such a line more than once.
 * @property {string} change as `npm run test:mutants` prints it.
 * @property {string} reason
 */

const PACKS_ITSELF = 'package.spec.ts tests it, on a package that it packs from the sources itself';
const ONLY_MEMORY = 'an entry that stays takes memory and changes no answer; npm run soak looks at memory';

/** @type {Survivor[]} */
export const survivors = [
  {
    file: 'lib/saves.js',
    code: 'const COMPARED_AT_ONCE = 16_384;',
    change: 'became 16385: 16_384',
    reason: 'a measured bound of what is quick: one character more changes nothing that a caller sees',
  },
  {
    file: 'lib/known-sessions.js',
    code: 'const ATTEMPTS = 8;',
    change: 'became 9: 8',
    reason: 'a bound beyond what anybody repeats',
  },
  {
    file: 'lib/in-order.js',
    code: 'ended.then(() => {',
    change: 'removed: ended.then(() => { if (this.#last.get(sid) === ended) this.#last.delet…',
    reason: ONLY_MEMORY,
  },
  {
    file: 'lib/in-order.js',
    code: 'if (this.#last.get(sid) === ended) this.#last.delete(sid);',
    change: 'negated: this.#last.get(sid) === ended',
    reason: ONLY_MEMORY,
  },
  {
    file: 'lib/in-order.js',
    code: 'if (this.#last.get(sid) === ended) this.#last.delete(sid);',
    change: 'removed: this.#last.delete(sid);',
    reason: ONLY_MEMORY,
  },
  {
    file: 'lib/store.js',
    code: "if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;",
    change: "negated: error.code === 'MODULE_NOT_FOUND'",
    reason: PACKS_ITSELF,
  },
  {
    file: 'lib/store.js',
    code: "if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;",
    change: 'returned nothing: return EventEmitter;',
    reason: PACKS_ITSELF,
  },
  {
    file: 'lib/store.js',
    above: "if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;",
    code: 'throw error;',
    change: 'removed: throw error;',
    reason: PACKS_ITSELF,
  },
  {
    file: 'src/record/mark.rs',
    change:
      "replace <impl Deserialize<'de> for Name>::deserialize::<impl Visitor<'_> for Bytes>::expecting -> fmt::Result with Ok(Default::default())",
    reason: 'the text of an error that nobody is shown: JSON that is not an object has a content all the same',
  },
];
