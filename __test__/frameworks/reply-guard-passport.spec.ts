// @fastify/passport answers in a hook, without returning the reply: its documented set-up refuses and lets in whom it should.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fastifyCookie from '@fastify/cookie';
import { Authenticator } from '@fastify/passport';
import fastifySession from '@fastify/session';
import Fastify from 'fastify';
import { Strategy } from 'passport-local';
import { backends } from '../support/backends.ts';

const USER = { id: 'ada', password: 'right' };

interface Login {
  status: number;
  location: string | null;
  body: string;
  cookie?: string;
}

async function login(origin: string, path: string, password: string, cookie?: string): Promise<Login> {
  const reply = await fetch(`${origin}${path}?username=ada&password=${password}`, {
    method: 'POST',
    redirect: 'manual',
    headers: cookie ? { cookie } : {},
  });
  const [set] = reply.headers.getSetCookie();
  return {
    status: reply.status,
    location: reply.headers.get('location'),
    body: await reply.text(),
    cookie: set?.split(';', 1)[0],
  };
}

for (const { name, start } of backends) {
  for (const saveUninitialized of [true, false]) {
    describe(`@fastify/passport on ${name}, with saveUninitialized: ${saveUninitialized}`, () => {
      async function serve(t: TestContext) {
        const backend = await start();
        t.after(() => backend.stop());
        const app = Fastify();
        t.after(() => app.close());
        const ran: string[] = [];
        const passport = new Authenticator();
        await app.register(fastifyCookie);
        await app.register(fastifySession, {
          secret: 'the secret that signs the cookies of the tests',
          store: backend.store(),
          cookie: { secure: false },
          saveUninitialized,
        });
        await app.register(passport.initialize());
        await app.register(passport.secureSession());
        passport.registerUserSerializer(async (user: typeof USER) => user.id);
        passport.registerUserDeserializer(async (id: string) => ({ ...USER, id }));
        const verify = (username: string, password: string, done: (error: unknown, user?: any) => void) =>
          void setImmediate(done, null, username === USER.id && password === USER.password ? USER : false);
        passport.use('local', new Strategy(verify) as any);
        app.addHook('preHandler', async (request) => void request.session.set('visited', true)); // runs for those who were let in
        app.post('/login', { preValidation: passport.authenticate('local', { authInfo: false }) }, async (request: any) => {
          ran.push('login');
          return { user: request.user.id };
        });
        const redirects = { successRedirect: '/me', failureRedirect: '/login', authInfo: false };
        app.post('/login-and-go', { preValidation: passport.authenticate('local', redirects) }, async () => void ran.push('go'));
        const requireUser = async (request: any, reply: any) => {
          if (!request.isAuthenticated()) reply.code(401).send('sign in');
        };
        app.get('/me', { preValidation: requireUser }, async (request: any) => {
          ran.push('me');
          return { user: request.user.id };
        });
        return { origin: await app.listen({ host: '127.0.0.1', port: 0 }), ran };
      }

      it('refuses a wrong password, and runs nothing that it protects', async (t) => {
        const { origin, ran } = await serve(t);
        for (const cookie of [undefined, (await login(origin, '/login', 'wrong')).cookie]) {
          const refused = await login(origin, '/login', 'wrong', cookie);
          assert.deepEqual([refused.status, refused.body], [401, 'Unauthorized']);
          const redirected = await login(origin, '/login-and-go', 'wrong', cookie);
          assert.deepEqual([redirected.status, redirected.location], [302, '/login']);
          const me = await fetch(`${origin}/me`, { headers: cookie ? { cookie } : {} });
          assert.deepEqual([me.status, await me.text()], [401, 'sign in']);
        }
        assert.deepEqual(ran, []);
      });

      it('lets the right one in', async (t) => {
        const { origin, ran } = await serve(t);
        const refused = await login(origin, '/login', 'wrong');
        const { status, body, cookie } = await login(origin, '/login', USER.password, refused.cookie);
        assert.deepEqual([status, body], [200, '{"user":"ada"}']);
        const { status: found, location, cookie: another } = await login(origin, '/login-and-go', USER.password);
        assert.deepEqual([found, location], [302, '/me']);
        for (const signedIn of [cookie!, another!]) {
          const me = await fetch(`${origin}/me`, { headers: { cookie: signedIn } });
          assert.deepEqual([me.status, await me.text()], [200, '{"user":"ada"}']);
        }
        assert.deepEqual(ran, ['login', 'me', 'me']);
      });
    });
  }
}
