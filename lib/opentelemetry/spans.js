'use strict';

const { SpanKind, SpanStatusCode } = require('@opentelemetry/api');
const { refusalOf } = require('../errors.js');
const { ERROR_TYPE, OWN, attributesOf, errorType } = require('./attributes.js');

/**
 * @typedef {import('../../index.js').CallMessage} CallMessage
 * @typedef {import('@opentelemetry/api').Span} Span
 */

/**
 * Begins the span of a call as a child of the span that is active.
 * @param {import('@opentelemetry/api').Tracer} tracer
 * @param {CallMessage} call
 */
function beginSpan(tracer, call) {
  const { operation, tableName, session } = call;
  const attributes = attributesOf(call);
  if (session !== undefined) attributes[`${OWN}.session`] = session;
  const name = tableName === undefined ? operation : `${operation} ${tableName}`;
  return tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes });
}

/**
 * Ends it with what the call has come to. Errors are not recorded as exceptions, because those of
 * the caller's functions may have confidential messages.
 * @param {Span} span
 * @param {CallMessage} call
 * @param {number} at when it was answered.
 */
function endSpan(span, call, at) {
  const { requests, keyCacheHit, outcome, code, error } = call;
  span.setAttributes({
    [`${OWN}.requests.dynamodb`]: requests.dynamodb,
    [`${OWN}.requests.kms`]: requests.kms,
    ...(keyCacheHit !== undefined && { [`${OWN}.key_cache.hit`]: keyCacheHit }),
    ...(outcome !== undefined && { [`${OWN}.outcome`]: outcome }),
  });
  const failed = errorType(call);
  if (failed !== undefined) {
    span.setAttribute(ERROR_TYPE, failed);
    const ours = code === undefined ? undefined : /** @type {import('../../index.js').SessionStoreError} */ (error);
    span.setStatus({ code: SpanStatusCode.ERROR, ...(ours && { message: ours.message }) });
    // AWS's name for the failure, and what its support asks for.
    const { name, requestId } = (ours && refusalOf(ours)) ?? {};
    if (name !== undefined) span.setAttribute(`${OWN}.cause`, name);
    if (requestId !== undefined) span.setAttribute('aws.request_id', requestId);
  }
  span.end(at);
}

module.exports = { beginSpan, endSpan };
