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
  ],
  'lib/store.js': [
    ...['reads-after-writes', 'unreadable-records', 'failure-reports', 'answers-at-once', 'close', 'outages', 'update'],
    ...['get-signal', 'get-set', 'callbacks'],
  ],
  'lib/update.js': ['update-returns', 'update-limits', 'update'],
  'lib/session.js': ['session-data', 'get-set'],
  'lib/errors.js': ['error-detail', 'errors'],
  'lib/failures.js': ['failure-reports'],
};

/** What cargo-mutants changes. */
export const rust = ['src/store', 'src/record.rs', 'src/envelope.rs', 'src/key_cache'];

/**
 * A fault that no test can notice, or need not.
 * @typedef {object} Survivor
 * @property {string} file
 * @property {string} code the line of the fault, without its indent.
 * @property {string} change as `npm run test:mutants` prints it.
 * @property {string} reason
 */

/** @type {Survivor[]} */
export const survivors = [];
