// Applications as they are without this package.

import { channel } from 'node:diagnostics_channel';
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';

/** An application that was made as if this package had not been imported before it. */
export function unguardedFastify(options?: FastifyServerOptions): FastifyInstance {
  const made = channel('fastify.initialization');
  Object.defineProperty(made, 'publish', { value: () => {}, configurable: true });
  try {
    return Fastify(options);
  } finally {
    Reflect.deleteProperty(made, 'publish');
  }
}
