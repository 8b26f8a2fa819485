// A gateway whose store knows users, as a process of its own. Prints its address when it is ready.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';
import { usersApps } from './users-apps.ts';

const [framework, config, options] = programArguments();
const { origin } = await usersApps[framework]!.serve(new DynamoDBSessionStore({ recordVersion: 2, ...config }), options);
console.log(origin);
