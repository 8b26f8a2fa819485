export default {
  repository: 'koajs/generic-session',
  tag: 'v2.3.1',
  prepare: [['node', 'node_modules/babel-cli/bin/babel.js', '-d', 'lib/', 'src/']],
  test: {
    runner: 'mocha',
    args: ['--timeout', '3000', '--require', 'should', '--require', 'babel-core/register', 'test/*.test.js'],
    // Its tests leave rejections unhandled, as was no error before Node.js 15.
    environment: { NODE_ENV: 'test', NODE_OPTIONS: '--unhandled-rejections=warn' },
  },
  replace: { 'lib/memory_store.js': 'koa-generic-session.js', 'test/support/store.js': 'koa-generic-session.js' },
  why: 'the middleware makes its in-memory store where none is given, and the tests give one of their own',
};
