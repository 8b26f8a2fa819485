'use strict';

// For the `store` of koa-session's tests that looks at the request's context, too.

const { LocalStore } = require('./local-store.js');

const store = new LocalStore();
const noting = (ctx, what) => Object.assign(ctx.state, { test: what });

module.exports = {
  get(key, _maxAge, { ctx }) {
    noting(ctx, 'get');
    return store.get(key);
  },
  set(key, session, _maxAge, { ctx }) {
    noting(ctx, 'set');
    return store.set(key, session);
  },
  destroy(key, { ctx }) {
    noting(ctx, 'destroyed');
    return store.destroy(key);
  },
};
