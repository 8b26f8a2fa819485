// What is measured. A subject's module gives `open(servers)`: `{ store, cold, close() }`, stores as @fastify/session takes them. `cold` is
// one that meets every session for the first time, as far as data keys go. Modules are loaded by the processes that measure them alone.

/**
 * `loads`: the packages whose loading is measured. `keepsNothing`: a new process has none of the sessions.
 * `plateau`: it caches, and must not grow when the same sessions are written again.
 * @type {Record<string, { name: string, module?: string, loads?: string[], options?: object, keepsNothing?: boolean, plateau?: boolean }>}
 */
export const SUBJECTS = {
  v2: {
    name: 'this store',
    module: './this-store.mjs',
    loads: ['connect-dynamodb-kms'],
    options: { recordVersion: 2 },
    plateau: true,
  },
  v1: {
    name: 'this store, version 1',
    module: './this-store.mjs',
    loads: ['connect-dynamodb-kms'],
    options: { recordVersion: 1 },
    plateau: true,
  },
  plain: { name: 'plain TypeScript plan', module: './plain.mjs', loads: ['@aws-sdk/client-dynamodb', '@aws-sdk/client-kms'] },
  'connect-dynamodb': {
    name: 'connect-dynamodb',
    module: './connect-dynamodb.mjs',
    loads: ['@aws-sdk/client-dynamodb', 'connect-dynamodb'],
  },
  memory: { name: 'MemoryStore', module: './memory.mjs', loads: ['@fastify/session'], keepsNothing: true },
  bare: { name: 'bare HTTP client' },
};

/** Opens a subject: loads its package and makes its store. */
export async function openSubject(id, servers, options = {}) {
  const subject = SUBJECTS[id];
  const { open } = await import(subject.module);
  return open(servers, { ...subject.options, ...options });
}
