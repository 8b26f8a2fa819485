// How long a call holds the main thread in one go, in a subject's process.
//
// A call has the thread until the method returns, and again from the moment that an answer wakes the event loop until nothing is left to do but to wait
// for the next answer, or the callback has run. In between the thread sleeps, as nothing else is under way. What the event loop was active for at the
// end of each of these stretches tells their lengths. JSON.parse and JSON.stringify are timed where they happen.

import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { pinOtherThreads } from './machine.mjs';
import { newCookie, sessionData } from './sessions.mjs';
import { median, percentiles } from './statistics.mjs';
import { read, save } from './work.mjs';

const SID = 'of which the stretches are measured';

/** Loaded by nobody else's process: only this store is measured here. */
const ours = () => createRequire(import.meta.url)('connect-dynamodb-kms');

let newSessions = 0;

/** `prepare` is not measured, and gives what `call` takes. What asks twice calls `answered` between the two. */
const OPERATIONS = {
  get: { call: (store, _, done) => store.get(SID, done) },
  'set, new': {
    prepare: (_, size) => newSession(size),
    call: (store, session, done) => store.set(`${SID} ${++newSessions}`, session, done),
  },
  'set, unchanged': { prepare: (store) => read(store, SID), call: (store, session, done) => store.set(SID, session, done) },
  'set, changed': {
    prepare: async (store) => visited(await read(store, SID)),
    call: (store, session, done) => store.set(SID, session, done),
  },
  touch: { prepare: (store) => read(store, SID), call: (store, session, done) => store.touch(SID, session, done) },
  'update by id': { call: (store, _, done, answered) => store.update(SID, changing(answered), done) },
  "update of the request's session": {
    prepare: (store) => read(store, SID),
    call: (store, session, done, answered) => store.update(session, changing(answered), done),
  },
  record: { call: (store, _, done) => store.record(SID, done) },
  destroy: { call: (store, _, done) => store.destroy(SID, done) },
  encryptSessionData: {
    prepare: (_, size) => JSON.stringify(newSession(size)),
    call: (_, text, done) =>
      ours()
        .encryptSessionData(text)
        .then(() => done(), done),
  },
  decryptSessionData: {
    prepare: (_, size) => ours().encryptSessionData(JSON.stringify(newSession(size))),
    call: (_, { encryptedData, encryptedKey, iv, authTag }, done) =>
      ours()
        .decryptSessionData(encryptedData, encryptedKey, iv, authTag)
        .then(() => done(), done),
  },
};

function visited(session) {
  session.visits++;
  return session;
}

function changing(answered) {
  return (session) => {
    answered();
    return visited(session);
  };
}

/**
 * @param {{ size: number, calls: number, warmUpCalls: number, servers: object, otherCores?: string }} how `otherCores` are for the other threads: on one
 * core, they would run in the middle of a call.
 * @returns {Promise<object[]>} for each operation the medians and 99th percentiles of its parts, in µs.
 */
export async function measureStretches(store, { size, calls, warmUpCalls, servers, otherCores }) {
  // Where what has no store finds its key.
  Object.assign(process.env, { AWS_ENDPOINT_URL_KMS: servers.kms, KMS_KEY_ARN: servers.keyArn });
  await renew(store, size);
  pinOtherThreads(otherCores); // they have started by now
  const json = new JsonClock();
  const rows = [];
  try {
    for (const [operation, { prepare = () => {}, call }] of Object.entries(OPERATIONS)) {
      const measured = [];
      await renew(store, size);
      for (let made = -warmUpCalls; made < calls; made++) {
        const given = await prepare(store, size);
        const figures = await measureCall(json, (...hooks) => call(store, given, ...hooks));
        if (made >= 0) measured.push(figures);
        if (operation === 'destroy') await renew(store, size);
      }
      const of = (read) => summary(measured.map(read));
      rows.push({
        operation,
        entering: of(([first]) => first.micros - first.json),
        answering: of(([, ...others]) => Math.max(...others.map(({ micros, json }) => micros - json))),
        json: of((stretches) => stretches.reduce((sum, { json }) => sum + json, 0)),
        passes: median(measured.map((stretches) => stretches.reduce((sum, { passes }) => sum + passes, 0))),
        longest: of((stretches) => Math.max(...stretches.map(({ micros }) => micros))),
      });
    }
  } finally {
    json.stop();
  }
  return rows;
}

const newSession = (size) => ({ cookie: newCookie(), ...sessionData(size) });

const renew = (store, size) => save(store, SID, newSession(size));

/**
 * One call, made when nothing else is under way.
 * @returns {Promise<{ micros: number, json: number, passes: number }[]>} its stretches; the first one ends when the method returns.
 */
function measureCall(json, call) {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      const ends = [{ micros: 0, ...json.read() }];
      const before = performance.eventLoopUtilization();
      const end = () => ends.push({ micros: performance.eventLoopUtilization(before).active * 1000, ...json.read() });
      const done = (error) => {
        end();
        if (error) return reject(error);
        return resolve(ends.slice(1).map((after, index) => difference(after, ends[index])));
      };
      // What is set for then comes when everything that the answer has led to is done.
      call(done, () => setImmediate(end));
      end();
    });
  });
}

function difference(after, before) {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
}

function summary(values) {
  return { median: median(values), p99: percentiles(values).p99 };
}

/** Stands between the package and JSON. */
class JsonClock {
  #real = { parse: JSON.parse, stringify: JSON.stringify };
  #micros = 0;
  #passes = 0;

  constructor() {
    for (const [name, real] of Object.entries(this.#real)) {
      JSON[name] = (...args) => {
        const start = performance.now();
        try {
          const result = real(...args);
          // What stringify gives lies in pieces until somebody looks at it, which then takes the time.
          if (typeof result === 'string') result.charCodeAt(0);
          return result;
        } finally {
          this.#micros += (performance.now() - start) * 1000;
          this.#passes++;
        }
      };
    }
  }

  /** What JSON has taken so far. */
  read() {
    return { json: this.#micros, passes: this.#passes };
  }

  stop() {
    Object.assign(JSON, this.#real);
  }
}
