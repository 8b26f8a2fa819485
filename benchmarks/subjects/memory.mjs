// @fastify/session's own store: a Map that holds the very objects, so nothing is copied, sealed or sent. The floor.

import { createRequire } from 'node:module';

const { MemoryStore } = createRequire(import.meta.url)('@fastify/session');

export function open() {
  const store = new MemoryStore();
  return { store, cold: store, close: async () => {} };
}
