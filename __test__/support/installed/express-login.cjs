// An Express application in a folder of its own, as a user of the packed package writes it. Its argument is the store's configuration;
// a second one, `elsewhere`, says that the store finds no express-session beside it.

const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
const express = require('express');
const session = require('express-session');

const store = new DynamoDBSessionStore({ recordVersion: 1, ...JSON.parse(process.argv[2]) });
if (store instanceof session.Store === (process.argv[3] === 'elsewhere')) throw new Error("the store is express-session's Store, or is not, although it finds one");
const app = express();
app.use(session({ store, secret: 'a secret of at least thirty-two letters', resave: false, saveUninitialized: false }));

app.post('/login/:user', ({ session, params }, response) => {
  session.user = params.user;
  session.token = { access: 'ya29.a0', expires: new Date('2099-01-01') };
  response.json({});
});
app.get('/me', ({ session }, response) => {
  if (!session.user) return response.status(401).json({});
  response.json({ user: session.user, token: session.token });
});
app.post('/logout', ({ session }, response, next) => {
  session.destroy((error) => (error ? next(error) : response.json({})));
});

process.stdin.on('end', () => process.exit()).resume(); // it ends with the test
const server = app.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
