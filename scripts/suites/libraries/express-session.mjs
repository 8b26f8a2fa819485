export default {
  repository: 'expressjs/session',
  tag: 'v1.19.0',
  prepare: [['sh', 'test/support/gencert.sh']],
  test: { runner: 'mocha', args: ['--require', 'test/support/env', '--check-leaks', '--exit', 'test/'] },
  replace: { 'session/memory.js': 'express-session.js' },
  expressSession: '.',
  why: 'the tests make their stores with `new session.MemoryStore()`, and the middleware makes one where none is given',
};
