// The service behind the gateway: it says who asked, and refreshes tokens unless they were revoked.

import { text } from 'node:stream/consumers';
import { type Listening, startHttp } from '../http-server.ts';

export function startUpstream(): Promise<Listening> {
  return startHttp(async (request, response) => {
    const body = await text(request);
    if (request.url !== '/refresh') return void response.end(`upstream for ${request.headers.authorization}`);
    if (body === 'revoked') return void response.writeHead(400).end();
    response.end(body.replace(/\d+/, (generation) => String(Number(generation) + 1)));
  });
}
