// A browser that writes down what it is answered, and what ran meanwhile.

import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import WebSocket from 'ws';
import { cookieExpires } from '../browser.ts';

/** One request and all that can be seen of it. */
export interface Row {
  request: string;
  status: number | string;
  headers?: Record<string, string>;
  cookies?: string[];
  body?: string;
  /** What ran from the request's start to the end of all that it began. */
  runs?: Record<string, number>;
  /** What was thrown with nobody to catch it. */
  uncaught?: string[];
}

/** What a client needs to know of the process that it asks. */
export interface Witness {
  readonly origin: string;
  /** Resolves when the application and its store have nothing left to do. */
  settled(): Promise<void>;
  /** What ran, and what was thrown, since the last time. */
  seen(): Pick<Row, 'runs' | 'uncaught'>;
  record(row: Row): void;
}

export interface Sent {
  form?: Record<string, string>;
  json?: unknown;
  headers?: Record<string, string>;
  /** The parts of the body that are random. */
  random?: RegExp;
}

const COMPARED = ['location', 'content-type', 'content-encoding', 'cache-control', 'x-secret', 'x-user', 'x-ratelimit-remaining'];
const PATIENCE_MS = 3_000;

export class Client {
  readonly #witness: Witness;
  readonly #agent: Agent | false;
  readonly cookies = new Map<string, string>();
  /** The last answer's body as it came. */
  body = '';

  /** @param agent Keeps connections; without one each request has its own. */
  constructor(witness: Witness, agent?: Agent) {
    this.#witness = witness;
    this.#agent = agent ?? false;
  }

  get(path: string, sent?: Sent): Promise<Row> {
    return this.#alone(this.#exchange('GET', path, sent));
  }

  post(path: string, sent?: Sent): Promise<Row> {
    return this.#alone(this.#exchange('POST', path, sent));
  }

  /** Starts a request that ends later; `finish` writes it down. */
  start(path: string): { finish(): Promise<Row> } {
    const row = this.#exchange('GET', path);
    return { finish: () => this.#alone(row) };
  }

  /** Posts, and gets the next page as soon as the *headers* are there, as browsers do with a redirect: the body may come later. */
  async postAndFollow(path: string, sent?: Sent & { next?: string }): Promise<void> {
    let followed: Promise<Row> | undefined;
    const row = await this.#exchange('POST', path, sent, ({ headers }) => {
      followed = this.#exchange('GET', sent?.next ?? headers?.location ?? '/no-location');
    });
    this.#witness.record(row);
    if (followed) await this.#alone(followed);
  }

  /** Sends these GET requests at once. What ran is counted for all of them together. */
  async parallel(paths: string[]): Promise<void> {
    const rows = await Promise.all(paths.map((path) => this.#exchange('GET', path)));
    for (const row of rows.slice(0, -1)) this.#witness.record(row);
    await this.#alone(Promise.resolve(rows.at(-1)!));
  }

  /** Opens a WebSocket, says `message`, and writes down what comes. */
  async socket(path: string, message: string): Promise<void> {
    const socket = new WebSocket(this.#witness.origin.replace('http', 'ws') + path, { headers: this.#cookieHeader() });
    const row = await new Promise<Row>((resolve) => {
      const said: string[] = [];
      const answered = (status: Row['status'], body: string) => resolve({ request: `SOCKET ${path}`, status, body });
      const patience = setTimeout(() => answered('no answer', said.join('|')), PATIENCE_MS);
      socket.on('open', () => socket.send(message));
      socket.on('message', (data) => {
        said.push(String(data));
        if (said.length === 2 || !String(data).startsWith('hello')) socket.close();
      });
      socket.on('unexpected-response', async (_request, response: IncomingMessage) => {
        answered(response.statusCode!, `${response.headers.location ?? ''} ${await text(response)}`);
      });
      socket.on('error', (error) => answered('broken', error.message));
      socket.on('close', () => {
        clearTimeout(patience);
        answered('closed', said.join('|'));
      });
    });
    socket.terminate();
    await this.#alone(Promise.resolve(row));
  }

  async #alone(exchange: Promise<Row>): Promise<Row> {
    const row = await exchange;
    await this.#witness.settled();
    Object.assign(row, this.#witness.seen());
    this.#witness.record(row);
    return row;
  }

  #cookieHeader(): Record<string, string> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return cookie ? { cookie } : {};
  }

  #exchange(
    method: string,
    path: string,
    { form, json, headers = {}, random }: Sent = {},
    onHeaders?: (row: Row) => void,
  ): Promise<Row> {
    const payload = form ? String(new URLSearchParams(form)) : json === undefined ? undefined : JSON.stringify(json);
    const row: Row = { request: `${method} ${path}`, status: 'no answer' };
    return new Promise((resolve) => {
      const request = httpRequest(this.#witness.origin + path, {
        method,
        agent: this.#agent,
        headers: {
          ...this.#cookieHeader(),
          ...(payload === undefined
            ? {}
            : {
                'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
                'content-length': payload.length,
              }),
          ...headers,
        },
      });
      const patience = setTimeout(() => request.destroy(), PATIENCE_MS);
      const end = (status?: string) => {
        clearTimeout(patience);
        if (status) row.status = status;
        resolve(row);
      };
      request.on('error', () => end('no answer'));
      request.on('response', async (response) => {
        row.status = response.statusCode!;
        row.headers = Object.fromEntries(
          COMPARED.flatMap((name) => {
            const value = response.headers[name];
            return value === undefined ? [] : [[name, String(value)]];
          }),
        );
        row.cookies = (response.headers['set-cookie'] ?? []).map((header) => this.#keep(header));
        onHeaders?.(row);
        try {
          const gzip = response.headers['content-encoding'] === 'gzip';
          this.body = await text(gzip ? response.pipe(createGunzip()) : response);
          row.body = random ? this.body.replace(random, '…') : this.body;
          end();
        } catch {
          end(`${row.status}, broken off`);
        }
      });
      request.end(payload);
    });
  }

  /** Keeps a cookie, also if it has ended, as a client with another clock does. @returns what can be compared of it. */
  #keep(header: string): string {
    const [pair, ...attributes] = header.split(/; */);
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    const known = this.cookies.get(name);
    const expires = cookieExpires(header);
    const seconds = expires === undefined ? undefined : Math.round((expires - Date.now()) / 1000);
    let kind = known === value ? 'same' : 'new';
    if (value === '') {
      kind = 'cleared';
      this.cookies.delete(name);
    } else {
      this.cookies.set(name, value);
    }
    const others = attributes.filter((attribute) => !/^expires=/i.test(attribute));
    return [name, kind, kind === 'cleared' || seconds === undefined ? '' : `for ${seconds} s`, ...others].join(' ');
  }
}
