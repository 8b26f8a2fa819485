import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express from 'express';
import session from 'express-session';

declare module 'express-session' {
  interface SessionData {
    user?: string;
  }
}

const app = express();
app.use(
  session({
    secret: process.env.SESSION_SECRET!,
    store: new DynamoDBSessionStore({ recordVersion: 2 }),
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 7 * 24 * 3600 * 1000, secure: 'auto' },
  }),
);
app.post('/login', (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = 'ada';
    response.json({ ok: true });
  });
});
app.get('/me', (request, response) => {
  response.json({ user: request.session.user ?? null });
});
app.listen(42667);
