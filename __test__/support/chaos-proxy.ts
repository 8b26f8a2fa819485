// A server in front of DynamoDB on which requests and answers get lost, throttled, late, or into the way of transactions, as a seed says.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Listening, startHttp } from './http-server.ts';
import { Random } from './random.ts';

const HEADERS = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52) };

export class ChaosProxy {
  /** How many requests met each fault. */
  readonly met: Record<string, number> = {};
  #server!: Listening;

  /** `share` of the requests meet a fault. Now and then so many in a row do that calls fail, and nobody knows what came of them. */
  static async start(target: string, seed: number, share: number): Promise<ChaosProxy> {
    const proxy = new ChaosProxy();
    const random = new Random(seed);
    let spell = { fault: 'none', left: 0 };
    proxy.#server = await startHttp(async (request, response) => {
      const operation = String(request.headers['x-amz-target']).split('.')[1];
      const body = Buffer.concat(await request.toArray());
      const { host, connection, ...headers } = request.headers as Record<string, string>;
      const isWrite = operation !== 'GetItem' && operation !== 'Scan';
      if (random.chance(share / 12)) spell = { fault: random.pick(['lost', 'unsent', 'error']), left: 24 };
      const inSpell = spell.left-- > 0 && random.chance(0.7);
      const fault = inSpell
        ? spell.fault
        : random.chance(share)
          ? random.weighted({ lost: 4, unsent: 2, throttled: 2, error: 2, late: 2, ...(isWrite ? { conflict: 6 } : {}) })
          : 'none';
      proxy.met[fault] = (proxy.met[fault] ?? 0) + 1;
      const refuse = (status: number, code: string, more = {}) =>
        response
          .writeHead(status, HEADERS)
          .end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${code}`, message: 'injected', ...more }));
      const reasons = {
        CancellationReasons: JSON.parse(body.toString()).TransactItems?.map(() => ({ Code: 'TransactionConflict' })),
      };
      if (fault === 'unsent') return void response.destroy();
      if (fault === 'throttled') return void refuse(400, 'ProvisionedThroughputExceededException');
      if (fault === 'error') return void refuse(500, 'InternalServerError');
      if (fault === 'conflict' && operation === 'TransactWriteItems')
        return void refuse(400, 'TransactionCanceledException', reasons);
      if (fault === 'conflict') return void refuse(400, 'TransactionConflictException');
      if (fault === 'late') await sleep(random.whole(1, 60));
      const reply = await fetch(target, { method: 'POST', headers, body });
      const answer = Buffer.from(await reply.arrayBuffer());
      if (fault === 'lost') return void response.destroy();
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
