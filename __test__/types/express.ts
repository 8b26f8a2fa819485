// The store is what express-session takes as `store`.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express from 'express';
import session, { type Store } from 'express-session';

const store = new DynamoDBSessionStore({ local: { path: './.sessions' } });
const asStore: Store = store;
const app = express();
app.use(session({ store, secret: 'secret', resave: false, saveUninitialized: false }));
app.use(session({ store: new DynamoDBSessionStore(), secret: ['new', 'old'] }));
app.get('/', (request, response, next) => {
  request.sessionStore.get(request.sessionID, (error) => (error ? next(error) : response.json(request.session.cookie)));
});
app.post('/log-out-everywhere-else', async (request, response) => {
  const listing = new DynamoDBSessionStore({ users: { idOf: 'passport.user', secret: 'a secret of the users' } });
  response.json(await listing.destroyAllOf('ada', { except: request.sessionID }));
});
export default asStore;
