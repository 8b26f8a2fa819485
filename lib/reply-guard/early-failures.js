'use strict';

// Streams and sockets that fail while the store answers. With a store that calls back at once,
// Fastify and its plugins listen to their errors by then. An error that nobody listens to ends the
// process.

/** @param {any} payload */
function isStream(payload) {
  return typeof payload?.pipe === 'function' && typeof payload.on === 'function';
}

/**
 * The streams that may fail early, and the error of each that has.
 * @type {WeakMap<object, { error?: unknown }>}
 */
const early = new WeakMap();

/**
 * Lets a payload fail before it is sent.
 * @param {any} payload of an onSend hook that has not called back yet.
 */
function outliveFailure(payload) {
  if (!isStream(payload) || early.has(payload)) return;
  /** @type {{ error?: unknown }} */
  const failure = {};
  early.set(payload, failure);
  payload.on('error', (/** @type {unknown} */ error) => {
    failure.error ??= error;
  });
}

/**
 * The error of a stream that does not show that it has failed, because it was not destroyed. Fastify
 * finds that of others when it sends them, and answers with it.
 * @param {any} payload
 */
function hiddenError(payload) {
  if (!isStream(payload) || payload.errored || payload.destroyed) return undefined;
  return early.get(payload)?.error;
}

/**
 * Releases the file or connection of a payload that is not sent, because its session could not be
 * saved or its client has left. Not before the response has ended: the payload may read from the
 * request, which is destroyed with it.
 * @param {any} payload
 * @param {any} response
 */
function discard(payload, response) {
  if (!isStream(payload) || typeof payload.destroy !== 'function') return;
  if (isClosed(response)) payload.destroy();
  else response.once('close', () => payload.destroy());
}

/**
 * Whether the client has left. Fastify does not find that out of an HTTP/2 response that has closed
 * before it sends a stream, which would stay open.
 * @param {any} response
 */
function isClosed({ destroyed, stream }) {
  return destroyed === true || stream?.destroyed === true;
}

/** @this {import('node:net').Socket} */
function destroySocket() {
  this.destroy();
}

/**
 * Lets a client reset its connection while the session of its WebSocket is being read. Node.js
 * removes its own listener when it emits `upgrade`, and @fastify/http-proxy adds none until the
 * handler runs.
 * @param {any} app a Fastify instance; covers its plugins
 * @param {{ active: boolean }} guard whether to do so now.
 */
function outliveResets(app, guard) {
  app.addHook(
    'onRequest',
    function watchUpgrade(/** @type {any} */ request, /** @type {unknown} */ _reply, /** @type {() => void} */ done) {
      const { socket } = request.raw;
      if (request.headers.upgrade !== undefined && guard.active && socket?.listenerCount?.('error') === 0) {
        socket.on('error', destroySocket);
      }
      done();
    },
  );
}

module.exports = { discard, hiddenError, isClosed, outliveFailure, outliveResets };
