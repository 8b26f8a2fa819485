export default {
  repository: 'fastify/session',
  tag: 'v11.1.2',
  test: { runner: 'node', args: ['test/*.test.js'], except: ['test/memorystore.test.js'] },
  replace: { 'lib/store.js': 'fastify-session.js', 'test/TestStore.js': 'fastify-session-test.js' },
  why: 'the plugin makes its in-memory store where none is given, the tests give one that copies; what is left out tests the in-memory store itself',
};
