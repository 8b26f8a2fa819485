'use strict';

const { channel } = require('node:diagnostics_channel');
const { applicationOf } = require('./fastify-session.js');

const RISK =
  'a Fastify application that uses this store is not guarded: a hook that refuses a request without returning the reply may let its handler run, and ' +
  'end the process; call guardReplies(app) before routes and hooks are registered, or import connect-dynamodb-kms before Fastify() is called';

/** The documented channel on which Fastify publishes every application that is created. */
const applications = channel('fastify.initialization');

/**
 * The state that all copies of this package in this process share: whether one of them has made a
 * store that wants applications guarded (until then, guards are inactive), and which copy guards.
 * That is the copy loaded last, because Jest loads one for each test file, and earlier copies no
 * longer work.
 */
const SHARED = Symbol.for('connect-dynamodb-kms.guards');
/**
 * @typedef {object} Shared
 * @property {boolean} wanted
 * @property {((message: any) => void) | undefined} subscriber
 */
const holder = /** @type {{ [SHARED]?: Shared }} */ (/** @type {unknown} */ (applications));
holder[SHARED] ??= { wanted: false, subscriber: undefined };
const shared = holder[SHARED];
let warned = false;

function isWanted() {
  return shared.wanted;
}

/** The first version of Fastify that the guard supports. */
const OLDEST_FASTIFY = 5;

/** @param {any} message */
function guard({ fastify: app }) {
  if (!(Number.parseInt(app.version, 10) >= OLDEST_FASTIFY)) return;
  try {
    require('./reply-guard/index.js').install(app, isWanted);
  } catch {
    // Somebody else has changed how the application replies. It must start as it would without this
    // package. Its first session causes a warning.
  }
}

/** Guards every application that is created from now on. */
function guardNewApplications() {
  if (shared.subscriber) applications.unsubscribe(shared.subscriber);
  shared.subscriber = guard;
  applications.subscribe(guard);
}

/**
 * Activates the guards of this process's applications, from now on.
 * @param {(text: string) => void} warn
 * @returns {(session: unknown) => void} to be called with each session that is saved. Warns about
 *   the first application without a guard, once a process.
 */
function wantGuards(warn) {
  shared.wanted = true;
  return (session) => {
    if (warned) return;
    try {
      const app = applicationOf(session);
      if (app === undefined || require('./reply-guard/index.js').isGuarded(app)) return;
      warned = true;
      warn(RISK);
    } catch {
      // A session whose getters throw is not one of @fastify/session.
    }
  };
}

module.exports = { guardNewApplications, wantGuards };
