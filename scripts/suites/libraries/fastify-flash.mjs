export default {
  repository: 'fastify/fastify-flash',
  tag: 'v6.0.5',
  packages: ['@fastify/session@11.1.3', '@fastify/cookie@11.1.5'],
  prepare: [
    ['node', 'node_modules/typescript/bin/tsc', '--outDir', 'compiled/here', '--rootDir', '.'],
    ['node', '-e', 'require("fs").writeFileSync("compiled/secret-key", require("crypto").randomBytes(32))'],
  ],
  test: { runner: 'node', args: ['compiled/here/test/*.test.js'] },
  // Its tests know @fastify/secure-session alone, which has no store.
  replaceAlways: { 'node_modules/@fastify/secure-session/index.js': 'secure-session.js' },
  replace: { 'node_modules/@fastify/session/lib/store.js': 'fastify-session.js' },
  why: 'the tests keep sessions in cookies; both runs keep them with @fastify/session, one in its in-memory store',
};
