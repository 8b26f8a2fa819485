export default {
  repository: 'fastify/fastify-passport',
  tag: 'v4.0.1',
  // Without checks: the types of newer dependencies than the tag had do not fit.
  prepare: [
    ['node', 'node_modules/typescript/bin/tsc', '--noCheck', '--project', 'tsconfig.json'],
    ['node', 'node_modules/typescript/bin/tsc', '--noCheck', '--project', 'tsconfig.test.json'],
  ],
  test: { runner: 'node', args: ['dist/test/*.test.js', 'dist/test/esm/*.test.js'] },
  replace: { 'node_modules/@fastify/session/lib/store.js': 'fastify-session.js' },
  why: 'half of the tests register @fastify/session without a store, so that it makes its in-memory one; the others use cookies',
};
