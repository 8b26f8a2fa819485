// The faults of a soak: errors from the servers, and a front that passes connections through, breaks them and holds them up.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export class FaultyFront {
  #server;
  #pairs = new Set();
  #held = false;
  url;
  /** How many milliseconds answers take longer. */
  delay = 0;

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

  /** Lets nothing through. @returns what ends that. */
  hold() {
    this.#flow(true);
    return () => this.#flow(false);
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
    let answered = Promise.resolve();
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
    onward.on('data', (data) => {
      const waited = this.delay > 0 ? sleep(this.delay) : undefined;
      answered = answered.then(() => waited).then(() => socket.write(data)); // in their order, also when the delay has changed
    });
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
    every(29, () => setTimeout(fronts[0].hold(), 1000).unref()),
  ];
  return () => timers.forEach(clearInterval);
}
