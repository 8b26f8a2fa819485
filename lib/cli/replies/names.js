'use strict';

// The names of Fastify's interface that the analysis knows.

const SHORTHANDS = new Set(
  'get head post put delete options patch all trace search propfind proppatch mkcol mkcalendar copy move lock unlock report'.split(
    ' ',
  ),
);
/** Hooks that answer a request in place of its handler. */
const HOOKS = new Set(['onRequest', 'preParsing', 'preValidation', 'preHandler']);
/** Hooks that run when there is an answer already. */
const LATER_HOOKS = new Set(['preSerialization', 'onSend', 'onResponse', 'onError', 'onTimeout', 'onRequestAbort']);

/**
 * Methods that answer: Fastify's own, and those of @fastify/static, view, reply-from, compress and
 * sensible.
 */
const ANSWERS = new Set([
  'send',
  'redirect',
  'callNotFound',
  'sendFile',
  'download',
  'view',
  'from',
  'compress',
  ...'badRequest unauthorized paymentRequired forbidden notFound methodNotAllowed notAcceptable proxyAuthenticationRequired'.split(
    ' ',
  ),
  ...'requestTimeout conflict gone lengthRequired preconditionFailed payloadTooLarge uriTooLong unsupportedMediaType'.split(' '),
  ...'rangeNotSatisfiable expectationFailed imateapot misdirectedRequest unprocessableEntity locked failedDependency'.split(' '),
  ...'tooEarly upgradeRequired preconditionRequired tooManyRequests requestHeaderFieldsTooLarge'.split(' '),
  ...'unavailableForLegalReasons internalServerError notImplemented badGateway serviceUnavailable gatewayTimeout'.split(' '),
]);
/** Methods that give something else than the reply. */
const GETTERS = new Set(
  'getHeader getHeaders hasHeader hasTrailer serialize serializeInput getSerializationFunction getDecorator viewAsync jwtSign generateCsrf unsignCookie signCookie'.split(
    ' ',
  ),
);

/** Types of Fastify of a function whose second parameter is the reply. */
const HANDLER_TYPES =
  /^(RouteHandler|RouteHandlerMethod|FastifyAuthFunction|(onRequest|preParsing|preValidation|preHandler)(Async)?HookHandler)$/;
const REPLY_NAMES = new Set(['reply', 'rep', '_reply']);
const REQUEST_NAMES = /^_*(req|request|fastifyRequest)?$/i;

module.exports = { ANSWERS, GETTERS, HANDLER_TYPES, HOOKS, LATER_HOOKS, REPLY_NAMES, REQUEST_NAMES, SHORTHANDS };
