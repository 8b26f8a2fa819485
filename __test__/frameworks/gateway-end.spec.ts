// The example gateway is told to end while a request is under way.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const example = fileURLToPath(new URL('../../examples/fastify-gateway', import.meta.url));
const BODY = 'from=button';

describe('the example gateway', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-'));
  });
  after(() => rm(folder, { recursive: true }));

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`answers on ${signal} what is under way, takes nothing new, and ends with 0`, async () => {
      const environment = { ...process.env, PORT: '0', SESSIONS_FOLDER: join(folder, signal) };
      const gateway = spawn(process.execPath, ['--import', 'tsx', 'src/server.ts'], { cwd: example, env: environment });
      const ended = once(gateway, 'exit');
      try {
        let stderr = '';
        gateway.stderr.on('data', (chunk) => {
          stderr += chunk;
        });
        const [line] = (await Promise.race([
          once(createInterface({ input: gateway.stdout }), 'line'),
          ended.then(() => assert.fail(stderr)),
        ])) as [string];
        const { hostname, port, origin } = new URL(/http:\S+/.exec(line)![0]);
        const login = await fetch(`${origin}/login`, { redirect: 'manual', headers: { connection: 'close' } });
        const cookie = login.headers.getSetCookie()[0]!.split(';')[0]!;

        // A logout whose body is still coming: it has begun, and needs the store afterwards.
        const socket = connect(Number(port), hostname);
        let answer = '';
        socket.setEncoding('utf8').on('data', (text) => {
          answer += text;
        });
        const head = ['POST /logout HTTP/1.1', 'Host: gateway', `Cookie: ${cookie}`, 'Expect: 100-continue'];
        const type = ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${BODY.length}`];
        socket.write(`${[...head, ...type].join('\r\n')}\r\n\r\n`);
        await once(socket, 'data'); // 100 Continue: the gateway has the request
        gateway.kill(signal);
        await refusal(Number(port), hostname);
        socket.write(BODY);
        await once(socket, 'close');
        assert.match(answer, /HTTP\/1\.1 303 .*[\s\S]*location: \/\?notice=signed-out/i);
        assert.match(answer, /^connection: close\r$/im); // else it would wait for the connection to end by itself, a minute or more
        assert.deepEqual(await ended, [0, null], stderr);
      } finally {
        gateway.kill('SIGKILL');
        await ended;
      }
    });
  }
});

/** Waits until new connections are refused. */
async function refusal(port: number, host: string): Promise<void> {
  for (;;) {
    const socket = connect(port, host);
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!connected) return;
  }
}
