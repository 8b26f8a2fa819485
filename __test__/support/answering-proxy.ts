// A server in front of DynamoDB that answers some operations itself, loses answers, or does not know the tokens of transactions: what aws-local does not do
// on command.

import { type Listening, startHttp } from './http-server.ts';

const HEADERS = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52) };

/** An error of DynamoDB, and what it says beside its message. */
export interface Refusal {
  code: string;
  status?: number;
  more?: object;
}

/** `TransactionCanceledException` with one code for each write of the transaction. */
export const cancelled = (...codes: string[]): Refusal => ({
  code: 'TransactionCanceledException',
  more: { CancellationReasons: codes.map((Code) => ({ Code, ...(Code === 'None' ? {} : { Message: `it met ${Code}` }) })) },
});

export class AnsweringProxy {
  /** Operation and body of each request. */
  readonly requests: Array<{ operation: string; body: any }> = [];
  /** Whether the server remembers the tokens of transactions. */
  knowsTokens = true;
  /** Whether a refused transaction tells which items it met. */
  tellsItems = true;
  readonly #answers = new Map<string, { refusal: Refusal; times: number }>();
  readonly #lost = new Map<string, number>();
  #server!: Listening;

  static async start(target: string): Promise<AnsweringProxy> {
    const proxy = new AnsweringProxy();
    proxy.#server = await startHttp(async (request, response) => {
      const operation = String(request.headers['x-amz-target']).split('.')[1];
      const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
      proxy.requests.push({ operation, body });
      const answer = proxy.#answers.get(operation);
      if (answer && answer.times-- > 0) {
        const { code, status = 400, more } = answer.refusal;
        const text = { __type: `com.amazonaws.dynamodb.v20120810#${code}`, message: `${code}, says the test`, ...more };
        return void response.writeHead(status, HEADERS).end(JSON.stringify(text));
      }
      const { ClientRequestToken, ...rest } = body;
      const sent = proxy.knowsTokens ? body : rest;
      const { host, connection, 'content-length': length, ...headers } = request.headers as Record<string, string>;
      const reply = await fetch(target, { method: 'POST', headers, body: JSON.stringify(sent) });
      let bytes = Buffer.from(await reply.arrayBuffer());
      if (!proxy.tellsItems && operation === 'TransactWriteItems') bytes = withoutItems(bytes);
      const lost = proxy.#lost.get(operation) ?? 0;
      proxy.#lost.set(operation, lost - 1);
      if (lost > 0) return void response.destroy();
      response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': bytes.length }).end(bytes);
    });
    return proxy;
  }

  get url(): string {
    return this.#server.url;
  }

  /** The next requests of this operation are refused so, and do not reach DynamoDB. */
  refuse(operation: string, refusal: Refusal, times = Number.POSITIVE_INFINITY): void {
    this.#answers.set(operation, { refusal, times });
  }

  /** The next requests of this operation are served, and their connections end without the answer. */
  lose(operation: string, times = 1): void {
    this.#lost.set(operation, times);
  }

  /** How many requests of an operation came. */
  count(operation: string): number {
    return this.requests.filter((request) => request.operation === operation).length;
  }

  /** Everything is served again, and nothing came yet. */
  reset(): void {
    this.#answers.clear();
    this.#lost.clear();
    this.requests.length = 0;
    this.knowsTokens = true;
    this.tellsItems = true;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

function withoutItems(answer: Buffer): Buffer<ArrayBuffer> {
  const text = JSON.parse(answer.toString());
  for (const reason of text.CancellationReasons ?? []) delete reason.Item;
  return Buffer.from(JSON.stringify(text));
}
