// What no proxy of failures plays: servers that hang, trickle, flood, speak another language or leave a batch's work undone. In front of the AWS servers;
// by the region and the operation of a request.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Listening, startHttp } from './http-server.ts';

/** In megabytes. DynamoDB never answers more than one, for a page of a Scan. */
const LARGE = 3;
const ENDLESS = 100;

const HEADERS = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52) };

/** Each is called with what the server would have answered. */
export type Oddity = (response: ServerResponse, answer: Buffer, request: Buffer) => Promise<unknown> | unknown;

export const oddities = {
  /** Never says anything. */
  hang: () => {},
  /** A byte a second. */
  async trickle(response, answer) {
    const padded = Buffer.concat([answer, Buffer.alloc(60, ' ')]);
    response.writeHead(200, { ...HEADERS, 'content-length': padded.length });
    for (const byte of padded) {
      if (response.destroyed) return;
      response.write(Buffer.of(byte));
      await sleep(1000, undefined, { ref: false });
    }
  },
  /** A page of a proxy or a captive portal, with the status of success. */
  page: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>sign in to the network</html>'),
  /** The answer, and 3 MB beside it that nobody asked for. */
  large: (response, answer) => padded(response, answer, LARGE),
  /** More than anybody should read. */
  endless: (response, answer) => padded(response, answer, ENDLESS),
  /** Takes a batch, does nothing of it, and hands it back. */
  unprocessed: (response, _answer, request) =>
    response.writeHead(200, HEADERS).end(JSON.stringify({ UnprocessedItems: JSON.parse(request.toString()).RequestItems })),
} satisfies Record<string, Oddity>;

/** The answer, after a field that nobody knows, of so many megabytes. */
async function padded(response: ServerResponse, answer: Buffer, megabytes: number): Promise<void> {
  response.writeHead(200, HEADERS);
  response.write('{"unknown":"');
  const megabyte = Buffer.alloc(1024 * 1024, 'x');
  for (let sent = 0; sent < megabytes && !response.destroyed; sent++) {
    if (response.write(megabyte)) continue;
    const settled = new AbortController();
    await Promise.race(['drain', 'close'].map((event) => once(response, event, settled)));
    settled.abort(); // takes away the listener of the other event
  }
  const rest = answer.toString().slice(1);
  response.end(rest === '}' ? '"}' : `",${rest}`);
}

export interface OddRule {
  region: string;
  operation: string;
  oddity: Oddity;
  /** Whether the server gets the request. */
  forwards: boolean;
  times?: number;
}

/** `us-east-1` of a signed request. */
function regionOf(request: IncomingMessage): string {
  return /Credential=[^/]+\/\d+\/([^/]+)\//.exec(String(request.headers.authorization))?.[1] ?? '';
}

export class OddServer {
  rules: OddRule[] = [];
  readonly fired: Array<{ operation: string; region: string }> = [];
  #listening!: Listening;

  static async start(target: string): Promise<OddServer> {
    const server = new OddServer();
    server.#listening = await startHttp((request, response) => server.#serve(target, request, response));
    return server;
  }

  get url(): string {
    return this.#listening.url;
  }

  close(): Promise<void> {
    return this.#listening.close();
  }

  async #serve(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const region = regionOf(request);
    const operation = String(request.headers['x-amz-target']).split('.')[1];
    const body = Buffer.concat(await request.toArray());
    const { host, connection, ...headers } = request.headers as Record<string, string>;
    const rule = this.rules.find((rule) => rule.region === region && rule.operation === operation && rule.times !== 0);
    if (rule?.times) rule.times -= 1;
    if (rule) this.fired.push({ operation, region });
    if (rule && !rule.forwards) return void (await rule.oddity(response, Buffer.from('{}'), body));
    const reply = await fetch(target, { method: 'POST', headers, body });
    const answer = Buffer.from(await reply.arrayBuffer());
    if (rule) return void (await rule.oddity(response, answer, body));
    response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
  }
}
