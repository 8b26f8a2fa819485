// A store whose endpoint shows a certificate that nobody has issued: the system's roots are loaded, and the handshake refuses it.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { createServer } = require('node:https');
const { join } = require('node:path');
const { DynamoDBSessionStore } = require('connect-dynamodb-kms');

process.env.AWS_ACCESS_KEY_ID = process.env.AWS_SECRET_ACCESS_KEY = 'a test';
const pem = readFileSync(join(__dirname, 'untrusted-test-server.pem'));
const server = createServer({ key: pem, cert: pem }, () => assert.fail('the certificate was trusted'));
server.listen(0, '127.0.0.1', async () => {
  const store = new DynamoDBSessionStore({ recordVersion: 1, dynamodbEndpoint: `https://127.0.0.1:${server.address().port}` });
  await assert.rejects(store.get('an id'), ({ code, cause }) => {
    assert.equal(code, 'ERR_DYNAMODB_UNAVAILABLE');
    assert.match(cause.message, /invalid peer certificate: UnknownIssuer/);
    return true;
  });
  await store.close();
  server.close(() => console.log('used'));
});
