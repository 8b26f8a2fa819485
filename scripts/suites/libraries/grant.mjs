export default {
  repository: 'simov/grant',
  tag: 'v5.4.24',
  test: { runner: 'mocha', args: ['--recursive', '--exit'] },
  replace: {
    'node_modules/express-session/session/memory.js': 'express-session.js',
    'node_modules/@fastify/session/lib/store.js': 'fastify-session.js',
    'node_modules/@curveball/session/dist/memorystore.js': 'curveball.js',
    'lib/session.js': 'grant.js',
  },
  expressSession: 'node_modules/express-session',
  differences: [
    {
      test: 'session session store - set, get, remove - no input headers',
      reason:
        'the store of this test gives {} for a session that it has removed; every session store gives none, and grant then makes {grant: {}}',
    },
  ],
  why: 'the tests give no store to Express, Fastify and Curveball and an object to the plain handlers; with Koa and hapi the session is elsewhere',
};
