// What visitors of the Express application do. They follow each redirect as soon as its headers are there.

import type { Client } from '../client.ts';

const ADA = { form: { user: 'ada', password: 'lovelace' } };
const WRONG = { form: { user: 'ada', password: 'hopper' } };

export const scenarios: Record<string, (client: Client) => Promise<void>> = {
  'signs in': async (client) => {
    await client.postAndFollow('/login', ADA);
    await client.get('/me');
  },
  'gives a wrong password and sees why, once': async (client) => {
    await client.postAndFollow('/login', WRONG);
    await client.get('/flash');
  },
  'signs in with a session that is stored, and gets a new one': async (client) => {
    await client.postAndFollow('/visit');
    await client.postAndFollow('/login/regenerate', ADA);
    await client.get('/visits');
  },
  'changes the session again and again': async (client) => {
    for (let visit = 0; visit < 4; visit++) await client.postAndFollow('/visit');
  },
  'sees a flash message once': async (client) => {
    await client.get('/flash');
    await client.postAndFollow('/flash');
    await client.get('/flash');
  },
  'gets a file': async (client) => {
    await client.postAndFollow('/file', { next: '/note' });
  },
  'gets an answer in two pieces': async (client) => {
    await client.postAndFollow('/written', { next: '/note' });
  },
  'signs in with passport': async (client) => {
    await client.postAndFollow('/passport/login', ADA);
    await client.postAndFollow('/passport/logout');
  },
  'gives passport a wrong password': async (client) => {
    await client.postAndFollow('/passport/login', WRONG);
    await client.get('/passport/messages');
    await client.postAndFollow('/passport/login/flash', WRONG);
    await client.postAndFollow('/passport/login/flash', ADA);
  },
  'signs out': async (client) => {
    await client.postAndFollow('/login', ADA);
    await client.postAndFollow('/logout');
    await client.get('/me');
  },
  'sends a form with a CSRF token': async (client) => {
    await client.post('/form');
    await client.get('/form', { random: /"token":"[^"]+"/ });
    const headers = { 'x-csrf-token': JSON.parse(client.body || '{}').token };
    await client.postAndFollow('/transfer', { headers });
    await client.post('/transfer', { headers: { 'x-csrf-token': 'wrong' } });
  },
  'asks for several pages at once': async (client) => {
    await client.postAndFollow('/login', ADA);
    await client.parallel(['/me', '/visits', '/me', '/nowhere', '/note']);
  },
};
