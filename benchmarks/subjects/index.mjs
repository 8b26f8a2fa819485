// What is measured. A subject's module gives `open(servers)`: `{ store, cold, close() }`, stores as @fastify/session takes them. `cold` is
// one that meets every session for the first time, as far as data keys go; `due` is one that writes the end of a session at every rolling
// request, if `store` does not. Modules are loaded by the processes that measure them alone.

import { USUAL } from '../usual.mjs';

/** @typedef {import('../cells.mjs').Cell} Cell */

/** What an option changes is measured at the usual size only. */
const inUsualSize = (wanted) => (cell) => cell.size === USUAL.size && wanted(cell);

/**
 * `loads`: the packages whose loading is measured. `keepsNothing`: a new process has none of the sessions.
 * `plateau`: it caches, and must not grow when the same sessions are written again.
 * `takesPart`: in which cells it is measured; in all without it. `variant`: it differs from another subject by an option, so its start and its
 * memory are not measured.
 * @type {Record<string, { name: string, module?: string, loads?: string[], options?: object, keepsNothing?: boolean, plateau?: boolean,
 *   takesPart?: (cell: Cell) => boolean, variant?: boolean }>}
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
    takesPart: ({ open }) => !open,
  },
  alone: {
    name: 'this store, batchReads: false',
    module: './this-store.mjs',
    options: { recordVersion: 2, batchReads: false },
    takesPart: inUsualSize(({ workload }) => workload === 'warm get'),
    variant: true,
  },
  users: {
    name: 'this store, users',
    module: './this-store.mjs',
    options: { recordVersion: 2, users: { idOf: ({ user }) => user, secret: 'the secret of the benchmarks, of 32 bytes' } },
    takesPart: inUsualSize(({ workload, inFlight, open }) => workload !== 'cold get' && inFlight === USUAL.inFlight && !open),
    variant: true,
  },
  plain: { name: 'plain TypeScript plan', module: './plain.mjs', loads: ['@aws-sdk/client-dynamodb', '@aws-sdk/client-kms'] },
  'connect-dynamodb': {
    name: 'connect-dynamodb',
    module: './connect-dynamodb.mjs',
    loads: ['@aws-sdk/client-dynamodb', 'connect-dynamodb'],
    takesPart: ({ open }) => !open,
  },
  memory: {
    name: 'MemoryStore',
    module: './memory.mjs',
    loads: ['@fastify/session'],
    keepsNothing: true,
    takesPart: ({ open }) => !open,
  },
  bare: { name: 'bare HTTP client', takesPart: ({ open }) => !open },
};

/** Whether a subject is measured in a cell. */
export function takesPart(id, cell) {
  return SUBJECTS[id].takesPart?.(cell) ?? true;
}

/** Opens a subject: loads its package and makes its store. */
export async function openSubject(id, servers, options = {}) {
  const subject = SUBJECTS[id];
  const { open } = await import(subject.module);
  return open(servers, { ...subject.options, ...options });
}
