// A server in front of DynamoDB that serves a number of requests, and none after those: what a process has done at the moment at which it is killed.

import { type Listening, startHttp } from './http-server.ts';

export class LimitedProxy {
  /** Resolves when a request came that is not served. */
  readonly reached: Promise<void>;
  /** How many requests were served. */
  served = 0;
  #reach!: () => void;
  #server!: Listening;

  private constructor() {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
  }

  static async start(target: string, limit: number): Promise<LimitedProxy> {
    const proxy = new LimitedProxy();
    let begun = 0;
    let underWay = 0;
    proxy.#server = await startHttp(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      // Those before it must have been served, whatever order the answers come in.
      const refused = begun >= limit;
      if (refused) return void (underWay === 0 && proxy.#reach());
      begun++;
      underWay++;
      const { host, connection, ...headers } = request.headers as Record<string, string>;
      const reply = await fetch(target, { method: 'POST', headers, body });
      const answer = Buffer.from(await reply.arrayBuffer());
      underWay--;
      proxy.served++;
      response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
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
