// @fastify/passport with passport-local, set up as its README says. It answers in a hook and returns nothing.

import { Authenticator } from '@fastify/passport';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Strategy } from 'passport-local';
import type { Runs } from '../runs.ts';
import { isRight } from './accounts.ts';

export async function passport(app: FastifyInstance, runs: Runs): Promise<void> {
  const authenticator = new Authenticator();
  await app.register(authenticator.initialize());
  await app.register(authenticator.secureSession());
  const strategy = new Strategy({ usernameField: 'user' }, (user, password, done) => {
    runs.count('strategy');
    if (!isRight({ user, password })) return done(null, false, { message: 'wrong password' });
    return done(null, { id: user });
  });
  authenticator.use('local', strategy as any);
  authenticator.registerUserSerializer(async (user: any) => user.id);
  authenticator.registerUserDeserializer(async (id: string) => ({ id }));

  const done = async () => {
    runs.count('passport handler');
    return 'signed in';
  };
  app.post('/passport/login', { preValidation: authenticator.authenticate('local', { authInfo: false }) }, done);
  app.post(
    '/passport/login/redirect',
    { preValidation: authenticator.authenticate('local', { successRedirect: '/passport/me', authInfo: false }) },
    () => runs.count('passport handler'),
  );
  app.post(
    '/passport/login/messages',
    {
      preValidation: authenticator.authenticate('local', {
        successReturnToOrRedirect: '/passport/me',
        failureRedirect: '/passport/login',
        failureMessage: true,
        failureFlash: true,
      } as any),
    },
    done,
  );
  app.post('/passport/login/prehandler', { preHandler: authenticator.authenticate('local') }, async (_request, reply) => {
    runs.count('passport handler');
    reply.send('signed in');
  });
  app.get('/passport/login', async ({ session }, reply) => {
    runs.count('passport login page');
    return { messages: (session as any).messages, flash: reply.flash('error') };
  });

  const requireLogin = async (request: FastifyRequest, reply: FastifyReply) => {
    runs.count('passport guard');
    if (!request.isAuthenticated()) {
      request.session.set('returnTo', request.url);
      return reply.redirect('/passport/login');
    }
  };
  app.get('/passport/me', { preValidation: requireLogin }, async (request) => {
    runs.count('passport me');
    return { user: request.user };
  });
  app.post('/passport/logout', async (request, reply) => {
    runs.count('passport logout');
    await request.logout();
    reply.redirect('/');
  });
}
