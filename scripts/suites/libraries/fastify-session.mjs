export default {
  repository: 'fastify/session',
  tag: 'v11.1.2',
  test: { runner: 'node', args: ['test/*.test.js'], except: ['test/memorystore.test.js'] },
  replace: { 'lib/store.js': 'fastify-session.js', 'test/TestStore.js': 'fastify-session-test.js' },
  // Any store that answers later fails these: a Map behind setImmediate does.
  differences: [
    {
      test: 'base.test.js > should save the session properly',
      reason:
        'the test ends without waiting for the callback of save(), in which it checks; a new session is saved before the callback',
    },
    {
      test: /^session\.test\.js > should decryptSession with custom (request object|cookie options)$/,
      reason:
        'the test ends without waiting for the callback of decryptSession(), in which it checks; the session is read before the callback',
    },
    {
      test: 'session.test.js > Custom options',
      reason: 'the test ends after a few milliseconds without waiting for its second request, which follows a save',
    },
  ],
  why: 'the plugin makes its in-memory store where none is given, the tests give one that copies; what is left out tests the in-memory store itself',
};
