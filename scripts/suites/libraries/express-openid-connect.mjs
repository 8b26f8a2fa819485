export default {
  repository: 'auth0/express-openid-connect',
  tag: 'v3.4.0',
  test: { runner: 'mocha', args: ['--max-http-header-size=16384', '--exit'] },
  replace: { 'test/fixture/store.js': 'redis-store.js', 'node_modules/memorystore/index.js': 'memorystore.js' },
  why: 'sessions are in the cookie unless a store is given; the tests give connect-redis over redis-mock, and memorystore',
};
