export default {
  repository: 'koajs/session',
  tag: 'v7.0.2',
  packages: ['tsx@4.23.15'],
  test: { runner: 'mocha', args: ['--import=tsx', '--timeout', '60000', '--exit', 'test/*.test.ts'] },
  replace: {
    'test/store.ts': 'koa-session.js',
    'test/context_store.ts': 'koa-session-context.js',
    'test/store_with_ctx.ts': 'koa-session-with-context.js',
  },
  // Any store that answers later fails these: a Map behind setImmediate does.
  differences: [
    {
      test: /^Koa Session External (Context )?Store session \.save\(\) should save session$/,
      reason:
        'the test does not await session.save(); koa-session sets the cookie when the store has answered, and the response was sent by then',
    },
  ],
  why: 'sessions are in the cookie unless a store is given; the tests give objects over a variable of their module',
};
