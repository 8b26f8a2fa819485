// A server in front of an AWS service that loses a share of the requests, or of their answers, and counts which.

import { once } from 'node:events';
import { type IncomingMessage, request as send } from 'node:http';
import { type Listening, startHttp } from './http-server.ts';
import type { Random } from './random.ts';

export class LosingProxy {
  share = 0;
  /** Requests that the service never saw, and those whose answer nobody saw, by action. */
  readonly unsent: Record<string, number> = {};
  readonly unanswered: Record<string, number> = {};
  #server!: Listening;

  static async start(service: string, target: string, random: Random): Promise<LosingProxy> {
    const proxy = new LosingProxy();
    proxy.#server = await startHttp(async (request, response) => {
      const action = `${service}:${String(request.headers['x-amz-target']).split('.')[1]}`;
      const body = Buffer.concat(await request.toArray());
      const count = (counts: Record<string, number>) => {
        counts[action] = (counts[action] ?? 0) + 1;
      };
      const isLost = random.chance(proxy.share);
      if (isLost && random.chance(0.5)) {
        count(proxy.unsent);
        return void response.destroy();
      }
      const { host, connection, ...headers } = request.headers;
      // A connection of its own: one that is used again may be closed by then, and nobody would know whether the service has counted the request.
      const sent = send(target, { method: 'POST', headers, agent: false }).end(body);
      const [reply] = (await once(sent, 'response')) as [IncomingMessage];
      const answer = Buffer.concat(await reply.toArray());
      if (isLost) {
        count(proxy.unanswered);
        return void response.destroy();
      }
      const { connection: _, 'transfer-encoding': __, ...answered } = reply.headers;
      response.writeHead(reply.statusCode!, { ...answered, 'content-length': answer.length }).end(answer);
    });
    return proxy;
  }

  get url(): string {
    return this.#server.url;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
