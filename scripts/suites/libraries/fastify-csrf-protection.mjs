export default {
  repository: 'fastify/csrf-protection',
  tag: 'v8.0.0',
  test: { runner: 'node', args: ['test/*.test.js'] },
  replace: { 'node_modules/@fastify/session/lib/store.js': 'fastify-session.js' },
  why: 'the tests register @fastify/session without a store, so that it makes its in-memory one',
};
