// The small gateway as a process of its own. Prints its address when it is ready.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { fastifyApp, listen } from './fastify-app.ts';
import { programArguments } from './program.ts';

const [config] = programArguments();
console.log(await listen(await fastifyApp(new DynamoDBSessionStore({ recordVersion: 1, ...config }))));
