// A server in front of DynamoDB that holds requests or their answers back until the test lets them go, or loses an answer.

import { type Listening, startHttp } from './http-server.ts';
import { Stops } from './stops.ts';

/** Before DynamoDB sees the request, or when it has answered and the caller does not know. */
export type Where = 'request' | 'answer';

export class StoppingProxy {
  readonly #stops = new Stops();
  /** Operation and place to the name of the stop that the next one makes there. */
  readonly #held = new Map<string, string>();
  #holds = 0;
  /** Operation to how many answers of it are lost from now on. */
  readonly #lost = new Map<string, number>();
  #server!: Listening;

  static async start(target: string): Promise<StoppingProxy> {
    const proxy = new StoppingProxy();
    proxy.#server = await startHttp(async (request, response) => {
      const operation = String(request.headers['x-amz-target']).split('.')[1];
      const body = Buffer.concat(await request.toArray());
      const { host, connection, ...headers } = request.headers as Record<string, string>;
      await proxy.#at(operation, 'request');
      const reply = await fetch(target, { method: 'POST', headers, body });
      const answer = Buffer.from(await reply.arrayBuffer());
      await proxy.#at(operation, 'answer');
      if (proxy.#loses(operation)) return void response.destroy();
      response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
    });
    return proxy;
  }

  get url(): string {
    return this.#server.url;
  }

  /** The next request of this operation (`PutItem`) stops there. */
  hold(operation: string, where: Where): { reached: Promise<void>; pass: () => void } {
    const name = `${++this.#holds}`;
    this.#held.set(`${operation} ${where}`, name);
    return { reached: this.#stops.reached(name), pass: () => this.#stops.pass(name) };
  }

  /** The next requests of this operation are served, and their connections end without the answer. */
  lose(operation: string, times = 1): void {
    this.#lost.set(operation, times);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  #loses(operation: string): boolean {
    const left = this.#lost.get(operation) ?? 0;
    if (left > 0) this.#lost.set(operation, left - 1);
    return left > 0;
  }

  async #at(operation: string, where: Where): Promise<void> {
    const place = `${operation} ${where}`;
    const name = this.#held.get(place);
    this.#held.delete(place);
    if (name !== undefined) await this.#stops.stop(name);
  }
}
