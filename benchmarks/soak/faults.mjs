// The faults of a soak: errors from the servers, and a front that passes connections through, breaks them and holds them up.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class FaultyFront {
  #server;
  #pairs = new Set();
  #held = false;
  url;

  static async start(target) {
    const front = new FaultyFront();
    const { hostname, port } = new URL(target);
    front.#server = createServer((socket) => front.#pass(socket, connect(Number(port), hostname)));
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    front.url = `http://127.0.0.1:${front.#server.address().port}`;
    return front;
  }

  /** Resets a share of the connections. */
  reset(share) {
    for (const { socket } of this.#pairs) if (Math.random() < share) socket.resetAndDestroy();
  }

  /** Lets nothing through for so long. */
  holdUp(milliseconds) {
    this.#flow(true);
    setTimeout(() => this.#flow(false), milliseconds).unref();
  }

  close() {
    this.#server.close();
    for (const { socket } of this.#pairs) socket.destroy();
  }

  #flow(held) {
    this.#held = held;
    for (const { onward } of this.#pairs) held ? onward.pause() : onward.resume();
  }

  #pass(socket, onward) {
    const pair = { socket, onward };
    this.#pairs.add(pair);
    socket.setNoDelay();
    onward.setNoDelay();
    const end = () => {
      this.#pairs.delete(pair);
      socket.destroy();
      onward.destroy();
    };
    for (const one of [socket, onward]) one.on('error', end).on('close', end);
    socket.on('data', (data) => onward.write(data));
    onward.on('data', (data) => socket.write(data));
    if (this.#held) onward.pause();
  }
}

/** Something goes wrong every few seconds. @returns what ends that. */
export function faultsOverTime(servers, fronts) {
  const fault = (fault) => servers.fault(fault).catch(() => {});
  const every = (seconds, work) => setInterval(work, seconds * 1000);
  const timers = [
    every(3, () => fault({ action: 'dynamodb:*', status: 400, code: 'ThrottlingException', times: 40 })),
    every(4, () => fault({ action: 'dynamodb:*', status: 500, code: 'InternalServerError', times: 40 })),
    every(5, () => fault({ action: 'kms:*', status: 400, code: 'ThrottlingException', times: 10 })),
    every(7, () => fault({ action: 'kms:*', status: 500, code: 'KMSInternalException', times: 10 })),
    every(11, () => {
      for (const front of fronts) front.reset(0.5);
    }),
    every(29, () => fronts[0].holdUp(1000)),
  ];
  return () => timers.forEach(clearInterval);
}
