'use strict';

const { subscribe } = require('node:diagnostics_channel');

const RISK =
  'an application of Fastify that uses this store is not guarded: a hook that refuses a request without returning the reply may let its handler run, and ' +
  'end the process; call guardReplies(app) before routes and hooks are registered, or import connect-dynamodb-kms before Fastify() is called';

/** Whether this process has made a store that wants its applications guarded. Until then no guard acts. */
let wanted = false;
let warned = false;

function isWanted() {
  return wanted;
}

/** The first version whose replies the guard knows. */
const OLDEST_FASTIFY = 5;

/** Guards every application that is made from now on. Fastify publishes them on a channel that it documents. */
function guardNewApplications() {
  subscribe('fastify.initialization', ({ fastify: app }) => {
    if (!(Number.parseInt(app.version, 10) >= OLDEST_FASTIFY)) return;
    try {
      require('./reply-guard/index.js').install(app, isWanted);
    } catch {
      // Somebody else has changed how it replies. It must start as it would without this package; its first session is warned of.
    }
  });
}

/** The key under which @fastify/session's sessions hold their request, by the last class that was seen. */
let known = { type: undefined, key: undefined };

/** The application of a session of @fastify/session; `undefined` for other sessions. */
function applicationOf(session) {
  const type = session?.constructor;
  if (type === Object || typeof type !== 'function') return undefined;
  if (type !== known.type) {
    const keys = Object.getOwnPropertySymbols(session);
    known = { type, key: keys.find((key) => key.description === 'request') };
  }
  return known.key && session[known.key]?.server;
}

/**
 * Wants the applications of this process guarded, from now on.
 * @param {(text: string) => void} warn
 * @returns {(session: unknown) => void} to be called with each session that is saved: warns once a process, of the first application without a guard.
 */
function wantGuards(warn) {
  wanted = true;
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
