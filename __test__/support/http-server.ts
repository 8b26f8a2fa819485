// Small servers on 127.0.0.1 for what the AWS servers do not play: odd replies, closed and silent ports, and counted connections.

import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface Listening {
  readonly url: string;
  close(): Promise<void>;
}

export interface Counting extends Listening {
  /** How many connections came. */
  connections(): number;
}

/** Starts a server on a free port; closing it breaks off the connections that are left. */
export async function listen(server: Server | HttpServer, sockets: Set<Socket> = new Set()): Promise<Listening> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export function startHttp(answer: RequestListener): Promise<Listening> {
  const server = createHttpServer(answer);
  server.keepAliveTimeout = 0; // an idle connection that it closed could be about to carry a request, which would then arrive once more
  return listen(server);
}

/** Answers every request with this, as it is. */
export function startAnswering(status: number, headers: Record<string, string>, body: string): Promise<Listening> {
  return startHttp((request, response) => {
    request.resume().on('end', () => response.writeHead(status, headers).end(body));
  });
}

/** Takes connections and never says anything. */
export function startSilent(): Promise<Listening> {
  return listen(createServer());
}

/** A URL that refuses connections: no server listens on tcpmux, and no test is given its port. */
export const REFUSING_URL = 'http://127.0.0.1:1';

/** Passes every connection through to `target`, and counts them. */
export async function startCounting(target: string): Promise<Counting> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const onward = connect(Number(port), hostname);
    sockets.add(onward);
    onward.on('error', () => socket.destroy()).on('close', () => sockets.delete(onward));
    socket.pipe(onward).pipe(socket);
  });
  return { ...(await listen(server, sockets)), connections: () => connections };
}

/** One URL for several services: the operation's name in `x-amz-target` says which. `targets` by its beginning. */
export function startRouting(targets: Record<string, string>): Promise<Listening> {
  return startHttp(async (request, response) => {
    const operation = String(request.headers['x-amz-target']);
    const [, target] = Object.entries(targets).find(([prefix]) => operation.startsWith(prefix)) ?? [];
    if (target === undefined) return void response.writeHead(404).end();
    const body = Buffer.concat(await request.toArray());
    const { host, connection, ...headers } = request.headers as Record<string, string>;
    const reply = await fetch(target, { method: 'POST', headers, body });
    const answer = Buffer.from(await reply.arrayBuffer());
    response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
  });
}
