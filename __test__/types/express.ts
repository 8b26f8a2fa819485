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
export default asStore;
