'use strict';

const { channel } = require('node:diagnostics_channel');
const { applicationOf } = require('./fastify-session.js');

const RISK =
  'an application of Fastify that uses this store is not guarded: a hook that refuses a request without returning the reply may let its handler run, and ' +
  'end the process; call guardReplies(app) before routes and hooks are registered, or import connect-dynamodb-kms before Fastify() is called';

/** Where Fastify publishes every application that is made; it documents that. */
const applications = channel('fastify.initialization');

/**
 * What all copies of this package in this process share. Whether one of them has made a store that
 * wants applications guarded: until then no guard acts. And who guards: the copy that was loaded
 * last, since Jest loads one for each file of tests, of which those before can do nothing any more.
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

/** The first version whose replies the guard knows. */
const OLDEST_FASTIFY = 5;

/** @param {any} message */
function guard({ fastify: app }) {
  if (!(Number.parseInt(app.version, 10) >= OLDEST_FASTIFY)) return;
  try {
    require('./reply-guard/index.js').install(app, isWanted);
  } catch {
    // Somebody else has changed how it replies. It must start as it would without this package; its
    // first session is warned of.
  }
}

/** Guards every application that is made from now on. */
function guardNewApplications() {
  if (shared.subscriber) applications.unsubscribe(shared.subscriber);
  shared.subscriber = guard;
  applications.subscribe(guard);
}

/**
 * Wants the applications of this process guarded, from now on.
 * @param {(text: string) => void} warn
 * @returns {(session: unknown) => void} to be called with each session that is saved: warns once a
 * process, of the first application without a guard.
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
      // A session that cannot be looked at is not one of @fastify/session.
    }
  };
}

module.exports = { guardNewApplications, wantGuards };
