// Servers that take their time: one that says a byte now and then, one that nobody can connect to, and one that breaks connections off.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type Counting, type Listening, listen } from './http-server.ts';

/** Answers with one byte every `interval` milliseconds: of the head, or, when that has been sent whole, of a body that never ends. */
export function startTrickling(part: 'head' | 'body', interval: number): Promise<Listening> {
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 100000\r\n';
  return listen(
    createServer((socket) => {
      socket.once('data', () => {
        socket.write(part === 'head' ? head : `${head}\r\n{"`);
        const timer = setInterval(() => socket.write('x'), interval);
        socket.on('close', () => clearInterval(timer));
      });
    }),
  );
}

/** Reads requests and breaks the connection off instead of answering. `connections` counts the requests. */
export async function startResetting(): Promise<Counting> {
  let requests = 0;
  const server = createServer((socket) => {
    socket.once('data', () => {
      requests += 1;
      socket.resetAndDestroy();
    });
  });
  return { ...(await listen(server)), connections: () => requests };
}

/** How long a connection to a listening port of this machine takes at the very most. */
const CONNECTED = 500;

/** A port whose queue of connections is full and whose process has been stopped: who connects gets no answer at all. */
export async function startBlackHole(): Promise<Listening> {
  const program = `const server = require('node:net').createServer();
    server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => console.log(server.address().port));
    process.stdin.resume().on('end', () => process.exit());`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  child.kill('SIGSTOP');
  const sockets: Socket[] = [];
  const fits = () =>
    new Promise((resolve) => {
      const socket = connect(Number(line), '127.0.0.1', () => resolve(true)).on('error', () => {});
      sockets.push(socket);
      setTimeout(() => resolve(false), CONNECTED).unref();
    });
  while (await fits());
  return {
    url: `http://127.0.0.1:${line}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
