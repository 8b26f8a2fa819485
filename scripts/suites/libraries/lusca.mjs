export default {
  repository: 'krakenjs/lusca',
  tag: 'v1.7.0',
  packages: ['mocha@10.8.2'],
  test: { runner: 'mocha', args: ['--timeout', '15000', '--exit', 'test/*.js'] },
  replace: { 'node_modules/express-session/session/memory.js': 'express-session.js' },
  expressSession: 'node_modules/express-session',
  why: 'the tests use express-session without a store, so that it makes its in-memory one',
};
