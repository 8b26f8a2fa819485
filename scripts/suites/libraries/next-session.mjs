export default {
  repository: 'hoangvvo/next-session',
  tag: 'v4.0.4',
  // compat and memory-store test the in-memory store itself.
  // Without checks: the types of a newer Node.js than the tag had do not fit.
  test: {
    runner: 'jest',
    args: ['--globals', '{"ts-jest":{"diagnostics":false}}', 'test/session.test.ts', 'test/utils.test.ts'],
  },
  replace: { 'src/memory-store.ts': 'next-session.js' },
  why: 'the middleware makes its in-memory store where none is given, and the tests make others',
};
